//! A snapshot that comes as chunks by several connections, from a primary that is played here: what
//! is wrong with it ends the attempt, and the old data stay; and a replica that is played here, one
//! of whose connections does not come, or takes nothing.

use shards::base::slot::{SLOTS, Slot};

use crate::client::{Client, Reply};
use crate::processes::Server;
use crate::servers::Kind::Native;
use crate::servers::{counter, describe, follow, info, now, until, wait_until_online};
use crate::silent::{Silent, Stage};
use crate::{say, side_by_side};

/// Bytes in front of a payload.
const HEADER: usize = 20;
/// The stream that a primary names.
const REPLID: &str = "5a5c0c3e6ab2d8f4c1a7d9b3e5f60718293a4b5c";

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: u8,
    flags: u8,
    db: u16,
    slots: (u16, u16),
    keys: u32,
}

const KEYS: Header = Header { kind: 2, flags: 0, db: 0, slots: (0, SLOTS - 1), keys: 1 };

fn chunk(header: Header, payload: &[u8]) -> Vec<u8> {
    let Header { kind, flags, db, slots: (first, last), keys } = header;
    let len = u32::try_from(payload.len()).expect("it is short");
    let mut bytes = [&len.to_le_bytes()[..], &[kind, flags], &db.to_le_bytes()].concat();
    bytes.extend([first.to_le_bytes(), last.to_le_bytes()].concat());
    bytes.extend(keys.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes), payload);
    bytes.extend(sum.to_le_bytes());
    assert_eq!(bytes.len(), HEADER);
    [&bytes, payload].concat()
}

fn head() -> Vec<u8> {
    let payload = [REPLID.as_bytes(), &0u64.to_le_bytes(), &0u16.to_le_bytes()].concat();
    chunk(Header { kind: 1, slots: (0, 0), keys: 0, ..KEYS }, &payload)
}

fn end(keys: u64) -> Vec<u8> {
    chunk(Header { kind: 4, slots: (0, 0), keys: 0, ..KEYS }, &keys.to_le_bytes())
}

/// A string's record.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let text = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).expect("it is short").to_be_bytes();
        [&[0x80][..], &length, bytes].concat()
    };
    [&[0][..], &text(key.as_bytes()), &text(value)].concat()
}

/// What each of so many connections brings of these keys, `name:0` and on.
pub fn parts(name: &str, keys: usize, value_bytes: usize, connections: usize) -> Vec<Vec<u8>> {
    let part = |connection: usize| {
        let mut bytes = if connection == 0 { head() } else { Vec::new() };
        let mut count = 0;
        for key in (connection..keys).step_by(connections) {
            let key = format!("{name}:{key}");
            let slot = Slot::of(key.as_bytes()).number();
            let header = Header { slots: (slot, slot), ..KEYS };
            bytes.extend(chunk(header, &record(&key, &vec![b'v'; value_bytes])));
            count += 1;
        }
        bytes.extend(end(count));
        bytes
    };
    (0..connections).map(part).collect()
}

/// What is wrong with a snapshot, what its connections bring, and what the log says then.
fn wrong() -> Vec<(&'static str, Vec<Vec<u8>>, &'static str)> {
    let new = || record("new", b"value");
    let one = |bytes: Vec<u8>| vec![[head(), bytes, end(1)].concat()];
    let keys = |header: Header| one(chunk(header, &new()));
    let mut changed = chunk(KEYS, &new());
    *changed.last_mut().expect("it has bytes") ^= 1;
    let mut long = chunk(KEYS, &new());
    long[..4].copy_from_slice(&(256u32 * 1024 + 1).to_le_bytes());
    let own = Slot::of(b"new").number();
    let other = if own == 0 { SLOTS - 1 } else { 0 };
    let twice = [new(), new()].concat();
    vec![
        ("a byte is changed", one(changed), "a chunk whose checksum is wrong"),
        ("a chunk is too long", one(long), "a chunk of 262145 bytes"),
        ("a kind is unknown", keys(Header { kind: 9, ..KEYS }), "a chunk of unknown kind 9"),
        ("flags are unknown", keys(Header { flags: 2, ..KEYS }), "a chunk with unknown flags 2"),
        ("there are too many keys", keys(Header { keys: 99, ..KEYS }), "says it has 99 keys"),
        ("there is one key fewer", keys(Header { keys: 2, ..KEYS }), "an end that says 1 keys"),
        ("there is one key more", one(chunk(KEYS, &twice)), "a key comes up twice"),
        ("there is no such slot", keys(Header { slots: (0, SLOTS), ..KEYS }), "slots 0 to 16384"),
        ("a key is in no slot", keys(Header { slots: (other, other), ..KEYS }), "has brought 0"),
        ("a database is not there", keys(Header { db: 999, ..KEYS }), "number of a database"),
        ("a record breaks off", one(chunk(KEYS, &new()[..9])), "it ends too early"),
        ("no record is there", one(chunk(KEYS, b"\xfe\x00\x00")), "unknown kind 254"),
        ("there is no head", vec![[chunk(KEYS, &new()), end(1)].concat()], "it has no head"),
        (
            "there are two heads",
            vec![[head(), end(0)].concat(), [head(), end(0)].concat()],
            "it has two heads",
        ),
        ("an end says more", vec![[head(), end(1)].concat()], "where 0 have come"),
        (
            "a record does not go on",
            one([chunk(Header { flags: 1, keys: 0, ..KEYS }, &new()), end(0)].concat()),
            "does not go on",
        ),
    ]
}

#[test]
fn a_snapshot_that_is_wrong_is_refused_and_the_old_data_stay() {
    side_by_side(wrong(), |(what, parts, line)| {
        let replica = start();
        let primary = Silent::native(Stage::Committing, parts);
        follow(&replica, &primary.address);
        let is_said = || replica.output().contains(line);
        until(&format!("{what}: {line}"), is_said, || replica.output());
        let is_tried = || 2 <= counter_of_lines(&replica, "sync started");
        until(&format!("{what}: it is tried again"), is_tried, || replica.output());
        assert_old(what, &replica);
        assert_eq!(primary.acks(), 0, "{what}");
    });
}

#[test]
fn a_connection_that_breaks_off_anywhere_ends_the_attempt() {
    let parts = parts("new", 20, 3_000, 3);
    let replica = start();
    // In a header, between chunks, in a payload, in front of the end.
    let whole = parts[1].len();
    for cut in [0, 1, HEADER, 30, whole / 2, whole - 1] {
        let mut parts = parts.clone();
        parts[1].truncate(cut);
        let primary = Silent::native(Stage::Closes, parts);
        let before = counter_of_lines(&replica, "a connection of the snapshot has ended");
        follow(&replica, &primary.address);
        let is_found = || {
            before < counter_of_lines(&replica, "a connection of the snapshot has ended")
                || before < counter_of_lines(&replica, "a further connection has ended")
        };
        until(&format!("the end at {cut} is found"), is_found, || replica.output());
        assert_old(&format!("cut at {cut}"), &replica);
    }
    let primary = Silent::native(Stage::Streaming, parts);
    follow(&replica, &primary.address);
    let is_there = || get(&replica, "streamed").is_some();
    until("the snapshot is whole, and the stream goes on", is_there, || replica.output());
    assert_eq!(replica.client().call(&["DBSIZE"]).ok(), Some(Reply::Integer(21)));
}

/// A replica with data of its own.
fn start() -> Server {
    let options = ["--databases", "16", "--primaryauth", "secret"];
    let server = Native(3).start(&options).expect("it is built");
    let reply = server.client().call(&["SET", "old", "value"]);
    assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
    server
}

fn assert_old(what: &str, replica: &Server) {
    assert_eq!(get(replica, "old").as_deref(), Some(&b"value"[..]), "{what}");
    assert_eq!(get(replica, "new"), None, "{what}");
}

fn get(server: &Server, key: &str) -> Option<Vec<u8>> {
    match server.client().call(&["GET", key]) {
        Ok(Reply::Bulk(value)) => Some(value),
        _ => None,
    }
}

fn counter_of_lines(server: &Server, text: &str) -> usize {
    server.output().lines().filter(|line| line.contains(text)).count()
}

/// Asks for the rest of a stream, or for a snapshot, as a replica that takes logs does, in this
/// version. The answer.
fn ask(primary: &Server, flows: &str, replid: &str, first: &str) -> (Client, String) {
    let mut main = primary.client();
    for options in [["capa", "eof"], ["capa", "psync2"], ["version", "9.1.2"], ["keylane", flows]] {
        let reply = main.call(&["REPLCONF", options[0], options[1]]);
        assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
    }
    main.send(&["PSYNC", replid, first]).expect("it is taken");
    loop {
        // Empty lines come before.
        if let Ok(Reply::Simple(line)) = main.receive() {
            return (main, String::from_utf8(line).expect("it is text"));
        }
    }
}

/// A replica that is played here.
struct Played {
    main: Client,
    /// What its connections are to name, and how many they are.
    name: String,
    connections: usize,
}

impl Played {
    fn begin(primary: &Server) -> Self {
        Self::of_version(primary, "2")
    }

    fn of_version(primary: &Server, flows: &str) -> Self {
        let (main, line) = ask(primary, flows, "?", "-1");
        let words: Vec<&str> = line.split(' ').collect();
        let ["SNAPSHOT", name, connections, ..] = words[..] else { panic!("{line}") };
        let connections = connections.parse().expect("a number");
        Self { main, name: name.to_owned(), connections }
    }

    fn connect(&self, primary: &Server, connection: usize) -> Result<Client, String> {
        let mut client = primary.client();
        match client.call(&["KEYLANE", "SNAPSHOT", &self.name, &connection.to_string()]) {
            Ok(Reply::Simple(_)) => Ok(client),
            Ok(other) => Err(other.head()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[test]
fn a_connection_that_does_not_come_ends_its_session_and_no_other() {
    let primary = Native(8).start(&["--repl-step-timeout", "1"]).expect("it is built");
    let value = "v".repeat(1_000);
    for key in 0..100 {
        let reply = primary.client().call(&["SET", &format!("key:{key}"), &value]);
        assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
    }
    let mut played = Played::begin(&primary);
    assert_eq!(played.connections, 2);
    let began = now();
    let _first = played.connect(&primary, 0).expect("it is awaited");
    for (connection, why) in [(0, "it is there"), (2, "there is none"), (99, "there is none")] {
        let refused = played.connect(&primary, connection).expect_err(why);
        assert!(refused.contains("no snapshot waits"), "{refused}");
    }
    let other = Native(3).start(&[]).expect("it is built");
    follow(&other, &primary.addr);
    wait_until_online(&primary, &other);
    let shown = || info(&primary, "replication").into_values();
    let waits = || shown().any(|line| line.contains("state=wait_bgsave"));
    until("the session ends", || !waits(), || describe([&primary]));
    say(&format!("chunks: a session without all connections ends after {:?}", began.elapsed()));
    let rest = played.main.rest().expect("the connection is closed");
    assert!(rest.ends_with(b"-ERR BGSAVE failed, replication can't continue\r\n"), "{rest:?}");
    assert!(primary.output().contains("a connection for its snapshot did not come"));
    assert_eq!(counter(&primary, "stats", "sync_full"), 1);
}

#[test]
fn a_replica_with_a_snapshot_goes_on_though_it_was_not_told_where_that_is_in_logs() {
    let primary = Native(3).start(&["--repl-diskless-sync-delay", "0"]).expect("it is built");
    let set = |key: &str| {
        let reply = primary.client().call(&["SET", key, "value"]);
        assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
    };
    (0..10).for_each(|key| set(&format!("before:{key}")));
    let played = Played::begin(&primary);
    let connect = |number| played.connect(&primary, number).expect("it is awaited");
    let connections: Vec<Client> = (0..played.connections).map(connect).collect();
    let rest = |mut connection: Client| connection.rest().expect("it comes to its end");
    let brought: Vec<Vec<u8>> = connections.into_iter().map(rest).collect();
    drop(played);
    let has_head = |bytes: &&Vec<u8>| bytes.get(4) == Some(&1);
    let head = &brought.iter().find(has_head).expect("one connection has the head")[HEADER..];
    let (replid, offset) = head[..48].split_at(40);
    let replid = String::from_utf8(replid.to_vec()).expect("it is text");
    let offset = u64::from_le_bytes(offset.try_into().expect("eight bytes"));
    (0..10).for_each(|key| set(&format!("behind:{key}")));
    let (_main, answer) = ask(&primary, "2", &replid, &(offset + 1).to_string());
    assert_eq!(answer, format!("CONTINUE {replid}"), "{}", primary.output());
    assert_eq!(counter(&primary, "stats", "sync_full"), 1);
}

#[test]
fn a_replica_that_stores_logs_may_connect_them_while_its_snapshot_comes() {
    let primary = Native(3).start(&["--repl-diskless-sync-delay", "0"]).expect("it is built");
    for (flows, is_offered) in [("2", false), ("3", true)] {
        let mut played = Played::of_version(&primary, flows);
        let connect = |number| played.connect(&primary, number).expect("it is awaited");
        let connections: Vec<Client> = (0..played.connections).map(connect).collect();
        // The session ends with one of its logs.
        let mut logs = Vec::new();
        if is_offered {
            let line = played.main.receive();
            let Ok(Reply::Simple(line)) = line else { panic!("{line:?}") };
            let line = String::from_utf8(line).expect("it is text");
            let words: Vec<&str> = line.split(' ').collect();
            let ["LOGS", name, _, _, vector] = words[..] else { panic!("{line}") };
            assert_eq!((name, vector.split(',').count()), (played.name.as_str(), 3));
            for (log, offset) in vector.split(',').enumerate() {
                let request = ["KEYLANE", "FLOW", name, &log.to_string(), offset];
                let mut flow = primary.client();
                assert!(matches!(flow.call(&request), Ok(Reply::Simple(_))), "log {log}");
                logs.push(flow);
                let again = primary.client().call(&request).expect("it answers");
                assert!(again.head().contains("no log waits"), "{again:?}");
            }
        }
        let rest = |mut connection: Client| connection.rest().expect("it comes to its end");
        connections.into_iter().map(rest).for_each(drop);
        // The version before hears of them now.
        if !is_offered {
            played.main.send(&["REPLCONF", "ACK", "1000000"]).expect("it reads");
            let announced = played.main.receive().expect("it is told of its logs");
            assert!(matches!(announced, Reply::Group('*', _)), "{announced:?}");
        }
    }
}

#[test]
fn a_replica_one_of_whose_connections_is_stuck_takes_no_other_with_it() {
    let options = ["--repl-progress-timeout", "1", "--repl-diskless-sync-delay", "1"];
    let primary = Native(8).start(&options).expect("it is built");
    let value = "v".repeat(1_000_000);
    for key in 0..60 {
        let reply = primary.client().call(&["SET", &format!("key:{key}"), &value]);
        assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
    }
    let other = Native(3).start(&["--repl-progress-timeout", "5"]).expect("it is built");
    let played = Played::begin(&primary);
    let connections = (0..played.connections).map(|number| played.connect(&primary, number));
    let connections: Vec<Client> = connections.collect::<Result<_, _>>().expect("all are awaited");
    follow(&other, &primary.addr);
    wait_until_online(&primary, &other);
    drop(connections);
    assert_eq!(counter(&primary, "stats", "sync_full"), 2, "{}", primary.output());
    let output = primary.output();
    assert!(output.contains("it took too little for too long"), "{output}");
    assert_eq!(other.client().call(&["DBSIZE"]).ok(), Some(Reply::Integer(60)));
}
