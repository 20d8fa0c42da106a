//! Servers that end and begin again: what their file says of its place in a stream is enough to go
//! on there, for a replica and for a primary's replicas.

use std::thread;

use crate::chains::assert_one_stream;
use crate::client::Reply;
use crate::compare::assert_equal;
use crate::load::Load;
use crate::processes::{Server, setting};
use crate::roles::text;
use crate::servers::Kind::{self, Keylane, Native, Redis70, Valkey91};
use crate::servers::{
    counter, describe, follow, info, until, wait_until_offsets_meet, wait_until_online,
};
use crate::{SEED, Tally, say};

/// A primary and its replica. The first row shows what Valkey does.
const PAIRS: &[[Kind; 2]] = &[
    [Valkey91, Valkey91],
    [Valkey91, Keylane(3)],
    [Redis70, Keylane(2)],
    [Keylane(3), Valkey91],
    [Keylane(2), Keylane(3)],
];
/// The same, where each log comes by itself.
const NATIVE: &[[Kind; 2]] = &[[Native(2), Native(3)], [Native(3), Native(2)]];
const COMMANDS: u64 = 1_500;
const CRASHES: usize = 3;
/// A PING that only one of them has would part them.
const NO_PINGS: [&str; 2] = ["--repl-ping-replica-period", "3600"];

#[test]
fn a_replica_that_was_restarted_goes_on() {
    play_all("restarted replicas", &[PAIRS, NATIVE].concat(), restart_replica);
}

#[test]
fn a_replica_that_crashed_goes_on_from_its_last_snapshot() {
    play_all("crashed replicas", &[PAIRS, NATIVE].concat(), crash_replica);
}

#[test]
fn replicas_go_on_with_a_primary_that_was_restarted() {
    play_all("restarted primaries", &[PAIRS, NATIVE].concat(), restart_primary);
}

/// The file of a replica that takes logs names a place in them, which is none in the stream.
#[test]
fn a_stock_server_with_the_file_of_a_replica_that_takes_logs_gets_everything() {
    let mut tally = Tally::new("files of replicas that take logs");
    let kinds = [Native(3), Native(2)];
    if tally.takes(&[kinds[0], kinds[1], Valkey91]) {
        let [primary, mut replica] = start(&kinds);
        let seed = setting("SEED").unwrap_or(SEED);
        let mut load = Load::for_servers(seed, &[Native(3), Valkey91], &[&primary]);
        wait_until_online(&primary, &replica);
        let part = load.begin(COMMANDS);
        load.send(part, &primary);
        wait_until_offsets_meet(&primary, &replica);
        shut_down(&mut replica);
        let folder = replica.folder().to_str().expect("it is text");
        let stock = Valkey91.start(&["--dir", folder]).expect("the tally found it");
        assert!(
            0 < counter(&stock, "persistence", "rdb_last_load_keys_loaded"),
            "{}",
            stock.output()
        );
        follow(&stock, &primary.addr);
        wait_until_online(&primary, &stock);
        assert_equal(&primary, &stock, &load);
        let counts = ["sync_full", "sync_partial_ok"].map(|name| counter(&primary, "stats", name));
        assert_eq!(counts, [2, 0], "{}", describe([&primary, &stock]));
    }
    tally.tell();
}

fn play_all(name: &'static str, pairs: &[[Kind; 2]], play: fn(&[Kind; 2])) {
    let mut tally = Tally::new(name);
    for kinds in pairs {
        if tally.takes(kinds) {
            play(kinds);
        }
    }
    tally.tell();
}

/// Has a server write its file and end.
fn shut_down(server: &mut Server) {
    let _ = server.client().send(&["SHUTDOWN", "SAVE"]);
    let mut ended = || server.has_ended();
    until("the server ends", &mut ended, String::new);
}

/// A primary, and a replica that follows it whenever it is started.
fn start(kinds: &[Kind; 2]) -> [Server; 2] {
    let primary = kinds[0].start(&NO_PINGS).expect("the tally found it");
    let port = primary.addr.rsplit_once(':').expect("an address has a port").1;
    let follows = ["--replicaof", "127.0.0.1", port];
    // Keylane takes host and port as one word.
    let joined = format!("127.0.0.1 {port}");
    let follows: &[&str] = match kinds[1] {
        Keylane(_) | Native(_) => &["--replicaof", &joined],
        _ => &follows,
    };
    let replica = kinds[1].start(follows).expect("the tally found it");
    [primary, replica]
}

fn restart_replica(kinds: &[Kind; 2]) {
    let [primary, mut replica] = start(kinds);
    let seed = setting("SEED").unwrap_or(SEED);
    let mut load = Load::for_servers(seed, kinds, &[&primary, &replica]);
    wait_until_online(&primary, &replica);
    let part = load.begin(COMMANDS);
    load.send(part, &primary);
    assert_eq!(set(&primary, "3", &["due", "1", "PX", "300"]), "OK");
    wait_until_offsets_meet(&primary, &replica);
    shut_down(&mut replica);

    // In the database that was selected, without another SELECT, if the primary writes so.
    let gone = || keys(&primary, "due") == 0;
    until("the key is gone", gone, || primary.output());
    let part = load.begin(COMMANDS);
    load.send(part, &primary);
    replica.start_again();
    wait_until_online(&primary, &replica);
    let part = load.begin(COMMANDS);
    load.send(part, &primary);
    assert_equal(&primary, &replica, &load);
    let counts = ["sync_full", "sync_partial_ok"].map(|name| counter(&primary, "stats", name));
    assert_eq!(counts, [1, 1], "{}", describe([&primary, &replica]));
    say(&format!("{} went on with {}", replica.name, primary.name));
}

/// Snapshots are made while the stream runs: the place that they name must be the one of their
/// keys.
fn crash_replica(kinds: &[Kind; 2]) {
    let [primary, mut replica] = start(kinds);
    let seed = setting("SEED").unwrap_or(SEED);
    let mut load = Load::for_servers(seed, kinds, &[&primary, &replica]);
    wait_until_online(&primary, &replica);
    let mut beside = 0;
    for _ in 0..CRASHES {
        let part = load.begin(10 * COMMANDS);
        let (load, replica) = (&load, &mut replica);
        thread::scope(|scope| {
            let writes = scope.spawn(|| load.send(part, &primary));
            let before = counter(replica, "replication", "slave_repl_offset");
            let runs = || before + 20_000 < counter(replica, "replication", "slave_repl_offset");
            until("the stream runs", runs, || describe([&*replica]));
            assert_eq!(text(replica.client().call(&["SAVE"])), "OK");
            beside += usize::from(!writes.is_finished());
            replica.kill();
        });
        replica.start_again();
        wait_until_online(&primary, replica);
        assert_equal(&primary, replica, load);
    }
    assert!(0 < beside, "{}: the load must last longer", replica.name);
    // A snapshot breaks no link.
    let counts = ["sync_full", "sync_partial_ok"].map(|name| counter(&primary, "stats", name));
    assert_eq!(counts, [1, CRASHES as u64], "{}", describe([&primary]));
    say(&format!("{} crashed {CRASHES} times, and went on with {}", replica.name, primary.name));
}

fn restart_primary(kinds: &[Kind; 2]) {
    let mut primary = kinds[0].start(&NO_PINGS).expect("the tally found it");
    let replica = kinds[1].start(&NO_PINGS).expect("the tally found it");
    let seed = setting("SEED").unwrap_or(SEED);
    let mut load = Load::for_servers(seed, kinds, &[&primary, &replica]);
    follow(&replica, &primary.addr);
    wait_until_online(&primary, &replica);
    let part = load.begin(COMMANDS);
    load.send(part, &primary);
    assert_eq!(set(&primary, "3", &["due", "1", "PX", "2000"]), "OK");
    wait_until_offsets_meet(&primary, &replica);
    let id = info(&primary, "replication").remove("master_replid");
    shut_down(&mut primary);
    // A replica hides what is due, and has it until the primary says that it is gone.
    let mut client = replica.client();
    assert_eq!(text(client.call(&["SELECT", "3"])), "OK");
    let mut is_due = || matches!(client.call(&["GET", "due"]), Ok(Reply::NullBulk));
    until("the key is due", &mut is_due, || replica.output());

    primary.start_again();
    wait_until_online(&primary, &replica);
    assert_eq!(info(&primary, "replication").remove("master_replid2"), id, "{}", primary.name);
    let part = load.begin(COMMANDS);
    load.send(part, &primary);
    assert_equal(&primary, &replica, &load);
    let counts = ["sync_full", "sync_partial_ok"].map(|name| counter(&primary, "stats", name));
    assert_eq!(counts, [0, 1], "{}", describe([&primary, &replica]));
    say(&format!("{} was restarted, and {} went on", primary.name, replica.name));
    assert_one_stream(&[primary, replica]);
}

/// SET with these words in a database.
fn set(server: &Server, db: &str, words: &[&str]) -> String {
    let mut client = server.client();
    assert_eq!(text(client.call(&["SELECT", db])), "OK");
    text(client.call(&[&["SET"], words].concat()))
}

/// How many keys of this name there are in database 3.
fn keys(server: &Server, name: &str) -> usize {
    let mut client = server.client();
    assert_eq!(text(client.call(&["SELECT", "3"])), "OK");
    match client.call(&["KEYS", name]) {
        Ok(Reply::Group(_, keys)) => keys.len(),
        other => panic!("{}: {other:?}", server.name),
    }
}
