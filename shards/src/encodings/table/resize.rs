//! How a table grows and shrinks: one segment at a time.
//!
//! A segment of 128 buckets that is full splits in two; a smaller one doubles. One that is
//! sparse merges with its buddy if both together fill at most half of what they get; else it
//! halves. What was just split is three times too full to merge, what was just merged or halved
//! must nearly double to grow: no sequence of operations resizes at every step.

use super::bucket::{Bucket, tag_of};
use super::directory::{Cell, Directory};
use super::segment::{SHIFT_MAX, Segment};
use super::{Record, Table, from_pointer, hash_of};

/// Bits of the hash that directories may tell apart. Positions of a scan rest on it; segments of
/// this depth, which a good hash never makes, grow chains instead of splitting.
pub(super) const DEPTH_MAX: u32 = 40;

impl<R: Record> Table<R> {
    /// Gives an empty table its first segment.
    #[cold]
    pub(super) fn start(&mut self) {
        self.root = Cell::of_segment(Segment::allocate(SHIFT_MAX, 0, &mut self.memory));
    }

    /// Makes the segment of `hash` larger or splits it.
    ///
    /// # Safety
    /// The table is not empty.
    #[cold]
    pub(super) unsafe fn make_room(&mut self, hash: u64) {
        // SAFETY: the root is live; views of directories are renewed after every change.
        unsafe {
            let (directory, segment) = self.place(hash);
            let depth = segment.header().depth;
            if 0 < segment.shift {
                let (grown, moved) = self.rebuild(&[segment], segment.shift - 1, depth);
                directory.set(hash, depth, grown);
                self.count_moved(moved);
            } else if depth < DEPTH_MAX {
                self.split(segment, depth);
            }
        }
    }

    /// Splits a segment by the first bit at which its records differ. Where all of them agree
    /// before that bit, their common path only gets deeper, with empty segments beside it.
    ///
    /// # Safety
    /// The segment is one of this table's, of `depth` and with records.
    unsafe fn split(&mut self, low: Segment, depth: u32) {
        // SAFETY: the root is live, the segments are its own.
        unsafe {
            let (differ, member) = self.first_difference(low, depth);
            for depth in depth..differ {
                let beside = Segment::allocate(SHIFT_MAX, depth + 1, &mut self.memory);
                self.set_pair(member, depth, low, beside);
            }
            if differ == DEPTH_MAX {
                return;
            }
            let high = Segment::allocate(0, differ + 1, &mut self.memory);
            let bit = 1 << (63 - differ);
            let seed = self.seed;
            let (mut kept, mut moved) = (0, 0);
            low.drain(&mut self.memory, |memory, index, tag, record| {
                let segment = if hash_of::<R>(record, seed) & bit == 0 {
                    kept += 1;
                    low
                } else {
                    moved += 1;
                    high
                };
                Bucket::push(segment.bucket(index), tag, record, memory);
            });
            low.header_mut().count = kept;
            high.header_mut().count = moved;
            self.set_pair(member & !bit, differ, low, high);
            self.count_moved(moved);
        }
    }

    /// Files `own`, of `depth` so far, under one bit more: that of `member`, and `other` under
    /// the opposite.
    ///
    /// # Safety
    /// `own` is the segment of `member` in this table.
    unsafe fn set_pair(&mut self, member: u64, depth: u32, own: Segment, other: Segment) {
        let opposite = member ^ 1 << (63 - depth);
        // SAFETY: the root is live, and the directory is fine enough for both.
        unsafe {
            let root = &raw mut self.root;
            let directory = Directory::fine(root, member, depth + 1, &mut self.memory);
            own.header_mut().depth = depth + 1;
            directory.set(member, depth + 1, own);
            directory.set(opposite, depth + 1, other);
        }
    }

    /// The first bit from `depth` on at which the segment's records differ, and the hash of one
    /// of them.
    ///
    /// # Safety
    /// The segment is live, of `depth` and with records.
    unsafe fn first_difference(&self, segment: Segment, depth: u32) -> (u32, u64) {
        let mut member = None;
        let mut difference = 0;
        for index in 0..segment.buckets() {
            let mut next = Some(segment.bucket(index));
            while let Some(bucket) = next {
                // SAFETY: buckets of a live segment are live, and so are their children.
                let bucket = unsafe { &*bucket };
                for slot in bucket.records() {
                    // SAFETY: the record lives in the table.
                    let hash = unsafe { hash_of::<R>(bucket.record(slot), self.seed) };
                    difference |= hash ^ *member.get_or_insert(hash);
                    if difference.leading_zeros() == depth {
                        return (depth, hash);
                    }
                }
                next = bucket.child();
            }
        }
        let member = member.expect("a segment that must split has records");
        (difference.leading_zeros().min(DEPTH_MAX), member)
    }

    /// Merges the segment of `hash` with its buddy, or makes it smaller, until it is not sparse.
    ///
    /// # Safety
    /// The table has a segment for `hash`.
    #[cold]
    pub(super) unsafe fn trim(&mut self, hash: u64) {
        if self.len == 0 {
            self.free();
            return;
        }
        let mut moved = 0;
        loop {
            // SAFETY: the root is live; views of directories are renewed after every change.
            unsafe {
                let (directory, segment) = self.place(hash);
                let (count, depth) = (segment.header().count, segment.header().depth);
                if !segment.is_sparse(count) {
                    break;
                }
                let buddy = directory.buddy(hash, depth);
                let together = buddy.map(|buddy| (buddy, count + buddy.header().count));
                match together {
                    Some((buddy, count)) if 2 * count <= 7 * 128 => {
                        let shift = shift_for(count);
                        let (merged, n) = self.rebuild(&[segment, buddy], shift, depth - 1);
                        moved += n;
                        directory.set(hash, depth - 1, merged);
                        directory.shrink(depth - 1, &mut self.memory);
                    }
                    _ if segment.shift < SHIFT_MAX => {
                        let (halved, n) = self.rebuild(&[segment], segment.shift + 1, depth);
                        moved += n;
                        directory.set(hash, depth, halved);
                        break;
                    }
                    _ => break,
                }
            }
        }
        self.count_moved(moved);
    }

    /// Moves the records of `from` into one new segment and frees the old ones; returns how many
    /// they were.
    ///
    /// # Safety
    /// The segments are this table's and not used afterwards.
    unsafe fn rebuild(&mut self, from: &[Segment], shift: u8, depth: u32) -> (Segment, u32) {
        let into = Segment::allocate(shift, depth, &mut self.memory);
        let seed = self.seed;
        let mut moved = 0;
        for segment in from {
            // SAFETY: the caller's promise; all records go to their homes in the new segment.
            unsafe {
                segment.drain(&mut self.memory, |memory, _, tag, record| {
                    let hash = hash_of::<R>(record, seed);
                    debug_assert!(tag == tag_of(hash), "a record's hash stays the same");
                    Bucket::push(into.home(hash), tag, record, memory);
                    moved += 1;
                });
                segment.free(&mut self.memory);
            }
        }
        // SAFETY: the new segment is live.
        unsafe { into.header_mut() }.count = moved;
        (into, moved)
    }

    /// Frees everything.
    pub(super) fn free(&mut self) {
        if self.root.is_empty() {
            return;
        }
        let root = core::mem::replace(&mut self.root, Cell::EMPTY);
        self.len = 0;
        // SAFETY: nothing leads to the old root any more; every record is dropped once.
        unsafe {
            Directory::free_all(root, 0, &mut self.memory, &mut |memory, segment| {
                segment.drain(memory, |_, _, _, record| drop(from_pointer::<R>(record)));
                segment.free(memory);
            });
        }
    }

    /// The directory and the segment of `hash`.
    ///
    /// # Safety
    /// The table has a segment; both are used before the next change of directories.
    unsafe fn place(&mut self, hash: u64) -> (Directory, Segment) {
        // SAFETY: the caller's promise.
        unsafe {
            let directory = Directory::of(&raw mut self.root, hash);
            (directory, super::locate(self.root, hash))
        }
    }

    fn count_moved(&mut self, records: u32) {
        self.moved_max = self.moved_max.max(records);
    }
}

/// The `shift` of the smallest segment that `count` records fill to half or less.
fn shift_for(count: u32) -> u8 {
    (0..SHIFT_MAX)
        .rev()
        .map(|shift| shift + 1)
        .find(|shift| 2 * count <= (7 * 128) >> shift)
        .unwrap_or(0)
}
