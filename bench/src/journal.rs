//! A shard's log: what an entry costs that is appended, and what it costs to read.

use std::hint::black_box;

use keylane::journal::log::{Limits, Log, Read};
use shards::journal::units::Units;

use crate::key;
use crate::runner::Runner;

/// Entries appended in one pass.
const ENTRIES: u64 = 200_000;
/// Entries appended between two reads of the log.
const TURN: u64 = 64;
/// What a log keeps with the settings' defaults on one shard.
const LIMITS: Limits = Limits { window_bytes: 10 << 20, held_bytes_max: 10 << 20 };

/// Measures appending and reading; an operation is the entry of one SET with 64 bytes.
pub fn run(runner: &mut Runner) {
    let mut units = Units::default();
    units.push(0, &[b"SET".as_slice(), &key(1), &[b'v'; 64]]);
    let entry = units.entries();
    let entries = runner.size(ENTRIES);
    let mut log = Log::new(0, LIMITS);
    runner.measure("journal: append", entries, || {
        for _ in 0..entries {
            append(&mut log, entry);
        }
    });
    let cursor = log.open(log.end()).expect("the end is in a log");
    let mut into = Vec::new();
    runner.measure("journal: append and copy, 64 each", entries, || {
        for _ in 0..entries.div_ceil(TURN) {
            (0..TURN).for_each(|_| append(&mut log, entry));
            into.clear();
            let Ok(Read::Bytes(bytes)) = log.copy_entries(cursor, u64::MAX, &mut into) else {
                panic!("what was just appended is there");
            };
            log.advance(cursor, bytes);
            black_box(&into);
        }
    });
    runner.measure_once_each(
        "journal: append to a new log",
        entries,
        || Log::new(0, LIMITS),
        |mut log| {
            (0..entries).for_each(|_| append(&mut log, entry));
            log
        },
    );
}

fn append(log: &mut Log, entry: &[u8]) {
    log.append(black_box(entry)).expect("there is memory for a log");
}
