//! How a table grows and shrinks: one segment at a time.
//!
//! A segment of 128 buckets that is full splits in two; a smaller one doubles. One that is
//! sparse merges with its buddy if both together fill at most half of what they get; else it
//! halves. What was just split is three times too full to merge, what was just merged or halved
//! must nearly double to grow: no sequence of operations resizes at every step.
//!
//! Records that tell another hash than they were filed under do no harm here: they go to a home
//! where no lookup looks for them.

use super::segment::{SHIFT_MAX, Segment};
use super::{Record, Table};

/// Bits of the hash that directories may tell apart. Positions of a scan rest on it; segments of
/// this depth, which a good hash never makes, grow chains instead of splitting.
pub(super) const DEPTH_MAX: u32 = 40;

impl<R: Record> Table<R> {
    /// Makes the segment of `hash` larger or splits it; makes the first one of an empty table.
    #[cold]
    pub(super) fn make_room(&mut self, hash: u64) {
        let Some(segment) = self.tree.segment(hash) else {
            return self.tree.start(Segment::new(SHIFT_MAX));
        };
        let (shift, depth) = (segment.shift(), segment.depth());
        if 0 < shift {
            let mut grown = Segment::new(shift - 1);
            let moved = self.pour(hash, &mut grown);
            self.tree.exchange(hash, grown);
            self.count_moved(moved);
        } else if depth < DEPTH_MAX {
            self.split(hash, depth);
        }
    }

    /// Splits the segment of `hash` by the first bit at which its records differ. Where all of
    /// them agree before that bit, their common path only gets deeper, with empty segments beside
    /// it.
    fn split(&mut self, hash: u64, depth: u32) {
        let (differ, member) = self.first_difference(hash, depth);
        for _ in depth..differ {
            self.tree.divide(member, Segment::new(SHIFT_MAX));
        }
        if differ == DEPTH_MAX {
            return;
        }
        let mut high = Segment::new(0);
        let bit = 1 << (63 - differ);
        let (seed, mut kept, mut moved) = (self.seed, 0, 0);
        let (low, bytes) = self.tree.segment_mut(member).expect("it is just being split");
        low.drain(bytes, |own, bytes, (index, tag, record)| {
            if record.hash(seed) & bit == 0 {
                kept += 1;
                own.push(tag, record, bytes);
            } else {
                moved += 1;
                high.bucket_mut(index).push(tag, record, bytes);
            }
        });
        low.header_mut().count = kept;
        high.header_mut().count = moved;
        self.tree.divide(member & !bit, high);
        self.count_moved(moved);
    }

    /// The first bit from `depth` on at which the records in the segment of `hash` differ, and a
    /// hash that agrees with one of them up to there.
    fn first_difference(&self, hash: u64, depth: u32) -> (u32, u64) {
        // Whatever the records say, this is what they were filed under.
        let below = u64::MAX >> depth;
        let (mut first, mut difference) = (None, 0);
        let segment = self.tree.segment(hash);
        let buckets = segment.into_iter().flat_map(|segment| segment.buckets());
        for record in buckets.flat_map(|bucket| bucket.chain()) {
            let own = record.hash(self.seed) & below;
            difference |= own ^ *first.get_or_insert(own);
            if difference.leading_zeros() == depth {
                return (depth, hash);
            }
        }
        let member = hash & !below | first.unwrap_or_default();
        (difference.leading_zeros().min(DEPTH_MAX), member)
    }

    /// Merges the segment of `hash` with its buddy, or makes it smaller, until it is not sparse.
    #[cold]
    pub(super) fn trim(&mut self, hash: u64) {
        if self.len == 0 {
            self.tree.clear();
            return;
        }
        let mut moved = 0;
        while let Some(segment) = self.tree.segment(hash) {
            let (count, shift) = (segment.header().count, segment.shift());
            let (depth, is_sparse) = (segment.depth(), segment.is_sparse(count));
            if !is_sparse {
                break;
            }
            let together = self.tree.buddy(hash).map(|buddy| count + buddy.header().count);
            match together {
                Some(count) if 2 * count <= 7 * 128 => {
                    let mut merged = Segment::new(shift_for(count));
                    moved += self.pour(hash, &mut merged);
                    moved += self.pour(hash ^ 1 << (64 - depth), &mut merged);
                    self.tree.unite(hash, merged);
                }
                _ if shift < SHIFT_MAX => {
                    let mut halved = Segment::new(shift + 1);
                    moved += self.pour(hash, &mut halved);
                    self.tree.exchange(hash, halved);
                    break;
                }
                _ => break,
            }
        }
        self.count_moved(moved);
    }

    /// Moves the records in the segment of `hash` to their homes in another; says how many.
    fn pour(&mut self, hash: u64, into: &mut Segment<R>) -> u32 {
        let (seed, mut moved) = (self.seed, 0);
        let (segment, bytes) = self.tree.segment_mut(hash).expect("the caller saw it");
        segment.drain(bytes, |_, bytes, (_, tag, record)| {
            into.home_mut(record.hash(seed)).push(tag, record, bytes);
            moved += 1;
        });
        segment.header_mut().count = 0;
        into.header_mut().count += moved;
        moved
    }

    fn count_moved(&mut self, records: u32) {
        self.moved_max = self.moved_max.max(records);
    }
}

/// The `shift` of the smallest segment that `count` records fill to half or less.
fn shift_for(count: u32) -> u32 {
    (0..SHIFT_MAX)
        .rev()
        .map(|shift| shift + 1)
        .find(|shift| 2 * count <= (7 * 128) >> shift)
        .unwrap_or(0)
}
