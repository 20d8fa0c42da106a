//! A snapshot that takes the place of a keyspace: staged, swapped, and the old keys freed.

use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::base::time::UnixMs;
use shards::keyspace::chores::{Chore, Left};
use shards::keyspace::db::Entry;
use shards::shard::Shard;

use crate::key;
use crate::runner::Runner;

/// Keys of the snapshot, and of the keyspace that it takes the place of.
const KEYS: u64 = 300_000;
/// Effort of one piece of work.
const PIECE: usize = 128;
const SEED: HashSeed = HashSeed(42);

/// Measures keys that are staged, the swap, and keys that are freed behind it. An operation is one
/// key, or the one swap.
pub fn run(runner: &mut Runner) {
    let count = runner.size(KEYS);
    for (kind, entry) in [("strings", text as fn(u64) -> Entry), ("volatile strings", volatile)] {
        let staged = || {
            let mut shard = Shard::new(16, SEED, Random::new(1));
            stage(&mut shard, count, entry);
            shard
        };
        let both = || {
            let mut shard = staged();
            shard.commit();
            stage(&mut shard, count, entry);
            shard
        };
        let swapped = || {
            let mut shard = both();
            shard.commit();
            shard
        };
        runner.measure_once_each(&format!("staging: {kind}"), count, staged, |mut shard| {
            shard.commit();
            stage(&mut shard, count, entry);
            shard
        });
        runner.measure_once_each(&format!("staging: swap of {kind}"), 1, both, |mut shard| {
            assert!(shard.commit(), "a snapshot is staged");
            shard
        });
        let name = format!("staging: freeing of {kind}");
        runner.measure_once_each(&name, count, swapped, |mut shard| {
            while shard.work(Chore::FreeGarbage, PIECE, &|_, _| false).left == Left::More {}
            assert!(shard.keyspace.garbage.is_empty(), "all old keys are freed");
            shard
        });
    }
}

fn stage(shard: &mut Shard, count: u64, entry: fn(u64) -> Entry) {
    shard.stage();
    let staging = shard.staging.as_mut().expect("it was just made");
    for number in 0..count {
        let entry = entry(number);
        let hash = SEED.key_hash(entry.key());
        staging.insert(0, hash, entry).expect("every key is another");
    }
}

fn text(number: u64) -> Entry {
    Entry::string(&key(number), &[b'v'; 64])
}

fn volatile(number: u64) -> Entry {
    let at = Random::new(number).below(1 << 30);
    Entry::string_until(&key(number), &[b'v'; 64], UnixMs(at))
}
