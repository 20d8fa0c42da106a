//! Names and numbers of a cluster: node ids, shard ids, epochs.

use std::cmp::Ordering;
use std::fmt::{Debug, Display, Formatter, Result};

/// Characters of a node id and of a shard id.
pub const ID_LEN: usize = 40;

/// The name of a node, for as long as it belongs to its cluster: 40 of `a-z0-9`, or of `a-zA-Z0-9`
/// if a controller gave it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId([u8; ID_LEN]);

/// The name of a shard, which its primary and replicas share: characters like those of a node id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShardId([u8; ID_LEN]);

/// A moment in the life of the cluster: the greater one decides who owns a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch behind this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Display for Epoch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Display::fmt(&self.0, f)
    }
}

/// What both kinds of id can do.
macro_rules! id {
    ($name:ident) => {
        impl $name {
            /// The id that `text` spells, by the rule of nodes that gossip: 40 of `a-z0-9`. `None`
            /// if its length or a character is another.
            pub fn parse(text: &[u8]) -> Option<Self> {
                parse(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()).map(Self)
            }

            /// The id that these random bytes make: their hexadecimal digits.
            pub const fn of_random(bytes: [u8; ID_LEN / 2]) -> Self {
                Self(hexadecimal(bytes))
            }

            /// Its characters.
            pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
                &self.0
            }
        }

        impl Ord for $name {
            /// By their characters. Few have the same ones in front, and each frame looks some up.
            fn cmp(&self, other: &Self) -> Ordering {
                let begin = |id: &Self| id.0.first_chunk().map(|begin| u64::from_be_bytes(*begin));
                begin(self).cmp(&begin(other)).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                f.write_str(std::str::from_utf8(&self.0).map_err(|_| std::fmt::Error)?)
            }
        }

        impl Debug for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                Display::fmt(self, f)
            }
        }
    };
}

id!(NodeId);
id!(ShardId);

impl NodeId {
    /// The id that a controller or a client gives: 40 of `a-zA-Z0-9`, as Kvrocks' controller draws
    /// them. Case counts. `None` if its length or a character is another.
    pub fn given(text: &[u8]) -> Option<Self> {
        parse(text, u8::is_ascii_alphanumeric).map(Self)
    }
}

impl ShardId {
    /// The name of a shard that is called like its primary.
    pub const fn of_primary(primary: NodeId) -> Self {
        Self(primary.0)
    }
}

fn parse(text: &[u8], is_part: impl Fn(&u8) -> bool) -> Option<[u8; ID_LEN]> {
    let characters: [u8; ID_LEN] = text.try_into().ok()?;
    characters.iter().all(is_part).then_some(characters)
}

const fn hexadecimal(bytes: [u8; ID_LEN / 2]) -> [u8; ID_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut characters = [0; ID_LEN];
    let mut index = 0;
    while index < bytes.len() {
        characters[2 * index] = DIGITS[bytes[index] as usize >> 4];
        characters[2 * index + 1] = DIGITS[bytes[index] as usize & 0xF];
        index += 1;
    }
    characters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_40_small_letters_and_digits() {
        let text = "c0ffeez".repeat(5) + "01234";
        let id = NodeId::parse(text.as_bytes()).expect("it has 40 characters");
        assert_eq!(id.to_string(), text);
        for odd in [&text[1..], &format!("{text}0"), &text.replace("c0", "C0"), ""] {
            assert_eq!(NodeId::parse(odd.as_bytes()), None, "{odd:?}");
            assert_eq!(ShardId::parse(odd.as_bytes()), None, "{odd:?}");
        }
    }

    #[test]
    fn a_given_id_may_have_capitals_and_keeps_them() {
        let text = "SrSmm9KG5hoAETaxdk7XeUbU1vccWFdl67dk2Z8b";
        let id = NodeId::given(text.as_bytes()).expect("it has 40 letters and digits");
        assert_eq!(
            (id.to_string(), ShardId::of_primary(id).to_string()),
            (text.into(), text.into())
        );
        assert_ne!(NodeId::given(text.to_ascii_lowercase().as_bytes()), Some(id));
        for odd in [&text[1..], &format!("{text}0"), &text.replace('k', "-"), ""] {
            assert_eq!(NodeId::given(odd.as_bytes()), None, "{odd:?}");
        }
    }

    #[test]
    fn random_bytes_become_hexadecimal_digits() {
        let mut bytes = [0x0f; 20];
        bytes[19] = 0xa2;
        assert_eq!(NodeId::of_random(bytes).to_string(), "0f".repeat(19) + "a2");
    }
}
