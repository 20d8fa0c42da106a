//! SCAN: a walk over a shard's keys in hash order, which is slot order. Shards own ranges of
//! slots, so a cursor says by itself which shard goes on with the walk.

use crate::base::slot::Slot;
use crate::encodings::table::Position;
use crate::keyspace::db::{Entry, Keyspace};

/// Where a walk begins, and what its cursor is again when it has seen every key.
pub const START: Position = Position(0);

/// Where a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// In this shard.
    Here(Position),
    /// In the shard of the next slots, or nowhere if this is [`START`].
    Elsewhere(Position),
}

/// Visits the bucket of database `db` that `from` lies in.
///
/// Every key that is there from the first step of a walk to its last is visited; one may be
/// visited twice if the table grows between two steps.
pub fn step(keyspace: &Keyspace, db: usize, from: Position, visit: &mut dyn FnMut(&Entry)) -> Next {
    let slots = &keyspace.slots;
    // Slots that end behind the last one have no position of their own: the walk ends with them.
    let end = Slot::new(slots.end).map(Position::of_slot);
    // A cursor that some client made up, or the first one, may lie before what lives here.
    let from = from.max(Slot::new(slots.start).map_or(START, Position::of_slot));
    let next = keyspace.dbs[db].table().scan_until(from, end, visit);
    next.map_or(Next::Elsewhere(end.unwrap_or(START)), Next::Here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::{HashSeed, slot_of_hash};
    use crate::base::random::Random;
    use crate::base::slot::SLOTS;
    use alloc::vec;
    use alloc::vec::Vec;

    const SEED: HashSeed = HashSeed(3);

    /// Keyspaces that share the slots among them.
    fn shards(count: u16) -> Vec<Keyspace> {
        let width = SLOTS.div_ceil(count);
        let shard = |index: u16| {
            let mut keyspace = Keyspace::new(1, SEED, Random::new(1));
            keyspace.slots = index * width..SLOTS.min((index + 1) * width);
            keyspace
        };
        (0..count).map(shard).collect()
    }

    fn owner(shards: &mut [Keyspace], slot: Slot) -> &mut Keyspace {
        shards.iter_mut().find(|shard| shard.slots.contains(&slot.number())).unwrap()
    }

    fn put(shards: &mut [Keyspace], key: &[u8]) {
        let hash = SEED.key_hash(key);
        let db = &mut owner(shards, slot_of_hash(hash)).dbs[0];
        if db.find(hash, key).is_none() {
            db.insert(hash, Entry::int(key, 0));
        }
    }

    fn remove(shards: &mut [Keyspace], key: &[u8]) {
        let hash = SEED.key_hash(key);
        owner(shards, slot_of_hash(hash)).dbs[0].remove(hash, key);
    }

    fn staying(number: u64) -> [u8; 9] {
        let mut key = [b's'; 9];
        key[1..].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// Walks over all shards while `change` changes them between steps; `keys` keys stay. Returns
    /// how many of them were visited more than once.
    fn visits_all_that_stay(
        shards: &mut [Keyspace],
        keys: u64,
        mut change: impl FnMut(&mut [Keyspace], usize),
    ) -> usize {
        let mut visits = vec![0u32; usize::try_from(keys).unwrap()];
        let (mut at, mut steps) = (START, 0);
        loop {
            let next = step(owner(shards, at.slot()), 0, at, &mut |entry| {
                if let [b's', number @ ..] = entry.key()
                    && let Ok(number) = <[u8; 8]>::try_from(number)
                {
                    visits[usize::try_from(u64::from_be_bytes(number)).unwrap()] += 1;
                }
            });
            at = match next {
                Next::Here(at) => at,
                Next::Elsewhere(START) => break,
                Next::Elsewhere(at) => at,
            };
            steps += 1;
            change(shards, steps);
        }
        assert!(visits.iter().all(|times| 0 < *times), "after {steps} steps");
        visits.iter().filter(|times| 1 < **times).count()
    }

    /// A million keys, half of which stay. The others go and come back in waves, and every other
    /// wave brings twice as many, so segments merge and split all the time.
    #[test]
    fn every_key_that_stays_is_visited() {
        for count in [1, 3] {
            let mut shards = shards(count);
            let keys = 500_000;
            (0..keys).for_each(|number| put(&mut shards, &staying(number)));
            (0..keys).for_each(|number| put(&mut shards, &number.to_be_bytes()));
            let mut random = Random::new(1);
            visits_all_that_stay(&mut shards, keys, |shards, steps| {
                let wave = steps / 16_384;
                let bound = if wave % 4 == 3 { 2 * keys } else { keys };
                for _ in 0..40 {
                    let key = random.below(bound).to_be_bytes();
                    if wave.is_multiple_of(2) {
                        remove(shards, &key);
                    } else {
                        put(shards, &key);
                    }
                }
            });
        }
    }

    #[test]
    fn a_walk_that_starts_over_few_keys_ends_over_many() {
        let mut shards = shards(1);
        (0..20).for_each(|number| put(&mut shards, &staying(number)));
        let mut added = 0u64;
        visits_all_that_stay(&mut shards, 20, |shards, _| {
            if added < 200_000 {
                (added..added + 10).for_each(|number| put(shards, &number.to_be_bytes()));
                added += 10;
            }
        });
    }

    #[test]
    fn a_walk_over_what_does_not_change_visits_each_key_once() {
        for (count, keys) in [(1, 10), (1, 10_000), (2, 3), (7, 10_000), (64, 500)] {
            let mut shards = shards(count);
            (0..keys).for_each(|number| put(&mut shards, &staying(number)));
            assert_eq!(visits_all_that_stay(&mut shards, keys, |_, _| {}), 0, "{count} {keys}");
        }
    }
}
