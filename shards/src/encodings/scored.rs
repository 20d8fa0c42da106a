//! A member of a sorted set with its score, as a record of a table.
//!
//! ```text
//! 0   score, f64
//! 8   length of the member, u8; 255 if a u64 follows with it
//! .   the member
//! ```

use core::ptr::{self, NonNull};
use core::{fmt, slice};

use crate::base::hash::HashSeed;
use crate::encodings::allocation::{Thin, size_class};
use crate::encodings::table::Record;

const LENGTH_AT: usize = 8;
/// What stands for the length of longer members.
const LONG: u8 = u8::MAX;
const SHORT_HEADER_BYTES: usize = 9;
const LONG_HEADER_BYTES: usize = 17;

/// A member with its score in a table: a handle of eight bytes.
#[repr(transparent)]
pub struct Scored(NonNull<u64>);

/// A second handle of a member, for the index of the ranking that owns the first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shared(NonNull<u64>);

// SAFETY: a member owns what it points to, and nothing in it is shared.
unsafe impl Send for Scored {}
// SAFETY: nothing in a member changes behind a shared reference.
unsafe impl Sync for Scored {}
// SAFETY: it goes where the ranking goes that owns the member.
unsafe impl Send for Shared {}
// SAFETY: as for `Scored`.
unsafe impl Sync for Shared {}

// SAFETY: the type is `repr(transparent)` over a `NonNull<u64>`; allocations are aligned to 8.
unsafe impl Record for Scored {
    #[inline]
    fn key(&self) -> &[u8] {
        self.member()
    }

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        seed.member_hash(self.member())
    }
}

impl Scored {
    /// A member with its score.
    pub fn new(member: &[u8], score: f64) -> Self {
        let start = header_bytes(member.len());
        let memory = Thin::allocate(start + member.len()).pointer();
        // SAFETY: the allocation has room for the score, the length as `header_bytes` says, and
        // the member; it is aligned to 8.
        unsafe {
            memory.cast::<f64>().write(score);
            match u8::try_from(member.len()) {
                Ok(length) if length != LONG => memory.add(LENGTH_AT).write(length),
                _ => {
                    memory.add(LENGTH_AT).write(LONG);
                    let length = memory.add(SHORT_HEADER_BYTES).cast::<u64>();
                    length.write_unaligned(member.len() as u64);
                }
            }
            ptr::copy_nonoverlapping(member.as_ptr(), memory.add(start), member.len());
        }
        Self(NonNull::new(memory.cast()).expect("an allocation is somewhere"))
    }

    /// The member.
    #[inline]
    pub fn member(&self) -> &[u8] {
        // SAFETY: the member lives as long as `self`.
        unsafe { member_at(self.0) }
    }

    /// Its score.
    #[inline]
    pub fn score(&self) -> f64 {
        // SAFETY: a member begins with its score.
        unsafe { self.0.cast::<f64>().read() }
    }

    /// Gives it another score.
    #[inline]
    pub fn set_score(&mut self, score: f64) {
        // SAFETY: a member begins with its score, and `self` is borrowed mutably.
        unsafe { self.0.cast::<f64>().write(score) };
    }

    /// Bytes of its allocation.
    #[inline]
    pub fn memory(&self) -> usize {
        size_class(self.whole())
    }

    /// A second handle, to be used only as long as this one lives.
    #[inline]
    pub(super) fn shared(&self) -> Shared {
        Shared(self.0)
    }

    #[inline]
    fn whole(&self) -> usize {
        let length = self.member().len();
        header_bytes(length) + length
    }
}

impl Shared {
    /// The member.
    ///
    /// # Safety
    /// The record lives as long as the result is used.
    #[inline]
    pub(super) unsafe fn member<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { member_at(self.0) }
    }
}

/// # Safety
/// A record lies there as long as the result is used.
#[inline]
unsafe fn member_at<'a>(at: NonNull<u64>) -> &'a [u8] {
    let memory = at.cast::<u8>();
    // SAFETY: the length follows the score, in one of two forms, and so many bytes follow it.
    unsafe {
        let (start, length) = match memory.add(LENGTH_AT).read() {
            LONG => {
                let length = memory.add(SHORT_HEADER_BYTES).cast::<u64>().read_unaligned();
                (LONG_HEADER_BYTES, usize::try_from(length).expect("it lies in memory"))
            }
            length => (SHORT_HEADER_BYTES, usize::from(length)),
        };
        slice::from_raw_parts(memory.add(start).as_ptr(), length)
    }
}

#[inline]
const fn header_bytes(length: usize) -> usize {
    if length < LONG as usize { SHORT_HEADER_BYTES } else { LONG_HEADER_BYTES }
}

impl Drop for Scored {
    fn drop(&mut self) {
        let whole = self.whole();
        // SAFETY: it was allocated for as many bytes and is not used after this.
        unsafe { Thin::of(self.0.as_ptr().cast()).free(whole) };
    }
}

impl Clone for Scored {
    fn clone(&self) -> Self {
        Self::new(self.member(), self.score())
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
