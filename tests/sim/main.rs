//! Whole nodes under virtual time: up to five of them, with one to three shards each. One seed
//! decides all that happens, so each run can be repeated. Nothing sleeps, and no clock is read.
//!
//! | real | thin models (`node/`) |
//! |---|---|
//! | link, handshake, payload, split | `relay::upstream`, `dial`, `intake`, `inchunks`, `inflows` |
//! | psync, greeting, session, backoff | `relay::core`, `deciding`, `roles`, `peer` and so on |
//! | merge, backlog of the stream | `relay::stream` |
//! | acks, failover | `control`: roles, histories, fences, barriers, the child that sends |
//! | following, incoming, barrier, dispatch, frames | sockets of logs, batches as they run |
//! | entries, parts and units of `shards::journal` | `journal::log`, `flows::outgoing`, segments |
//! | locks, transactions that fall apart by shards | how transactions visit shards |
//!
//! Models follow the code that they stand for line by line where it decides something. Keys hold
//! one number each, so a snapshot is a number, too.
//!
//! `SEED=n` runs one seed, `SEEDS=n` so many instead of [`SEEDS`], from `FIRST=n` on, and `TELL=1`
//! tells what happens. A seed that ever failed is kept in `seeds.txt`, and is run each time.

mod agenda;
mod checks;
mod disk;
mod faults;
mod keyspace;
mod network;
mod node;
mod setup;
mod workload;
mod world;

use std::env;
use std::panic::{self, AssertUnwindSafe};

use keylane::routing::call::Table;

use checks::Counts;
use faults::Fault;

/// Seeds that are run, unless `SEEDS` says how many.
const SEEDS: u64 = 2_000;
/// Seeds within which a planted fault must be found.
const FOUND_WITHIN: u64 = 4_000;

/// Runs a seed. Why it fails, if it does.
fn attempt(seed: u64, table: &'static Table, fault: Option<Fault>) -> Result<Counts, String> {
    let run = || world::run(seed, table, fault);
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|why| {
        let text = why.downcast_ref::<String>().cloned();
        text.or_else(|| why.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number of seeds"))
}

#[test]
fn nodes_stay_right_whatever_happens() {
    let table = setup::table();
    let kept = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let kept = kept.map(|line| line.parse().expect("a seed a line"));
    let first = number("FIRST").unwrap_or(0);
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) => vec![seed],
        None => kept.chain(first..first + number("SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let mut all = Counts::default();
    let mut failed = Vec::new();
    for seed in seeds {
        match attempt(seed, table, None) {
            Ok(counts) => all.add(&counts),
            Err(why) => failed.push(format!("SEED={seed}: {why}")),
        }
    }
    println!("{all:?}");
    assert!(failed.is_empty(), "{} seeds:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn each_planted_fault_is_found() {
    panic::set_hook(Box::new(|_| {}));
    let table = setup::table();
    let mut missed = Vec::new();
    for fault in Fault::ALL {
        let found = (0..FOUND_WITHIN).find_map(|seed| {
            attempt(seed, table, Some(fault)).err().map(|why| format!("seed {seed}: {why}"))
        });
        println!("{fault:?}: {}", found.as_deref().unwrap_or("not found"));
        if found.is_none() {
            missed.push(fault);
        }
    }
    drop(panic::take_hook());
    assert!(missed.is_empty(), "not found within {FOUND_WITHIN} seeds: {missed:?}");
}
