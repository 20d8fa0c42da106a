//! Transfers over real sockets, from this process and from copies of it.

use std::io::Read;
#[expect(clippy::disallowed_types, reason = "these are both ends")]
use std::net::{TcpListener, TcpStream};
use std::thread;

use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::commands::table::{CONTAINERS, GROUPS};
use shards::rdb::file::{Checksum, Event, File};
use shards::rdb::reader::Reader;
use shards::shard::Request;

use super::*;
use crate::persistence::child::SavingChild;
use crate::persistence::snapshot::Plan;
use crate::persistence::syncing::{End, Outcome, SyncChild};
use crate::persistence::walking::OriginOf;
use crate::reactor::clock::Monotonic;

const SEED: HashSeed = HashSeed(42);
/// Long enough for a machine that is busy with other tests.
const PATIENCE_MILLIS: u64 = 60_000;
/// Long enough for a replica that reads all the time.
const SHORT_PATIENCE_MILLIS: u64 = 2000;
const MARK: [u8; MARK_BYTES] = *b"0123456789012345678901234567890123456789";
const REPLID: &str = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd";

/// Runs a command, or a subcommand, whose key stands at `key_at`.
fn run_at(shard: &mut Shard, db: usize, name: &str, args: &[&[u8]], key_at: usize) {
    let contained = CONTAINERS.iter().map(|(_, subcommands)| *subcommands);
    let mut all = GROUPS.iter().copied().chain(contained).flatten();
    let command = all.find(|command| command.spec.name == name).unwrap();
    let hash = SEED.key_hash(args[key_at]);
    let request = Request { db, first_key: (key_at, hash), ..Request::of(args) };
    let mut reply = Vec::new();
    let done = shard.execute(command, request, &mut reply);
    assert!(done.is_ok(), "{}", String::from_utf8_lossy(&reply));
}

pub(super) fn run(shard: &mut Shard, db: usize, args: &[&[u8]]) {
    run_at(shard, db, std::str::from_utf8(args[0]).unwrap(), args, 1);
}

fn shards(count: usize) -> Vec<Shard> {
    (0..count).map(|_| Shard::new(4, SEED, Random::new(1))).collect()
}

/// Two shards with some of everything that version 11 holds, in databases 0 and 3.
pub(super) fn filled() -> Vec<Shard> {
    let mut all = shards(2);
    for (number, shard) in all.iter_mut().enumerate() {
        for db in [0, 3] {
            let key = |kind: &str| format!("{kind}{number}").into_bytes();
            run(shard, db, &[b"set", &key("string"), &vec![b'x'; 3 * BUFFER_BYTES]]);
            run(shard, db, &[b"rpush", &key("list"), b"a", b"b"]);
            run(shard, db, &[b"sadd", &key("set"), b"a", b"b"]);
            run(shard, db, &[b"hset", &key("hash"), b"a", b"b"]);
            run(shard, db, &[b"zadd", &key("zset"), b"1", b"a"]);
            run(shard, db, &[b"xadd", &key("stream"), b"1-1", b"a", b"b"]);
            let args: &[&[u8]] = &[b"xgroup", b"create", &key("stream"), b"group", b"0"];
            run_at(shard, db, "xgroup|create", args, 2);
            run(shard, db, &[b"set", &key("dies"), b"1", b"pxat", b"9999999999999"]);
        }
    }
    all
}

pub(super) fn plan(versions: Versions, form: Form, scope: Scope) -> SyncPlan {
    let config = Config { rdbcompression: false, ..Config::default() };
    let origin = Origin { replid: REPLID.to_owned(), offset: 1 << 40, of: OriginOf::Stream(3) };
    SyncPlan::new(
        &config,
        vec![b"#!lua name=l\n".to_vec()],
        Terms { versions, form, scope, patience_millis: PATIENCE_MILLIS },
        origin,
    )
}

#[expect(clippy::disallowed_types, reason = "one of them is the other side")]
pub(super) fn connection(id: u64, asked: Asked) -> (Target, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Target { id, sockets: vec![listener.accept().unwrap().0.into()], asked }, far)
}

/// All that comes, up to the end of the connection or an error.
#[expect(clippy::disallowed_types, reason = "this is the other side")]
fn all_of(mut far: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // What came before an error counts.
    let _ = far.read_to_end(&mut all);
    all
}

/// What one replica gets of a transfer in this process.
fn transfer(all: &mut [Shard], plan: &SyncPlan, asked: Asked) -> Vec<u8> {
    let (target, far) = connection(1, asked);
    let mut lent: Vec<&mut Shard> = all.iter_mut().collect();
    thread::scope(|scope| {
        let reader = scope.spawn(|| all_of(far));
        let sent = plan.send(&mut lent, &[target], |_| {}, |_, why| panic!("{why}"));
        assert!(sent.is_ok());
        reader.join().unwrap()
    })
}

/// Names of keys in a file, and its aux fields.
fn read(rdb: &[u8]) -> (u32, Vec<String>, Vec<String>) {
    let mut file = File::open(Reader::summing(rdb)).unwrap();
    let (mut keys, mut others, mut db) = (Vec::new(), Vec::new(), 0);
    loop {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        match file.next_event().unwrap().unwrap() {
            Event::Key(key) => keys.push(format!("{db}/{}", text(key.name))),
            Event::SelectDb(index) => db = index,
            Event::Aux { name, value } => others.push(format!("{}={}", text(name), text(value))),
            Event::Function(code) => others.push(text(code)),
            Event::End(checksum) => {
                assert_eq!(checksum, Checksum::Right);
                assert_eq!(file.next_event(), Ok(None));
                let version = file.header().version;
                assert!(file.into_reader().rest().is_empty(), "nothing stands behind");
                keys.sort();
                return (version, keys, others);
            }
            Event::ResizeDb { .. } | Event::Slot { .. } | Event::SlotImport { .. } => {}
        }
    }
}

#[test]
fn replicas_get_all_keys_in_the_form_and_version_they_read() {
    let psync = format!("+FULLRESYNC {REPLID} {}\r\n", 1u64 << 40);
    let marked = format!("$EOF:{}\r\n", String::from_utf8_lossy(&MARK));
    for version in [Version::V10, Version::V11, Version::V80] {
        for (asked, greeting) in [(Asked::Psync, &*psync), (Asked::Sync, "")] {
            for form in [Form::Marked(MARK), Form::Measured] {
                let got = transfer(
                    &mut filled(),
                    &plan(Versions::Only(version), form, Scope::All),
                    asked,
                );
                let got = got.strip_prefix(greeting.as_bytes()).unwrap();
                let rdb = match form {
                    Form::Marked(mark) => {
                        got.strip_prefix(marked.as_bytes()).unwrap().strip_suffix(&mark).unwrap()
                    }
                    Form::Measured => {
                        let line = got.iter().position(|&byte| byte == b'\n').unwrap();
                        let (line, rdb) = got.split_at(line + 1);
                        assert_eq!(line, format!("${}\r\n", rdb.len()).as_bytes());
                        rdb
                    }
                    Form::Chunked => unreachable!("it is not among these"),
                };
                let (number, keys, others) = read(rdb);
                assert_eq!((number, keys.len()), (version.number().into(), 28));
                assert_eq!((&*keys[0], &*keys[27]), ("0/dies0", "3/zset1"));
                let told = [
                    "repl-stream-db=3".to_owned(),
                    format!("repl-id={REPLID}"),
                    format!("repl-offset={}", 1u64 << 40),
                    "aof-base=0".to_owned(),
                    "#!lua name=l\n".to_owned(),
                ];
                assert_eq!(others[others.len() - 5..], told);
            }
        }
    }
}

#[test]
fn a_tool_gets_the_lowest_version_that_holds_all() {
    let lowest = |all: &mut [Shard]| {
        let plan = plan(Versions::Lowest, Form::Marked(MARK), Scope::All);
        let got = transfer(all, &plan, Asked::Sync);
        read(&got[7 + MARK_BYTES..got.len() - MARK_BYTES]).0
    };
    let mut all = filled();
    assert_eq!(lowest(&mut all), 10);
    run(&mut all[0], 3, &[b"xadd", b"s", b"1-1", b"a", b"b"]);
    run_at(&mut all[0], 3, "xgroup|create", &[b"xgroup", b"create", b"s", b"g", b"0"], 2);
    let consumer: &[&[u8]] = &[b"xgroup", b"createconsumer", b"s", b"g", b"c"];
    run_at(&mut all[0], 3, "xgroup|createconsumer", consumer, 2);
    assert_eq!(lowest(&mut all), 11);
    run(&mut all[1], 0, &[b"hset", b"h", b"f", b"v"]);
    run(&mut all[1], 0, &[b"hexpire", b"h", b"1000", b"fields", b"1", b"f"]);
    assert_eq!(lowest(&mut all), 80);
}

#[test]
fn functions_can_be_had_alone() {
    let plan = plan(Versions::Only(Version::V10), Form::Marked(MARK), Scope::Functions);
    let mut all = filled();
    run(&mut all[0], 0, &[b"hset", b"h", b"f", b"v"]);
    run(&mut all[0], 0, &[b"hexpire", b"h", b"1000", b"fields", b"1", b"f"]);
    let got = transfer(&mut all, &plan, Asked::Sync);
    let (_, keys, others) = read(&got[7 + MARK_BYTES..got.len() - MARK_BYTES]);
    assert!(keys.is_empty());
    assert_eq!(others.last().unwrap(), "#!lua name=l\n");
}

/// Waits for the end of a copy.
pub(super) fn ended(child: &mut SyncChild) -> Outcome {
    loop {
        if let Some(outcome) = child.poll(Monotonic::now()) {
            return outcome;
        }
        thread::yield_now();
    }
}

pub(super) fn start(plan: SyncPlan, targets: Vec<Target>, all: &mut [Shard]) -> SyncChild {
    let mut lent: Vec<&mut Shard> = all.iter_mut().collect();
    SyncChild::start(plan, targets, &mut lent, Monotonic::now()).unwrap()
}

#[test]
fn what_a_version_cannot_hold_is_refused_before_anything_is_sent() {
    let mut all = filled();
    run(&mut all[1], 0, &[b"hset", b"h", b"f", b"v"]);
    run(&mut all[1], 0, &[b"hexpire", b"h", b"1000", b"fields", b"1", b"f"]);
    for version in [Version::V10, Version::V11] {
        let (target, far) = connection(1, Asked::Psync);
        let plan = plan(Versions::Only(version), Form::Marked(MARK), Scope::All);
        let outcome = ended(&mut start(plan, vec![target], &mut all));
        let number = version.number();
        let why =
            format!("there is a hash whose fields expire, which RDB version {number} cannot hold");
        assert_eq!(outcome.end, End::Refused(why));
        assert_eq!(outcome.targets[0].1, Err(Lost::Ended));
        // Its connection is as it was.
        drop(outcome);
        assert!(all_of(far).is_empty());
    }
    let got = transfer(
        &mut all,
        &plan(Versions::Only(Version::V80), Form::Measured, Scope::All),
        Asked::Sync,
    );
    let line = got.iter().position(|&byte| byte == b'\n').unwrap();
    assert_eq!(read(&got[line + 1..]).1.len(), 29);
}

#[test]
fn a_copy_ends_by_command_and_tells_so() {
    let mut all = filled();
    let (target, far) = connection(1, Asked::Psync);
    run(&mut all[0], 0, &[b"set", b"much", &vec![b'y'; 64 << 20]]);
    let plan = plan(Versions::Only(Version::V11), Form::Marked(MARK), Scope::All);
    let mut child = start(plan, vec![target], &mut all);
    child.forked.kill("FLUSHALL", Monotonic::now());
    let outcome = ended(&mut child);
    assert_eq!(outcome.end, End::Killed(Some("FLUSHALL")));
    drop(outcome);
    drop(child);
    assert!(all_of(far).len() < 64 << 20);
}

#[test]
fn a_replica_that_takes_nothing_is_dropped_and_the_others_go_on() {
    let mut all = shards(1);
    run(&mut all[0], 0, &[b"set", b"much", &vec![b'y'; 16 << 20]]);
    let (stalled, silent) = connection(1, Asked::Sync);
    let (target, far) = connection(2, Asked::Sync);
    let mut plan = plan(Versions::Only(Version::V11), Form::Measured, Scope::All);
    plan.patience_millis = SHORT_PATIENCE_MILLIS;
    let began = Monotonic::now();
    let (got, sent) = thread::scope(|scope| {
        let reader = scope.spawn(|| all_of(far));
        let mut child = start(plan, vec![stalled, target], &mut all);
        let outcome = ended(&mut child);
        assert_eq!(outcome.end, End::Sent);
        let results: Vec<_> = outcome.targets.iter().map(|(_, result)| *result).collect();
        assert_eq!(results, [Err(Lost::Stalled), Ok(())]);
        drop(outcome);
        (reader.join().unwrap(), [child.take_sent(), child.take_sent()])
    });
    let all_got = got.len() as u64;
    assert!(all_got < sent[0] && sent[0] < 2 * all_got, "{sent:?}: the dropped one took some");
    assert_eq!(sent[1], 0, "that was counted");
    let took = Monotonic::now().millis_since(began);
    assert!((SHORT_PATIENCE_MILLIS..PATIENCE_MILLIS).contains(&took), "{took}");
    let line = got.iter().position(|&byte| byte == b'\n').unwrap();
    assert_eq!(read(&got[line + 1..]).1, ["0/much"]);
    drop(silent);
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Copies send to sockets while their parent shuts these at random moments: nothing hangs, and what
/// arrives is the beginning of what was sent. `MEGABYTES` of data in each of `ROUNDS`, from `SEED`.
#[test]
fn transfers_end_at_any_byte() {
    let (rounds, megabytes) = (number("ROUNDS", 24), number("MEGABYTES", 8));
    let mut all = shards(2);
    let mut random = Random::new(1);
    for key in 0..megabytes << 4 {
        let value: Vec<u8> = (0..8192).flat_map(|_| random.bits().to_le_bytes()).collect();
        let name = format!("key:{key}");
        run(&mut all[usize::from(key % 2 == 0)], 0, &[b"set", name.as_bytes(), &value]);
    }
    let plan = plan(Versions::Only(Version::V11), Form::Marked(MARK), Scope::All);
    let expected = transfer(&mut all, &plan, Asked::Psync);
    let first = number("SEED", 0);
    let (mut forks, mut snapshots, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for seed in first..first + rounds {
        eprintln!("SEED={seed}");
        snapshots.push(fork_of_a_snapshot(&mut all));
        let (fork_micros, end_millis) = shut_at_random(&mut all, seed, &expected);
        forks.push(fork_micros);
        ends.push(end_millis);
    }
    eprintln!(
        "forks took {:?} us (least, median, most), those of snapshots {:?}; copies ended within \
         {:?} ms of the last shut",
        spread(forks),
        spread(snapshots),
        spread(ends)
    );
}

/// The least, the median and the most.
fn spread(mut figures: Vec<u64>) -> [u64; 3] {
    figures.sort_unstable();
    [figures[0], figures[figures.len() / 2], figures[figures.len() - 1]]
}

/// Microseconds that the fork of a snapshot takes.
fn fork_of_a_snapshot(all: &mut [Shard]) -> u64 {
    let dir = std::env::temp_dir().join(format!("keylane-sending-{}", std::process::id()));
    let config = Config { dir, ..Config::default() };
    let mut lent: Vec<&mut Shard> = all.iter_mut().collect();
    let before = Monotonic::now();
    // There is no such folder, so nothing is written.
    let child = SavingChild::start(Plan::new(&config, Vec::new()), &mut lent, before).unwrap();
    let micros = Monotonic::now().micros_since(before);
    drop(child);
    micros
}

/// What comes behind the head, which has the time in it.
fn body(stream: &[u8]) -> &[u8] {
    let head = b"\xfe\0\xfb";
    let at = stream.windows(head.len()).take(1000).position(|bytes| bytes == head);
    at.map_or(&[], |at| &stream[at..])
}

/// The far end of one replica: what it got, and after how many bytes its connection is shut.
#[expect(clippy::disallowed_types, reason = "this is the other side")]
struct Far {
    stream: TcpStream,
    got: Vec<u8>,
    cut_at: usize,
    is_cut: bool,
    has_ended: bool,
}

impl Far {
    /// Takes some of what is there.
    fn take(&mut self, chunk: &mut [u8]) {
        match self.stream.read(chunk) {
            Ok(0) => self.has_ended = true,
            Ok(len) => self.got.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
            Err(_) => self.has_ended = true,
        }
    }
}

/// One transfer to three replicas, some of which are shut. Microseconds of the fork, and
/// milliseconds from the last shut to the end of the copy; 0 if some are not shut.
fn shut_at_random(all: &mut [Shard], seed: u64, expected: &[u8]) -> (u64, u64) {
    let mut random = Random::new(seed);
    let plan = plan(Versions::Only(Version::V11), Form::Marked(MARK), Scope::All);
    let (targets, fars): (Vec<_>, Vec<_>) = (0..3).map(|id| connection(id, Asked::Psync)).unzip();
    let mut fars: Vec<Far> = fars
        .into_iter()
        .map(|stream| {
            stream.set_nonblocking(true).unwrap();
            // Behind the end: never.
            let bytes = expected.len() * if seed.is_multiple_of(2) { 3 } else { 1 } / 2;
            let cut_at = usize::try_from(random.below(bytes as u64)).unwrap();
            Far {
                stream,
                got: Vec::with_capacity(expected.len()),
                cut_at,
                is_cut: false,
                has_ended: false,
            }
        })
        .collect();
    let before = Monotonic::now();
    let mut child = start(plan, targets, all);
    let fork_micros = Monotonic::now().micros_since(before);
    let (mut last, mut chunk) = (Monotonic::now(), vec![0; 64 << 10]);
    let mut outcome = None;
    while !fars.iter().all(|far| far.has_ended) {
        for (id, far) in (0..).zip(&mut fars) {
            far.take(&mut chunk);
            if far.cut_at <= far.got.len() && !far.is_cut && outcome.is_none() {
                child.cut(id, Monotonic::now());
                (far.is_cut, last) = (true, Monotonic::now());
            }
        }
        if outcome.is_none() {
            outcome = child.poll(Monotonic::now());
            let ended: &[_] = outcome.as_ref().map_or(&[], |outcome: &Outcome| &outcome.targets);
            ended
                .iter()
                .for_each(|(target, _)| target.sockets.iter().for_each(sockets::shut_sending));
        }
    }
    let outcome = outcome.unwrap_or_else(|| ended(&mut child));
    let end_millis = Monotonic::now().millis_since(last);
    let mut complete = 0;
    for (far, (_, result)) in fars.iter().zip(&outcome.targets) {
        let (got, all) = (body(&far.got), body(expected));
        // The checksum is that of another head.
        let summed = all.len() - MARK_BYTES - 8;
        let same = got.len().min(summed);
        assert!(got[..same] == all[..same], "a prefix of what was sent");
        if result.is_ok() && !far.is_cut {
            complete += 1;
            assert!(far.got.ends_with(&MARK));
            let rdb = far.got.windows(5).position(|bytes| bytes == b"REDIS").unwrap();
            read(&far.got[rdb..far.got.len() - MARK_BYTES]);
        } else if result.is_err() {
            assert!(far.is_cut && got.len() <= all.len());
        }
    }
    let has_sent = outcome.targets.iter().any(|(_, result)| result.is_ok());
    assert_eq!(outcome.end == End::Sent, has_sent, "{:?}", outcome.end);
    (fork_micros, if complete == 0 { end_millis } else { 0 })
}
