//! A field of a hash, with its value and the time at which it expires, as a record of a table.
//!
//! ```text
//! 0   EXPIRES, u8             WIDE | EXPIRES, u8
//! 1   bytes of the name, u8   bytes of the whole, u56
//! 2   bytes of the value, u8
//! 8                           bytes of the name, u32
//! .   when it expires, u64: only with EXPIRES
//! .   the name, then the value
//! ```
//! The wide form is that of fields of which either part is longer than 255 bytes.

#![expect(clippy::cast_possible_truncation, reason = "lengths are cut into their bytes")]

use core::fmt;

use crate::base::hash::HashSeed;
use crate::base::time::UnixMs;
use crate::encodings::allocation::{Place as _, Word};
use crate::encodings::block::{Block, Fields};
use crate::encodings::table::Record;

/// A field in a table: a handle of eight bytes.
#[derive(Clone)]
#[repr(transparent)]
pub struct Field(Block<Fields, Word>);

impl Record for Field {
    #[inline]
    fn key(&self) -> &[u8] {
        self.name()
    }

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        seed.member_hash(self.name())
    }

    #[inline]
    fn address(&self) -> *const u8 {
        self.0.place().pointer()
    }
}

impl Field {
    /// A field with its value. Its name has less than 4 GiB: it came in a request, or in a file
    /// that was held to that.
    pub fn new(name: &[u8], value: &[u8], expire: Option<UnixMs>) -> Self {
        let flags = flags_of(name, value, expire);
        let time = expire.map(|at| at.0.to_le_bytes());
        let time = time.as_ref().map_or(&[][..], |time| time);
        Self(if flags & Fields::WIDE == 0 {
            Block::new(narrow(flags, name, value), [time, name, value])
        } else {
            let bytes = u32::try_from(name.len()).expect("a request has less than 4 GiB");
            Block::new(wide(flags, name, value), [&bytes.to_le_bytes(), time, name, value])
        })
    }

    /// The field's name.
    #[inline]
    pub fn name(&self) -> &[u8] {
        self.0.strings().0
    }

    /// Its value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        self.0.strings().1
    }

    /// When it expires.
    #[inline]
    pub fn expire(&self) -> Option<UnixMs> {
        let is_set = self.flags() & Fields::EXPIRES != 0;
        is_set.then(|| {
            let (before, _) = self.0.bytes().split_at(self.0.len() - self.strings_len());
            let time = before.last_chunk().expect("the time stands before the name");
            UnixMs(u64::from_le_bytes(*time))
        })
    }

    /// Whether its time has come.
    #[inline]
    pub fn is_due(&self, now: UnixMs) -> bool {
        self.expire().is_some_and(|at| at <= now)
    }

    /// Takes another value and another time, in place if they fit.
    pub fn set(&mut self, value: &[u8], expire: Option<UnixMs>) {
        let (flags, (name, old)) = (self.flags(), self.0.strings());
        if flags != flags_of(name, value, expire) {
            *self = Self::new(name, value, expire);
            return;
        }
        let place = (self.0.len() - old.len(), old.len());
        if old.len() == value.len() {
            let body = self.0.body_mut();
            let value_at = body.len() - value.len();
            body[value_at..].copy_from_slice(value);
        } else if flags & Fields::WIDE == 0 {
            let head = narrow(flags, name, value);
            self.0.splice(place, [value], head);
        } else {
            let head = wide(flags, name, value);
            self.0.splice(place, [value], head);
        }
        if let Some(at) = expire {
            self.write_expire(at);
        }
    }

    /// Takes another time; the value stays.
    pub fn set_expire(&mut self, expire: Option<UnixMs>) {
        match expire {
            Some(at) if self.flags() & Fields::EXPIRES != 0 => self.write_expire(at),
            Some(_) | None => *self = Self::new(self.name(), self.value(), expire),
        }
    }

    /// Bytes of its allocation.
    #[inline]
    pub fn memory(&self) -> usize {
        self.0.memory()
    }

    /// Writes the time of a field that has one.
    fn write_expire(&mut self, at: UnixMs) {
        let behind = self.strings_len();
        let body = self.0.body_mut();
        let end = body.len() - behind;
        body[end - Fields::EXPIRE_BYTES..end].copy_from_slice(&at.0.to_le_bytes());
    }

    /// Bytes of name and value.
    fn strings_len(&self) -> usize {
        let (name, value) = self.0.strings();
        name.len() + value.len()
    }

    #[inline]
    fn flags(&self) -> u8 {
        self.0.beginning()[0]
    }
}

/// The flags of a field with these parts.
#[inline]
fn flags_of(name: &[u8], value: &[u8], expire: Option<UnixMs>) -> u8 {
    let is_wide = usize::from(u8::MAX) < name.len().max(value.len());
    let wide = if is_wide { Fields::WIDE } else { 0 };
    wide | if expire.is_some() { Fields::EXPIRES } else { 0 }
}

/// What a field begins with if neither part is long.
#[inline]
fn narrow(flags: u8, name: &[u8], value: &[u8]) -> [u8; Fields::NARROW_BYTES] {
    [flags, name.len() as u8, value.len() as u8]
}

/// What it begins with if one is.
fn wide(flags: u8, name: &[u8], value: &[u8]) -> [u8; 8] {
    let whole = Fields::WIDE_BYTES + Fields::expire_bytes(flags) + name.len() + value.len();
    ((whole as u64) << 8 | u64::from(flags)).to_le_bytes()
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (self.name().escape_ascii(), self.value().escape_ascii());
        write!(f, "\"{name}\": \"{value}\" {:?}", self.expire())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn a_small_field_takes_three_bytes_more() {
        assert_eq!(Field::new(b"field", b"12345678", None).memory(), 16);
        assert_eq!(Field::new(b"field", b"12345678", Some(UnixMs(1))).memory(), 32);
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            (250usize..260).prop_map(|length| vec![b'x'; length]),
        ]
    }

    proptest! {
        #[test]
        fn holds_what_was_put_in(
            name in text(),
            first in text(),
            steps in prop::collection::vec((text(), any::<Option<u64>>()), 0..10),
        ) {
            let mut field = Field::new(&name, &first, None);
            let mut value = first;
            for (next, expire) in steps {
                let expire = expire.map(UnixMs);
                field.set_expire(expire);
                prop_assert_eq!(field.value(), &value);
                prop_assert_eq!(field.expire(), expire);
                field.set(&next, expire);
                value = next;
                let copy = field.clone();
                prop_assert_eq!((copy.name(), copy.value()), (&name[..], &value[..]));
                prop_assert_eq!((field.name(), field.expire()), (&name[..], expire));
                prop_assert!(name.len() + value.len() < field.memory());
            }
        }
    }
}
