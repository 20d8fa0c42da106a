//! Micro-benchmarks: the parser, the table, both together, expiry, snapshots, letters between
//! threads, and a shard's log.
//!
//! `cargo bench -p bench` measures, `cargo bench -p bench -- table` only what has that in its
//! name. Under `cargo test` each runs once on little, so that none rots.

pub mod engine;
pub mod expiry;
pub mod hop;
pub mod journal;
pub mod parser;
pub mod rdb;
pub mod runner;
pub mod table;

use crate::runner::Runner;

/// Every benchmark.
pub const ALL: &[Topic] = &[
    Topic { name: "parser", run: parser::run },
    Topic { name: "table", run: table::run },
    Topic { name: "engine", run: engine::run },
    Topic { name: "expiry", run: expiry::run },
    Topic { name: "rdb", run: rdb::run },
    Topic { name: "hop", run: hop::run },
    Topic { name: "journal", run: journal::run },
];

/// Benchmarks that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// What the names of its benchmarks begin with.
    pub name: &'static str,
    /// Runs them.
    pub run: fn(&mut Runner),
}

/// The key `valkey-benchmark -r` gives to `number`: 16 bytes.
pub fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit += u8::try_from(rest % 10).expect("a digit is small");
        rest /= 10;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_runs_on_little() {
        let mut runner = Runner::tiny();
        for topic in ALL {
            let before = runner.results().len();
            (topic.run)(&mut runner);
            let results = &runner.results()[before..];
            assert!(!results.is_empty(), "{} measures nothing", topic.name);
            assert!(results.iter().all(|result| result.name.starts_with(topic.name)));
        }
    }

    #[test]
    fn names_keys_as_valkey_benchmark_does() {
        assert_eq!(&key(1_234_567), b"key:000001234567");
    }
}
