//! A segment: up to 128 home buckets in one allocation, for the records that share a hash prefix.
//!
//! The low seven bits of a hash choose its home among 128. A smaller segment uses their top bits,
//! so each of its buckets stands for a run of neighbouring homes.

use super::bucket::{Bucket, Header};
use super::memory::{Memory, prefetch};

/// Homes in any segment, however few buckets it has.
pub(super) const HOMES: u64 = 128;
/// The `shift` of a segment of one bucket.
pub(super) const SHIFT_MAX: u8 = 7;

/// Where a segment lies and how large it is. A plain pointer: directories own segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) base: *mut Bucket,
    /// Bucket = home >> shift.
    pub(super) shift: u8,
}

impl Segment {
    /// An empty segment of `128 >> shift` buckets.
    pub(super) fn allocate(shift: u8, depth: u32, memory: &mut Memory) -> Self {
        assert!(shift <= SHIFT_MAX, "a segment has a bucket at least");
        let base = memory.allocate(128 >> shift).cast::<Bucket>();
        // SAFETY: zero bytes are an empty bucket, and this one is ours alone.
        unsafe { (*base).set_header(Header { count: 0, depth }) };
        Self { base, shift }
    }

    /// Frees the buckets.
    ///
    /// # Safety
    /// The segment is live, empty, and not used afterwards.
    pub(super) unsafe fn free(self, memory: &mut Memory) {
        // SAFETY: the caller's promise; it was allocated with this size.
        unsafe { memory.free(self.base.cast(), self.buckets()) };
    }

    /// How many buckets it has, children not counted.
    #[inline]
    pub(super) fn buckets(self) -> usize {
        128 >> self.shift
    }

    /// Records at which it grows or splits: about 0.86 of its slots.
    #[inline]
    pub(super) fn count_max(self) -> u32 {
        768u32.wrapping_shr(self.shift.into())
    }

    /// Whether `count` records fill less than a quarter of its slots.
    #[inline]
    pub(super) fn is_sparse(self, count: u32) -> bool {
        count < 224u32.wrapping_shr(self.shift.into())
    }

    /// The bucket of number `index`.
    #[inline]
    pub(super) fn bucket(self, index: usize) -> *mut Bucket {
        debug_assert!(index < self.buckets());
        self.base.wrapping_add(index)
    }

    /// The home bucket of `hash`.
    #[inline]
    pub(super) fn home(self, hash: u64) -> *mut Bucket {
        let home = (hash % HOMES).wrapping_shr(self.shift.into());
        self.base.wrapping_add(home as usize)
    }

    /// What the table knows of it.
    ///
    /// # Safety
    /// The segment is live.
    #[inline]
    pub(super) unsafe fn header(self) -> Header {
        // SAFETY: the caller's promise; the first bucket holds the header.
        unsafe { *Bucket::header(self.base) }
    }

    /// The header, to change it.
    ///
    /// # Safety
    /// The segment is live, and nobody else uses its header while the result lives.
    #[inline]
    pub(super) unsafe fn header_mut<'a>(self) -> &'a mut Header {
        // SAFETY: the caller's promise; the first bucket holds the header.
        unsafe { &mut *Bucket::header(self.base) }
    }

    /// Starts loading all records of a bucket, its children's not included.
    ///
    /// # Safety
    /// The segment is live.
    #[inline]
    pub(super) unsafe fn prefetch_records(self, index: usize) {
        if index < self.buckets() {
            // SAFETY: the caller's promise, and the index is in range.
            let bucket = unsafe { &*self.bucket(index) };
            for slot in bucket.records() {
                prefetch(bucket.record(slot));
            }
        }
    }

    /// Empties it: hands each record to `each`, with the number of its bucket and its tag, loading
    /// the records of the buckets ahead meanwhile. `each` may push into that very bucket.
    ///
    /// # Safety
    /// The segment is live and the caller may change it.
    pub(super) unsafe fn drain(
        self,
        memory: &mut Memory,
        mut each: impl FnMut(&mut Memory, usize, u8, *mut u8),
    ) {
        // Two buckets are about twelve records: what a core can load at a time.
        const AHEAD: usize = 2;
        // SAFETY: the caller's promise; all indices are below `buckets`.
        unsafe {
            for index in 0..AHEAD {
                self.prefetch_records(index);
            }
            for index in 0..self.buckets() {
                self.prefetch_records(index + AHEAD);
                Bucket::drain(self.bucket(index), memory, |memory, tag, record| {
                    each(memory, index, tag, record);
                });
            }
        }
    }
}
