//! The keyspace's table: finding keys one by one and in batches, inserting, removing.

use std::hint::black_box;

use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::encodings::table::Table;
use shards::keyspace::db::Entry;

use crate::key;
use crate::runner::Runner;

/// Keys in the table: far more than the caches hold.
const KEYS: u64 = 2_000_000;
/// Lookups in one pass.
const LOOKUPS: u64 = 64 * 1024;
/// The seed of hashes and of chance.
const SEED: HashSeed = HashSeed(42);

/// Measures the table; one operation is one key.
pub fn run(runner: &mut Runner) {
    if !NAMES.iter().any(|name| runner.wants(name)) {
        return;
    }
    let keys = runner.size(KEYS);
    let lookups = runner.size(LOOKUPS);
    let table = filled(keys);
    let mut random = Random::new(7);
    let picked: Vec<[u8; 16]> = (0..lookups).map(|_| key(random.below(keys))).collect();
    let [hashing, single, by_16, by_64, absent, inserting, removing] = NAMES;
    runner.measure(hashing, lookups, || {
        for key in &picked {
            black_box(SEED.key_hash(key));
        }
    });
    runner.measure(single, lookups, || {
        for key in &picked {
            let found = table.find(SEED.key_hash(key), key);
            black_box(found.expect("it was inserted").value());
        }
    });
    for (name, batch) in [(by_16, 16), (by_64, 64)] {
        runner.measure(name, lookups, || find_in_batches(&table, &picked, batch));
    }
    let other: Vec<[u8; 16]> = (keys..keys + lookups).map(key).collect();
    runner.measure(absent, lookups, || {
        for key in &other {
            black_box(table.find(SEED.key_hash(key), key).is_none());
        }
    });
    runner.measure_once_each(inserting, keys, || (), |()| filled(keys));
    runner.measure_once_each(
        removing,
        keys,
        || filled(keys),
        |mut table| {
            for number in 0..keys {
                let key = key(number);
                assert!(table.remove(SEED.key_hash(&key), &key).is_some(), "it was inserted");
            }
            table
        },
    );
}

/// The names of the measurements, in their order.
const NAMES: [&str; 7] = [
    "table: hash of a key",
    "table: find, one by one",
    "table: find, batches of 16, prefetched",
    "table: find, batches of 64, prefetched",
    "table: find what is not there",
    "table: make an entry and insert it",
    "table: remove",
];

fn filled(keys: u64) -> Table<Entry> {
    let mut table = Table::new(SEED);
    for number in 0..keys {
        let key = key(number);
        table.insert(SEED.key_hash(&key), Entry::string(&key, &[b'v'; 64]));
    }
    table
}

/// The three passes that the server makes over a batch.
fn find_in_batches(table: &Table<Entry>, keys: &[[u8; 16]], batch: usize) {
    let mut hashes = Vec::with_capacity(batch);
    for keys in keys.chunks(batch) {
        hashes.clear();
        for key in keys {
            let hash = SEED.key_hash(key);
            table.prefetch_bucket(hash);
            hashes.push(hash);
        }
        hashes.iter().for_each(|&hash| table.prefetch_record(hash));
        for (key, &hash) in keys.iter().zip(&hashes) {
            black_box(table.find(hash, key).expect("it was inserted").value());
        }
    }
}
