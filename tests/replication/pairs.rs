//! Every pair and every chain of the matrix: a load before the replica comes, while it is sent a
//! snapshot, and behind that; then both hold the same.

use std::thread;

use crate::compare::{assert_equal, digest, keys};
use crate::load::Load;
use crate::matrix::{CHAINS, PAIRS, State};
use crate::processes::{Server, setting};
use crate::servers::{Kind, follow, wait_until_online};
use crate::{SEED, Tally, say, side_by_side};

/// Commands for each row, unless `COMMANDS` says otherwise.
const COMMANDS: u64 = 6_000;

#[test]
fn every_replica_ends_equal_to_its_primary() {
    let rows = PAIRS.iter().map(|pair| (vec![pair.primary, pair.replica], pair.state));
    play_all("pairs", rows.collect());
}

#[test]
fn every_chain_ends_equal() {
    play_all("chains", CHAINS.iter().map(|(kinds, state)| (kinds.to_vec(), *state)).collect());
}

fn play_all(name: &'static str, mut rows: Vec<(Vec<Kind>, State)>) {
    let mut tally = Tally::new(name);
    rows.retain(|(kinds, state)| tally.takes(*state, kinds));
    side_by_side(rows, |(kinds, _)| play(&kinds));
    tally.tell();
}

/// Lets each server follow the one before it while the first is written, and compares all with it.
fn play(kinds: &[Kind]) {
    let servers: Vec<Server> = kinds.iter().filter_map(|kind| kind.start(&[])).collect();
    let all: Vec<&Server> = servers.iter().collect();
    let seed = setting("SEED").unwrap_or(SEED);
    let mut load = Load::for_servers(seed, kinds, &all);
    let (primary, address) = (&servers[0], servers[0].addr.clone());
    let third = setting("COMMANDS").unwrap_or(COMMANDS) / 3;
    let [before, beside, behind] = [(); 3].map(|()| load.begin(third));
    load.send(before, &address);
    thread::scope(|scope| {
        scope.spawn(|| load.send(beside, &address));
        for two in servers.windows(2) {
            follow(&two[1], &two[0].addr);
            wait_until_online(&two[0], &two[1]);
        }
    });
    load.send(behind, &address);
    for replica in &servers[1..] {
        assert_equal(primary, replica, Some(&load));
    }
    let keys = keys(primary);
    let digests: Vec<Vec<u8>> = servers.iter().map(digest).collect();
    let equal = digests.iter().all(|digest| *digest == digests[0]);
    let names: Vec<String> = kinds.iter().map(|kind| kind.name()).collect();
    say(&format!(
        "{}: {}; {keys} keys, all equal{}",
        names.join(" -> "),
        load.summary(),
        if equal { ", and so are their digests" } else { "; their digests are not" }
    ));
}
