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
    use crate::base::hash::HashSeed;
    use crate::base::random::Random;
    use crate::base::time::UnixMs;
    use alloc::format;
    use alloc::vec;

    const SEED: HashSeed = HashSeed(3);

    fn put(db: &mut Db, key: &[u8]) {
        let hash = SEED.key_hash(key);
        if db.find(hash, key).is_none() {
            db.insert(hash, Entry::int(key, 0));
        }
    }

    fn staying(number: u64) -> [u8; 9] {
        let mut key = [b's'; 9];
        key[1..].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// Scans a database to its end while `change` changes it between calls; `keys` stay.
    fn visits_all_that_stay(db: &mut Db, keys: u64, mut change: impl FnMut(&mut Db, usize)) {
        let mut visited = vec![false; usize::try_from(keys).unwrap()];
        let (mut next, mut calls) = (Some(Position::default()), 0);
        while let Some(position) = next {
            next = scan(db, position, 100, None, |entry| {
                if let [b's', number @ ..] = entry.key()
                    && let Ok(number) = <[u8; 8]>::try_from(number)
                {
                    visited[usize::try_from(u64::from_be_bytes(number)).unwrap()] = true;
                }
            });
            calls += 1;
            change(db, calls);
        }
        assert!(visited.iter().all(|it| *it), "after {calls} calls");
    }

    /// A million keys, half of which stay: the rest go and come back by the time the scan is at
    /// its middle, and new ones double the table, so segments merge and split all the time.
    #[test]
    fn every_key_that_stays_is_returned() {
        let mut db = Db::new(SEED);
        let keys = 500_000;
        (0..keys).for_each(|number| put(&mut db, &staying(number)));
        (0..keys).for_each(|number| put(&mut db, &number.to_be_bytes()));
        let mut random = Random::new(1);
        let mut bound = keys;
        visits_all_that_stay(&mut db, keys, |db, calls| {
            // Each wave of 512 calls removes nearly all that may go, or brings in as many.
            let wave = calls / 512;
            bound = if wave % 4 == 3 { 2 * keys } else { keys };
            for _ in 0..2000 {
                let key = random.below(bound).to_be_bytes();
                if wave % 2 == 0 {
                    db.remove(SEED.key_hash(&key), &key);
                } else {
                    put(db, &key);
                }
            }
        });
    }

    #[test]
    fn a_scan_that_starts_in_a_tiny_table_ends_in_a_large_one() {
        let mut db = Db::new(SEED);
        (0..20).for_each(|number| put(&mut db, &staying(number)));
        let mut added = 0u64;
        visits_all_that_stay(&mut db, 20, |db, _| {
            if added < 200_000 {
                (added..added + 50).for_each(|number| put(db, &number.to_be_bytes()));
                added += 50;
            }
        });
    }

    #[test]
    fn a_call_returns_about_as_many_as_asked_for() {
        let mut db = Db::new(SEED);
        (0..10_000).for_each(|number| put(&mut db, &staying(number)));
        for count in [1, 10, 100, 1000] {
            let mut seen = 0;
            assert!(scan(&db, Position::default(), count, None, |_| seen += 1).is_some());
            assert!((count..count + 30).contains(&seen), "{seen} for {count}");
        }
        let mut seen = 0;
        assert!(scan(&db, Position::default(), usize::MAX, None, |_| seen += 1).is_none());
        assert_eq!(seen, 10_000);
    }

    #[test]
    fn a_random_key_has_not_expired() {
        let mut keyspace = Keyspace::new(1, SEED, Random::new(2));
        keyspace.now = UnixMs(1000);
        assert!(random_key(&mut keyspace, 0).is_none());
        for number in 0..20 {
            let key = format!("key{number}");
            let hash = SEED.key_hash(key.as_bytes());
            let at = UnixMs(if number == 7 { 1001 } else { 1000 });
            keyspace.dbs[0].insert(hash, Entry::string_until(key.as_bytes(), b"x", at));
        }
        let key = random_key(&mut keyspace, 0).map(|entry| entry.key().to_vec());
        assert_eq!(key, Some(b"key7".to_vec()));
        keyspace.now = UnixMs(1001);
        assert!(random_key(&mut keyspace, 0).is_none());
    }
}
