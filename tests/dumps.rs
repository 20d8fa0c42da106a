//! Values go back and forth between Keylane and real servers: by DUMP and RESTORE, and in files
//! that one writes and the other loads. What arrives has the same digest as what was sent.
//!
//! `SEED=n` makes the values of that seed; `SECONDS=n` goes on for so long, with one seed after the
//! other.

mod client;
mod servers;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use client::{Client, Reply};
use servers::{Server, setting, start_keylane_with, start_peer, start_redis};
use shards::base::crc64::crc64;
use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::rdb::file::{Event, File};
use shards::rdb::kind::Version;
use shards::rdb::reader::Reader;
use shards::rdb::value::{self, Rules};
use shards::rdb::writer::{Compression, Writer};
use shards::types::limits::Limits;

/// Values of a round.
const VALUES: usize = 120;
/// The version that DUMP writes.
const NEWEST: u32 = 11;
const RULES: Rules = Rules { limits: Limits::DEFAULT, seed: HashSeed(1) };

#[test]
fn dumps_of_one_are_restored_by_the_other() {
    let keylane = start_keylane_with(2, &["--rdb-version-check", "relaxed"]);
    let peers: Vec<Server> = [start_peer(), start_redis()].into_iter().flatten().collect();
    if peers.is_empty() {
        say("no peer found: nothing tells whether others take what DUMP gives");
    }
    each_seed(|seed| {
        let mut ours = keylane.client();
        for peer in &peers {
            let mut theirs = peer.client();
            let keys = fill(&mut [&mut ours, &mut theirs], seed);
            for key in keys {
                let expected = digest(&mut theirs, &key);
                if NEWEST <= peer.rdb_version() {
                    let sent = carry(&mut ours, &mut theirs, &key);
                    assert_eq!(sent, expected, "seed {seed}, {key} to {}", peer.name);
                }
                let sent = carry(&mut theirs, &mut ours, &key);
                // Digests of streams were others before consumers had two times.
                let is_alike = sent == expected || peer.rdb_version() < NEWEST;
                assert!(is_alike, "seed {seed}, {key} from {}: {sent:?}, {expected:?}", peer.name);
            }
        }
    });
}

#[test]
fn files_of_others_are_read_and_others_read_ours() {
    let peers: Vec<Server> = [start_peer(), start_redis()].into_iter().flatten().collect();
    if peers.is_empty() {
        say("no peer found: nothing tells whether files are what others read and write");
    }
    for peer in &peers {
        each_seed(|seed| {
            let mut theirs = peer.client();
            let keys = fill(&mut [&mut theirs], seed);
            ok(&mut theirs, &["SET", "volatile", "1", "PXAT", "4102444800000"]);
            ok(&mut theirs, &["SAVE"]);
            let path = dump_file(&mut theirs);
            let file = fs::read(&path).expect("SAVE has written it");
            let before = theirs.call(&["DEBUG", "DIGEST"]).expect("it answers");
            for version in [Version::V10, Version::V11, Version::V80] {
                // Redis does not know Valkey's versions.
                let unknown = version == Version::V80 && peer.name.contains("Redis");
                if unknown || version == Version::V11 && peer.rdb_version() < NEWEST {
                    continue;
                }
                fs::write(&path, rewritten(&file, version)).expect("it may be written to");
                ok(&mut theirs, &["DEBUG", "RELOAD", "NOSAVE"]);
                let after = theirs.call(&["DEBUG", "DIGEST"]).expect("it answers");
                let count = theirs.call(&["DBSIZE"]).expect("it answers");
                let expected = i64::try_from(keys.len() + 1).expect("they are few");
                assert_eq!(count, Reply::Integer(expected));
                assert_eq!(after, before, "seed {seed}, {version:?}, {}", peer.name);
            }
        });
    }
}

/// Calls `round` with the seed that is asked for, or with one after the other for a while.
#[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
fn each_seed(mut round: impl FnMut(u64)) {
    let (first, seconds) = (setting("SEED").unwrap_or(1), setting("SECONDS").unwrap_or(0));
    let (start, mut seed) = (Instant::now(), first);
    loop {
        round(seed);
        if Duration::from_secs(seconds) <= start.elapsed() {
            return;
        }
        seed += 1;
    }
}

/// What the file comes to when it is read and written again in this version.
fn rewritten(bytes: &[u8], version: Version) -> Vec<u8> {
    let mut file = File::open(Reader::summing(bytes)).expect("it is a file");
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, version, Compression::Lzf);
    writer.header();
    writer.aux("keylane-ver", b"test");
    while let Some(event) = file.next_event().expect("it is whole") {
        let Event::Key(key) = event else {
            if let Event::SelectDb(index) = event {
                writer.database(index, 0, 0);
            }
            continue;
        };
        let entry = file.value(&RULES).expect("it is a value").into_entry(&key.name);
        if let Some(at) = key.expire {
            writer.expire(at);
        }
        writer.kind(value::kind(&entry.value(), version).expect("no field expires"));
        writer.text(&key.name);
        value::write(&mut writer, &entry.value());
    }
    writer.end();
    let sum = crc64(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Dumps a value at one server, restores it at another, and returns its digest there.
fn carry(from: &mut Client, to: &mut Client, key: &str) -> Reply {
    let Ok(Reply::Bulk(payload)) = from.call(&["DUMP", key]) else { panic!("{key} is not there") };
    let args = [b"RESTORE", &b"carried"[..], b"0", &payload, b"REPLACE"];
    let restored = to.call(&args).expect("it answers");
    assert_eq!(restored, Reply::Simple(b"OK".to_vec()), "{key}: {}", payload.escape_ascii());
    let sent = digest(to, "carried");
    ok(to, &["DEL", "carried"]);
    sent
}

fn digest(client: &mut Client, key: &str) -> Reply {
    client.call(&["DEBUG", "DIGEST-VALUE", key]).expect("it answers")
}

fn dump_file(client: &mut Client) -> PathBuf {
    let reply = client.call(&["CONFIG", "GET", "dir"]).expect("it answers");
    let Reply::Group(_, pairs) = reply else { panic!("no dir") };
    let Some(Reply::Bulk(dir)) = pairs.last() else { panic!("no dir") };
    PathBuf::from(String::from_utf8_lossy(dir).as_ref()).join("dump.rdb")
}

fn ok<A: AsRef<[u8]>>(client: &mut Client, args: &[A]) {
    let reply = client.call(args).expect("it answers");
    assert!(!matches!(reply, Reply::Error(_)), "{}", reply.head());
}

/// Makes the same values everywhere; returns their keys.
fn fill(clients: &mut [&mut Client], seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    for client in &mut *clients {
        ok(client, &["FLUSHALL"]);
    }
    let keys: Vec<String> = (0..VALUES).map(|number| format!("key:{number}")).collect();
    for key in &keys {
        for command in commands(key, &mut random) {
            clients.iter_mut().for_each(|client| ok(client, &command));
        }
    }
    keys
}

/// What makes a value.
fn commands(key: &str, random: &mut Random) -> Vec<Vec<Vec<u8>>> {
    let count = match random.below(4) {
        0 => 1,
        1 => 1 + random.below(8),
        2 => 1 + random.below(100),
        _ => 1 + random.below(700),
    };
    let start = |name: &str| vec![name.as_bytes().to_vec(), key.as_bytes().to_vec()];
    let kind = index(random, 6);
    let long = if random.below(3) == 0 { 400 } else { 40 };
    let mut args = start(["SET", "RPUSH", "SADD", "HSET", "ZADD", "XADD"][kind]);
    match kind {
        0 => args.push(text(random, 20_000)),
        1 | 2 => args.extend((0..count).map(|_| text(random, long))),
        3 => args.extend((0..2 * count).map(|_| text(random, long))),
        4 => args.extend((0..count).flat_map(|_| [score(random), text(random, long)])),
        _ => return stream(key, count, random),
    }
    vec![args]
}

/// A stream with deleted entries and groups, made so that no clock matters.
fn stream(key: &str, count: u64, random: &mut Random) -> Vec<Vec<Vec<u8>>> {
    let words = |line: String| line.split(' ').map(|it| it.as_bytes().to_vec()).collect();
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    for number in 1..=count {
        let mut add: Vec<_> = words(format!("XADD {key} {}-{}", number / 3, number % 3 + 1));
        for _ in 0..=random.below(3) {
            let name = format!("name{}", random.below(3));
            add.extend([name.into_bytes(), text(random, 40)]);
        }
        commands.push(add);
    }
    for _ in 0..random.below(4) {
        let number = 1 + random.below(count);
        commands.push(words(format!("XDEL {key} {}-{}", number / 3, number % 3 + 1)));
    }
    for group in 0..random.below(3) {
        commands.push(words(format!("XGROUP CREATE {key} g{group} 0")));
        for consumer in 0..random.below(3) {
            let read = format!("XREADGROUP GROUP g{group} c{consumer} COUNT 3 STREAMS {key} >");
            commands.push(words(read));
        }
    }
    commands
}

fn text(random: &mut Random, bytes_max: u64) -> Vec<u8> {
    match random.below(6) {
        0 => format!("{}", random.below(300).cast_signed() - 150).into_bytes(),
        1 => format!("{}", random.bits().cast_signed() >> random.below(64)).into_bytes(),
        2 => vec![b'x'; index(random, bytes_max)],
        3 => (0..random.below(bytes_max)).map(|_| b"abc"[index(random, 3)]).collect(),
        _ => (0..random.below(30)).map(|_| random.bits().to_le_bytes()[0]).collect(),
    }
}

fn score(random: &mut Random) -> Vec<u8> {
    let number = random.bits().cast_signed() >> random.below(64);
    match random.below(4) {
        0 => format!("{number}"),
        1 => format!("{}", number as f64 / 1000.0),
        2 => ["inf", "-inf", "0", "1e-300", "3"][index(random, 5)].into(),
        _ => format!("{}", random.below(10)),
    }
    .into_bytes()
}

fn index(random: &mut Random, below: u64) -> usize {
    usize::try_from(random.below(below)).expect("it is small")
}

fn say(text: &str) {
    // Past the test harness, which shows only what failing tests print.
    let _ = writeln!(std::io::stderr(), "dumps: {text}");
}
