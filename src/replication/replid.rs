//! The name of a history or of a stream of changes, as PSYNC and INFO write it.

use std::fmt::{Display, Formatter, Result};

/// The name of a history or of a stream: 40 printable characters, by habit hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplId([u8; Self::LEN]);

impl ReplId {
    /// Characters of a replid.
    pub const LEN: usize = 40;

    /// The replid that these random bytes make: their hexadecimal digits.
    pub const fn of_random(bytes: [u8; Self::LEN / 2]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut characters = [0; Self::LEN];
        let mut index = 0;
        while index < bytes.len() {
            characters[2 * index] = DIGITS[bytes[index] as usize >> 4];
            characters[2 * index + 1] = DIGITS[bytes[index] as usize & 0xF];
            index += 1;
        }
        Self(characters)
    }

    /// The replid that `text` spells; `None` if its length is another, or a character cannot be
    /// printed. Valkey checks the length alone; what could break a line of INFO is refused here.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let characters: [u8; Self::LEN] = text.try_into().ok()?;
        characters.iter().all(u8::is_ascii_graphic).then_some(Self(characters))
    }

    /// Its characters.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl Display for ReplId {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replid_has_40_printable_characters() {
        let text = "c0ffee".repeat(6) + "0123";
        let replid = ReplId::parse(text.as_bytes()).expect("it has 40 characters");
        assert_eq!(replid.to_string(), text);
        for odd in [&text[1..], &format!("{text}0"), &text.replace("c0f", "c\rf"), ""] {
            assert_eq!(ReplId::parse(odd.as_bytes()), None, "{odd:?}");
        }
    }

    #[test]
    fn random_bytes_become_hexadecimal_digits() {
        let mut bytes = [0x0f; 20];
        bytes[19] = 0xa2;
        assert_eq!(ReplId::of_random(bytes).to_string(), "0f".repeat(19) + "a2");
    }
}
