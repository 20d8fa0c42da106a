//! Going through a table that may change meanwhile.
//!
//! # Why a scan misses nothing
//!
//! Call the records whose hash begins with some d bits, x, the *node* (x, d): segments are nodes.
//! A [`Position`] is a node and a home, and promises of the records that were there throughout:
//!
//! 1. those whose hash is below x in its first 40 bits have been visited, and
//! 2. those of node (x, d) whose home is below `home` have been visited.
//!
//! A step takes the segment in which x lies now, of depth D. If the segment was split since, it
//! is only a part of the node, so go on with the smaller node: promise 2 for a node holds for
//! every node within it. If it was merged, it is more than the node: then visit only what lies in
//! the node. Either way a step visits homes of one node, inside one segment, in order. All of
//! the node's records with these homes are in those buckets, wherever they were before, because
//! the home depends on nothing but the hash. So promise 2 holds for the homes behind them, and
//! after the last home promise 1 holds for the end of the node, which is where the next begins.
//! Nothing in this rests on what happened between two steps, nor on the table being the same: a
//! record may even have left for another table, and a scan that goes on there visits it once it
//! reaches its hash.
//!
//! At home 0 promise 2 is empty, so any node that begins with x will do: the largest that fits
//! the segment and ends before `until`. A scan bounded by `until` therefore never promises
//! anything about what lies beyond: slot ranges of several tables can be scanned one by one.
//!
//! A scan ends: each step raises the home, or else x.

use core::iter;

use super::resize::DEPTH_MAX;
use super::segment::{HOMES, Segment};
use super::{Record, Table};
use crate::base::slot::Slot;

/// A position in hash order: where a scan goes on. It takes 48 bits, and 0 is the start; a step
/// never leads back to 0.
///
/// ```text
/// home 0    x: 40 bits, 0, home: 7 bits of 0
/// else      x: d bits, 1, 40 - d bits of 0, home: 7 bits
/// ```
/// Positions compare with the start of a slot as they should: `position < of_slot(s)` exactly if
/// the scan has not reached `s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// Bits of a hash below its first [`DEPTH_MAX`].
const BELOW: u32 = 64 - DEPTH_MAX;
/// The first x behind all hashes.
const END: u64 = 1 << DEPTH_MAX;
const SLOT_BITS: u32 = 14;

impl Position {
    /// The start of a slot.
    pub fn of_slot(slot: Slot) -> Self {
        Self::start(u64::from(slot.number()) << (DEPTH_MAX - SLOT_BITS))
    }

    /// The slot from which the scan goes on.
    pub fn slot(self) -> Slot {
        let number = self.node().0 >> (DEPTH_MAX - SLOT_BITS);
        Slot::new(number as u16).expect("14 bits are a slot")
    }

    fn start(x: u64) -> Self {
        Self(x << 8)
    }

    fn within(x: u64, depth: u32, home: u64) -> Self {
        Self((x << 1 | 1 << (DEPTH_MAX - depth)) << 7 | home)
    }

    /// x, the smallest depth at which promise 2 holds, and the home. Bits that no position has
    /// are ignored: a client may send any number.
    fn node(self) -> (u64, u32, u64) {
        let home = self.0 % HOMES;
        let code = (self.0 >> 7) & (2 * END - 1);
        if home == 0 || code == 0 {
            let x = code >> 1;
            return (x, DEPTH_MAX - x.trailing_zeros().min(DEPTH_MAX), 0);
        }
        let below = code.trailing_zeros();
        ((code ^ 1 << below) >> 1, DEPTH_MAX - below, home)
    }
}

impl<R: Record> Table<R> {
    /// Visits a bucket at `from`; returns where to go on, `None` at the end.
    ///
    /// A record that is there from the first call to the last is visited at least once, whatever
    /// else is put in or taken out between calls; one may be visited twice.
    pub fn scan(&self, from: Position, visit: &mut dyn FnMut(&R)) -> Option<Position> {
        self.scan_until(from, None, visit)
    }

    /// As [`Self::scan`], but ends before `until`, which is the start of a slot.
    pub fn scan_until(
        &self,
        from: Position,
        until: Option<Position>,
        visit: &mut dyn FnMut(&R),
    ) -> Option<Position> {
        let (x, mut depth, home) = from.node();
        let end = until.map_or(END, |until| until.node().0);
        if end <= x {
            return None;
        }
        let segment = self.tree.segment(x << BELOW)?;
        let segment_depth = segment.depth();
        depth = depth.max(segment_depth);
        while end < x + node_size(depth) {
            depth += 1;
        }
        let shift = segment.shift();
        let index = home >> shift;
        let behind = (index + 1) << shift;
        let index = index as usize;
        segment.prefetch_records(index);
        let chain = segment.buckets()[index].chain();
        if segment_depth == depth && (index as u64) << shift == home {
            chain.for_each(visit);
        } else {
            chain
                .filter(|record| {
                    let hash = record.hash(self.seed);
                    let in_node = ((hash >> BELOW) ^ x) < node_size(depth);
                    in_node && home <= hash % HOMES
                })
                .for_each(visit);
        }
        if behind < HOMES {
            return Some(Position::within(x, depth, behind));
        }
        let next = x + node_size(depth);
        (next < end).then(|| Position::start(next))
    }

    /// All records in the order of a scan.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.segments().flat_map(Segment::buckets).flat_map(|bucket| bucket.chain())
    }

    /// Visits all records in the order of a scan, those of the buckets ahead being on their way to
    /// the cache meanwhile.
    pub fn for_each(&self, mut visit: impl FnMut(&R)) {
        // Three buckets are about 16 records: what a core can load at a time.
        const AHEAD: usize = 3;
        for segment in self.segments() {
            (0..AHEAD).for_each(|index| segment.prefetch_records(index));
            for (index, bucket) in segment.buckets().iter().enumerate() {
                segment.prefetch_records(index + AHEAD);
                bucket.chain().for_each(&mut visit);
            }
        }
    }

    /// All segments in the order of hashes.
    fn segments(&self) -> impl Iterator<Item = &Segment<R>> {
        let mut x = 0;
        iter::from_fn(move || {
            let segment = if x < END { self.tree.segment(x << BELOW)? } else { return None };
            x += node_size(segment.depth());
            Some(segment)
        })
    }
}

/// Hash prefixes of 40 bits in a node of this depth.
const fn node_size(depth: u32) -> u64 {
    1 << (DEPTH_MAX - depth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::{HashSeed, slot_of_hash};
    use crate::base::random::Random;
    use crate::base::slot::SLOTS;
    use crate::encodings::entry::Entry;
    use alloc::vec::Vec;
    use alloc::{format, vec};

    type Words = Table<Entry<()>>;

    const SEED: HashSeed = HashSeed(5);

    fn put(table: &mut Words, key: &str) {
        let hash = SEED.key_hash(key.as_bytes());
        if table.find(hash, key.as_bytes()).is_none() {
            table.insert(hash, Entry::int(key.as_bytes(), 0));
        }
    }

    fn staying(number: usize) -> alloc::string::String {
        format!("stays:{number}")
    }

    /// Counts how often each of the staying keys was visited.
    fn count(visits: &mut [u32], entry: &Entry<()>) {
        let key = core::str::from_utf8(entry.key()).unwrap();
        if let Some(number) = key.strip_prefix("stays:") {
            visits[number.parse::<usize>().unwrap()] += 1;
        }
    }

    /// Puts in and takes out keys that do not stay: in waves, so that the table grows and shrinks.
    fn churn(table: &mut Words, step: u64, keys: u64, name: &str, random: &mut Random) {
        let odds = if (step / 50).is_multiple_of(2) { 1 } else { 10 };
        for _ in 0..1 + keys / 16 {
            let number = random.below(keys + 1);
            // In one wave in three, the keys of one slot come and go.
            let key = match (step / 200) % 3 {
                0 => format!("{{one}}:{name}:{number}"),
                _ => format!("goes:{name}:{number}"),
            };
            if random.below(11) < odds {
                put(table, &key);
            } else {
                table.remove(SEED.key_hash(key.as_bytes()), key.as_bytes());
            }
        }
    }

    #[test]
    fn a_scan_of_a_table_at_rest_visits_each_record_once() {
        for records in [0, 1, 6, 7, 40, 500, 768, 769, 3000, 40_000] {
            let mut table = Words::new(SEED);
            (0..records).for_each(|number| put(&mut table, &staying(number)));
            let mut visits = vec![0; records];
            let mut next = Some(Position::default());
            while let Some(position) = next {
                next = table.scan(position, &mut |entry| count(&mut visits, entry));
                assert!(next.is_none_or(|next| position < next && next.0 < 1 << 48));
            }
            assert!(visits.iter().all(|times| *times == 1), "{records} records");
        }
    }

    #[test]
    fn a_scan_visits_what_stays_whatever_else_comes_and_goes() {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let (stay, go) = (random.below(1 << (seed % 12)), random.below(1 << (seed % 14)));
            let mut table = Words::new(SEED);
            (0..stay as usize).for_each(|number| put(&mut table, &staying(number)));
            let start = random.below(1000);
            (0..200).for_each(|step| churn(&mut table, start + step, go, "", &mut random));
            let mut visits = vec![0; stay as usize];
            let (mut next, mut step) = (Some(Position::default()), start);
            while let Some(position) = next {
                next = table.scan(position, &mut |entry| count(&mut visits, entry));
                step += 1;
                churn(&mut table, step, go, "", &mut random);
            }
            assert!(visits.iter().all(|times| 0 < *times), "seed {seed}");
        }
    }

    /// Slots lie in one of two tables and move between them while a scan goes over both.
    #[test]
    fn a_scan_by_slot_ranges_survives_that_slots_change_tables() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let (stay, go) = (random.below(6000) as usize, random.below(6000));
            let mut tables = [Words::new(SEED), Words::new(SEED)];
            let mut owners = vec![0; usize::from(SLOTS)];
            (0..stay).for_each(|number| put(&mut tables[0], &staying(number)));
            let mut visits = vec![0; stay];
            let (mut next, mut step) = (Some(Position::default()), 0);
            while let Some(position) = next {
                let slot = position.slot().number();
                let owner = owners[usize::from(slot)];
                let end = (slot..SLOTS).find(|slot| owners[usize::from(*slot)] != owner);
                let until = end.map(|slot| Position::of_slot(Slot::new(slot).unwrap()));
                let visit = &mut |entry: &Entry<()>| count(&mut visits, entry);
                next = tables[owner].scan_until(position, until, visit).or(until);
                assert!(next.is_none_or(|next| slot <= next.slot().number()), "seed {seed}");
                // Keys that come and go do so at either table: the test does not look for them.
                step += 1;
                let table = &mut tables[usize::from(random.below(2) == 0)];
                churn(table, step, go, "", &mut random);
                if random.below(200) == 0 {
                    let from = random.below(SLOTS.into()) as usize;
                    let to = owners.len().min(from + 1 + random.below(3000) as usize);
                    let owner = random.below(2) as usize;
                    owners[from..to].fill(owner);
                    rehome(&mut tables, &owners);
                }
            }
            assert!(visits.iter().all(|times| 0 < *times), "seed {seed}");
        }
    }

    /// Moves every staying key to the table that owns its slot.
    fn rehome(tables: &mut [Words; 2], owners: &[usize]) {
        for index in 0..2 {
            let owner = |entry: &&Entry<()>| {
                let slot = slot_of_hash(SEED.key_hash(entry.key()));
                owners[usize::from(slot.number())] != index && entry.key().starts_with(b"stays")
            };
            let keys: Vec<_> =
                tables[index].iter().filter(owner).map(|it| it.key().to_vec()).collect();
            for key in keys {
                let hash = SEED.key_hash(&key);
                let entry = tables[index].remove(hash, &key).unwrap();
                tables[1 - index].insert(hash, entry);
            }
        }
    }

    #[test]
    fn a_scan_of_one_slot_visits_that_slot_only() {
        let mut table = Words::new(SEED);
        (0..20_000).for_each(|number| put(&mut table, &staying(number)));
        (0..3000).for_each(|number| put(&mut table, &format!("{{one}}:{number}")));
        let one = Slot::of(b"one");
        for slot in [Slot::new(0), Some(one), Slot::new(SLOTS - 1)].map(Option::unwrap) {
            let until = Slot::new(slot.number() + 1).map(Position::of_slot);
            let mut visited = 0;
            let mut next = Some(Position::of_slot(slot));
            while let Some(position) = next {
                next = table.scan_until(position, until, &mut |entry| {
                    assert_eq!(Slot::of(entry.key()), slot);
                    visited += 1;
                });
            }
            assert_eq!(visited, table.iter().filter(|it| Slot::of(it.key()) == slot).count());
        }
    }

    #[test]
    fn any_number_can_be_sent_as_a_position() {
        let mut table = Words::new(SEED);
        (0..5000).for_each(|number| put(&mut table, &staying(number)));
        let mut random = Random::new(1);
        for _ in 0..20_000 {
            let position = Position(random.bits() >> random.below(64));
            let next = table.scan(position, &mut |_| {});
            assert!(next.is_none_or(|next| position.slot() <= next.slot()));
        }
    }

    #[test]
    fn positions_compare_with_starts_of_slots() {
        for depth in [0, 1, 5, 13, 14, 15, 40] {
            for x in [0, END / 2, END - node_size(depth)].map(|x| x & !(node_size(depth) - 1)) {
                for home in [1, 64, 127] {
                    let position = Position::within(x, depth, home);
                    assert_eq!(position.node(), (x, depth, home));
                    let slot = position.slot();
                    assert!(Position::of_slot(slot) < position);
                    if let Some(next) = Slot::new(slot.number() + 1).filter(|_| 14 <= depth) {
                        assert!(position < Position::of_slot(next));
                    }
                }
            }
        }
        assert_eq!(Position::of_slot(Slot::default()), Position::default());
    }
}
