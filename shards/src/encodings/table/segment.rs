//! A segment: up to 128 home buckets in one allocation, for the records that share a hash prefix.
//!
//! The low seven bits of a hash choose its home among 128. A smaller segment uses their top bits,
//! so each of its buckets stands for a run of neighbouring homes.

use alloc::boxed::Box;

use super::Record;
use super::bucket::{Bucket, Header, Tag};
use super::line::LINE_BYTES;

/// Homes in any segment, however few buckets it has.
pub(super) const HOMES: u64 = 128;
/// The `shift` of a segment of one bucket.
pub(super) const SHIFT_MAX: u32 = 7;

/// The buckets of a segment: `128 >> shift` of them.
#[repr(transparent)]
pub(super) struct Segment<R>([Bucket<R>]);

impl<R> Segment<R> {
    /// An empty one of `128 >> shift` buckets.
    pub(super) fn new(shift: u32) -> Box<Self> {
        assert!(shift <= SHIFT_MAX, "a segment has a bucket at least");
        let mut buckets: Box<[Bucket<R>]> = (0..HOMES >> shift).map(|_| Bucket::new()).collect();
        buckets[0] = Bucket::first(Header::default());
        // SAFETY: a segment is nothing but its buckets.
        unsafe { Box::from_raw(Box::into_raw(buckets) as *mut Self) }
    }

    /// Bytes of the buckets, children not counted.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.0.len() * LINE_BYTES
    }

    /// Bucket = home >> shift.
    #[inline]
    pub(super) fn shift(&self) -> u32 {
        SHIFT_MAX - self.0.len().trailing_zeros()
    }

    /// Records at which it grows or splits: about 0.86 of its slots.
    #[inline]
    pub(super) fn count_max(&self) -> u32 {
        (self.0.len() as u32).wrapping_mul(6)
    }

    /// Whether `count` records fill less than a quarter of its slots.
    #[inline]
    pub(super) fn is_sparse(&self, count: u32) -> bool {
        count < (self.0.len() as u32).wrapping_mul(7) / 4
    }

    /// The buckets.
    #[inline]
    pub(super) fn buckets(&self) -> &[Bucket<R>] {
        &self.0
    }

    /// The bucket of number `index`, to change it.
    #[inline]
    pub(super) fn bucket_mut(&mut self, index: usize) -> &mut Bucket<R> {
        &mut self.0[index]
    }

    /// The home bucket of `hash`, to change it.
    #[inline]
    pub(super) fn home_mut(&mut self, hash: u64) -> &mut Bucket<R> {
        let at = self.home_at(hash);
        &mut self.0[at]
    }

    /// What the table knows of it.
    #[inline]
    pub(super) fn header(&self) -> Header {
        // SAFETY: `new` made the first bucket so, and buckets stay where they are.
        unsafe { *self.0[0].header() }
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as for `header`.
        unsafe { self.0[0].header_mut() }
    }

    /// How many top bits of the hash its records share.
    #[inline]
    pub(super) fn depth(&self) -> u32 {
        self.header().at.depth()
    }

    #[inline]
    fn home_at(&self, hash: u64) -> usize {
        (hash % HOMES).wrapping_mul(self.0.len() as u64) as usize / HOMES as usize
    }
}

impl<R: Record> Segment<R> {
    /// Starts loading the records of a bucket, if there is one of this number; its children's are
    /// not included.
    #[inline]
    pub(super) fn prefetch_records(&self, index: usize) {
        if let Some(bucket) = self.0.get(index) {
            bucket.prefetch_records();
        }
    }

    /// Empties it: hands each record to `each`, with the segment, the number of its bucket and its
    /// tag, loading the records of the buckets ahead meanwhile. `each` may push into that very
    /// bucket.
    pub(super) fn drain(
        &mut self,
        bytes: &mut usize,
        mut each: impl FnMut(&mut Bucket<R>, &mut usize, (usize, Tag, R)),
    ) {
        // Two buckets are about twelve records: what a core can load at a time.
        const AHEAD: usize = 2;
        (0..AHEAD).for_each(|index| self.prefetch_records(index));
        for index in 0..self.0.len() {
            self.prefetch_records(index + AHEAD);
            let bucket = &mut self.0[index];
            bucket.drain(bytes, |bucket, bytes, tag, record| {
                each(bucket, bytes, (index, tag, record));
            });
        }
    }
}
