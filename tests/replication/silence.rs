//! A primary that falls silent, wherever that is, hangs nothing: commands that end the link are
//! answered at once, other clients do not notice, nothing is left behind, and the silence is found
//! in its time.
//!
//! Bounds are loose, since tests run beside each other and unoptimised; the lines that are printed
//! have what was measured. `LANES=1 ANSWER_MS=100 WAIT_MS=50` is what a release build keeps.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::chunked::parts;
use crate::client::{Client, Reply};
use crate::processes::{Server, setting};
use crate::servers::Kind::{Keylane, Native};
use crate::servers::{Ends, counter, follow, now, until, wait_until_online};
use crate::silent::{Silent, Snapshot, Stage, snapshot};
use crate::{say, side_by_side};

/// Where a primary falls silent, and what ROLE then calls the link; `None` if it goes on to
/// another state by itself.
const STAGES: &[(Stage, Option<&str>)] = &[
    (Stage::Syn, Some("connecting")),
    (Stage::Auth, Some("handshake")),
    (Stage::Psync, Some("handshake")),
    (Stage::Waiting, Some("sync")),
    (Stage::WaitingAlive, Some("sync")),
    (Stage::FirstBytes, Some("sync")),
    (Stage::Middle, Some("sync")),
    (Stage::Trickle, Some("sync")),
    (Stage::Committing, None),
    (Stage::Streaming, Some("connected")),
    (Stage::BackingOff, Some("connect")),
];

/// How a snapshot comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Stream,
    /// As chunks, by so many connections.
    Chunks,
}

/// The stages that are others when the snapshot comes as chunks.
const OF_CHUNKS: [Stage; 6] = [
    Stage::Waiting,
    Stage::FirstBytes,
    Stage::Middle,
    Stage::Trickle,
    Stage::Committing,
    Stage::BackingOff,
];
/// Connections that chunks come by.
const CONNECTIONS: usize = 3;

/// What ends a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    ReplicaofOther,
    ReplicaofNoOne,
    Shutdown,
    Sigterm,
}

const COMMANDS: [Command; 4] =
    [Command::ReplicaofOther, Command::ReplicaofNoOne, Command::Shutdown, Command::Sigterm];

/// Keys that the replica has of its own, and those of a primary's snapshot.
const OLD_KEYS: usize = 100;
const NEW_KEYS: usize = 4_000;
const VALUE_BYTES: usize = 1_000;
/// Memory that may be used after a link more than before it.
const KEPT_BYTES_MAX: u64 = 1 << 20;

/// Milliseconds until a command is answered or the process is gone, and until another client's
/// request is. All limits of the link are longer.
const ANSWER_MS: u64 = 1_500;
const WAIT_MS: u64 = 1_000;

/// The longest times of all rows.
#[derive(Debug, Default)]
struct Longest {
    answers: [(Duration, String); COMMANDS.len()],
    wait: (Duration, String),
}

#[test]
fn a_silent_primary_holds_no_command_up() {
    // A commit takes some milliseconds: it is met at several moments.
    let delays = |stage| if stage == Stage::Committing { &[0, 3, 10, 30][..] } else { &[0] };
    let by_stream = STAGES.iter().map(|&(stage, word)| (Form::Stream, stage, word));
    let by_chunks = STAGES.iter().filter(|(stage, _)| OF_CHUNKS.contains(stage));
    let by_chunks = by_chunks.map(|&(stage, word)| (Form::Chunks, stage, word));
    let rows = by_stream.chain(by_chunks).flat_map(|(form, stage, word)| {
        let of_stage = move |command| {
            delays(stage).iter().map(move |delay| (form, stage, word, command, *delay))
        };
        COMMANDS.into_iter().flat_map(of_stage)
    });
    let rows: Vec<_> = rows.collect();
    let count = rows.len();
    let longest = Mutex::new(Longest::default());
    side_by_side(rows, |(form, stage, word, command, delay)| {
        let row = format!("{command:?} at {stage:?} + {delay} ms, by {form:?}");
        let (answer, wait) = play((form, stage), word, command, Duration::from_millis(delay));
        let mut longest = longest.lock().unwrap_or_else(PoisonError::into_inner);
        let of_command = &mut longest.answers[command as usize];
        if of_command.0 < answer {
            *of_command = (answer, row.clone());
        }
        if longest.wait.0 < wait {
            longest.wait = (wait, row);
        }
    });
    let Longest { answers, wait } = longest.into_inner().unwrap_or_else(PoisonError::into_inner);
    say(&format!(
        "silence: {count} rows played; the longest answers {answers:?}, the longest request of \
         another client {wait:?}"
    ));
    let [answer_ms, wait_ms] = [("ANSWER_MS", ANSWER_MS), ("WAIT_MS", WAIT_MS)]
        .map(|(name, usual)| setting(name).unwrap_or(usual));
    for answer in answers {
        assert!(answer.0 <= Duration::from_millis(answer_ms), "{answer:?}");
    }
    assert!(wait.0 <= Duration::from_millis(wait_ms), "{wait:?}");
}

/// How long the command took, and the longest request of another client meanwhile.
fn play(
    (form, stage): (Form, Stage),
    word: Option<&str>,
    command: Command,
    delay: Duration,
) -> (Duration, Duration) {
    let mut replica = start(form, &[]);
    let before = Held::of(&replica);
    let primary = Silent::slow(stage, new_keys(form), Duration::from_millis(100));
    let other = Silent::start(Stage::Streaming, "other", OLD_KEYS, VALUE_BYTES);
    let mut client = replica.client();
    let bystander = replica.client();
    let ends = &AtomicBool::new(false);
    thread::scope(|scope| {
        let end = Ends(ends);
        let may_end = matches!(command, Command::Shutdown | Command::Sigterm);
        let bystander = scope.spawn(move || watch(bystander, may_end, ends));
        follow(&replica, &primary.address);
        wait_for(stage, word, &primary, &replica);
        thread::park_timeout(delay);
        let answer = order(command, &mut replica, &mut client, &other);
        match command {
            Command::ReplicaofNoOne => assert_served(stage, &replica),
            Command::ReplicaofOther => {
                let is_there =
                    || value(&replica, "streamed").is_some() && keys(&replica) == OLD_KEYS + 1;
                until("the other primary is followed", is_there, || replica.output());
                assert_eq!(value(&replica, "other:7").map(|value| value.len()), Some(VALUE_BYTES));
            }
            Command::Shutdown | Command::Sigterm => {}
        }
        drop(end);
        let wait = bystander.join().expect("the other client is served");
        if command == Command::ReplicaofNoOne {
            drop(client);
            before.must_be_back(stage, &replica);
        }
        (answer, wait)
    })
}

/// The snapshot that it never gets as a whole.
fn new_keys(form: Form) -> Snapshot {
    match form {
        Form::Stream => Snapshot::Here(snapshot("new", NEW_KEYS, VALUE_BYTES)),
        Form::Chunks => Snapshot::Parts(parts("new", NEW_KEYS, VALUE_BYTES, CONNECTIONS)),
    }
}

/// A replica that has followed before, and has data of its own.
fn start(form: Form, options: &[&str]) -> Server {
    let usual = ["--primaryauth", "secret", "--repl-diskless-sync-delay", "0"];
    let kind = match form {
        Form::Stream => Keylane(2),
        Form::Chunks => Native(2),
    };
    let server = kind.start(&[&usual, options].concat()).expect("it is built");
    let first = Silent::start(Stage::Streaming, "old", OLD_KEYS, VALUE_BYTES);
    follow(&server, &first.address);
    until("the first is followed", || value(&server, "streamed").is_some(), || server.output());
    let mut client = server.client();
    for words in [&["REPLICAOF", "NO", "ONE"][..], &["DEL", "streamed"]] {
        let reply = client.call(words);
        assert!(matches!(reply, Ok(Reply::Simple(_) | Reply::Integer(1))), "{reply:?}");
    }
    server
}

/// Waits until the primary is silent, and the replica is where that leaves it.
fn wait_for(stage: Stage, word: Option<&str>, primary: &Silent, replica: &Server) {
    until("the primary is silent", || 0 < primary.silent(), || replica.output());
    let Some(word) = word else { return };
    let is_there = || {
        let half = snapshot("new", NEW_KEYS, VALUE_BYTES).len() / 2;
        let has_come = |bytes: usize| {
            let read = counter(replica, "replication", "master_sync_read_bytes");
            bytes as u64 <= read
        };
        role_word(replica) == word
            && match stage {
                Stage::FirstBytes => has_come(5),
                Stage::Middle | Stage::Trickle => has_come(half),
                Stage::Streaming => value(replica, "streamed").is_some(),
                _ => true,
            }
    };
    until(&format!("ROLE says {word} ({stage:?})"), is_there, || replica.output());
}

/// Gives the command, and says after what time it was answered, or the process was gone.
fn order(command: Command, replica: &mut Server, client: &mut Client, other: &Silent) -> Duration {
    let (host, port) = other.address.rsplit_once(':').expect("an address has a port");
    let words = match command {
        Command::ReplicaofOther => &["REPLICAOF", host, port][..],
        Command::ReplicaofNoOne => &["REPLICAOF", "NO", "ONE"],
        Command::Shutdown => &["SHUTDOWN", "NOSAVE"],
        Command::Sigterm => &[],
    };
    let began = now();
    match command {
        Command::ReplicaofOther | Command::ReplicaofNoOne => {
            let reply = client.call(words);
            let took = began.elapsed();
            assert!(matches!(&reply, Ok(Reply::Simple(text)) if text == b"OK"), "{reply:?}");
            return took;
        }
        Command::Shutdown => client.send(words).expect("it is taken"),
        Command::Sigterm => signal(replica, Signal::SIGTERM),
    }
    let mut took = Duration::ZERO;
    let is_gone = || {
        took = began.elapsed();
        replica.has_ended()
    };
    until("the process is gone", is_gone, String::new);
    took
}

/// Sends a signal to a server's process.
pub fn signal(server: &Server, signal: Signal) {
    let pid = Pid::from_raw(server.pid().try_into().expect("a pid is positive"));
    kill(pid, signal).expect("the process is there");
    if signal == Signal::SIGSTOP {
        // Threads that run stop a moment later, and may acknowledge something before.
        until("all threads stop", || has_stopped(server.pid()), || server.output());
    }
}

/// Whether no thread of a process runs.
fn has_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    threads.flatten().all(|thread| {
        let text = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        text.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
    })
}

/// Asks for this and that until told to end. The longest time that it was not answered.
fn watch(mut client: Client, may_end: bool, ends: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    let requests = [&["PING"][..], &["GET", "old:0"], &["GET", "old:1"], &["GET", "new:1"]];
    for words in requests.into_iter().cycle() {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let began = now();
        let reply = client.call(words);
        if let Err(error) = reply {
            assert!(may_end, "{words:?}: {error}");
            break;
        }
        longest = longest.max(began.elapsed());
    }
    longest
}

/// The data are whole: the old ones, or the new ones if these had come as a whole. They can be
/// written again.
fn assert_served(stage: Stage, replica: &Server) {
    let (count, is_new) = (keys(replica), value(replica, "new:1").is_some());
    let expected = match stage {
        Stage::Streaming => NEW_KEYS + 1,
        Stage::Committing if is_new => NEW_KEYS,
        _ => OLD_KEYS,
    };
    assert_eq!(count, expected, "{stage:?}\n{}", replica.output());
    let key = if is_new { "new:99" } else { "old:99" };
    assert_eq!(value(replica, key).map(|value| value.len()), Some(VALUE_BYTES), "{stage:?}");
    let set = replica.client().call(&["SET", "own", "1"]);
    assert!(matches!(set, Ok(Reply::Simple(_))), "{stage:?}: {set:?}");
    let deleted = replica.client().call(&["DEL", "own"]);
    assert!(matches!(deleted, Ok(Reply::Integer(1))), "{stage:?}: {deleted:?}");
}

/// What a process holds.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    threads: usize,
    memory: u64,
}

impl Held {
    /// Once it does not change any more.
    fn of(server: &Server) -> Self {
        const TIMES: usize = 10;
        let mut held = Self::now(server);
        let mut same = 0;
        let is_settled = || {
            let next = Self::now(server);
            same = if (next.descriptors, next.threads) == (held.descriptors, held.threads) {
                same + 1
            } else {
                0
            };
            held = next;
            TIMES <= same
        };
        until("the process settles", is_settled, || server.output());
        held
    }

    fn now(server: &Server) -> Self {
        let entries = |name| {
            let path = format!("/proc/{}/{name}", server.pid());
            fs::read_dir(path).expect("the process is there").count()
        };
        // The connection that asks is closed some time behind its reply.
        let memory = counter(server, "memory", "used_memory");
        Self { descriptors: entries("fd"), threads: entries("task"), memory }
    }

    fn must_be_back(&self, stage: Stage, server: &Server) {
        let is_back = || {
            let now = Self::now(server);
            let is_same = (now.descriptors, now.threads) == (self.descriptors, self.threads);
            // What was committed stays.
            let has_new = value(server, "new:1").is_some();
            is_same && (has_new || now.memory <= self.memory + KEPT_BYTES_MAX)
        };
        let describe = || format!("{self:?} became {:?}\n{}", Self::now(server), server.output());
        until(&format!("nothing is left behind ({stage:?})"), is_back, describe);
    }
}

/// Settings of the limits, all in seconds.
const LIMITS: [&str; 8] = [
    "--repl-connect-timeout",
    "1",
    "--repl-step-timeout",
    "1",
    "--repl-timeout",
    "2",
    "--repl-progress-timeout",
    "1",
];
/// Seconds that a test is late at most, be the machine ever so busy.
const LATE_S: u64 = 3;

/// Where a primary falls silent, seconds until that is found, and what the log then says. A
/// trickle is looked at once in the time that progress may take.
const FOUND: &[(Form, Stage, u64, &str)] = &[
    (Form::Stream, Stage::Syn, 1, "Timeout connecting to the PRIMARY..."),
    (Form::Stream, Stage::Auth, 1, "Timeout waiting for the PRIMARY's reply to AUTH"),
    (
        Form::Stream,
        Stage::Psync,
        2,
        "Timeout waiting for the first byte of a snapshot from PRIMARY",
    ),
    (
        Form::Stream,
        Stage::Waiting,
        2,
        "Timeout waiting for the first byte of a snapshot from PRIMARY",
    ),
    (
        Form::Stream,
        Stage::WaitingAlive,
        2,
        "Timeout waiting for the first byte of a snapshot from PRIMARY",
    ),
    (Form::Stream, Stage::FirstBytes, 1, "Timeout receiving bulk data from PRIMARY"),
    (Form::Stream, Stage::Middle, 2, "Timeout receiving bulk data from PRIMARY"),
    (Form::Stream, Stage::Trickle, 2, "Timeout receiving bulk data from PRIMARY"),
    (Form::Stream, Stage::Committing, 2, "PRIMARY timeout: no data nor PING received..."),
    (Form::Stream, Stage::Streaming, 2, "PRIMARY timeout: no data nor PING received..."),
    (Form::Chunks, Stage::Waiting, 1, "a connection for the snapshot was not answered"),
    (Form::Chunks, Stage::FirstBytes, 1, "Timeout receiving bulk data from PRIMARY"),
    (Form::Chunks, Stage::Middle, 2, "Timeout receiving bulk data from PRIMARY"),
    (Form::Chunks, Stage::Trickle, 2, "Timeout receiving bulk data from PRIMARY"),
    (Form::Chunks, Stage::Committing, 2, "PRIMARY timeout: no data nor PING received..."),
    (Form::Chunks, Stage::Streaming, 2, "PRIMARY timeout: no data nor PING received..."),
];

#[test]
fn silence_is_found_in_its_time_and_the_primary_is_tried_again() {
    side_by_side(FOUND.to_vec(), |(form, stage, limit, line)| {
        let replica = start(form, &LIMITS);
        let primary = Silent::slow(stage, new_keys(form), Duration::from_secs(1));
        follow(&replica, &primary.address);
        until("the primary is silent", || 0 < primary.silent(), || replica.output());
        let began = now();
        until(line, || replica.output().contains(line), || replica.output());
        let took = began.elapsed();
        say(&format!("silence: {stage:?} by {form:?} is found after {took:?}"));
        assert!(took <= Duration::from_secs(limit + 1 + LATE_S), "{stage:?}: {took:?}");
        if stage != Stage::Syn {
            let is_tried = || 2 <= primary.silent();
            until("the primary is tried again", is_tried, || replica.output());
        }
        let reads =
            if matches!(stage, Stage::Committing | Stage::Streaming) { "new:1" } else { "old:1" };
        assert!(value(&replica, reads).is_some(), "{stage:?}: {reads} is served");
    });
}

#[test]
fn silence_of_a_primary_of_logs_is_found_by_its_beats() {
    let idle = ["--repl-idle-timeout", "1"];
    let [primary, replica] = [Native(2), Native(3)].map(|kind| kind.start(&idle).expect("ours"));
    follow(&replica, &primary.addr);
    wait_until_online(&primary, &replica);
    signal(&primary, Signal::SIGSTOP);
    let (line, began) = ("PRIMARY timeout: no data nor PING received...", now());
    until(line, || replica.output().contains(line), || replica.output());
    let took = began.elapsed();
    signal(&primary, Signal::SIGCONT);
    say(&format!("silence: a primary of logs that was stopped is found after {took:?}"));
    assert!(took <= Duration::from_secs(1 + 1 + LATE_S), "{took:?}");
    wait_until_online(&primary, &replica);
    assert_eq!(counter(&primary, "stats", "sync_full"), 1, "{}", primary.output());
}

fn role_word(server: &Server) -> String {
    let Ok(Reply::Group(_, words)) = server.client().call(&["ROLE"]) else { return String::new() };
    let word = words.get(3).map(Reply::head).unwrap_or_default();
    word.trim_start_matches('$').to_owned()
}

fn value(server: &Server, key: &str) -> Option<Vec<u8>> {
    match server.client().call(&["GET", key]) {
        Ok(Reply::Bulk(value)) => Some(value),
        _ => None,
    }
}

fn keys(server: &Server) -> usize {
    match server.client().call(&["DBSIZE"]) {
        Ok(Reply::Integer(keys)) => usize::try_from(keys).expect("a count"),
        other => panic!("{}: DBSIZE: {other:?}", server.name),
    }
}
