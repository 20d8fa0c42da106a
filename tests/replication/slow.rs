//! Transfers over connections that are slow, and get on: they are given the time that they take,
//! also if the keys are few and large, and if another replica of the same transfer does not get on.
//! What is written meanwhile waits at a native replica, and not at its primary.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use shards::base::random::Random;

use crate::client::{Client, Reply};
use crate::compare::digest;
use crate::processes::Server;
use crate::proxy::{Proxy, Weather};
use crate::roles::text;
use crate::servers::Kind::{self, Keylane, Native, Valkey91};
use crate::servers::{
    Ends, counter, describe, follow, info, now, until, wait_until_offsets_meet, wait_until_online,
};
use crate::{SEED, Tally, say, side_by_side};

/// What is to be sent, and how much of it passes in a second.
const VALUES: usize = 20;
const VALUE_BYTES: usize = 500_000;
const SECOND_BYTES: u64 = 1_600_000;
/// `repl-progress-timeout`: less than a transfer takes.
const PROGRESS_S: u64 = 1;
/// What is written while a transfer is slow: a value now and then, less than passes by all logs.
const WRITTEN_BYTES: usize = 40_000;
const PAUSE: Duration = Duration::from_millis(20);
/// Numbers of shards, values that make a transfer last, and commands between two looks at it.
const SHAPES: [usize; 4] = [1, 2, 3, 5];
const FEW_VALUES: usize = 6;
const STRIDE: u64 = 100;
/// What a primary may keep of each log for one replica: less than comes.
const KEPT_BYTES: u64 = 2 << 20;

#[test]
fn few_large_values_over_a_slow_connection_are_progress() {
    let mut tally = Tally::new("slow transfers");
    let mut rows = vec![[Keylane(2), Valkey91], [Keylane(1), Keylane(2)]];
    rows.retain(|kinds| tally.takes(kinds));
    side_by_side(rows, play);
    tally.tell();
}

fn play(kinds: [Kind; 2]) {
    let primary = start(kinds[0], &[]);
    let replica = match kinds[1] {
        Keylane(_) => start(kinds[1], &[]),
        other => other.start(&[]).expect("the tally found it"),
    };
    fill(&mut primary.client());
    let proxy = Proxy::start(&primary.addr, SEED).expect("there is a free port");
    proxy.set(Weather::Throttle(SECOND_BYTES));
    let began = now();
    follow(&replica, &proxy.address);
    wait_until_online(&primary, &replica);
    let took = began.elapsed();
    assert!(Duration::from_secs(2 * PROGRESS_S) < took, "{took:?} is not slow");
    assert_eq!(counter(&primary, "stats", "sync_full"), 1, "{}", primary.output());
    say(&format!("slow: {} -> {}: online after {took:?}", primary.name, replica.name));
}

#[test]
fn a_replica_that_is_stuck_takes_no_other_with_it() {
    let primary = start(Keylane(2), &["--repl-diskless-sync-delay", "1"]);
    let [stuck, other] = [(); 2].map(|()| Keylane(1).start(&[]).expect("it is built"));
    fill(&mut primary.client());
    let proxy = Proxy::start(&primary.addr, SEED).expect("there is a free port");
    proxy.set(Weather::Throttle(SECOND_BYTES));
    follow(&stuck, &proxy.address);
    follow(&other, &primary.addr);
    let both_are_sent_keys = || {
        let lines = info(&primary, "replication").into_values();
        lines.filter(|line| line.contains("state=send_bulk")).count() == 2
    };
    until("both share a transfer", both_are_sent_keys, || primary.output());
    proxy.set(Weather::Freeze);
    wait_until_online(&primary, &other);
    assert_eq!(counter(&primary, "stats", "sync_full"), 2, "{}", primary.output());
    let output = primary.output();
    assert!(output.contains("it took too little for too long"), "{output}");
}

fn start(kind: Kind, options: &[&str]) -> Server {
    let seconds = PROGRESS_S.to_string();
    let usual = ["--repl-progress-timeout", &seconds, "--rdbcompression", "no"];
    kind.start(&[&usual, options].concat()).expect("it is built")
}

/// Writes until told to end, and counts the bytes.
fn overwrite(primary: &Server, written: &AtomicU64, ends: &AtomicBool) {
    let (mut client, value) = (primary.client(), "w".repeat(WRITTEN_BYTES));
    for key in (0..200).cycle() {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        assert_eq!(text(client.call(&["SET", &format!("w{key}"), &value])), "OK");
        written.fetch_add(WRITTEN_BYTES as u64, Ordering::Relaxed);
        thread::park_timeout(PAUSE);
    }
}

/// A primary with keys that keeps little for a replica, and one that is to follow it slowly.
fn storing(shards: [usize; 2], options: &[&str]) -> (Server, Server, Proxy) {
    let limit = format!("replica {KEPT_BYTES} 0 0");
    let own = ["--client-output-buffer-limit", &limit, "--repl-backlog-size", "16kb"];
    let primary = start(Native(shards[0]), &own);
    let replica = start(Native(shards[1]), &[&own[2..], options].concat());
    let value = "v".repeat(VALUE_BYTES);
    let mut client = primary.client();
    for key in 0..2 * VALUES {
        assert_eq!(text(client.call(&["SET", &format!("k{key}"), &value])), "OK");
    }
    assert_eq!(text(replica.client().call(&["SET", "old", "value"])), "OK");
    let proxy = Proxy::start(&primary.addr, SEED).expect("there is a free port");
    proxy.set(Weather::Throttle(SECOND_BYTES));
    (primary, replica, proxy)
}

fn stored(replica: &Server) -> u64 {
    let bytes = info(replica, "replication").remove("master_link_stored_bytes");
    bytes.map_or(0, |bytes| bytes.parse().expect("it is a number"))
}

fn uncounted(server: &Server) -> u64 {
    counter(server, "memory", "mem_not_counted_for_evict")
}

#[test]
fn what_is_written_during_a_slow_sync_waits_at_a_native_replica() {
    side_by_side(vec![[2, 3], [3, 1]], |shards| {
        let (primary, replica, proxy) = storing(shards, &[]);
        let (ends, written) = (&AtomicBool::new(false), &AtomicU64::new(0));
        let (mut most_kept, mut most_stored, mut most_counted) = (0, 0, 0);
        thread::scope(|scope| {
            let writer = scope.spawn(|| overwrite(&primary, written, ends));
            let end = Ends(ends);
            follow(&replica, &proxy.address);
            let mut is_up = || {
                most_kept = uncounted(&primary).max(most_kept);
                let (now, counted) = (stored(&replica), uncounted(&replica));
                (most_stored, most_counted) = (now.max(most_stored), counted.max(most_counted));
                let status = info(&replica, "replication").remove("master_link_status");
                status.as_deref() == Some("up")
            };
            until("the link is up", &mut is_up, || describe([&primary, &replica]));
            drop(end);
            writer.join().expect("it writes");
        });
        let written = written.load(Ordering::Relaxed);
        wait_until_offsets_meet(&primary, &replica);
        assert_eq!(digest(&primary), digest(&replica));
        assert_eq!(counter(&primary, "stats", "sync_full"), 1, "{}", primary.output());
        let figures = format!(
            "{} -> {}: {written} bytes were written, the primary kept {most_kept} at most, the \
             replica stored {most_stored}, and counted {most_counted}",
            primary.name, replica.name
        );
        say(&format!("slow: {figures}"));
        let window = shards[0] as u64 * (1 << 20);
        assert!(most_kept < window + (2 << 20) && most_kept < written / 2, "{figures}");
        assert!(written / 2 < most_stored && most_stored <= most_counted, "{figures}");
        let is_empty = || stored(&replica) == 0 && uncounted(&replica) < 8 << 20;
        until("nothing is stored any more", is_empty, || describe([&replica]));
    });
}

#[test]
fn logs_are_stored_on_whatever_numbers_of_shards() {
    let shapes = SHAPES.iter().flat_map(|one| SHAPES.map(|other| vec![*one, other]));
    // The last two have a replica between them, which has the logs of the first.
    let chains = [vec![2, 3, 1], vec![3, 1, 5], vec![1, 2, 2]];
    side_by_side(shapes.chain(chains).collect(), |shards| {
        let servers: Vec<Server> = shards.iter().map(|one| start(Native(*one), &[])).collect();
        let [top, .., replica] = &servers[..] else { unreachable!("a row has two") };
        let primary = &servers[servers.len() - 2];
        let (mut client, mut random) = (top.client(), Random::new(SEED));
        let value = "v".repeat(VALUE_BYTES);
        for key in 0..FEW_VALUES {
            let set = ["SET", &format!("large:{key}"), &value];
            assert_eq!(text(client.call(&set)), "OK");
        }
        if primary.addr != top.addr {
            follow(primary, &top.addr);
            wait_until_online(top, primary);
        }
        let proxy = Proxy::start(&primary.addr, SEED).expect("there is a free port");
        proxy.set(Weather::Throttle(SECOND_BYTES));
        follow(replica, &proxy.address);
        let (mut most_stored, mut commands) = (0, 0);
        let mut is_up = || {
            (0..STRIDE).for_each(|_| write_one(&mut client, &mut random));
            commands += STRIDE;
            most_stored = stored(replica).max(most_stored);
            info(replica, "replication")["master_link_status"] == "up"
        };
        until("the link is up", &mut is_up, || describe(&servers));
        proxy.set(Weather::Clear);
        let is_equal = || digest(top) == digest(replica);
        until("they are equal", is_equal, || describe(&servers));
        assert_eq!(counter(primary, "stats", "sync_full"), 1, "{}", primary.output());
        assert!(0 < most_stored, "{}", describe(&servers));
        say(&format!("slow: {shards:?}: {commands} commands, {most_stored} bytes were stored"));
    });
}

/// A command of one key, of several, or a transaction of several.
fn write_one(client: &mut Client, random: &mut Random) {
    let mut key = || format!("key:{}", random.below(50));
    let [one, two, three, four] = [(); 4].map(|()| key());
    let commands: &[&[&str]] = match random.below(5) {
        0 => &[&["SET", &one, &two]],
        1 => &[&["MSET", &one, &two, &three, &four]],
        2 => &[&["MULTI"], &["SET", &one, &two], &["APPEND", &three, &four], &["EXEC"]],
        3 => &[&["DEL", &one, &two]],
        _ => &[&["RENAME", &one, &two]],
    };
    for args in commands {
        client.call(args).expect("it answers");
    }
}

#[test]
fn a_store_that_is_full_or_dropped_leaves_nothing_behind() {
    let (primary, replica, proxy) = storing([2, 3], &["--repl-sync-log-limit", "1mb"]);
    let (ends, written) = (&AtomicBool::new(false), &AtomicU64::new(0));
    thread::scope(|scope| {
        let writer = scope.spawn(|| overwrite(&primary, written, ends));
        let end = Ends(ends);
        follow(&replica, &proxy.address);
        let is_overrun = || primary.output().contains("does not reach back to it any more");
        until("the primary keeps no more", is_overrun, || describe([&primary, &replica]));
        assert!(replica.output().contains("repl-sync-log-limit"), "{}", replica.output());
        let is_dropped = || stored(&replica) == 0;
        until("the store is dropped", is_dropped, || describe([&replica]));
        let has_some = || {
            // It waits for its next attempt, unless it is asked to begin at once.
            let (host, port) = proxy.address.rsplit_once(':').expect("an address has a port");
            text(replica.client().call(&["REPLICAOF", host, port]));
            0 < stored(&replica)
        };
        until("some is stored again", has_some, || describe([&primary, &replica]));
        assert_eq!(text(replica.client().call(&["REPLICAOF", "NO", "ONE"])), "OK");
        assert_eq!(stored(&replica), 0);
        let old = replica.client().call(&["GET", "old"]);
        assert!(matches!(&old, Ok(Reply::Bulk(old)) if old == b"value"), "{old:?}");
        assert_eq!(text(replica.client().call(&["SET", "new", "value"])), "OK");
        let is_freed = || uncounted(&replica) < 4 << 20;
        until("memory is freed", is_freed, || describe([&replica]));
        drop(end);
        writer.join().expect("it writes");
    });
    let limit = ["CONFIG", "SET", "repl-sync-log-limit", "0"];
    assert_eq!(text(replica.client().call(&limit)), "OK");
    proxy.set(Weather::Clear);
    follow(&replica, &proxy.address);
    wait_until_online(&primary, &replica);
    wait_until_offsets_meet(&primary, &replica);
    assert_eq!(digest(&primary), digest(&replica));
}

fn fill(client: &mut Client) {
    let value = "v".repeat(VALUE_BYTES);
    for key in 0..VALUES {
        assert_eq!(text(client.call(&["SET", &format!("k{key}"), &value])), "OK");
    }
}
