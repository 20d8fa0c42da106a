//! Keys and fields that are due, removed between commands; and what was removed, freed.

use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::base::time::UnixMs;
use shards::commands::spec::Command;
use shards::commands::table::GROUPS;
use shards::keyspace::chores::{Chore, Left};
use shards::shard::{Request, Shard};

use crate::key;
use crate::runner::Runner;

/// Keys or fields that are due.
const DUE: u64 = 300_000;
/// Effort of one piece of work.
const PIECE: usize = 64;
const SEED: HashSeed = HashSeed(42);

/// Measures the removal of keys, of fields, and of what is freed late; an operation is one of them.
pub fn run(runner: &mut Runner) {
    let count = runner.size(DUE);
    for (name, chore, fill) in [
        ("expiry: strings", Chore::ExpireKeys, strings as fn(&mut Shard, u64)),
        ("expiry: fields of one hash", Chore::ExpireFields, fields_of_one),
        ("expiry: fields of as many hashes", Chore::ExpireFields, fields_of_many),
        ("expiry: freeing a flushed database", Chore::FreeGarbage, flushed),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let prepare = || {
            let mut shard = Shard::new(1, SEED, Random::new(1));
            shard.keyspace.now = UnixMs(1_000);
            fill(&mut shard, count);
            shard.keyspace.now = UnixMs(10_000);
            shard
        };
        runner.measure_once_each(name, count, prepare, |mut shard| {
            while shard.work(chore, PIECE, &|_, _| false).left == Left::More {}
            assert!(shard.keyspace.is_empty(), "all of it was due");
            shard
        });
    }
}

/// Strings that are due in an order that is not the table's, nor that in which they were made.
fn strings(shard: &mut Shard, count: u64) {
    let mut random = Random::new(3);
    for number in 0..count {
        let millis = 2_000 + random.below(5_000);
        call(shard, &[b"PSETEX", &key(number), millis.to_string().as_bytes(), &[b'v'; 64]]);
    }
}

fn fields_of_one(shard: &mut Shard, count: u64) {
    let mut random = Random::new(3);
    for number in 0..count {
        let millis = (2_000 + random.below(5_000)).to_string();
        let field = key(number);
        let args: [&[u8]; 8] =
            [b"HSETEX", b"h", b"PX", millis.as_bytes(), b"FIELDS", b"1", &field, &[b'v'; 16]];
        call(shard, &args);
    }
}

fn fields_of_many(shard: &mut Shard, count: u64) {
    let mut random = Random::new(3);
    for number in 0..count {
        let millis = (2_000 + random.below(5_000)).to_string();
        let name = key(number);
        let args: [&[u8]; 8] =
            [b"HSETEX", &name, b"PX", millis.as_bytes(), b"FIELDS", b"1", b"field", &[b'v'; 16]];
        call(shard, &args);
    }
}

fn flushed(shard: &mut Shard, count: u64) {
    strings(shard, count);
    call(shard, &[b"FLUSHALL", b"ASYNC"]);
}

fn call(shard: &mut Shard, args: &[&[u8]]) {
    let name = String::from_utf8_lossy(args[0]).to_lowercase();
    let command = command(&name);
    let done = shard.execute(command, Request::of(args), &mut Vec::new());
    assert!(done.is_ok(), "{name} does not fail");
}

fn command(name: &str) -> &'static Command {
    let found = GROUPS.iter().copied().flatten().find(|command| command.spec.name == name);
    found.expect("the command exists")
}
