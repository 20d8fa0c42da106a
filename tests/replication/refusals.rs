//! Writes that overrun every buffer: full syncs of a replica that cannot keep up are tried less and
//! less, then not at all, and the primary says what would do. Its memory stays within its limits,
//! and writers do not wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::Reply;
use crate::compare::digest;
use crate::processes::Server;
use crate::proxy::{Proxy, Weather};
use crate::roles::text;
use crate::servers::Kind::{self, Keylane, Native, Redis70, Valkey91};
use crate::servers::{
    Ends, counter, follow, info, now, until, wait_until_offsets_meet, wait_until_online,
};
use crate::{SEED, Tally, say, side_by_side};

const ROWS: &[[Kind; 2]] = &[
    [Keylane(2), Valkey91],
    [Keylane(3), Keylane(2)],
    [Keylane(1), Redis70],
    [Native(2), Native(3)],
];

/// What a transfer has to carry, how much of it passes in a second by each connection, and what may
/// wait meanwhile.
const VALUES: usize = 250;
const VALUE_BYTES: usize = 20_000;
const SECOND_BYTES: u64 = 500_000;
const LIMIT_BYTES: u64 = 4 << 20;
/// Syncs until there are no more: three failures in a row.
const SYNCS: u64 = 3;
/// Memory for logs and stream: what may wait, and of each shard what it keeps and has shown.
const HELD_BYTES_MAX: u64 = LIMIT_BYTES + 3 * (4 << 20);
/// Between two writes, so that four times as much comes as passes, by as many connections as there
/// are logs, and a part of the snapshot does pass.
const PAUSE: Duration = Duration::from_millis(4);
/// How long a writer waits at most, be the machine ever so busy.
const WRITE_MAX: Duration = Duration::from_secs(2);
/// How often a refused replica asks, at least, while nothing more is sent to it. It waits longer
/// each time.
const REFUSALS: u64 = 1;

#[test]
fn a_sync_that_cannot_succeed_is_not_tried_for_ever() {
    let mut tally = Tally::new("refusals");
    let mut rows = ROWS.to_vec();
    rows.retain(|kinds| tally.takes(kinds));
    side_by_side(rows, |kinds| play(&kinds));
    tally.tell();
}

fn play(kinds: &[Kind; 2]) {
    let limits = format!("replica {LIMIT_BYTES} 0 0");
    let options = ["--client-output-buffer-limit", &limits, "--repl-backlog-size", "16kb"];
    // The transfer is to be as large as the values are.
    let options = [&options[..], &["--rdbcompression", "no"]].concat();
    let primary = kinds[0].start(&options).expect("the tally found it");
    // What comes meanwhile is to wait at the primary.
    let stores_little = ["--repl-timeout", "5", "--repl-sync-log-limit", "1mb"];
    let own = if let Native(_) = kinds[1] { &stores_little[..] } else { &stores_little[..2] };
    let replica = kinds[1].start(own).expect("the tally found it");
    let value = "v".repeat(VALUE_BYTES);
    let mut client = primary.client();
    for key in 0..VALUES {
        assert_eq!(text(client.call(&["SET", &format!("k{key}"), &value])), "OK");
    }
    let proxy = Proxy::start(&primary.addr, SEED).expect("there is a free port");
    proxy.set(Weather::Throttle(SECOND_BYTES));
    let (ends, held) = (&AtomicBool::new(false), &AtomicU64::new(0));
    let longest = thread::scope(|scope| {
        let writer = scope.spawn(|| overrun(&primary, &value, ends));
        let watcher = scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                let bytes = counter(&primary, "memory", "mem_total_replication_buffers");
                held.fetch_max(bytes, Ordering::Relaxed);
                thread::park_timeout(PAUSE);
            }
        });
        let end = Ends(ends);
        follow(&replica, &proxy.address);
        let is_refused = || refused(&primary).is_some();
        until("syncs are refused", is_refused, || primary.output());
        let goal = asked(&primary) + REFUSALS;
        until("the replica asks again", || goal <= asked(&primary), || primary.output());
        drop(end);
        watcher.join().expect("it watches");
        writer.join().expect("it writes")
    });
    assert_eq!(counter(&primary, "stats", "sync_full"), SYNCS, "{}", primary.output());
    let figures = refused(&primary).expect("it still is");
    let line = "is refused from now on: Full sync refused: ";
    assert!(primary.output().contains(line), "{}", primary.output());
    let held = held.load(Ordering::Relaxed);
    assert!(held <= HELD_BYTES_MAX, "{held} bytes were held\n{}", primary.output());
    assert!(longest <= WRITE_MAX, "a writer waited {longest:?}");
    say(&format!(
        "refusals: {} -> {}: {SYNCS} syncs, then {figures}; {held} bytes were held at most, and \
         the longest write took {longest:?}",
        primary.name, replica.name
    ));

    // What would do, does.
    proxy.set(Weather::Clear);
    let needs = figures.rsplit_once("needs_bytes=").expect("it has figures").1;
    let limits = format!("replica {needs} {needs} 60");
    let set = client.call(&["CONFIG", "SET", "client-output-buffer-limit", &limits]);
    assert_eq!(text(set), "OK");
    // It tries again at once, and not when its own patience is over.
    let (host, port) = proxy.address.rsplit_once(':').expect("an address has a port");
    assert!(text(replica.client().call(&["REPLICAOF", host, port])).starts_with("OK"));
    wait_until_online(&primary, &replica);
    wait_until_offsets_meet(&primary, &replica);
    assert_eq!(refused(&primary), None);
    assert_eq!(keys(&primary), keys(&replica));
    if kinds[1] != Redis70 {
        assert_eq!(digest(&primary), digest(&replica));
    }
}

/// Writes until told to end. How long the longest write took.
fn overrun(primary: &Server, value: &str, ends: &AtomicBool) -> Duration {
    let mut client = primary.client();
    let mut longest = Duration::ZERO;
    for key in (0..VALUES).cycle() {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let began = now();
        assert_eq!(text(client.call(&["SET", &format!("k{key}"), value])), "OK");
        longest = longest.max(began.elapsed());
        thread::park_timeout(PAUSE);
    }
    longest
}

/// What INFO says of the replica that is refused.
fn refused(primary: &Server) -> Option<String> {
    info(primary, "replication").remove("sync_refused0")
}

/// How often a replica was told that it gets nothing.
fn asked(primary: &Server) -> u64 {
    primary.output().matches("is refused: ").count() as u64
}

fn keys(server: &Server) -> Reply {
    server.client().call(&["DBSIZE"]).expect("it answers")
}

/// A replica that leaves once its snapshot is under way, again and again.
#[test]
fn a_refused_sync_is_in_the_log_of_the_primary() {
    let primary = Keylane(1).start(&[]).expect("it is built");
    let mut said = Reply::Null;
    let refused = |reply: &Reply| matches!(reply, Reply::Error(text) if text.starts_with(b"ERR"));
    let mut ask = || {
        let mut client = primary.client();
        client.call(&["REPLCONF", "listening-port", "1"]).expect("it answers");
        // A replica that waits gets empty lines, which are no reply.
        let Ok(reply) = client.call(&["PSYNC", "?", "-1"]) else { return false };
        said = reply;
        refused(&said)
    };
    until("a sync is refused", &mut ask, || primary.output());
    let Reply::Error(said) = said else { unreachable!("it was looked at") };
    let said = String::from_utf8_lossy(&said).into_owned();
    let why = "The last full sync of this replica failed. The next may begin in ";
    assert!(said.starts_with(&format!("ERR {why}")), "{said}");
    let line = format!("Full sync of replica 127.0.0.1:1 is refused: {why}");
    assert!(primary.output().contains(&line), "{}", primary.output());
}
