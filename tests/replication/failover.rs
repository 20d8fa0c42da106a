//! FAILOVER: the primary hands over to its replica while clients write, there and back. Of what
//! they were answered for nothing is lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use crate::client::{Client, Reply};
use crate::processes::Server;
use crate::servers::Kind::{self, Keylane, Native, Valkey91};
use crate::servers::{
    counter, describe, follow, info, now, until, wait_until_offsets_meet, wait_until_online,
};
use crate::silence::signal;
use crate::{Tally, say, side_by_side};

/// Two servers that take turns. The first row shows that Valkey does so.
const ROWS: &[[Kind; 2]] = &[
    [Valkey91, Valkey91],
    [Keylane(1), Valkey91],
    [Keylane(3), Valkey91],
    [Keylane(2), Keylane(3)],
    [Keylane(1), Keylane(1)],
    [Native(2), Native(3)],
];
const WRITERS: usize = 4;
/// Handovers in each row.
const TURNS: usize = 4;
/// Writes that are answered before each of them, and after the last.
const WRITES: u64 = 2_000;

#[test]
fn nothing_is_lost_when_a_primary_hands_over() {
    let mut tally = Tally::new("failover");
    for kinds in ROWS {
        if tally.takes(kinds) {
            play(kinds);
        }
    }
    tally.tell();
}

fn play(kinds: &[Kind; 2]) {
    let servers = kinds.map(|kind| kind.start(&[]).expect("the tally found it"));
    follow(&servers[1], &servers[0].addr);
    wait_until_online(&servers[0], &servers[1]);

    let (written, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    let counts = thread::scope(|scope| {
        let writer = |number| {
            let (servers, written, ends) = (&servers, &written, &ends);
            scope.spawn(move || write(number, servers, written, ends))
        };
        let writers: Vec<_> = (0..WRITERS).map(writer).collect();
        let await_writes = |servers: &[Server; 2]| {
            let goal = written.load(Ordering::Relaxed) + WRITES;
            let is_met = || goal <= written.load(Ordering::Relaxed);
            until("clients write", is_met, || describe(servers));
        };
        for turn in 0..TURNS {
            await_writes(&servers);
            hand_over(&servers, turn % 2);
        }
        await_writes(&servers);
        ends.store(true, Ordering::Relaxed);
        let count = |writer: thread::ScopedJoinHandle<'_, u64>| writer.join().expect("it counts");
        writers.into_iter().map(count).collect::<Vec<u64>>()
    });

    wait_until_offsets_meet(&servers[TURNS % 2], &servers[1 - TURNS % 2]);
    for server in &servers {
        let mut client = server.client();
        for (number, count) in counts.iter().enumerate() {
            let length = client.call(&["LLEN", &list(number)]).expect("it answers");
            // The answer to the last write may have been lost, never the write of an answer.
            let Reply::Integer(length) = length else { panic!("{}: {length:?}", server.name) };
            let has = u64::try_from(length).expect("a length");
            assert!(*count <= has, "{}: {has} of {count} writes", server.name);
        }
    }
    let names = kinds.map(Kind::name).join(" and ");
    let all: u64 = counts.iter().sum();
    let syncs = servers
        .each_ref()
        .map(|server| ["sync_full", "sync_partial_ok"].map(|name| counter(server, "stats", name)));
    let full: u64 = syncs.iter().map(|[full, _]| full).sum();
    assert_eq!(full, 1, "{names}: {syncs:?}\n{}", describe(&servers));
    say(&format!(
        "failover: {names}: {TURNS} handovers, {all} writes were answered and none is lost; full \
         and partial syncs: {syncs:?}"
    ));
}

/// Lets the primary hand over to its replica, and waits until that is done.
pub fn hand_over(servers: &[Server; 2], primary: usize) {
    let (before, after) = (&servers[primary], &servers[1 - primary]);
    wait_until_online(before, after);
    let (host, port) = after.addr.rsplit_once(':').expect("an address has a port");
    let reply = before.client().call(&["FAILOVER", "TO", host, port, "TIMEOUT", "30000"]);
    assert!(matches!(&reply, Ok(Reply::Simple(text)) if text == b"OK"), "{reply:?}");
    let field = |server: &Server, name: &str| info(server, "replication").remove(name);
    let is_done = || {
        field(after, "role").is_some_and(|role| role == "master")
            && field(before, "role").is_some_and(|role| role == "slave")
            && field(before, "master_failover_state").is_some_and(|state| state == "no-failover")
    };
    until("the replica takes over", is_done, || describe(servers));
    wait_until_online(after, before);
}

/// Writes to the primary, whichever it is, and counts what was answered.
fn write(number: usize, servers: &[Server; 2], written: &AtomicU64, ends: &AtomicBool) -> u64 {
    let list = list(number);
    let (mut at, mut count) = (0, 0_u64);
    let mut clients = servers.each_ref().map(Server::client);
    while !ends.load(Ordering::Relaxed) {
        let value = count.to_string();
        match clients[at].call(&["RPUSH", &list, &value]) {
            Ok(Reply::Integer(_)) => {
                count += 1;
                written.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Reply::Error(error)) if error.starts_with(b"READONLY") => at = 1 - at,
            Ok(Reply::Error(error)) if error.starts_with(b"UNBLOCKED") => {}
            Ok(other) => panic!("{}: {other:?}", servers[at].name),
            Err(_) => clients[at] = Client::connect(&servers[at].addr).expect("it listens"),
        }
    }
    count
}

fn list(number: usize) -> String {
    format!("list:{number}")
}

#[test]
fn a_primary_that_was_not_taken_over_goes_on_as_before() {
    let mut tally = Tally::new("failover that is not accepted");
    for kinds in [[Valkey91, Valkey91], [Keylane(2), Valkey91], [Keylane(2), Keylane(1)]] {
        if tally.takes(&kinds) {
            restore(kinds);
        }
    }
    tally.tell();
}

/// The target is busy, so it is not even asked when ABORT comes: with all of its shards.
fn restore(kinds: [Kind; 2]) {
    let [primary, replica] = kinds.map(|kind| kind.start(&[]).expect("the tally found it"));
    follow(&replica, &primary.addr);
    wait_until_online(&primary, &replica);
    let field = |name: &str| info(&primary, "replication").remove(name).expect("it is there");
    let replid = field("master_replid");
    let syncs = counter(&primary, "stats", "sync_full");
    let (host, port) = replica.addr.rsplit_once(':').expect("an address has a port");
    let mut busy = replica.client();
    busy.send(&["DEBUG", "SLEEP", "3"]).expect("it is taken");
    let mut client = primary.client();
    let mut says = |words: &[&str], expected: &str| {
        let reply = client.call(words);
        let Ok(Reply::Simple(text) | Reply::Error(text)) = &reply else { panic!("{reply:?}") };
        assert!(text.starts_with(expected.as_bytes()), "{words:?}: {reply:?}");
    };
    says(&["SET", "a", "1"], "OK");
    says(&["FAILOVER", "TO", host, port, "FORCE", "TIMEOUT", "100"], "OK");
    let hands_over = || field("master_failover_state") == "failover-in-progress";
    until("the primary hands over", hands_over, || primary.output());
    assert_eq!(field("role"), "slave");
    says(&["SET", "a", "2"], "READONLY");
    says(&["FAILOVER", "ABORT"], "OK");
    assert_eq!(field("role"), "master");
    assert_eq!(field("master_failover_state"), "no-failover");
    says(&["SET", "a", "3"], "OK");
    assert!(busy.receive().is_ok());
    wait_until_offsets_meet(&primary, &replica);
    let value = replica.client().call(&["GET", "a"]);
    assert!(matches!(&value, Ok(Reply::Bulk(text)) if text == b"3"), "{value:?}");
    assert_eq!(counter(&primary, "stats", "sync_full"), syncs, "the replica had all");
    if let Keylane(_) = kinds[0] {
        assert_eq!(field("master_replid"), replid, "nothing was written meanwhile");
    }
    say(&format!("failover: {} is a primary again", kinds[0].name()));
}

#[test]
fn a_handover_that_cannot_be_is_called_off() {
    let mut tally = Tally::new("failover that cannot be");
    for kind in [Valkey91, Keylane(2)] {
        if tally.takes(&[kind, Valkey91]) {
            call_off(kind);
        }
    }
    tally.tell();
}

fn call_off(kind: Kind) {
    let primary = kind.start(&[]).expect("the tally found it");
    let replica = Valkey91.start(&[]).expect("the tally found it");
    let mut client = primary.client();
    let mut says = |words: &[&str], expected: &str| {
        let text = match client.call(words) {
            Ok(Reply::Simple(text) | Reply::Error(text)) => text,
            other => panic!("{words:?}: {other:?}"),
        };
        assert_eq!(String::from_utf8_lossy(&text), expected, "{words:?}");
    };
    says(&["FAILOVER"], "ERR FAILOVER requires connected replicas.");
    says(&["FAILOVER", "ABORT"], "ERR No failover in progress.");
    follow(&replica, &primary.addr);
    wait_until_online(&primary, &replica);
    let (host, port) = replica.addr.rsplit_once(':').expect("an address has a port");
    says(&["FAILOVER", "TO", host, "1"], "ERR FAILOVER target HOST and PORT is not a replica.");

    // The replica does nothing meanwhile, so it acknowledges nothing.
    let mut busy = replica.client();
    busy.send(&["DEBUG", "SLEEP", "2"]).expect("it is taken");
    says(&["SET", "a", "1"], "OK");
    says(&["FAILOVER", "TO", host, port, "TIMEOUT", "60000"], "OK");
    says(&["FAILOVER"], "ERR FAILOVER already in progress.");
    says(&["REPLICAOF", host, port], "ERR REPLICAOF not allowed while failing over.");
    assert_eq!(info(&primary, "replication")["master_failover_state"], "waiting-for-sync");
    says(&["FAILOVER", "ABORT"], "OK");
    says(&["SET", "a", "2"], "OK");
    assert_eq!(info(&primary, "replication")["master_failover_state"], "no-failover");
    assert!(busy.receive().is_ok());

    busy.send(&["DEBUG", "SLEEP", "2"]).expect("it is taken");
    says(&["SET", "a", "3"], "OK");
    says(&["FAILOVER", "TO", host, port, "TIMEOUT", "300"], "OK");
    // It is held back until time is up.
    says(&["SET", "a", "4"], "OK");
    assert_eq!(info(&primary, "replication")["role"], "master");
    assert!(busy.receive().is_ok());
    wait_until_offsets_meet(&primary, &replica);
    let value = replica.client().call(&["GET", "a"]);
    assert!(matches!(&value, Ok(Reply::Bulk(text)) if text == b"4"), "{value:?}");
    say(&format!("failover: {} calls it off", kind.name()));
}

/// How a failover ends for which a write waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The target takes over.
    Accepted,
    /// The target refuses: its history has another name.
    Refused,
    /// It is called off when this node is a replica already.
    Aborted,
}

#[test]
fn writes_that_wait_for_a_failover_run_where_the_primary_is() {
    let mut tally = Tally::new("writes that wait for a failover");
    let mut rows = Vec::new();
    for kinds in [[Valkey91, Valkey91], [Keylane(2), Valkey91]] {
        rows.extend([Ending::Accepted, Ending::Refused, Ending::Aborted].map(|how| (kinds, how)));
    }
    for kinds in [[Keylane(3), Keylane(2)], [Native(2), Native(3)]] {
        rows.extend([Ending::Accepted, Ending::Aborted].map(|how| (kinds, how)));
    }
    rows.retain(|(kinds, _)| tally.takes(kinds));
    tally.tell();
    side_by_side(rows, |(kinds, how)| wait_for_failover(kinds, how));
}

fn wait_for_failover(kinds: [Kind; 2], how: Ending) {
    let [primary, replica] = kinds.map(|kind| kind.start(&[]).expect("the tally found it"));
    follow(&replica, &primary.addr);
    wait_until_online(&primary, &replica);
    let field = |server: &Server, name: &str| info(server, "replication").remove(name);
    let ok = |server: &Server, words: &[&str]| {
        let reply = server.client().call(words);
        assert!(matches!(&reply, Ok(Reply::Simple(text)) if text == b"OK"), "{words:?}: {reply:?}");
    };
    ok(&primary, &["SET", "a", "1"]);
    wait_until_offsets_meet(&primary, &replica);
    if how == Ending::Refused {
        ok(&replica, &["DEBUG", "CHANGE-REPL-ID"]);
    }
    // The replica acknowledges nothing meanwhile, so that writes have to wait.
    let mut writer = primary.client();
    signal(&replica, Signal::SIGSTOP);
    ok(&primary, &["SET", "a", "2"]);
    let (host, port) = replica.addr.rsplit_once(':').expect("an address has a port");
    let to = ["FAILOVER", "TO", host, port];
    match how {
        Ending::Aborted => ok(&primary, &[&to[..], &["FORCE", "TIMEOUT", "1500"]].concat()),
        _ => ok(&primary, &[&to[..], &["TIMEOUT", "30000"]].concat()),
    }
    let state = || field(&primary, "master_failover_state");
    assert_eq!(state().as_deref(), Some("waiting-for-sync"), "{how:?}");
    writer.send(&["SET", "a", "3"]).expect("it is taken");
    let waits = || info(&primary, "clients")["blocked_clients"] == "1";
    until("the write waits", waits, || describe([&primary]));
    if how == Ending::Aborted {
        let hands_over = || state().is_some_and(|state| state == "failover-in-progress");
        until("the primary hands over", hands_over, || describe([&primary]));
        ok(&primary, &["FAILOVER", "ABORT"]);
    }
    signal(&replica, Signal::SIGCONT);
    let reply = writer.receive().expect("it is answered").head();
    let what = format!("{} {} {how:?}: {reply}", kinds[0].name(), kinds[1].name());
    let is_over = || state().is_some_and(|state| state == "no-failover");
    until("the failover is over", is_over, || describe([&primary, &replica]));
    let role = field(&primary, "role").expect("it has one");
    let expected = if how == Ending::Accepted { ("READONLY", "slave") } else { ("OK", "master") };
    assert!(reply.contains(expected.0), "{what}");
    assert_eq!(role, expected.1, "{what}");
    if how == Ending::Accepted {
        wait_until_online(&replica, &primary);
    } else {
        ok(&primary, &["SET", "b", "1"]);
        wait_until_offsets_meet(&primary, &replica);
        let value = replica.client().call(&["GET", "a"]);
        assert!(matches!(&value, Ok(Reply::Bulk(text)) if text == b"3"), "{what}: {value:?}");
    }
}

/// How long a primary that ends may take, in milliseconds, while the best replica is stuck: much
/// less than what any timeout allows.
const END_MILLIS: u128 = 3_000;

#[test]
fn a_primary_that_ends_hands_over_to_the_replica_of_the_lowest_priority() {
    // The first may never take over. The best one comes last; in the second round it is stuck, and
    // in the third it says that it listens at a port at which no server does.
    for round in 0..3 {
        let (is_stuck, is_unreachable) = (round == 1, round == 2);
        let primary = Native(2).start(&["--shutdown-on-sigterm", "failover nosave"]);
        let mut primary = primary.expect("it is there");
        let replicas = ["0", "100", "10"].map(|priority| {
            let elsewhere = ["--replica-announce-port", "1"];
            let is_elsewhere = is_unreachable && priority == "10";
            let more = if is_elsewhere { &elsewhere[..] } else { &[] };
            let options = [&["--replica-priority", priority], more].concat();
            Native(2).start(&options).expect("it is there")
        });
        for replica in &replicas {
            follow(replica, &primary.addr);
        }
        let online = || info(&primary, "replication")["connected_slaves"] == "3";
        until("all follow", online, || describe(&replicas));
        let mut client = primary.client();
        assert!(matches!(client.call(&["SET", "key", "value"]), Ok(Reply::Simple(_))));
        // All have said their priority, which an acknowledgement does.
        let told = client.call(&["WAIT", "3", "0"]);
        assert!(matches!(told, Ok(Reply::Integer(3))), "{told:?}");
        if is_stuck {
            signal(&replicas[2], Signal::SIGSTOP);
        }
        let began = now();
        signal(&primary, Signal::SIGTERM);
        until("the primary ends", || primary.has_ended(), || describe(&replicas));
        let took = began.elapsed();
        signal(&replicas[2], Signal::SIGCONT);
        let heir = &replicas[if round == 0 { 2 } else { 1 }];
        let output = primary.output();
        let asked = format!("Perform auto failover to replica {} on shutdown.", heir.addr);
        assert!(output.contains(&asked), "{asked}: {output}");
        assert!(output.contains("A replica has taken over after "), "{output}");
        assert!(took.as_millis() < END_MILLIS, "{took:?}: {output}");
        assert_eq!(info(heir, "replication")["role"], "master");
        assert!(matches!(heir.client().call(&["GET", "key"]), Ok(Reply::Bulk(_))));
    }
}

#[test]
fn an_end_that_is_called_off_hands_over_no_more() {
    let primary = Native(2).start(&[]).expect("it is there");
    let replica = Native(2).start(&["--replica-announce-port", "1"]).expect("it is there");
    follow(&replica, &primary.addr);
    let mut client = primary.client();
    let is_online = |client: &mut Client| {
        let written = client.call(&["SET", "key", "value"]);
        matches!(written, Ok(Reply::Simple(_)))
            && matches!(client.call(&["WAIT", "1", "1000"]), Ok(Reply::Integer(1)))
    };
    until("it follows", || is_online(&mut client), || primary.output());
    for aborts in [false, true] {
        let mut asker = primary.client();
        asker.send(&["SHUTDOWN", "SAFE", "FAILOVER"]).expect("it is taken");
        if aborts {
            let field = || info(&primary, "replication")["master_failover_state"].clone();
            until("it hands over", || field() == "failover-in-progress", || primary.output());
            let reply = client.call(&["SHUTDOWN", "ABORT"]);
            assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
        }
        let reply = asker.receive();
        assert!(matches!(reply, Ok(Reply::Error(_))), "{reply:?}");
        let field = |name: &str| info(&primary, "replication")[name].clone();
        assert_eq!(field("master_failover_state"), "no-failover");
        until("it leads again", || field("role") == "master", || primary.output());
        let written = client.call(&["SET", "key", "more"]);
        assert!(matches!(written, Ok(Reply::Simple(_))), "{written:?}");
    }
}
