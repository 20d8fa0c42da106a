//! Patterns that make the name of a key, and perhaps of a field, of each element.

use alloc::vec::Vec;

use crate::base::number::DIGITS_MAX;
use crate::base::slot::Slot;
use crate::keyspace::db::Entry;
use crate::keyspace::selected::Selected;
use crate::types::object::Object;

/// What BY or GET names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: the element.
    Element,
    /// Nothing at all: it has no place for the element.
    Nothing,
    /// The string at `prefix element postfix`, or a field of the hash there.
    Key { prefix: &'a [u8], postfix: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    /// Reads `prefix*postfix->field`. As in Valkey, marks behind a zero byte are none.
    pub(super) fn of(text: &'a [u8]) -> Self {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let marks = &text[..end];
        if marks == b"#" {
            return Self::Element;
        }
        let Some(star) = marks.iter().position(|byte| *byte == b'*') else { return Self::Nothing };
        let (prefix, rest) = (&text[..star], &text[star + 1..]);
        let arrow = marks[star + 1..].windows(2).position(|pair| pair == b"->");
        match arrow {
            Some(at) if star + 1 + at + 2 < end => {
                Self::Key { prefix, postfix: &rest[..at], field: Some(&rest[at + 2..]) }
            }
            _ => Self::Key { prefix, postfix: rest, field: None },
        }
    }

    /// Whether it names a key for each element.
    pub(super) fn names_keys(&self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// Has `see` look at what is there for `element`. `name` is scratch.
    pub(super) fn look_up(
        &self,
        db: &mut Selected<'_>,
        element: &[u8],
        name: &mut Vec<u8>,
        see: impl FnOnce(Option<&[u8]>),
    ) {
        let (prefix, postfix, field) = match *self {
            Self::Element => return see(Some(element)),
            Self::Nothing => return see(None),
            Self::Key { prefix, postfix, field } => (prefix, postfix, field),
        };
        name.clear();
        [prefix, element, postfix].iter().for_each(|part| name.extend_from_slice(part));
        let key = db.key(name);
        db.with_part_of(key, |db| {
            let (due_by, mut scratch) = (db.due_by(), [0; DIGITS_MAX]);
            let entry = db.read(key);
            see(match (field, entry.map(|entry| (entry, entry.as_object()))) {
                (None, Some((entry, _))) => Entry::bytes(entry, &mut scratch),
                (Some(field), Some((_, Some(Object::Hash(hash))))) => {
                    hash.get(field, due_by).map(|value| value.bytes(&mut scratch))
                }
                (Some(_), Some(_)) | (_, None) => None,
            });
        });
    }
}

/// The slot of all keys that a pattern may name: that of its tag, if this is whole in front of any
/// mark that has a meaning in patterns. `None`: they may be of different slots.
pub(super) fn slot(text: &[u8]) -> Option<Slot> {
    let plain = text.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(text.len());
    let plain = &text[..plain];
    let open = plain.iter().position(|byte| *byte == b'{')?;
    let len = plain[open + 1..].iter().position(|byte| *byte == b'}')?;
    (0 < len).then(|| Slot::of(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_place_for_the_element_and_perhaps_a_field() {
        let key = |prefix: &'static str, postfix: &'static str, field: Option<&'static str>| {
            Pattern::Key {
                prefix: prefix.as_bytes(),
                postfix: postfix.as_bytes(),
                field: field.map(str::as_bytes),
            }
        };
        for (text, expected) in [
            ("#", Pattern::Element),
            ("#\0x", Pattern::Element),
            ("##", Pattern::Nothing),
            ("", Pattern::Nothing),
            ("a\0*", Pattern::Nothing),
            ("*", key("", "", None)),
            ("a*b*c", key("a", "b*c", None)),
            ("a*->f", key("a", "", Some("f"))),
            ("a*b->f->g", key("a", "b", Some("f->g"))),
            ("a*b->f\0g", key("a", "b", Some("f\0g"))),
            ("a->b*c", key("a->b", "c", None)),
            ("a*->", key("a", "->", None)),
            ("a*->\0f", key("a", "->\0f", None)),
            ("a*\0->f", key("a", "\0->f", None)),
        ] {
            assert_eq!(Pattern::of(text.as_bytes()), expected, "{text:?}");
        }
    }
}
