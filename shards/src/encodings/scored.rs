//! A member of a sorted set with its score, as a record of a table.
//!
//! ```text
//! bytes that follow, see `block.rs` | score, f64 LE | the member
//! ```

use core::fmt;

use crate::base::hash::HashSeed;
use crate::encodings::allocation::{Place as _, Word};
use crate::encodings::block::{Block, Prefixed};
use crate::encodings::table::Record;

const SCORE_BYTES: usize = 8;

/// A member with its score in a table: a handle of eight bytes.
#[derive(Clone)]
#[repr(transparent)]
pub struct Scored(Block<Prefixed, Word>);

/// A second handle of a member, for the index of the ranking that owns the first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shared(Word);

impl Record for Scored {
    #[inline]
    fn key(&self) -> &[u8] {
        self.member()
    }

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        seed.member_hash(self.member())
    }

    #[inline]
    fn address(&self) -> *const u8 {
        self.0.place().pointer()
    }
}

impl Scored {
    /// A member with its score.
    pub fn new(member: &[u8], score: f64) -> Self {
        Self(Block::prefixed([&score.to_le_bytes(), member]))
    }

    /// The member.
    #[inline]
    pub fn member(&self) -> &[u8] {
        &self.0.body()[SCORE_BYTES..]
    }

    /// Its score.
    #[inline]
    pub fn score(&self) -> f64 {
        f64::from_le_bytes(*self.0.body().first_chunk().expect("a score stands first"))
    }

    /// Gives it another score.
    #[inline]
    pub fn set_score(&mut self, score: f64) {
        self.0.body_mut()[..SCORE_BYTES].copy_from_slice(&score.to_le_bytes());
    }

    /// Bytes of its allocation.
    #[inline]
    pub fn memory(&self) -> usize {
        self.0.memory()
    }

    /// A second handle, to be used only as long as this one lives.
    #[inline]
    pub(super) fn shared(&self) -> Shared {
        Shared(self.0.place())
    }
}

impl Shared {
    /// The member.
    ///
    /// # Safety
    /// The record lives as long as the result is used, and only its score changes meanwhile.
    #[inline]
    pub(super) unsafe fn member<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { &Block::<Prefixed, Word>::body_at(self.0)[SCORE_BYTES..] }
    }
}

impl fmt::Debug for Scored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\": {}", self.member().escape_ascii(), self.score())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_member_takes_nine_bytes_more() {
        for (len, memory) in
            [(0, 16), (7, 16), (8, 32), (23, 32), (254, 320), (255, 320), (5000, 5120)]
        {
            let member = vec![b'm'; len];
            let mut scored = Scored::new(&member, 1.5);
            assert_eq!((scored.member(), scored.score()), (&member[..], 1.5));
            assert_eq!(scored.memory(), memory, "{len}");
            scored.set_score(-2.0);
            let copy = scored.clone();
            assert_eq!((copy.member(), copy.score()), (&member[..], -2.0));
            // SAFETY: the record is there.
            assert_eq!(unsafe { scored.shared().member() }, member);
        }
    }
}
