//! A string as a record of a table: one allocation with its length and its bytes.
//!
//! ```text
//! 0   bytes << 1, u8           up to 127 bytes
//!     bytes << 1 | 1, u64 LE   more
//! .   the bytes
//! ```

use core::ptr::{self, NonNull};
use core::{fmt, slice};

use crate::base::hash::HashSeed;
use crate::encodings::allocation::{Thin, size_class};
use crate::encodings::table::Record;

/// Strings from this length on have the longer prefix.
const LONG: usize = 128;
const LONG_PREFIX_BYTES: usize = 8;

/// A string in a table: a handle of eight bytes.
#[repr(transparent)]
pub struct Member(NonNull<u64>);

// SAFETY: a member owns what it points to, and nothing in it is shared.
unsafe impl Send for Member {}
// SAFETY: nothing in a member changes.
unsafe impl Sync for Member {}

// SAFETY: the type is `repr(transparent)` over a `NonNull<u64>`; allocations are aligned to 8.
unsafe impl Record for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes()
    }

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        seed.member_hash(self.bytes())
    }
}

impl Member {
    /// A record of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let prefix = (bytes.len() as u64) << 1 | u64::from(LONG <= bytes.len());
        let start = prefix_bytes(bytes.len());
        let memory = Thin::allocate(start + bytes.len()).pointer();
        // SAFETY: the allocation has room for the prefix, of one or eight bytes, and the string.
        unsafe {
            ptr::copy_nonoverlapping(prefix.to_le_bytes().as_ptr(), memory, start);
            ptr::copy_nonoverlapping(bytes.as_ptr(), memory.add(start), bytes.len());
        }
        Self(NonNull::new(memory.cast()).expect("an allocation is somewhere"))
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let len = self.len();
        // SAFETY: as many bytes follow the prefix.
        unsafe { slice::from_raw_parts(self.memory_at(prefix_bytes(len)), len) }
    }

    /// Bytes of its allocation.
    #[inline]
    pub fn memory(&self) -> usize {
        size_class(self.whole())
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: a member begins with one byte, and with eight if that is odd.
        let prefix = unsafe {
            let first = *self.memory_at(0);
            if first & 1 == 0 { u64::from(first) } else { u64::from_le(self.0.read()) }
        };
        usize::try_from(prefix >> 1).expect("it lies in memory")
    }

    fn whole(&self) -> usize {
        let len = self.len();
        prefix_bytes(len) + len
    }

    #[inline]
    fn memory_at(&self, offset: usize) -> *const u8 {
        self.0.as_ptr().cast::<u8>().wrapping_add(offset)
    }
}

#[inline]
const fn prefix_bytes(len: usize) -> usize {
    if len < LONG { 1 } else { LONG_PREFIX_BYTES }
}

impl Drop for Member {
    fn drop(&mut self) {
        let whole = self.whole();
        // SAFETY: it was allocated for as many bytes and is not used after this.
        unsafe { Thin::of(self.0.as_ptr().cast()).free(whole) };
    }
}

impl Clone for Member {
    fn clone(&self) -> Self {
        Self::new(self.bytes())
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
