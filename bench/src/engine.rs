//! Requests from bytes to replies, without sockets: parse, look up, execute.

use std::hint::black_box;

use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::commands::spec::Command;
use shards::commands::table::GROUPS;
use shards::resp::parser::{Parser, Range, Step};
use shards::shard::{Request, Shard};

use crate::key;
use crate::parser::{LIMITS, request};
use crate::runner::Runner;

/// Keys in the shard: far more than the caches hold.
const KEYS: u64 = 2_000_000;
/// Requests in one pass.
const REQUESTS: u64 = 64 * 256;
/// The seed of hashes.
const SEED: HashSeed = HashSeed(42);

/// Measures GET and SET; one operation is one request.
pub fn run(runner: &mut Runner) {
    let names = ["GET", "SET"].map(|test| {
        [1, 16, 64].map(|batch| (batch, format!("engine: {test}, batches of {batch}")))
    });
    if !names.iter().flatten().any(|(_, name)| runner.wants(name)) {
        return;
    }
    let (keys, requests) = (runner.size(KEYS), runner.size(REQUESTS));
    let mut engine = Engine::filled(keys);
    let mut random = Random::new(7);
    for (test, names) in ["GET", "SET"].into_iter().zip(&names) {
        let bytes: Vec<u8> = (0..requests)
            .flat_map(|_| {
                let key = key(random.below(keys));
                let args: [&[u8]; 3] = [test.as_bytes(), &key, &[b'w'; 64]];
                request(if test == "GET" { &args[..2] } else { &args })
            })
            .collect();
        let command = command(test);
        for (batch, name) in names {
            runner.measure(name, requests, || engine.run(command, &bytes, *batch));
        }
    }
}

/// A shard and what a connection to it would have.
struct Engine {
    shard: Shard,
    parser: Parser,
    replies: Vec<u8>,
}

impl Engine {
    fn filled(keys: u64) -> Self {
        let shard = Shard::new(1, SEED, Random::new(1));
        let mut engine = Self { shard, parser: Parser::default(), replies: Vec::new() };
        let set = command("SET");
        for number in 0..keys {
            engine.run(set, &request(&[b"SET", &key(number), &[b'v'; 64]]), 1);
        }
        engine
    }

    /// Runs the requests in `input`, all of them `command`, in batches of up to `batch`.
    fn run(&mut self, command: &Command, mut input: &[u8], batch: usize) {
        let (mut ranges, mut requests) = (Vec::<Range>::new(), Vec::new());
        while !input.is_empty() {
            ranges.clear();
            requests.clear();
            let mut parsed = input;
            while requests.len() < batch && !parsed.is_empty() {
                let (start, first) = (input.len() - parsed.len(), ranges.len());
                let step = self.parser.step(parsed, &mut ranges, &LIMITS);
                let Ok(Step::Request { consumed }) = step else {
                    panic!("the input is whole requests: {step:?}");
                };
                let hash = SEED.key_hash(ranges[first + 1].of(parsed));
                self.shard.keyspace.dbs[0].table().prefetch_bucket(hash);
                requests.push((start, first..ranges.len(), hash));
                parsed = &parsed[consumed..];
            }
            for request in &requests {
                self.shard.keyspace.dbs[0].table().prefetch_record(request.2);
            }
            for (start, ranges_of_it, hash) in &requests {
                let mut args: [&[u8]; 3] = [&[]; 3];
                let count = ranges_of_it.len();
                for (arg, range) in args.iter_mut().zip(&ranges[ranges_of_it.clone()]) {
                    *arg = range.of(&input[*start..]);
                }
                self.execute(command, &args[..count], *hash);
            }
            input = parsed;
            black_box(&self.replies);
            self.replies.clear();
        }
    }

    fn execute(&mut self, command: &Command, args: &[&[u8]], hash: u64) {
        let request = Request { first_key: (1, hash), ..Request::of(args) };
        let done = self.shard.execute(command, request, &mut self.replies);
        assert!(done.is_ok(), "GET and SET of strings do not fail");
    }
}

fn command(name: &str) -> &'static Command {
    let name = name.to_lowercase();
    let found = GROUPS.iter().copied().flatten().find(|command| command.spec.name == name);
    found.expect("GET and SET exist")
}
