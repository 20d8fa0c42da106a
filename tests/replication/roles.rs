//! What changes with the role of a node: which commands make sense, where its stream goes on, and
//! what it keeps for others.

use crate::client::{Client, Reply};
use crate::failover::hand_over;
use crate::processes::Server;
use crate::servers::Kind::{self, Keylane, Valkey91};
use crate::servers::{counter, follow, info, until, wait_until_offsets_meet, wait_until_online};
use crate::{Tally, say};

/// Servers of which the second is promoted. The first row shows what Valkey does.
const ROWS: &[[Kind; 2]] = &[
    [Valkey91, Valkey91],
    [Valkey91, Keylane(1)],
    [Valkey91, Keylane(3)],
    [Keylane(2), Valkey91],
    [Keylane(2), Keylane(3)],
];

#[test]
fn a_replica_does_not_wait_for_others_and_goes_on_where_its_primary_was() {
    let mut tally = Tally::new("roles");
    for kinds in ROWS {
        if tally.takes(kinds) {
            promote(kinds);
        }
    }
    tally.tell();
}

fn promote(kinds: &[Kind; 2]) {
    let [primary, replica] = kinds.map(|kind| kind.start(&[]).expect("the tally found it"));
    assert_eq!(set(&mut primary.client(), "a"), "OK");
    follow(&replica, &primary.addr);
    wait_until_online(&primary, &replica);
    assert_eq!(set(&mut primary.client(), "a"), "OK");
    wait_until_offsets_meet(&primary, &replica);

    let mut client = replica.client();
    for words in [&["WAIT", "0", "0"][..], &["WAIT", "x", "1"], &["WAITAOF", "0", "0", "0"]] {
        let refused = format!("ERR {} cannot be used with replica instances.", words[0]);
        let answer = text(client.call(words));
        assert!(answer.starts_with(&refused), "{}: {words:?}: {answer}", replica.name);
    }
    assert_eq!(
        text(client.call(&["WAITAOF", "2", "0", "0"])),
        "ERR value is out of range, value must between 0 and 1"
    );

    let before = counter(&replica, "replication", "master_repl_offset");
    assert_eq!(text(client.call(&["REPLICAOF", "NO", "ONE"])), "OK");
    let after = counter(&replica, "replication", "master_repl_offset");
    assert!(before <= after, "{}: the offset was {before} and is {after}", replica.name);
    assert!(matches!(client.call(&["WAIT", "0", "0"]), Ok(Reply::Integer(0))));
    follow(&primary, &replica.addr);
    wait_until_online(&replica, &primary);
    assert_eq!(set(&mut client, "b"), "OK");
    assert!(matches!(client.call(&["WAIT", "1", "0"]), Ok(Reply::Integer(1))));
    wait_until_offsets_meet(&replica, &primary);
    assert!(after < counter(&replica, "replication", "master_repl_offset"));
    say(&format!("roles: {} was promoted at {after}", replica.name));
}

#[test]
fn the_connection_to_a_primary_is_a_client_of_its_replica() {
    let mut tally = Tally::new("connections to primaries");
    for kinds in [[Valkey91, Valkey91], [Valkey91, Keylane(2)]] {
        if tally.takes(&kinds) {
            kill_link(kinds);
        }
    }
    tally.tell();
}

fn kill_link(kinds: [Kind; 2]) {
    let [primary, replica] = kinds.map(|kind| kind.start(&[]).expect("the tally found it"));
    follow(&replica, &primary.addr);
    wait_until_online(&primary, &replica);
    let mut client = replica.client();
    let mut list = |kind: &str| match client.call(&["CLIENT", "LIST", "TYPE", kind]) {
        Ok(Reply::Bulk(lines)) => String::from_utf8_lossy(&lines).into_owned(),
        other => panic!("{}: {other:?}", replica.name),
    };
    let line = list("master");
    assert_eq!(line.lines().count(), 1, "{line}");
    for word in
        [format!(" addr={} ", primary.addr), " flags=M ".into(), " user=(superuser) ".into()]
    {
        assert!(line.contains(&word), "{}: {word} is missing: {line}", replica.name);
    }
    assert!(!list("normal").contains("flags=M"), "{}", replica.name);
    assert_eq!(list("replica"), "", "{}", replica.name);
    let killed = client.call(&["CLIENT", "KILL", "TYPE", "master"]);
    assert!(matches!(killed, Ok(Reply::Integer(1))), "{}: {killed:?}", replica.name);
    let is_back = || counter(&primary, "stats", "sync_partial_ok") == 1;
    until("the replica is back", is_back, || describe(&replica, 0));
    wait_until_online(&primary, &replica);
    assert_eq!(counter(&primary, "stats", "sync_full"), 1);
}

/// Bytes of values that are written after the handover, and of their memory that may be kept.
const WRITTEN: usize = 16 << 20;
const KEPT_MAX: u64 = 1 << 20;

#[test]
fn a_primary_that_handed_over_keeps_no_logs() {
    let mut tally = Tally::new("logs after a handover");
    for kinds in [[Keylane(2), Valkey91], [Keylane(3), Keylane(1)]] {
        if tally.takes(&kinds) {
            keep_no_logs(kinds);
        }
    }
    tally.tell();
}

fn keep_no_logs(kinds: [Kind; 2]) {
    let servers = kinds.map(|kind| kind.start(&[]).expect("the tally found it"));
    follow(&servers[1], &servers[0].addr);
    wait_until_online(&servers[0], &servers[1]);
    hand_over(&servers, 0);
    let value = "v".repeat(64 << 10);
    let mut client = servers[1].client();
    for number in 0..WRITTEN / value.len() {
        let reply = client.call(&["SET", &format!("k{number}"), &value]);
        assert_eq!(text(reply), "OK");
    }
    wait_until_offsets_meet(&servers[1], &servers[0]);
    // The backlog of the stream is for replicas of its own.
    let kept = || {
        let fields = info(&servers[0], "shards");
        let words = fields.values().flat_map(|figures| figures.split(','));
        let bytes = words.filter_map(|word| word.strip_prefix("log_memory_bytes="));
        bytes.map(|bytes| bytes.parse::<u64>().expect("a number")).sum::<u64>()
    };
    until("no logs are kept", || kept() <= KEPT_MAX, || describe(&servers[0], kept()));
    say(&format!("roles: {} keeps {} bytes in logs", servers[0].name, kept()));
}

fn describe(server: &Server, kept: u64) -> String {
    format!("{} keeps {kept} bytes\n{}", server.name, server.output())
}

fn set(client: &mut Client, key: &str) -> String {
    text(client.call(&["SET", key, "1"]))
}

/// A line that was answered.
pub fn text(reply: std::io::Result<Reply>) -> String {
    match reply {
        Ok(Reply::Simple(text) | Reply::Error(text)) => String::from_utf8_lossy(&text).into_owned(),
        other => format!("{other:?}"),
    }
}
