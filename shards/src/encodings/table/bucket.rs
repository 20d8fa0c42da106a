//! One cache line of the table: seven tags of a byte and seven words.
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
//!
//! What a slot holds follows from its tag alone: the `unsafe` below rests on nothing but that.

use alloc::boxed::Box;
use core::mem::{self, ManuallyDrop};
use core::{iter, ptr};

use super::Record;
use super::line::{LINE_BYTES, prefetch};

/// What a table knows of a segment; kept in the segment's first bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub(super) struct Header {
    /// Records in the segment.
    pub(super) count: u32,
    /// How many top bits of the hash its records share, and its place in the list of segments.
    pub(super) at: At,
}

/// A segment's depth, up to 63, and its place in a list, below 2^26, in one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At(u32);

impl At {
    const DEPTH_BITS: u32 = 6;

    #[inline]
    pub(super) fn new(depth: u32, place: usize) -> Self {
        let place = u32::try_from(place).ok().filter(|it| it >> (32 - Self::DEPTH_BITS) == 0);
        let place = place.expect("no memory holds so many segments");
        Self(place << Self::DEPTH_BITS | depth)
    }

    #[inline]
    pub(super) const fn depth(self) -> u32 {
        self.0 & ((1 << Self::DEPTH_BITS) - 1)
    }

    #[inline]
    pub(super) const fn place(self) -> usize {
        (self.0 >> Self::DEPTH_BITS) as usize
    }
}

/// Seven records, or fewer and a child or header.
#[repr(C, align(64))]
pub(super) struct Bucket<R> {
    tags: u64,
    slots: [Slot<R>; 7],
}

/// Which member counts follows from the tag.
#[repr(C)]
union Slot<R> {
    nothing: (),
    record: ManuallyDrop<R>,
    child: ManuallyDrop<Box<Bucket<R>>>,
    header: Header,
}

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

/// The tag of a record: neither of the two values that mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u8);

impl Tag {
    /// That of a record with this hash: the eight bits above those that choose the bucket.
    #[inline]
    pub(super) const fn of(hash: u64) -> Self {
        let tag = (hash >> 7) as u8;
        Self(if tag < 2 { tag + 2 } else { tag })
    }
}

/// Some of a bucket's slots: the top bit of byte `n` stands for slot `n`.
#[derive(Clone, Copy, Debug)]
struct Slots(u64);

impl Slots {
    #[inline]
    const fn len(self) -> u32 {
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

/// Some records of a bucket, with their slots.
struct Records<'a, R> {
    bucket: &'a Bucket<R>,
    /// Slots with tags of records.
    slots: Slots,
}

impl<'a, R> Iterator for Records<'a, R> {
    type Item = (usize, &'a R);

    #[inline]
    fn next(&mut self) -> Option<(usize, &'a R)> {
        let slot = self.slots.next()?;
        // SAFETY: `Slots` are below seven, and a slot with the tag of a record holds one.
        Some((slot, unsafe { &self.bucket.slots.get_unchecked(slot).record }))
    }
}

/// Where a record lies in its chain: in which bucket, counted from 0, and in which slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    nth: usize,
    slot: usize,
}

impl<R> Bucket<R> {
    /// One without records.
    #[inline]
    pub(super) const fn new() -> Self {
        const { assert!(size_of::<Self>() == LINE_BYTES, "a record is a word") };
        Self { tags: 0, slots: [const { Slot { nothing: () } }; 7] }
    }

    /// The first one of a segment, without records.
    pub(super) const fn first(header: Header) -> Self {
        let mut bucket = Self::new();
        bucket.slots[HEADER_SLOT].header = header;
        bucket.tags = (RESERVED as u64) << (8 * HEADER_SLOT);
        bucket
    }

    /// What the table knows of the segment.
    ///
    /// # Safety
    /// `first` made this bucket.
    #[inline]
    pub(super) unsafe fn header(&self) -> &Header {
        // SAFETY: the caller's promise; nothing takes the header away.
        unsafe { &self.slots[HEADER_SLOT].header }
    }

    /// The same, to change it.
    ///
    /// # Safety
    /// As for `header`.
    #[inline]
    pub(super) unsafe fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as for `header`, and `self` is borrowed mutably.
        unsafe { &mut self.slots[HEADER_SLOT].header }
    }

    /// The first record of the chain that has this tag and `is_it`.
    #[inline]
    pub(super) fn find(&self, tag: Tag, is_it: impl Fn(&R) -> bool) -> Option<&R> {
        let mut bucket = self;
        loop {
            if let Some((_, found)) = bucket.matching(tag).find(|(_, record)| is_it(record)) {
                return Some(found);
            }
            bucket = bucket.child()?;
        }
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn find_mut(&mut self, tag: Tag, is_it: impl Fn(&R) -> bool) -> Option<&mut R> {
        let mut bucket = self;
        loop {
            if let Some(slot) = bucket.slot_of(tag, &is_it) {
                // SAFETY: a slot with the tag of a record holds one; `self` is borrowed mutably.
                return Some(unsafe { &mut bucket.slots[slot].record });
            }
            bucket = bucket.child_mut()?;
        }
    }

    /// Adds a record to the chain; says where it is. A new child is counted in `bytes`.
    #[inline]
    pub(super) fn push(&mut self, tag: Tag, record: R, bytes: &mut usize) -> &mut R {
        match self.empty().next() {
            Some(slot) => self.put(slot, tag, record),
            None => self.push_behind(tag, record, bytes),
        }
    }

    /// `push` when this bucket is full.
    #[cold]
    fn push_behind(&mut self, tag: Tag, record: R, bytes: &mut usize) -> &mut R {
        let mut last = self;
        while last.has_child() {
            last = last.child_mut().expect("it was there just now");
            if let Some(slot) = last.empty().next() {
                return last.put(slot, tag, record);
            }
        }
        // The last slot's record makes room for the new child.
        let mut child = Box::new(Self::new());
        let (moved_tag, moved) = last.take_slot(CHILD_SLOT);
        child.put(0, moved_tag, moved);
        *bytes += LINE_BYTES;
        last.slots[CHILD_SLOT].child = ManuallyDrop::new(child);
        last.set_tag(CHILD_SLOT, RESERVED);
        last.child_mut().expect("it was just put").put(1, tag, record)
    }

    /// Takes the first record out of the chain that has this tag and `is_it`.
    #[inline]
    pub(super) fn remove(
        &mut self,
        tag: Tag,
        is_it: impl Fn(&R) -> bool,
        bytes: &mut usize,
    ) -> Option<R> {
        let found = self.locate(tag, is_it)?;
        Some(self.take(found, bytes))
    }

    /// Where [`Self::find`] finds it.
    #[inline]
    fn locate(&self, tag: Tag, is_it: impl Fn(&R) -> bool) -> Option<Found> {
        let (mut bucket, mut nth) = (self, 0);
        loop {
            if let Some(slot) = bucket.slot_of(tag, &is_it) {
                return Some(Found { nth, slot });
            }
            bucket = bucket.child()?;
            nth += 1;
        }
    }

    /// Takes what was located out of the chain.
    pub(super) fn remove_located(&mut self, found: Found, bytes: &mut usize) -> R {
        self.take(found, bytes)
    }

    /// How many records are in the chain.
    #[inline]
    pub(super) fn chain_len(&self) -> usize {
        self.buckets().map(|bucket| bucket.record_slots().len() as usize).sum()
    }

    /// The record of number `nth` in the chain, and where it lies.
    #[inline]
    pub(super) fn nth(&self, nth: usize) -> Option<(Found, &R)> {
        let mut left = nth;
        for (nth, bucket) in self.buckets().enumerate() {
            let records = bucket.record_slots().len() as usize;
            if left < records {
                let (slot, record) = bucket.records().nth(left)?;
                return Some((Found { nth, slot }, record));
            }
            left -= records;
        }
        None
    }

    /// The records of the chain.
    #[inline]
    pub(super) fn chain(&self) -> impl Iterator<Item = &R> {
        self.buckets().flat_map(Self::records).map(|(_, record)| record)
    }

    /// Empties the chain, but for a header, and hands it with every tag and record to `each`, which
    /// may push into it. Children that are freed are taken off `bytes`.
    #[inline]
    pub(super) fn drain(
        &mut self,
        bytes: &mut usize,
        mut each: impl FnMut(&mut Self, &mut usize, Tag, R),
    ) {
        let mut bucket = mem::replace(self, Self::new());
        if bucket.tag(HEADER_SLOT) == RESERVED {
            mem::swap(&mut self.slots[HEADER_SLOT], &mut bucket.slots[HEADER_SLOT]);
            self.set_tag(HEADER_SLOT, RESERVED);
            bucket.set_tag(HEADER_SLOT, EMPTY);
        }
        loop {
            for slot in bucket.record_slots() {
                let (tag, record) = bucket.take_slot(slot);
                each(self, bytes, tag, record);
            }
            let Some(child) = bucket.take_child() else { return };
            *bytes -= LINE_BYTES;
            bucket = *child;
        }
    }

    /// The child of a bucket that overflowed.
    #[inline]
    fn child(&self) -> Option<&Self> {
        // SAFETY: a reserved slot of this number holds the child.
        self.has_child().then(|| unsafe { &**self.slots[CHILD_SLOT].child })
    }

    #[inline]
    fn child_mut(&mut self) -> Option<&mut Self> {
        // SAFETY: as for `child`, and `self` is borrowed mutably.
        self.has_child().then(|| unsafe { &mut **self.slots[CHILD_SLOT].child })
    }

    fn take_child(&mut self) -> Option<Box<Self>> {
        if !self.has_child() {
            return None;
        }
        self.set_tag(CHILD_SLOT, EMPTY);
        // SAFETY: the slot held the child, and its tag says that it does no more.
        Some(unsafe { ManuallyDrop::take(&mut self.slots[CHILD_SLOT].child) })
    }

    #[inline]
    fn has_child(&self) -> bool {
        self.tag(CHILD_SLOT) == RESERVED
    }

    /// This bucket and those behind it.
    #[inline]
    fn buckets(&self) -> impl Iterator<Item = &Self> {
        iter::successors(Some(self), |bucket| bucket.child())
    }

    #[inline]
    fn records(&self) -> Records<'_, R> {
        Records { bucket: self, slots: self.record_slots() }
    }

    /// The records whose tag is `tag`.
    #[inline]
    fn matching(&self, tag: Tag) -> Records<'_, R> {
        Records { bucket: self, slots: Slots(zero_bytes(self.tags ^ (u64::from(tag.0) * LOW))) }
    }

    /// The slot of a record that has this tag and `is_it`.
    #[inline]
    fn slot_of(&self, tag: Tag, is_it: impl Fn(&R) -> bool) -> Option<usize> {
        self.matching(tag).find(|(_, record)| is_it(record)).map(|(slot, _)| slot)
    }

    /// The slots that hold a record.
    #[inline]
    fn record_slots(&self) -> Slots {
        Slots(!zero_bytes(self.tags & !LOW) & HIGH)
    }

    #[inline]
    fn empty(&self) -> Slots {
        Slots(zero_bytes(self.tags))
    }

    #[inline]
    fn tag(&self, slot: usize) -> u8 {
        (self.tags >> (8 * slot)) as u8
    }

    #[inline]
    fn set_tag(&mut self, slot: usize, tag: u8) {
        self.tags = (self.tags & !(0xFF << (8 * slot))) | (u64::from(tag) << (8 * slot));
    }

    /// Fills a slot that is empty.
    #[inline]
    fn put(&mut self, slot: usize, tag: Tag, record: R) -> &mut R {
        self.set_tag(slot, tag.0);
        let slot = &mut self.slots[slot];
        slot.record = ManuallyDrop::new(record);
        // SAFETY: it was just put there.
        unsafe { &mut slot.record }
    }

    /// Empties a slot: its tag and its record.
    #[inline]
    fn take_slot(&mut self, slot: usize) -> (Tag, R) {
        let tag = self.tag(slot);
        assert!(RESERVED < tag, "a record is there");
        self.set_tag(slot, EMPTY);
        // SAFETY: a slot with the tag of a record held one, and its tag says that it does no more.
        (Tag(tag), unsafe { ManuallyDrop::take(&mut self.slots[slot].record) })
    }

    /// Takes a record out.
    #[inline]
    fn take(&mut self, found: Found, bytes: &mut usize) -> R {
        if self.has_child() {
            return self.take_of_many(found, bytes);
        }
        self.take_slot(found.slot).1
    }

    /// `take` of a chain with children: the gap is filled from the end.
    #[cold]
    fn take_of_many(&mut self, found: Found, bytes: &mut usize) -> R {
        let Found { nth, slot } = found;
        let bucket = self.nth_mut(nth);
        let (_, record) = bucket.take_slot(slot);
        if bucket.has_child() {
            let (tag, filler) = bucket.take_last(bytes);
            bucket.put(slot, tag, filler);
        } else {
            self.nth_mut(nth - 1).close(bytes);
        }
        record
    }

    /// Takes a record out of the last bucket of the chain, which is not this one.
    fn take_last(&mut self, bytes: &mut usize) -> (Tag, R) {
        let parents = self.buckets().filter(|bucket| bucket.has_child()).count();
        let parent = self.nth_mut(parents - 1);
        let last = parent.child_mut().expect("parents have children");
        let slot = last.record_slots().next().expect("a child holds two records at least");
        let taken = last.take_slot(slot);
        parent.close(bytes);
        taken
    }

    /// Frees the child, which has none itself, if this bucket can hold what is left in it.
    fn close(&mut self, bytes: &mut usize) {
        if let Some(child) = self.child_mut()
            && child.record_slots().len() == 1
        {
            let slot = child.record_slots().next().expect("one is left");
            let (tag, record) = child.take_slot(slot);
            drop(self.take_child());
            *bytes -= LINE_BYTES;
            self.put(CHILD_SLOT, tag, record);
        }
    }

    /// Drops all records of the chain, without recursion: where hashes are bad, chains are long.
    fn clear(&mut self) {
        let empty = |bucket: &mut Self| {
            bucket.record_slots().for_each(|slot| drop(bucket.take_slot(slot)));
            bucket.take_child()
        };
        let mut next = empty(self);
        while let Some(mut child) = next {
            next = empty(&mut child);
        }
    }

    /// The bucket of number `nth` in the chain.
    #[inline]
    fn nth_mut(&mut self, nth: usize) -> &mut Self {
        (0..nth).fold(self, |bucket, _| bucket.child_mut().expect("the chain is that long"))
    }
}

impl<R: Record> Bucket<R> {
    /// Starts loading the records whose tag is `tag`, and the child.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag) {
        for (_, record) in self.matching(tag) {
            // A record of usual size begins anywhere in one line and ends in the next.
            prefetch(record.address());
            prefetch(record.address().wrapping_add(LINE_BYTES));
        }
        if let Some(child) = self.child() {
            prefetch(ptr::from_ref(child).cast());
        }
    }

    /// Starts loading all records, the child's not included.
    #[inline]
    pub(super) fn prefetch_records(&self) {
        self.records().for_each(|(_, record)| prefetch(record.address()));
    }
}

impl<R> Drop for Bucket<R> {
    #[inline]
    fn drop(&mut self) {
        const HEADER: u64 = (RESERVED as u64) << (8 * HEADER_SLOT);
        if self.tags & !HEADER != 0 {
            self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A bucket whose records are their tags.
    fn bucket(tags: [u8; 7]) -> Bucket<u64> {
        let mut bucket = Bucket::new();
        for (slot, tag) in tags.into_iter().enumerate().filter(|(_, tag)| RESERVED < *tag) {
            bucket.put(slot, Tag(tag), tag.into());
        }
        bucket
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
            let bucket = bucket(tags);
            let found = |records: Records<'_, u64>| {
                records.map(|(slot, record)| (slot, u8::try_from(*record).unwrap())).collect()
            };
            let expected = |wanted: &dyn Fn(u8) -> bool| -> Vec<_> {
                (0..7).filter(|slot| wanted(tags[*slot])).map(|slot| (slot, tags[slot])).collect()
            };
            assert!(bucket.empty().eq((0..7).filter(|slot| tags[*slot] < 2)), "{tags:?}");
            assert_eq!(expected(&|tag| 2 <= tag), found(bucket.records()), "{tags:?}");
            for tag in 2..=255 {
                let records: Vec<_> = found(bucket.matching(Tag(tag)));
                assert_eq!(expected(&|it| it == tag), records, "{tags:?} {tag}");
            }
        }
    }

    #[test]
    fn tags_of_records_are_told_from_the_two_special_ones() {
        for hash in 0..1 << 15 {
            assert!(RESERVED < Tag::of(hash).0);
        }
    }
}
