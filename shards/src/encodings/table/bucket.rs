//! One cache line of the table: seven tags of a byte and seven pointers.
//!
//! ```text
//! tags   7 bytes: EMPTY, RESERVED or the tag of a record; the eighth byte stays 0
//! slots  7 x 8 bytes: records, or in a RESERVED slot
//!        5  in the first bucket of a segment: the segment's header
//!        6  in any bucket that overflowed: the child bucket
//! ```
//!
//! Buckets of one home form a chain. Only its last bucket has empty slots, and a child holds two
//! records at least, so a chain is never longer than it must be.

use super::memory::{LINE_BYTES, Memory};

/// What a table knows of a segment; kept in the segment's first bucket.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Header {
    /// Records in the segment.
    pub(super) count: u32,
    /// How many top bits of the hash its records share.
    pub(super) depth: u32,
}

/// Seven records, or fewer and a child or header.
#[repr(C, align(64))]
pub(super) struct Bucket {
    tags: u64,
    slots: [Slot; 7],
}

/// Which member counts follows from the tag.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union Slot {
    record: *mut u8,
    child: *mut Bucket,
    header: Header,
}

const _: () = assert!(size_of::<Bucket>() == LINE_BYTES);

const EMPTY: u8 = 0;
const RESERVED: u8 = 1;
const HEADER_SLOT: usize = 5;
const CHILD_SLOT: usize = 6;

/// The lowest bit of each of the seven tags.
const LOW: u64 = 0x0001_0101_0101_0101;
/// The highest bit of each of the seven tags.
const HIGH: u64 = 0x0080_8080_8080_8080;
/// The other bits of all eight bytes.
const REST: u64 = 0x7F7F_7F7F_7F7F_7F7F;

/// The tag of a record with this hash: the eight bits above those that choose the bucket, but
/// neither of the two values that mean something else.
#[inline]
pub(super) const fn tag_of(hash: u64) -> u8 {
    let tag = (hash >> 7) as u8;
    if tag < 2 { tag + 2 } else { tag }
}

/// Some of a bucket's slots: the top bit of byte `n` stands for slot `n`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots(u64);

impl Slots {
    #[inline]
    pub(super) const fn len(self) -> u32 {
        self.0.count_ones()
    }
}

impl Iterator for Slots {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize / 8;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// The top bit of each of the seven low bytes that is zero.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    !(((word & REST) + REST) | word) & HIGH
}

impl Bucket {
    /// The slots whose tag is `tag`.
    #[inline]
    pub(super) fn matching(&self, tag: u8) -> Slots {
        Slots(zero_bytes(self.tags ^ (u64::from(tag) * LOW)))
    }

    /// The slots that hold a record.
    #[inline]
    pub(super) fn records(&self) -> Slots {
        Slots(!zero_bytes(self.tags & !LOW) & HIGH)
    }

    #[inline]
    fn empty(&self) -> Slots {
        Slots(zero_bytes(self.tags))
    }

    /// The record in `slot`, which holds one.
    #[inline]
    pub(super) fn record(&self, slot: usize) -> *mut u8 {
        // SAFETY: all members of the union are eight plain bytes; the caller's slot came from
        // `records` or `matching`, so it is this member that was written.
        unsafe { self.slots[slot].record }
    }

    /// The next bucket of the chain.
    #[inline]
    pub(super) fn child(&self) -> Option<*mut Self> {
        if self.tag(CHILD_SLOT) == RESERVED {
            // SAFETY: a reserved slot of this number holds the child.
            Some(unsafe { self.slots[CHILD_SLOT].child })
        } else {
            None
        }
    }

    /// Where the first bucket of a segment keeps the segment's header.
    ///
    /// # Safety
    /// `first` is such a bucket of a table.
    #[inline]
    pub(super) unsafe fn header(first: *mut Self) -> *mut Header {
        // SAFETY: the caller's promise. No reference to the bucket is made: others may look at
        // its records meanwhile.
        unsafe { &raw mut (*first).slots[HEADER_SLOT].header }
    }

    /// Makes an empty bucket the first one of a segment.
    pub(super) fn set_header(&mut self, header: Header) {
        self.slots[HEADER_SLOT].header = header;
        self.set_tag(HEADER_SLOT, RESERVED);
    }

    #[inline]
    fn tag(&self, slot: usize) -> u8 {
        (self.tags >> (8 * slot)) as u8
    }

    #[inline]
    fn set_tag(&mut self, slot: usize, tag: u8) {
        self.tags = (self.tags & !(0xFF << (8 * slot))) | (u64::from(tag) << (8 * slot));
    }

    #[inline]
    fn put(&mut self, slot: usize, tag: u8, record: *mut u8) {
        self.slots[slot].record = record;
        self.set_tag(slot, tag);
    }

    /// The address of a slot that holds a record.
    ///
    /// # Safety
    /// `bucket` is a bucket of a table.
    #[inline]
    pub(super) unsafe fn slot(bucket: *mut Self, slot: usize) -> *mut Slot {
        // SAFETY: the caller's promise; the slot is one of the bucket's seven.
        unsafe { (&raw mut (*bucket).slots).cast::<Slot>().add(slot) }
    }

    /// Adds a record to the chain of `home`; returns where it lies.
    ///
    /// # Safety
    /// `home` is the home bucket of the record in a table that the caller may change.
    #[inline]
    pub(super) unsafe fn push(
        home: *mut Self,
        tag: u8,
        record: *mut u8,
        memory: &mut Memory,
    ) -> *mut Slot {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(slot) = (*home).empty().next() {
                (*home).put(slot, tag, record);
                return Self::slot(home, slot);
            }
            Self::push_behind(home, tag, record, memory)
        }
    }

    /// `push` when the home bucket is full.
    ///
    /// # Safety
    /// As for `push`.
    #[cold]
    unsafe fn push_behind(
        home: *mut Self,
        tag: u8,
        record: *mut u8,
        memory: &mut Memory,
    ) -> *mut Slot {
        let mut last = home;
        // SAFETY: children of a live bucket are live; the caller may change them all.
        unsafe {
            while let Some(child) = (*last).child() {
                last = child;
                if let Some(slot) = (*last).empty().next() {
                    (*last).put(slot, tag, record);
                    return Self::slot(last, slot);
                }
            }
            // The last slot's record makes room for the pointer to the new child.
            let child = memory.allocate(1).cast::<Self>();
            (*child).put(0, (*last).tag(CHILD_SLOT), (*last).record(CHILD_SLOT));
            (*child).put(1, tag, record);
            (*last).slots[CHILD_SLOT].child = child;
            (*last).set_tag(CHILD_SLOT, RESERVED);
            Self::slot(child, 1)
        }
    }

    /// Takes the record in `slot` of `bucket` out of the chain of `home`.
    ///
    /// # Safety
    /// `bucket` belongs to that chain, `slot` holds a record, and the caller may change both.
    #[inline]
    pub(super) unsafe fn take(
        home: *mut Self,
        bucket: *mut Self,
        slot: usize,
        memory: &mut Memory,
    ) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe {
            let record = (*bucket).record(slot);
            (*bucket).set_tag(slot, EMPTY);
            if let Some(child) = (*home).child() {
                Self::close_gap(home, child, bucket, slot, memory);
            }
            record
        }
    }

    /// Fills the empty `slot` of `bucket` from the end of the chain, and frees the last child
    /// if its parent can hold what is left in it.
    ///
    /// # Safety
    /// As for `take`; `child` is the child of `home`.
    #[cold]
    unsafe fn close_gap(
        home: *mut Self,
        child: *mut Self,
        bucket: *mut Self,
        slot: usize,
        memory: &mut Memory,
    ) {
        let (mut parent, mut last) = (home, child);
        // SAFETY: children of a live bucket are live; the caller may change them all. The last
        // one is no longer reachable once its parent's slot holds a record again.
        unsafe {
            while let Some(next) = (*last).child() {
                (parent, last) = (last, next);
            }
            if bucket != last {
                let from = (*last).records().next().expect("a child holds two records at least");
                (*bucket).put(slot, (*last).tag(from), (*last).record(from));
                (*last).set_tag(from, EMPTY);
            }
            let left = (*last).records();
            if left.len() == 1 {
                let from = left.last().expect("one is left");
                (*parent).put(CHILD_SLOT, (*last).tag(from), (*last).record(from));
                memory.free(last.cast(), 1);
            }
        }
    }

    /// Empties the chain of `home` and hands every tag and record to `each`, which owns it then
    /// and may push into this very chain.
    ///
    /// # Safety
    /// `home` is a home bucket of a table that the caller may change.
    #[inline]
    pub(super) unsafe fn drain(
        home: *mut Self,
        memory: &mut Memory,
        mut each: impl FnMut(&mut Memory, u8, *mut u8),
    ) {
        // SAFETY: the caller's promise. A child is copied and freed before its records are
        // handed out, and the home bucket emptied, so nothing points to it any more.
        unsafe {
            let mut bucket = Self { tags: (*home).tags, slots: (*home).slots };
            let is_first = bucket.tag(HEADER_SLOT) == RESERVED;
            (*home).tags = 0;
            if is_first {
                (*home).set_tag(HEADER_SLOT, RESERVED);
            }
            loop {
                for slot in bucket.records() {
                    each(memory, bucket.tag(slot), bucket.record(slot));
                }
                let Some(child) = bucket.child() else { return };
                bucket = Self { tags: (*child).tags, slots: (*child).slots };
                memory.free(child.cast(), 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(tags: [u8; 7]) -> Bucket {
        let tags = tags.iter().rev().fold(0, |word, tag| word << 8 | u64::from(*tag));
        Bucket { tags, slots: [Slot { record: core::ptr::null_mut() }; 7] }
    }

    #[test]
    fn finds_exactly_the_slots_that_match() {
        let cases = [
            [0, 0, 0, 0, 0, 0, 0],
            [1, 0, 1, 0, 1, 0, 1],
            [2, 3, 2, 255, 128, 127, 1],
            [255, 0, 1, 254, 0, 2, 0],
            [3, 2, 3, 2, 3, 2, 3],
        ];
        for tags in cases {
            let of = |wanted: &dyn Fn(u8) -> bool| -> alloc::vec::Vec<usize> {
                (0..7).filter(|slot| wanted(tags[*slot])).collect()
            };
            let bucket = bucket(tags);
            assert!(bucket.empty().eq(of(&|tag| tag == 0)), "{tags:?}");
            assert!(bucket.records().eq(of(&|tag| 2 <= tag)), "{tags:?}");
            for tag in 2..=255 {
                assert!(bucket.matching(tag).eq(of(&|it| it == tag)), "{tags:?} {tag}");
            }
        }
    }

    #[test]
    fn tags_of_records_are_told_from_the_two_special_ones() {
        for hash in 0..1 << 15 {
            assert!(2 <= tag_of(hash));
        }
    }
}
