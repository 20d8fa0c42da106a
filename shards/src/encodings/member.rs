//! A string as a record of a table: one allocation with its length and its bytes, the length in
//! one byte up to 127 (see `block.rs`).

use core::fmt;

use crate::base::hash::HashSeed;
use crate::encodings::allocation::{Place as _, Word};
use crate::encodings::block::{Block, Prefixed};
use crate::encodings::table::Record;

/// A string in a table: a handle of eight bytes.
#[derive(Clone)]
#[repr(transparent)]
pub struct Member(Block<Prefixed, Word>);

impl Record for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes()
    }

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        seed.member_hash(self.bytes())
    }

    #[inline]
    fn address(&self) -> *const u8 {
        self.0.place().pointer()
    }
}

impl Member {
    /// A record of these bytes.
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Block::prefixed([bytes]))
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.body()
    }

    /// Bytes of its allocation.
    #[inline]
    pub fn memory(&self) -> usize {
        self.0.memory()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encodings::table::Table;
    use alloc::vec;

    #[test]
    fn short_strings_take_one_byte_more() {
        for (len, memory) in [(0, 8), (7, 8), (8, 16), (127, 128), (128, 160), (5000, 5120)] {
            let bytes = vec![b'm'; len];
            let member = Member::new(&bytes);
            assert_eq!((member.bytes(), member.memory()), (&bytes[..], memory));
            assert_eq!(member.clone().bytes(), bytes);
        }
    }

    #[test]
    fn members_live_in_tables() {
        let seed = HashSeed(2);
        let mut table = Table::new(seed);
        for number in 0..2000u32 {
            let bytes = number.to_be_bytes();
            table.insert(seed.member_hash(&bytes), Member::new(&bytes));
        }
        for number in 0..2000u32 {
            let bytes = number.to_be_bytes();
            assert!(table.remove(seed.member_hash(&bytes), &bytes).is_some());
        }
        assert_eq!(table.memory(), 0);
    }
}
