//! Snapshots: what is in them, what ends them, what they survive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::rdb::file::{Checksum, Event, File};
use shards::rdb::reader::Reader;
use shards::rdb::value::{Detached, Rules};
use shards::types::limits::Limits;

use crate::asking::{comes_to, field, ok, text};
use crate::client::{Client, Reply};
use crate::running::{Folder, Running, check_order, children, free_port, keylane};

/// One key of each type and encoding.
fn fill(client: &mut Client) {
    ok(client, "SET text value");
    ok(client, "SET number 1234567");
    ok(client, "SET volatile v PXAT 4000000000000");
    ok(client, "RPUSH list a b 3");
    ok(client, "SADD ints 1 2 3");
    ok(client, "SADD words a b 3");
    ok(client, "HSET hash f v n 7");
    ok(client, "ZADD zset 1 a 2.5 b inf c");
    ok(client, "XADD stream 1-1 f v");
    ok(client, "XADD stream 2-1 g w");
    ok(client, "XGROUP CREATE stream group 0");
    ok(client, "PFADD hll a b c");
    for number in 0..600 {
        ok(client, &format!("RPUSH biglist {number}xxxxxxxxxxxxxxxxxxxxxxx"));
        ok(client, &format!("SADD bigset member{number}"));
        ok(client, &format!("HSET bighash field{number} value{number}"));
        ok(client, &format!("ZADD bigzset {number} member{number}"));
        ok(client, &format!("SET key:{number} {number}"));
    }
    ok(client, &format!("SET long {}", "compress ".repeat(500).trim().replace(' ', "_")));
    ok(client, "SELECT 7");
    ok(client, "SET seven 7");
    ok(client, "SELECT 0");
}

/// Everything there is to know of all keys of `fill`, from whatever server.
fn contents(client: &mut Client) -> String {
    let mut all = String::new();
    let questions = [
        "DBSIZE",
        "GET text",
        "GET number",
        "PEXPIRETIME volatile",
        "LRANGE list 0 -1",
        "LRANGE biglist 0 -1",
        "ZRANGE zset 0 -1 WITHSCORES",
        "ZRANGE bigzset 0 -1 WITHSCORES",
        "XRANGE stream - +",
        "XINFO GROUPS stream",
        "PFCOUNT hll",
        "GET long",
        "GET key:599",
        "SORT ints",
        "SORT words ALPHA",
        "SORT bigset ALPHA",
        "HGET bighash field599",
        "HMGET hash f n",
        "HLEN bighash",
        "OBJECT ENCODING ints",
        "TYPE hll",
    ];
    for question in questions {
        let args: Vec<&str> = question.split(' ').collect();
        all.push_str(&format!(
            "{question}: {:?}\n",
            client.call(&args).expect("the server answers")
        ));
    }
    ok(client, "SELECT 7");
    all.push_str(&text(client, "GET seven"));
    ok(client, "SELECT 0");
    all
}

#[test]
fn what_was_saved_is_there_again_on_any_number_of_shards() {
    let folder = Folder::new();
    let port = free_port();
    let dir = folder.path("");
    let options = |shards| ["--dir", &dir, "--shards", shards, "--enable-debug-command", "yes"];
    let running = Running::ready(port, &options("3"));
    let mut client = running.client(port);
    fill(&mut client);
    let (before, digest) = (contents(&mut client), text(&mut client, "DEBUG DIGEST"));
    assert_eq!(text(&mut client, "BGSAVE"), "Background saving started");
    comes_to(&mut client, "rdb_bgsave_in_progress", "0");
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
    assert_eq!(field(&mut client, "rdb_changes_since_last_save"), "0");
    let file = fs::read(folder.0.join("dump.rdb")).unwrap();
    // Redis 7.0 can read it.
    assert_eq!(&file[..9], b"REDIS0010");
    ok(&mut client, "HSET hash soon v");
    ok(&mut client, "HPEXPIREAT hash 4000000000000 FIELDS 1 soon");
    ok(&mut client, "SAVE");
    assert_eq!(&fs::read(folder.0.join("dump.rdb")).unwrap()[..9], b"VALKEY080");
    fs::write(folder.0.join("dump.rdb"), &file).unwrap();
    for shards in ["1", "2", "5"] {
        let port = free_port();
        let mut running = Running::ready(port, &options(shards));
        let mut client = running.client(port);
        assert_eq!(contents(&mut client), before);
        assert_eq!(text(&mut client, "DEBUG DIGEST"), digest);
        assert_eq!(field(&mut client, "rdb_changes_since_last_save"), "0");
        running.signal("TERM");
        running.wait_for("bye bye");
    }
}

#[test]
fn files_of_older_servers_are_read() {
    let folder = Folder::new();
    let port = free_port();
    let ours = Running::ready(port, &["--dir", &folder.path("")]);
    let mut client = ours.client(port);
    fill(&mut client);
    // How much groups have read is not in files before version 10: it is worked out, as in Valkey.
    let comparable = |text: String| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("XINFO GROUPS"));
        lines.map(str::to_owned).collect()
    };
    let expected = comparable(contents(&mut client));
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rdb");
    for name in ["redis-5.0", "redis-6.2", "redis-7.0", "valkey-9.0"] {
        let folder = Folder::new();
        let file = kept.join(name).with_added_extension("rdb");
        fs::copy(&file, folder.0.join("dump.rdb")).unwrap();
        let port = free_port();
        let running = Running::ready(port, &["--dir", &folder.path(""), "--shards", "2"]);
        assert_eq!(comparable(contents(&mut running.client(port))), expected, "{name}");
    }
}

/// The peers at hand, each with its tool that checks files: those brought here for tests, and the
/// system's, which are older as a rule.
fn peers() -> Vec<(PathBuf, PathBuf)> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let brought =
        std::env::var_os("PEERS").map_or_else(|| home.join(".cache/peers"), PathBuf::from);
    let folders = [brought.join("bin"), PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")];
    let names = [("valkey-server", "valkey-check-rdb"), ("redis-server", "redis-check-rdb")];
    let all = folders.iter().flat_map(|folder| {
        names.iter().map(|(server, check)| (folder.join(server), folder.join(check)))
    });
    all.filter(|(server, _)| server.exists()).collect()
}

fn start_peer(program: &Path, dir: &str) -> (Running, Client) {
    let port = free_port();
    let number = port.to_string();
    let mut command = Command::new(program);
    command.args(["--port", &number, "--save", "", "--dir", dir]);
    let mut theirs = Running::start(&mut command);
    theirs.wait_for("Ready to accept connections");
    let client = theirs.client(port);
    (theirs, client)
}

const LIBRARY: &str = "#!lua name=lib\nredis.register_function('seven', function() return 7 end)";

#[test]
fn peers_and_we_read_each_others_files() {
    let peers = peers();
    assert!(!peers.is_empty(), "no Valkey and no Redis is here to exchange files with");
    for (program, check) in peers {
        let server = program.display().to_string();
        let folder = Folder::new();
        let dir = folder.path("");
        // Ours, by it.
        let port = free_port();
        let mut ours = Running::ready(port, &["--dir", &dir, "--shards", "2"]);
        let mut client = ours.client(port);
        fill(&mut client);
        let before = contents(&mut client);
        client.send(&["SHUTDOWN", "SAVE"]).unwrap();
        ours.wait_for("bye bye");
        let output = Command::new(check).arg(folder.path("dump.rdb")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let (theirs, mut client) = start_peer(&program, &dir);
        assert_eq!(contents(&mut client), before, "{server}");
        // Its own, by us: of whatever version it writes.
        ok(&mut client, "APPEND text x");
        assert_eq!(
            client.call(&["FUNCTION", "LOAD", LIBRARY]).unwrap(),
            Reply::Bulk(b"lib".to_vec())
        );
        let before = contents(&mut client);
        ok(&mut client, "SAVE");
        drop(theirs);
        let port = free_port();
        // The Redis at hand may be a late one.
        let options = ["--dir", &dir, "--shards", "3", "--rdb-version-check", "relaxed"];
        let ours = Running::ready(port, &options);
        let mut client = ours.client(port);
        assert_eq!(contents(&mut client), before, "{server}");
        let output = keylane().args(["check", &folder.path("dump.rdb")]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        check_order(&printed, &["is whole", "checksum: right", "db7: keys=1", "stream: 1"]);
        // What only it can call is still there for it.
        ok(&mut client, "SAVE");
        drop(ours);
        let (_theirs, mut client) = start_peer(&program, &dir);
        assert_eq!(client.call(&["FCALL", "seven", "0"]).unwrap(), Reply::Integer(7), "{server}");
    }
}

/// The integers of a file, by key; what else it holds is left out.
pub fn integers(path: &Path) -> Vec<(Vec<u8>, i64)> {
    let bytes = fs::read(path).expect("the file is there");
    let mut file = File::open(Reader::summing(bytes.as_slice())).expect("an RDB file");
    let rules = Rules { limits: Limits::DEFAULT, seed: HashSeed(1) };
    let mut found = Vec::new();
    while let Some(event) = file.next_event().expect("a whole file") {
        match event {
            Event::Key(key) => {
                if let Detached::Text(text) = file.value(&rules).expect("a value") {
                    let number = String::from_utf8_lossy(&text).parse();
                    found.extend(number.ok().map(|number| (key.name, number)));
                }
            }
            Event::End(checksum) => assert_eq!(checksum, Checksum::Right),
            _ => {}
        }
    }
    found
}

#[test]
fn a_snapshot_has_all_of_a_transaction_or_nothing() {
    const SNAPSHOTS: usize = 50;
    let folder = Folder::new();
    let port = free_port();
    let running = Running::ready(port, &["--dir", &folder.path(""), "--shards", "4"]);
    let mut control = running.client(port);
    ok(&mut control, "MSET one 0 two 0 three 0 four 0");
    for account in 0..8 {
        ok(&mut control, &format!("SET account:{account} 1000"));
    }
    let file = folder.0.join("dump.rdb");
    let ended = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    thread::scope(|scope| {
        for writer in 0..3u64 {
            let ended = &ended;
            let mut client = running.client(port);
            scope.spawn(move || {
                let mut random = Random::new(writer);
                let mut round = 0;
                while !ended.load(relaxed) {
                    round += 1;
                    let value = writer * 1_000_000 + round;
                    ok(
                        &mut client,
                        &format!("MSET one {value} two {value} three {value} four {value}"),
                    );
                    let (from, to) = (random.below(8), random.below(8));
                    let amount = random.below(100);
                    ok(&mut client, "MULTI");
                    ok(&mut client, &format!("DECRBY account:{from} {amount}"));
                    ok(&mut client, &format!("INCRBY account:{to} {amount}"));
                    ok(&mut client, "EXEC");
                }
            });
        }
        let mut seen = Vec::new();
        for number in 0..SNAPSHOTS {
            assert_eq!(text(&mut control, "BGSAVE"), "Background saving started");
            comes_to(&mut control, "rdb_bgsave_in_progress", "0");
            let found = integers(&file);
            let sum: i64 =
                found.iter().filter(|it| it.0.starts_with(b"account")).map(|it| it.1).sum();
            let mut same: Vec<i64> =
                found.iter().filter(|it| !it.0.starts_with(b"acc")).map(|it| it.1).collect();
            assert_eq!((sum, same.len(), found.len()), (8000, 4, 12), "snapshot {number}");
            same.dedup();
            assert_eq!(same.len(), 1, "snapshot {number}: half of an MSET");
            seen.extend(same);
        }
        ended.store(true, relaxed);
        seen.dedup();
        assert!(10 < seen.len(), "writers were at work");
    });
}

/// Temporary files in a folder.
pub fn temporary(folder: &Folder) -> usize {
    let names = fs::read_dir(&folder.0).expect("the folder is there").flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().starts_with("temp-")).count()
}

fn check_gone(running: &Running, client: &mut Client, folder: &Folder, what: &str) {
    // In the order in which it might become right behind our back.
    assert_eq!(children(running.pid()), [""; 0], "{what}");
    assert_eq!(temporary(folder), 0, "{what}");
    assert_eq!(field(client, "rdb_bgsave_in_progress"), "0", "{what}");
    assert_eq!(field(client, "rdb_last_bgsave_status"), "ok", "{what}");
}

#[test]
fn who_ends_a_snapshot_sees_it_gone() {
    const ROUNDS: u64 = 120;
    let folder = Folder::new();
    let port = free_port();
    let options = ["--dir", &folder.path(""), "--shards", "2", "--save", "1000000 1"];
    let running = Running::ready(port, &options);
    let mut client = running.client(port);
    let mut random = Random::new(4);
    for round in 0..ROUNDS {
        ok(&mut client, "CONFIG SET rdb-key-save-delay 1000");
        for key in 0..10 {
            ok(&mut client, &format!("SET key:{key} {round}"));
        }
        assert_eq!(text(&mut client, "BGSAVE"), "Background saving started");
        thread::park_timeout(Duration::from_micros(random.below(12_000)));
        // What follows a FLUSHALL is to be quick.
        ok(&mut client, "CONFIG SET rdb-key-save-delay 0");
        if round % 2 == 0 {
            let reply = text(&mut client, "BGSAVE CANCEL");
            let expected = ["Background saving cancelled", "ERR Background saving is currently"];
            assert!(expected.iter().any(|text| reply.starts_with(text)), "{reply}");
        } else {
            ok(&mut client, "FLUSHALL");
        }
        check_gone(&running, &mut client, &folder, &format!("round {round}"));
        let keys = if round % 2 == 0 { 10 } else { 0 };
        if round % 2 == 1 {
            assert_eq!(integers(&folder.0.join("dump.rdb")).len(), keys, "round {round}");
        }
        assert_eq!(text(&mut client, "BGSAVE"), "Background saving started", "round {round}");
        comes_to(&mut client, "rdb_bgsave_in_progress", "0");
        assert_eq!(integers(&folder.0.join("dump.rdb")).len(), keys, "round {round}");
    }
}

#[test]
fn who_ends_the_server_ends_a_snapshot_first() {
    const ROUNDS: u64 = 80;
    let folder = Folder::new();
    let mut random = Random::new(5);
    for round in 0..ROUNDS {
        let port = free_port();
        let options = ["--dir", &folder.path(""), "--shards", "2", "--rdb-key-save-delay", "1000"];
        let saves = if random.below(2) == 0 { "" } else { "1000000 1" };
        let mut running = Running::ready(port, &[&options[..], &["--save", saves]].concat());
        let mut client = running.client(port);
        ok(&mut client, "FLUSHALL");
        for key in 0..10 {
            ok(&mut client, &format!("SET key:{key} {round}"));
        }
        assert_eq!(text(&mut client, "BGSAVE"), "Background saving started");
        let child = children(running.pid());
        thread::park_timeout(Duration::from_micros(random.below(12_000)));
        if round % 2 == 0 {
            client.send(&["SHUTDOWN"]).unwrap();
        } else {
            running.signal("TERM");
        }
        running.wait_for("bye bye");
        let ended = running.end();
        ended.check(0, &["User requested shutdown..."]);
        for pid in child {
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "round {round}");
        }
        assert_eq!(temporary(&folder), 0, "round {round}");
        if !saves.is_empty() {
            let found = integers(&folder.0.join("dump.rdb"));
            assert!(found.len() == 10 && found.iter().all(|it| it.1.unsigned_abs() == round));
        }
    }
}

#[test]
fn snapshots_are_made_when_enough_has_changed() {
    let folder = Folder::new();
    let port = free_port();
    let mut running = Running::ready(port, &["--dir", &folder.path(""), "--save", "1 3"]);
    let mut client = running.client(port);
    ok(&mut client, "MSET a 1 b 2 c 3");
    running.wait_for("3 changes in 1 seconds. Saving...");
    running.wait_for("Background saving terminated with success");
    comes_to(&mut client, "rdb_changes_since_last_save", "0");
    assert_eq!(field(&mut client, "rdb_saves"), "1");
    // The last ones are written at the end.
    ok(&mut client, "SET a 9");
    running.signal("TERM");
    running.end().check(0, &["Saving the final RDB snapshot before exiting.", "bye bye"]);
    let mut found = integers(&folder.0.join("dump.rdb"));
    found.sort();
    let key = |name: &str, value| (name.as_bytes().to_vec(), value);
    assert_eq!(found, [key("a", 9), key("b", 2), key("c", 3)]);
}

#[test]
fn what_waits_behind_a_reload_has_its_turn() {
    const CLIENTS: usize = 3;
    let folder = Folder::new();
    let port = free_port();
    let options = ["--dir", &folder.path(""), "--shards", "3", "--enable-debug-command", "yes"];
    let running = Running::ready(port, &options);
    ok(&mut running.client(port), "MSET one 1 two 2 three 3");
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let mut client = running.client(port);
            // One that comes while keys are read is refused.
            scope.spawn(move || (0..20).for_each(|_| drop(text(&mut client, "DEBUG RELOAD"))));
        }
    });
}

#[test]
fn a_file_that_is_not_whole_is_refused_and_left_alone() {
    let folder = Folder::new();
    let port = free_port();
    let dir = folder.path("");
    let running = Running::ready(port, &["--dir", &dir, "--shards", "2"]);
    let mut client = running.client(port);
    fill(&mut client);
    ok(&mut client, "SAVE");
    drop(running);
    let path = folder.0.join("dump.rdb");
    let whole = fs::read(&path).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    let middle = whole.len() / 2;
    let files = [
        (changed(&|bytes| bytes.truncate(middle)), "it ends too early"),
        (changed(&|bytes| bytes.truncate(5)), "it ends too early"),
        (changed(&|bytes| bytes[..9].copy_from_slice(b"REDIS0099")), "version 99 is not known"),
        (changed(&|bytes| bytes[..9].copy_from_slice(b"REDIS0012")), "later than 7.2"),
        (changed(&|bytes| bytes[..5].copy_from_slice(b"RADIS")), "it is no RDB file"),
        (changed(&|bytes| *bytes.last_mut().unwrap() ^= 1), "the checksum is wrong"),
        (Vec::new(), "it ends too early"),
    ];
    for (bytes, why) in files {
        fs::write(&path, &bytes).unwrap();
        let number = free_port().to_string();
        let mut command = keylane();
        command.args(["--port", &number, "--dir", &dir, "--pidfile", "pid", "--shards", "2"]);
        Running::start(&mut command).end().check(1, &["Can't load ", "dump.rdb: ", why]);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert!(!folder.0.join("pid").exists());
        let output = keylane().args(["check", &folder.path("dump.rdb")]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        let why = if why == "later than 7.2" { "" } else { why };
        assert!(printed.contains(why), "{printed}");
    }
    fs::write(&path, &whole).unwrap();
    Running::ready(port, &["--dir", &dir, "--databases", "8"]);
    let few = ["--port", "0", "--unixsocket", "s", "--dir", &dir, "--databases", "7"];
    Running::start(keylane().args(few)).end().check(1, &["Can't load", "databases"]);
}
