//! `repl-diskless-load`: what a replica shows while all keys of its primary are on their way, and
//! what it does when there is no memory for them.

use std::time::Duration;

use crate::client::{Reply, push_request};
use crate::compare::first_difference;
use crate::processes::Server;
use crate::proxy::{Proxy, Weather};
use crate::servers::Kind::{self, Keylane, Native, Valkey91};
use crate::servers::{
    counter, describe, follow, info, now, until, wait_until_offsets_meet, wait_until_online,
};
use crate::{SEED, Tally, side_by_side};

/// Keys of a primary, and bytes of each.
const KEYS: usize = 3_000;
const VALUE_BYTES: usize = 1_000;
/// What comes through while a replica is looked at: a few bytes less, and either side gives up.
const SLOWLY: Weather = Weather::Throttle(60_000);

/// Some times as long as a primary waits for connections for chunks.
const LONG: Duration = Duration::from_secs(3);

/// Primaries that send logs and chunks, that send a stream, and that say neither.
const PRIMARIES: &[Kind] = &[Native(2), Keylane(1), Valkey91];
/// Settings, and whether the replica shows its old keys meanwhile.
const SETTINGS: &[(&str, bool)] =
    &[("swapdb", true), ("disabled", false), ("on-empty-db", false), ("flush-before-load", false)];

fn primary(kind: Kind) -> Server {
    let options = ["--rdbcompression", "no", "--repl-timeout", "600"];
    // A session whose connections for chunks do not come soon ends; the child waits for long.
    let own = ["--repl-step-timeout", "1", "--repl-progress-timeout", "60"];
    let own = if kind.is_keylane() { &own[..] } else { &[] };
    let server = kind.start(&[&options[..], own].concat()).expect("the tally found it");
    let mut requests = Vec::new();
    let value = vec![b'v'; VALUE_BYTES];
    for key in 0..KEYS {
        push_request(&mut requests, &[b"SET", format!("new:{key}").as_bytes(), &value]);
    }
    let mut client = server.client();
    client.send_raw(&requests).expect("it is taken");
    for _ in 0..KEYS {
        assert!(matches!(client.receive(), Ok(Reply::Simple(_))));
    }
    server
}

/// A replica for a primary of this kind, with a key of its own.
fn replica(primary: Kind, setting: &str) -> Server {
    let kind = if let Native(_) = primary { Native(3) } else { Keylane(3) };
    let server = kind.start(&["--repl-timeout", "600"]).expect("it is built");
    let mut client = server.client();
    // At runtime, too.
    let reply = client.call(&["CONFIG", "SET", "repl-diskless-load", setting]);
    assert_eq!(reply.ok(), Some(Reply::Simple(b"OK".to_vec())));
    assert_eq!(client.call(&["SET", "old", "1"]).ok(), Some(Reply::Simple(b"OK".to_vec())));
    server
}

/// What a client is told of a key.
fn get(server: &Server, key: &str) -> String {
    server.client().call(&["GET", key]).expect("it answers").head()
}

fn value(server: &Server) -> String {
    get(server, "old")
}

/// Waits until some of the keys have come.
fn wait_until_they_come(replica: &Server) {
    let come = || {
        let fields = info(replica, "replication");
        let bytes = fields.get("master_sync_read_bytes").and_then(|bytes| bytes.parse().ok());
        100_000 < bytes.unwrap_or(0)
    };
    until("keys come", come, || describe([replica]));
}

fn kinds(name: &'static str) -> Vec<Kind> {
    let mut tally = Tally::new(name);
    let kinds = PRIMARIES.iter().copied().filter(|kind| tally.takes(&[*kind])).collect();
    tally.tell();
    kinds
}

#[test]
fn each_setting_shows_old_keys_or_none() {
    let kinds = kinds("room");
    let rows = kinds.iter().flat_map(|kind| SETTINGS.iter().map(move |row| (*kind, *row)));
    side_by_side(rows.collect(), |(kind, (setting, shows_old))| {
        let what = format!("{} {setting}", kind.name());
        let (primary, replica) = (primary(kind), replica(kind, setting));
        let old = value(&replica);
        let proxy = Proxy::start(&primary.addr, SEED).expect("it listens");
        proxy.set(SLOWLY);
        follow(&replica, &proxy.address);
        wait_until_they_come(&replica);
        let shown = value(&replica);
        if shows_old {
            assert_eq!(shown, old, "{what}");
        } else {
            assert!(shown.contains("LOADING"), "{what}: {shown}");
        }
        assert!(!value_is_there(&replica, "new:1"), "{what}: a part of the keys is shown");
        proxy.set(Weather::Clear);
        wait_until_online(&primary, &replica);
        wait_until_offsets_meet(&primary, &replica);
        assert_eq!(first_difference(&primary, &replica), None, "{what}");
        assert!(!value_is_there(&replica, "old"), "{what}");
    });
}

fn value_is_there(server: &Server, key: &str) -> bool {
    matches!(server.client().call(&["GET", key]), Ok(Reply::Bulk(_)))
}

#[test]
fn a_replica_that_gave_up_its_keys_shows_none_until_it_has_others() {
    side_by_side(kinds("room, broken off"), |kind| {
        let (primary, replica) = (primary(kind), replica(kind, "flush-before-load"));
        let proxy = Proxy::start(&primary.addr, SEED).expect("it listens");
        proxy.set(SLOWLY);
        follow(&replica, &proxy.address);
        wait_until_they_come(&replica);
        proxy.set(Weather::Cuts(1));
        let is_waiting = || {
            let fields = info(&replica, "replication");
            fields.get("master_sync_in_progress").is_some_and(|value| value == "0")
        };
        until("the transfer has broken off", is_waiting, || describe([&replica]));
        assert!(value(&replica).contains("LOADING"), "{}: {}", kind.name(), value(&replica));
        let reply = replica.client().call(&["REPLICAOF", "NO", "ONE"]);
        assert_eq!(reply.ok(), Some(Reply::Simple(b"OK".to_vec())));
        let reply = replica.client().call(&["DBSIZE"]);
        assert_eq!(reply.ok(), Some(Reply::Integer(0)), "{}", kind.name());
        let reply = replica.client().call(&["SET", "old", "2"]);
        assert_eq!(reply.ok(), Some(Reply::Simple(b"OK".to_vec())));
    });
}

#[test]
fn too_little_memory_is_said_with_figures_and_costs_no_key() {
    let rows = kinds("room, refused").into_iter();
    let rows = rows.flat_map(|kind| ["swapdb", "flush-before-load"].map(|word| (kind, word)));
    side_by_side(rows.collect(), |(kind, setting)| {
        let what = format!("{} {setting}", kind.name());
        let (primary, replica) = (primary(kind), replica(kind, setting));
        let old = value(&replica);
        let limit = |limit: &str| {
            let reply = replica.client().call(&["CONFIG", "SET", "maxmemory", limit]);
            assert_eq!(reply.ok(), Some(Reply::Simple(b"OK".to_vec())));
        };
        limit("2mb");
        follow(&replica, &primary.addr);
        let line = "Too little memory for the keys of PRIMARY: the primary uses ";
        let is_tried_again =
            || 2 <= replica.output().lines().filter(|logged| logged.contains(line)).count();
        until("it is refused twice", is_tried_again, || describe([&replica]));
        let is_shown = || {
            let fields = info(&replica, "replication");
            fields.get("master_link_last_error").is_some_and(|error| {
                error.starts_with(line) && error.contains("maxmemory is 2097152")
            })
        };
        until("INFO says it", is_shown, || describe([&replica]));
        assert_eq!(value(&replica), old, "{what}");
        limit("0");
        wait_until_online(&primary, &replica);
        wait_until_offsets_meet(&primary, &replica);
        assert_eq!(first_difference(&primary, &replica), None, "{what}");
    });
}

#[test]
fn old_keys_are_shown_until_they_go_however_long_that_takes() {
    side_by_side(kinds("room, later"), |kind| {
        let (primary, replica) = (primary(kind), replica(kind, "flush-before-load"));
        let (old, what) = (value(&replica), kind.name());
        let mut client = replica.client();
        let mut says = |words: &[&str], expected: &str| {
            let said = client.call(words).expect("it answers").head();
            assert!(said.contains(expected), "{what}: {words:?}: {said}");
        };
        // A child is at work, and something waits for its end: the keys cannot go before that.
        says(&["CONFIG", "SET", "rdb-key-save-delay", "100000000"], "OK");
        says(&["BGSAVE"], "started");
        says(&["CONFIG", "SET", "rdb-key-save-delay", "0"], "OK");
        let mut waits = replica.client();
        waits.send(&["DEBUG", "RELOAD"]).expect("it is taken");
        follow(&replica, &primary.addr);
        let line = "PRIMARY <-> REPLICA sync: Flushing old data";
        let is_to_go = || replica.output().contains(line);
        until("the keys are to go", is_to_go, || describe([&replica]));
        // For longer than the primary waits for connections.
        let began = now();
        while began.elapsed() < LONG {
            assert_eq!(value(&replica), old, "{what}");
        }
        says(&["BGSAVE", "CANCEL"], "");
        assert!(waits.receive().is_ok(), "{what}");
        wait_until_online(&primary, &replica);
        wait_until_offsets_meet(&primary, &replica);
        assert_eq!(first_difference(&primary, &replica), None, "{what}");
        assert!(!value_is_there(&replica, "old"), "{what}");
        assert_eq!(counter(&primary, "stats", "sync_full"), 1, "{what}");
        let attempts = replica.output().lines().filter(|logged| logged.contains(line)).count();
        assert_eq!(attempts, 1, "{what}: the primary has waited\n{}", describe([&primary]));
    });
}
