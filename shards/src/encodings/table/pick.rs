//! Picking a record by chance, each with the same probability.

use core::ptr;

use super::bucket::Header;
use super::directory::locate;
use super::segment::Segment;
use super::{Record, Table};
use crate::base::random::Random;

/// Records of a chain that a try can hit. Chains hold six on average; one in many millions holds
/// more than this, and only the first of them can be picked.
const CHAIN_MAX: u64 = 24;
/// Tries before fairness is given up: about one in four hits in a well filled segment.
const TRIES: usize = 200;
/// How many times the average share of records a segment may have and still be picked fairly.
const SHARE_MAX: u64 = 2;

impl<R: Record> Table<R> {
    /// A record picked by chance: each with the same probability, provided that all bits of
    /// the hash are well mixed. `sample` is faster and does well enough for estimates.
    ///
    /// A random hash leads to a segment in proportion to its share of all hashes, so it is taken
    /// in proportion to how many records it holds for that share; and within it all pairs of a
    /// bucket and a number in its chain are as likely, so those that hold a record are.
    pub fn pick(&self, chance: &mut Random) -> Option<&R> {
        if self.is_empty() {
            return None;
        }
        for _ in 0..TRIES {
            // SAFETY: the root is live: the table holds records.
            let segment = unsafe { locate(self.root, chance.bits()) };
            // SAFETY: the segment is live.
            let Header { count, depth } = unsafe { segment.header() };
            let weight = u128::from(count) << depth;
            let heaviest = self.len as u64 * if depth == 0 { 1 } else { SHARE_MAX };
            if weight <= u128::from(chance.below(heaviest)) {
                continue;
            }
            if let Some(record) = self.pick_within(segment, chance) {
                return Some(record);
            }
        }
        self.sample(chance.bits())
    }

    /// Takes a record out that is picked as by [`Self::pick`].
    pub fn take_any(&mut self, chance: &mut Random) -> Option<R> {
        let picked = self.pick(chance)?;
        let (hash, address) = (picked.hash(self.seed), ptr::from_ref(picked));
        let found = self.search(hash, |record| ptr::eq(record, address))?;
        Some(self.take(hash, found))
    }

    fn pick_within(&self, segment: Segment, chance: &mut Random) -> Option<&R> {
        let buckets = segment.buckets() as u64;
        (0..TRIES).find_map(|_| {
            let place = chance.below(buckets * CHAIN_MAX);
            let bucket = segment.bucket((place / CHAIN_MAX) as usize);
            self.chain(bucket).nth((place % CHAIN_MAX) as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::encodings::member::Member;
    use alloc::vec;

    #[test]
    fn every_record_is_as_likely() {
        const PICKS: usize = 200;
        let seed = HashSeed(4);
        for records in [1usize, 5, 100, 770, 3000] {
            let mut table = Table::new(seed);
            for number in 0..records * 2 {
                let bytes = number.to_be_bytes();
                table.insert(seed.member_hash(&bytes), Member::new(&bytes));
            }
            // What is left of a larger table is picked as fairly.
            for number in records..records * 2 {
                let bytes = number.to_be_bytes();
                table.remove(seed.member_hash(&bytes), &bytes).unwrap();
            }
            let mut picked = vec![0usize; records];
            let mut chance = Random::new(7);
            for _ in 0..records * PICKS {
                let bytes = table.pick(&mut chance).unwrap().bytes();
                picked[usize::from_be_bytes(bytes.try_into().unwrap())] += 1;
            }
            let square = |picks: &usize| picks.abs_diff(PICKS).pow(2);
            let deviation = picked.iter().map(square).sum::<usize>() / records;
            // The variance of as many fair picks is their mean.
            assert!(deviation <= PICKS * 3 / 2, "{deviation} of {records} records");
            assert!(picked.iter().all(|picks| PICKS / 2 < *picks), "{records}: {picked:?}");
        }
        assert!(Table::<Member>::new(seed).pick(&mut Random::new(1)).is_none());
    }
}
