//! Every pair and every chain of the matrix: a load before the replica comes, while it is sent a
//! snapshot, and behind that; then both hold the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::chains::assert_one_stream;
use crate::client::Reply;
use crate::compare::{assert_equal, digest, first_difference, keys};
use crate::load::Load;
use crate::matrix::{CHAINS, PAIRS};
use crate::processes::{Server, setting};
use crate::servers::{
    Ends, Family, Kind, follow, until, wait_until_offsets_meet, wait_until_online,
};
use crate::{SEED, Tally, say, side_by_side};

/// Commands for each row, unless `COMMANDS` says otherwise.
const COMMANDS: u64 = 6_000;

#[test]
fn every_replica_ends_equal_to_its_primary() {
    let rows = PAIRS.iter().map(|pair| vec![pair.primary, pair.replica]);
    play_all("pairs", rows.collect());
}

#[test]
fn every_chain_ends_equal() {
    play_all("chains", CHAINS.iter().map(|kinds| kinds.to_vec()).collect());
}

/// Texts that a Redis takes as numbers, at least in one of these commands and versions, and a
/// Valkey does not.
const NUMBERS: &[&str] = &["", " 1", "0x10", "-0x1.8p1", "1e400", "1e-400"];
/// Commands of which each is written with each of these texts and keys of their own.
const NUMBERED: &[&[&str]] = &[
    &["RPUSH", "list:KEY", "1", "NUMBER"],
    &["SORT", "list:KEY", "STORE", "sorted:KEY"],
    // If nothing was stored there is nothing yet that could have a time.
    &["PEXPIREAT", "sorted:KEY", "4000000000000"],
    &["SET", "sorted:KEY", "value", "KEEPTTL"],
    &["ZADD", "set:KEY", "NUMBER", "a"],
    &["ZINCRBY", "set:KEY", "NUMBER", "b"],
    &["ZADD", "set:KEY", "16", "c", "0", "d"],
    &["ZRANGESTORE", "range:KEY", "set:KEY", "NUMBER", "99", "BYSCORE"],
    &["ZUNIONSTORE", "union:KEY", "1", "set:KEY", "WEIGHTS", "NUMBER"],
    &["ZREMRANGEBYSCORE", "set:KEY", "NUMBER", "NUMBER"],
    &["GEOADD", "geo:KEY", "NUMBER", "1", "a"],
    &["GEOADD", "geo:KEY", "1", "1", "b"],
    &["GEORADIUS", "geo:KEY", "1", "1", "NUMBER", "km", "STORE", "near:KEY"],
];

/// One seldom meets such a text by chance, and then only the time of a key may tell of it.
#[test]
fn a_replica_takes_the_numbers_that_its_redis_has_taken() {
    let mut tally = Tally::new("numbers");
    let mut rows: Vec<_> = PAIRS.iter().collect();
    rows.retain(|pair| {
        let is_meant = pair.primary.family() == Family::Redis && pair.replica.is_keylane();
        is_meant && tally.takes(&[pair.primary, pair.replica])
    });
    side_by_side(rows, |pair| {
        let [primary, replica] =
            [pair.primary, pair.replica].map(|kind| kind.start(&[]).expect("the tally found it"));
        follow(&replica, &primary.addr);
        wait_until_online(&primary, &replica);
        let (mut client, mut taken) = (primary.client(), 0);
        for (key, number) in NUMBERS.iter().enumerate() {
            for words in NUMBERED {
                let fill =
                    |word: &&str| word.replace("KEY", &key.to_string()).replace("NUMBER", number);
                let words: Vec<String> = words.iter().map(fill).collect();
                let reply = client.call(&words).expect("the primary answers");
                taken += u64::from(words[0] == "SORT" && matches!(reply, Reply::Integer(2)));
            }
        }
        assert!(0 < taken, "{} takes none of these", primary.name);
        let difference = || first_difference(&primary, &replica);
        until(
            "both are equal",
            || difference().is_none(),
            || match difference() {
                Some(difference) => format!("{} -> {}:\n{difference}", primary.name, replica.name),
                None => String::new(),
            },
        );
    });
    tally.tell();
}

/// Keys that a SORT reads are in other logs than what it stores: a replica that sorted by its own
/// would take values from before or behind.
#[test]
fn what_a_command_has_read_of_other_shards_is_the_same_at_the_replica() {
    const SORTS: usize = 200;
    for kinds in [[Kind::Native(3), Kind::Native(2)], [Kind::Keylane(3), Kind::Keylane(3)]] {
        let [primary, replica] = kinds.map(|kind| kind.start(&[]).expect("it is Keylane"));
        follow(&replica, &primary.addr);
        wait_until_online(&primary, &replica);
        let elements = ["a", "b", "c", "d", "e"];
        let mut client = primary.client();
        client.call(&[&["RPUSH", "list"][..], &elements].concat()).expect("it is answered");
        // A table, in which an offset below zero counts from the end.
        let small = ["CONFIG", "SET", "zset-max-listpack-entries", "2"];
        client.call(&small).expect("it is answered");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = primary.client();
                while !is_over.load(Ordering::Relaxed) {
                    for element in elements {
                        let name = format!("weight:{element}");
                        for _ in 0..20 {
                            client.send(&["INCR", &name]).expect("it is sent");
                            client.send(&["ZINCRBY", "set", "1", element]).expect("it is sent");
                        }
                    }
                    let replies = (0..40 * elements.len()).map(|_| client.receive());
                    assert!(replies.collect::<Result<Vec<_>, _>>().is_ok());
                }
            });
            // The writer ends, too, if this fails.
            let _ends = Ends(&is_over);
            for number in 0..SORTS {
                let to = format!("sorted:{number}");
                let words = ["SORT", "list", "BY", "weight:*", "GET", "weight:*", "STORE", &to];
                client.call(&words).expect("it is answered");
                let to = format!("range:{number}");
                let range = ["-inf", "+inf", "BYSCORE", "LIMIT", "-3", "2"];
                let words = [&["ZRANGESTORE", &to, "set"][..], &range].concat();
                client.call(&words).expect("it is answered");
            }
        });
        wait_until_offsets_meet(&primary, &replica);
        assert_eq!(first_difference(&primary, &replica), None, "{kinds:?}");
    }
}

fn play_all(name: &'static str, mut rows: Vec<Vec<Kind>>) {
    let mut tally = Tally::new(name);
    rows.retain(|kinds| tally.takes(kinds));
    side_by_side(rows, |kinds| play(&kinds));
    tally.tell();
}

/// Lets each server follow the one before it while the first is written, and compares all with it.
fn play(kinds: &[Kind]) {
    let servers: Vec<Server> = kinds.iter().filter_map(|kind| kind.start(&[])).collect();
    let all: Vec<&Server> = servers.iter().collect();
    let seed = setting("SEED").unwrap_or(SEED);
    let mut load = Load::for_servers(seed, kinds, &all);
    let primary = &servers[0];
    let third = setting("COMMANDS").unwrap_or(COMMANDS) / 3;
    let [before, beside, behind] = [(); 3].map(|()| load.begin(third));
    load.send(before, primary);
    thread::scope(|scope| {
        scope.spawn(|| load.send(beside, primary));
        for two in servers.windows(2) {
            follow(&two[1], &two[0].addr);
            wait_until_online(&two[0], &two[1]);
        }
    });
    load.send(behind, primary);
    for replica in &servers[1..] {
        assert_equal(primary, replica, &load);
    }
    assert_one_stream(&servers);
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
