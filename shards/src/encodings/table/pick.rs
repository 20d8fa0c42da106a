//! Picking a record by chance.
//!
//! All places are as likely: a segment, one of 128 homes and a number in the chain. Most hold no
//! record, and then the next one is tried. The buckets of a small segment stand for several homes
//! each, of which only the first is taken, so that a record is picked no more often for having few
//! buckets beside it. How small a segment is stands in its cell: the many small ones beside the
//! path to a tag cost no look into memory.

use core::ptr;

use super::bucket::Bucket;
use super::line::prefetch;
use super::{Record, Table};
use crate::base::random::Random;

/// Buckets that load at a time. A pick looks at three on average.
const AHEAD: usize = 4;
/// Places that are tried before fairness is given up. One in three or four holds a record; of a
/// table that is a tag with a few keys, one in thirty.
const PLACES_MAX: usize = 512;
/// Records of a chain that can be hit. Chains hold six on average; one in many millions holds more
/// than this, and only the first of them can be picked.
const CHAIN_MAX: usize = 24;
/// The same of an estimate: one chain in a hundred of a full segment holds more.
const SAMPLED_CHAIN_MAX: usize = 12;

/// Where a record lies.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    segment: usize,
    bucket: usize,
    /// Its number in the chain.
    nth: usize,
}

impl<R: Record> Table<R> {
    /// A record picked by chance: each with the same probability.
    pub fn pick(&self, chance: &mut Random) -> Option<&R> {
        self.at(self.place(chance, CHAIN_MAX, || ())?)
    }

    /// A record picked by `random`. It is found in fewer steps than by [`Self::pick`], and those
    /// that share a bucket with very many are picked a little less often: good enough for
    /// estimates.
    pub fn sample(&self, random: u64) -> Option<&R> {
        self.at(self.place(&mut Random::new(random), SAMPLED_CHAIN_MAX, || ())?)
    }

    /// Takes a record out that is picked as by [`Self::pick`].
    pub fn take_any(&mut self, chance: &mut Random) -> Option<R> {
        let Place { segment, bucket, nth } = self.place(chance, CHAIN_MAX, || ())?;
        let (segment, bytes) = self.tree.nth_mut(segment)?;
        let bucket = segment.bucket_mut(bucket);
        let (found, _) = bucket.nth(nth)?;
        let record = bucket.remove_located(found, bytes);
        let header = segment.header_mut();
        header.count -= 1;
        let is_sparse = segment.is_sparse(segment.header().count);
        self.len -= 1;
        if is_sparse {
            self.trim(record.hash(self.seed));
        }
        Some(record)
    }

    fn at(&self, place: Place) -> Option<&R> {
        let bucket = self.tree.nth(place.segment)?.buckets().get(place.bucket)?;
        bucket.nth(place.nth).map(|(_, record)| record)
    }

    /// Picks a place that holds a record; tells of each bucket that it looks at.
    fn place(
        &self,
        chance: &mut Random,
        chain_max: usize,
        mut on_step: impl FnMut(),
    ) -> Option<Place> {
        if self.is_empty() {
            return None;
        }
        let mut tries = PLACES_MAX;
        while 0 < tries {
            let mut ahead = [None; AHEAD];
            for next in &mut ahead {
                while next.is_none() && 0 < tries {
                    tries -= 1;
                    *next = self.any_bucket(chance);
                }
                if let Some((_, bucket)) = next {
                    prefetch(ptr::from_ref(*bucket).cast());
                }
            }
            for (place, bucket) in ahead.into_iter().flatten() {
                on_step();
                let count = bucket.chain_len();
                let nth = below(chance, chain_max.max(count.min(CHAIN_MAX)));
                if nth < count {
                    return Some(Place { nth, ..place });
                }
            }
        }
        self.next_record(chance)
    }

    /// The bucket of a random home in a random segment; `None` if another home leads there, too,
    /// and comes before it.
    #[inline]
    fn any_bucket(&self, chance: &mut Random) -> Option<(Place, &Bucket<R>)> {
        let segments = self.tree.len();
        let place = below(chance, segments);
        let segment = self.tree.nth(place)?;
        // The only segment has all there is, however small it is.
        let shift = if segments == 1 { 0 } else { segment.shift() };
        let home = below(chance, segment.buckets().len() << shift);
        let bucket = home >> shift;
        (bucket << shift == home)
            .then(|| (Place { segment: place, bucket, nth: 0 }, &segment.buckets()[bucket]))
    }

    /// The next record behind a random place: when next to nothing is in the table's segments.
    fn next_record(&self, chance: &mut Random) -> Option<Place> {
        let segments = self.tree.len();
        let start = below(chance, segments);
        (start..start + segments).find_map(|segment| {
            let segment = segment % segments;
            let buckets = self.tree.nth(segment)?.buckets();
            let start = below(chance, buckets.len());
            (start..start + buckets.len()).find_map(|bucket| {
                let bucket = bucket % buckets.len();
                let count = buckets[bucket].chain_len();
                (0 < count).then(|| Place { segment, bucket, nth: below(chance, count) })
            })
        })
    }
}

/// A number below `limit`, which is not 0.
#[inline]
fn below(chance: &mut Random, limit: usize) -> usize {
    chance.below(limit as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::{HashSeed, slot_of_hash};
    use crate::base::slot::SLOTS;
    use crate::encodings::entry::Entry;
    use crate::encodings::member::Member;
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    type Words = Table<Entry<()>>;

    const SEED: HashSeed = HashSeed(4);
    const KEYS: usize = 20_000;

    fn words(keys: impl Iterator<Item = String>) -> Words {
        let mut table = Words::new(SEED);
        for key in keys {
            table.insert(SEED.key_hash(key.as_bytes()), Entry::int(key.as_bytes(), 0));
        }
        table
    }

    fn untagged() -> impl Iterator<Item = String> {
        (0..).map(|number| format!("key:{number}"))
    }

    fn tagged(tag: u32) -> impl Iterator<Item = String> {
        (0..).map(move |number| format!("{{{tag}}}:{number}"))
    }

    /// Tables as shards have them: what they hold, and the table.
    fn tables() -> [(&'static str, Words); 7] {
        let is_in_eighth = |key: &String| {
            let slot = slot_of_hash(SEED.key_hash(key.as_bytes()));
            (SLOTS / 4..SLOTS / 4 + SLOTS / 8).contains(&slot.number())
        };
        let few_tags = (0..40).flat_map(|tag| tagged(tag).take(KEYS / 40));
        let mut emptied = words(untagged().take(KEYS));
        for key in untagged().take(KEYS).filter(|key| !is_in_eighth(key)) {
            emptied.remove(SEED.key_hash(key.as_bytes()), key.as_bytes());
        }
        [
            ("all slots", words(untagged().take(KEYS))),
            ("an eighth of the slots", words(untagged().filter(is_in_eighth).take(KEYS))),
            ("what is left in an eighth", emptied),
            ("one tag", words(tagged(1).take(KEYS))),
            ("one tag of a few keys", words(tagged(1).take(1000))),
            ("40 tags", words(few_tags)),
            ("a tag and all slots", words(tagged(1).take(KEYS).chain(untagged().take(KEYS)))),
        ]
    }

    /// Slots are picked as often as they are full, and so are 64 parts of each, by the next bits of
    /// the hash. In the chi-square test the picks of groups are within what chance explains.
    #[test]
    fn every_slot_is_as_likely_as_it_is_full() {
        type Pick = fn(&Words, &mut Random) -> u64;
        let picks: [(&str, Pick); 2] = [
            ("sample", |table, chance| table.sample(chance.bits()).unwrap().hash(SEED)),
            ("pick", |table, chance| table.pick(chance).unwrap().hash(SEED)),
        ];
        for (held, table) in tables() {
            for (shift, (how, pick)) in [50, 44].into_iter().flat_map(|it| picks.map(|p| (it, p))) {
                let mut groups: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
                for entry in table.iter() {
                    groups.entry(entry.hash(SEED) >> shift).or_default().0 += 1;
                }
                let (count, mut chance) = (30 * groups.len(), Random::new(11));
                for _ in 0..count {
                    groups.get_mut(&(pick(&table, &mut chance) >> shift)).unwrap().1 += 1;
                }
                let square = |(records, picked): &(usize, usize)| {
                    let expected = (count * records) as f64 / table.len() as f64;
                    (*picked as f64 - expected).powi(2) / expected
                };
                let sum: f64 = groups.values().map(square).sum();
                let freedom = groups.len() as f64 - 1.0;
                // One in ten thousand fair picks would be further away.
                let most = freedom + 4.0 * (2.0 * freedom).sqrt();
                assert!(sum <= most, "{how} {held}, bits from {shift}: {sum} {freedom}");
            }
        }
    }

    /// A step is a bucket that is looked at.
    #[test]
    fn tags_make_no_pick_expensive() {
        for (held, table) in tables() {
            let (mut steps, mut chance) = (0, Random::new(3));
            for _ in 0..1000 {
                table.place(&mut chance, SAMPLED_CHAIN_MAX, || steps += 1).unwrap();
            }
            assert!(steps <= 4000, "{held}: {steps} steps for 1000 picks");
        }
    }

    #[test]
    fn every_record_is_as_likely() {
        const PICKS: usize = 200;
        let seed = SEED;
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

    #[test]
    fn samples_reach_every_record() {
        for (records, tag) in [(3, ""), (300, ""), (5000, ""), (5000, "{one}")] {
            let table = words((0..records).map(|number| format!("{tag}{number}")));
            let mut seen = hashbrown::HashSet::new();
            let mut random = Random::new(9);
            for _ in 0..records * 30 {
                seen.insert(table.sample(random.bits()).unwrap().key().to_vec());
            }
            assert!(records * 99 / 100 <= seen.len(), "{} of {records} {tag}", seen.len());
        }
        assert!(Words::new(SEED).sample(1).is_none());
    }
}
