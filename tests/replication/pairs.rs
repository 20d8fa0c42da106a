//! Every pair and every chain of the matrix: a load before the replica comes, while it is sent a
//! snapshot, and behind that; then both hold the same.

use std::thread;

use shards::base::random::Random;

use crate::compare::{assert_equal, digest};
use crate::load::Load;
use crate::matrix::{CHAINS, PAIRS, Pair};
use crate::processes::{Server, setting};
use crate::servers::{Kind, follow, wait_until_online};
use crate::{SEED, Tally, say};

/// Commands for each row, unless `COMMANDS` says otherwise.
const COMMANDS: u64 = 6_000;

#[test]
fn every_replica_ends_equal_to_its_primary() {
    let mut tally = Tally::new("pairs");
    for (number, Pair { primary, replica, state }) in (0..).zip(PAIRS) {
        if tally.takes(*state, &[*primary, *replica]) {
            play(&[*primary, *replica], number);
        }
    }
    tally.tell();
}

#[test]
fn every_chain_ends_equal() {
    let mut tally = Tally::new("chains");
    for (number, (kinds, state)) in (100..).zip(CHAINS) {
        if tally.takes(*state, kinds) {
            play(kinds, number);
        }
    }
    tally.tell();
}

/// Lets each server follow the one before it while the first is written, and compares all with it.
fn play(kinds: &[Kind], number: u64) {
    let servers: Vec<Server> = kinds.iter().filter_map(|kind| kind.start(&[])).collect();
    let all: Vec<&Server> = servers.iter().collect();
    let seed = Random::new(setting("SEED").unwrap_or(SEED).wrapping_add(number << 32)).bits();
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
    let digests: Vec<Vec<u8>> = servers.iter().map(digest).collect();
    let equal = digests.iter().all(|digest| *digest == digests[0]);
    let names: Vec<String> = kinds.iter().map(|kind| kind.name()).collect();
    say(&format!(
        "{}: {}; equal{}",
        names.join(" -> "),
        load.summary(),
        if equal { ", and so are their digests" } else { "; their digests are not" }
    ));
}
