//! CLUSTER RESET: what a node had does not come back, whatever was under way.
//!
//! `KEYS` says how many keys there are, `ROUNDS` how often each row is played: the long test is
//! `KEYS=1000000 ROUNDS=20`. `ROWS=Saving,Sending` plays only these. Each row says how long its
//! resets took.

mod asleep;
mod frozen;
mod outside;
mod written;

use std::env;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Reply;
use crate::nodes::{ask, id, join, start};
use crate::processes::{Server, setting};
use crate::say;
use crate::servers::{Kind, now, until};

/// Keys of a node, unless `KEYS` says how many: a snapshot of them takes a moment.
const KEYS: u64 = 5_000;
/// Requests that are sent before their replies are read.
const WINDOW: usize = 10_000;

/// Milliseconds within which a reset is answered, be there ever so many keys: much less than what a
/// child gets that does not end.
const RESET_MILLIS: u128 = 4_000;

/// What is under way at a node, or how it keeps its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Situation {
    /// Snapshots are written, and there is one with all keys.
    SavePoints,
    /// The same where none are asked for.
    NoSavePoints,
    /// A child writes a snapshot, and does not end when it is asked to.
    Saving,
    /// A replica gets all keys from it.
    Sending,
    /// It gets all keys from its primary.
    Receiving,
    /// A replica has all that it has.
    Followed,
}

use Situation::{Followed, NoSavePoints, Receiving, SavePoints, Saving, Sending};

const OF_A_REPLICA: [Situation; 6] =
    [SavePoints, NoSavePoints, Saving, Sending, Receiving, Followed];
/// A primary gets no keys.
const OF_A_PRIMARY: [Situation; 5] = [SavePoints, NoSavePoints, Saving, Sending, Followed];

#[test]
fn a_replica_that_is_reset_softly_stays_empty() {
    reset_replicas("SOFT");
}

#[test]
fn a_replica_that_is_reset_hard_stays_empty() {
    reset_replicas("HARD");
}

#[test]
fn an_emptied_primary_that_is_reset_softly_stays_empty() {
    reset_primaries("SOFT");
}

#[test]
fn an_emptied_primary_that_is_reset_hard_stays_empty() {
    reset_primaries("HARD");
}

/// A node that is reset again and again, and servers for it.
struct Stage {
    node: Server,
    mode: &'static str,
    /// Primaries of other clusters, each of which has all slots and keys.
    primaries: Vec<Server>,
    /// Servers of several kinds that come to follow the node.
    below: Vec<Server>,
    /// Which of both kinds is next.
    turn: usize,
}

fn reset_replicas(mode: &'static str) {
    let mut stage = Stage::new(mode, 2);
    for situation in OF_A_REPLICA {
        let round = |stage: &mut Stage, about: &str| {
            let primary = stage.primary();
            let is_receiving = situation == Receiving;
            send_slowly(primary, is_receiving);
            join(&stage.node, primary, about);
            if is_receiving {
                until_info(&stage.node, "master_sync_in_progress:1", about);
            } else {
                stage.until_joined(about);
                assert_eq!(ask(&stage.node, &["SAVE"]), "OK", "{about}");
            }
            stage.prepare(situation, about);
            let took = stage.reset(situation, about);
            send_slowly(stage.primary(), false);
            until_info(stage.primary(), "connected_slaves:0", about);
            if is_receiving {
                // A primary makes replicas wait whose syncs fail again and again.
                stage.join_and_leave(about);
            }
            took
        };
        stage.play("a replica", situation, round);
    }
}

fn reset_primaries(mode: &'static str) {
    let mut stage = Stage::new(mode, 1);
    for situation in OF_A_PRIMARY {
        let round = |stage: &mut Stage, about: &str| {
            become_primary(&stage.node);
            assert_eq!(ask(&stage.node, &["SAVE"]), "OK", "{about}");
            stage.prepare(situation, about);
            match situation {
                // A child would be ended by FLUSHALL.
                Saving | Sending => each_key(&stage.node, "UNLINK", "", b":1\r\n"),
                SavePoints | NoSavePoints | Receiving | Followed => {
                    assert_eq!(ask(&stage.node, &["FLUSHALL"]), "OK", "{about}");
                }
            }
            let took = stage.reset(situation, about);
            stage.join_and_leave(about);
            took
        };
        stage.play("an emptied primary", situation, round);
    }
}

impl Stage {
    fn new(mode: &'static str, primaries: usize) -> Self {
        let options = ["--rdb-save-threads", "1"];
        let primary = |_| {
            let server = start(Kind::Keylane(2), &options);
            become_primary(&server);
            server
        };
        let primaries = (0..primaries).map(primary).collect();
        let kinds = [Kind::Keylane(3), Kind::Valkey91];
        let below = kinds.into_iter().filter_map(|kind| kind.start(&[])).collect();
        Self { node: start(Kind::Keylane(2), &options), mode, primaries, below, turn: 0 }
    }

    /// The one whose turn it is.
    fn primary(&self) -> &Server {
        &self.primaries[self.turn % self.primaries.len()]
    }

    /// The same of those that follow the node.
    fn follower(&self) -> &Server {
        &self.below[self.turn % self.below.len()]
    }

    /// Plays all rounds of a row, and says how long resets took.
    fn play(
        &mut self,
        role: &str,
        situation: Situation,
        round: impl Fn(&mut Self, &str) -> Duration,
    ) {
        let name = format!("{situation:?}");
        if env::var("ROWS").is_ok_and(|rows| !rows.split(',').any(|row| row == name)) {
            return;
        }
        let rounds = setting("ROUNDS").unwrap_or(1);
        let mut took = Vec::new();
        for number in 0..rounds {
            self.turn += 1;
            let about = format!("{role}, {situation:?}, {}, round {number}", self.mode);
            took.push(round(self, &about));
        }
        took.sort();
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        say(&format!(
            "RESET {} of {role}, {situation:?}: {rounds} rounds: median {median:.1?}, worst \
             {worst:.1?}",
            self.mode
        ));
    }

    /// The node joins a cluster, and leaves that in the same way.
    fn join_and_leave(&self, about: &str) {
        join(&self.node, self.primary(), about);
        self.until_joined(about);
        let name = id(&self.node);
        reset(&self.node, "HARD", &[], about);
        forget(self.primary(), &name);
    }

    /// The node is a replica that has all keys, and both know no other node.
    fn until_joined(&self, about: &str) {
        let count = keys().to_string();
        let has_all = || ask(&self.node, &["DBSIZE"]) == count;
        until(&format!("{about}: it has the keys"), has_all, || self.node.output());
        let is_up = || ask(&self.node, &["CLUSTER", "INFO"]).contains("cluster_state:ok");
        until(&format!("{about}: its cluster serves"), is_up, || self.node.output());
        let info = ask(&self.node, &["CLUSTER", "INFO"]);
        assert!(info.contains("cluster_known_nodes:2"), "{about}: {info}");
    }

    /// Brings about what is to be under way.
    fn prepare(&self, situation: Situation, about: &str) {
        let save = if situation == SavePoints || self.turn % 4 < 2 { "3600 1" } else { "" };
        let save = if situation == NoSavePoints { "" } else { save };
        assert_eq!(ask(&self.node, &["CONFIG", "SET", "save", save]), "OK", "{about}");
        match situation {
            SavePoints | NoSavePoints | Receiving => {}
            Saving => stop_a_snapshot(&self.node),
            Sending => {
                send_slowly(&self.node, true);
                follow(self.follower(), &self.node, about);
                until_info(self.follower(), "master_sync_in_progress:1", about);
            }
            Followed => {
                follow(self.follower(), &self.node, about);
                until_info(self.follower(), "master_link_status:up", about);
                let count = keys().to_string();
                let has_all = || ask(self.follower(), &["DBSIZE"]) == count;
                until(&format!("{about}: it is followed"), has_all, || self.node.output());
            }
        }
    }

    /// Resets the node, and looks whether it stays empty. How long the reset took.
    fn reset(&mut self, situation: Situation, about: &str) -> Duration {
        let name = id(&self.node);
        let before = children(&self.node);
        let needs_child = matches!(situation, Saving | Sending);
        assert!(!needs_child || !before.is_empty(), "{about}: there is a child");
        let took = reset(&self.node, self.mode, &before, about);
        let is_hard = self.mode == "HARD";
        assert_eq!(is_hard, id(&self.node) != name, "{about}");
        send_slowly(&self.node, false);
        if matches!(situation, Sending | Followed) {
            let below = self.follower();
            let is_empty = || {
                ask(below, &["DBSIZE"]) == "0"
                    && ask(below, &["INFO", "replication"]).contains("master_link_status:up")
            };
            until(&format!("{about}: nothing is there to follow"), is_empty, || {
                format!("{}\n{}", self.node.output(), below.output())
            });
            assert_eq!(ask(below, &["REPLICAOF", "NO", "ONE"]), "OK", "{about}");
        }
        check_empty(&mut self.node, about);
        if is_hard {
            // That node will never be there again.
            self.primaries.iter().for_each(|primary| forget(primary, &name));
        }
        took
    }
}

pub fn keys() -> u64 {
    setting("KEYS").unwrap_or(KEYS)
}

/// Has a node serve all slots, with all keys.
pub fn become_primary(node: &Server) {
    assert_eq!(ask(node, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    let serves = || ask(node, &["SET", "key:0", "0"]) == "OK";
    until("the primary serves", serves, || node.output());
    each_key(node, "SET", "value", b"+OK\r\n");
}

/// Sends a command for each key, with a value if it takes one.
fn each_key(node: &Server, command: &str, value: &str, reply: &[u8]) {
    let value = if value.is_empty() { String::new() } else { format!(" {value}") };
    let mut client = node.client();
    let all: Vec<u64> = (0..keys()).collect();
    for window in all.chunks(WINDOW) {
        let request = |number: &u64| format!("{command} key:{number}{value}\r\n");
        let requests: String = window.iter().map(request).collect();
        client.send_raw(requests.as_bytes()).expect("they are taken");
        let replies = client.exactly(window.len() * reply.len()).expect("they are answered");
        assert!(replies.chunks(reply.len()).all(|one| one == reply), "{}", node.output());
    }
}

fn follow(follower: &Server, node: &Server, about: &str) {
    let (host, port) = node.addr.split_once(':').expect("it has a port");
    assert_eq!(ask(follower, &["REPLICAOF", host, port]), "OK", "{about}");
}

/// Has a node forget another one, if it knows it.
fn forget(node: &Server, name: &str) {
    let reply = ask(node, &["CLUSTER", "FORGET", name]);
    assert!(reply == "OK" || reply.starts_with("-ERR Unknown node"), "{reply}");
}

fn until_info(node: &Server, line: &str, about: &str) {
    let says = || ask(node, &["INFO", "replication"]).contains(line);
    until(&format!("{about}: {line}"), says, || {
        ask(node, &["INFO", "replication"]) + &node.output()
    });
}

/// A full sync of all keys takes longer than the test, or no longer than it must.
fn send_slowly(node: &Server, is_slow: bool) {
    let micros = if is_slow { "20000" } else { "0" };
    assert_eq!(ask(node, &["CONFIG", "SET", "rdb-key-save-delay", micros]), "OK");
}

/// A child writes a snapshot, and does not get on: it does not end when it is asked to, either.
fn stop_a_snapshot(node: &Server) {
    send_slowly(node, true);
    let is_stopped = || {
        ask(node, &["BGSAVE"]);
        for child in children(node) {
            // It may have ended.
            let _ = kill(Pid::from_raw(child), Signal::SIGSTOP);
        }
        ask(node, &["INFO", "persistence"]).contains("rdb_bgsave_in_progress:1")
            && !children(node).is_empty()
    };
    until("a child is stopped", is_stopped, || node.output());
}

/// Resets a node that has these children. When it says so, they are gone, and nothing that it had
/// is left. How long it took.
pub fn reset(node: &Server, mode: &str, before: &[i32], about: &str) -> Duration {
    let mut client = node.client();
    let began = now();
    client.send(&["CLUSTER", "RESET", mode]).expect("it is taken");
    client.send(&["INFO", "everything"]).expect("it is taken");
    let reply = client.receive().expect("it answers");
    let took = began.elapsed();
    assert!(matches!(&reply, Reply::Simple(text) if text == b"OK"), "{about}: {reply:?}");
    assert!(took.as_millis() < RESET_MILLIS, "{about}: {took:?}");
    // A replica may come for what there is now: for that there can be a new one.
    let left: Vec<i32> = children(node).into_iter().filter(|pid| before.contains(pid)).collect();
    assert_eq!(left, [0; 0], "{about}");
    let Ok(Reply::Bulk(info) | Reply::Verbatim(info)) = client.receive() else {
        panic!("{about}: {}", node.output())
    };
    let info = String::from_utf8_lossy(&info);
    let lines: Vec<&str> = info.lines().collect();
    for line in [
        "rdb_bgsave_in_progress:0",
        "rdb_last_bgsave_status:ok",
        "rdb_current_bgsave_time_sec:-1",
        "rdb_changes_since_last_save:0",
        "loading:0",
        "role:master",
        "current_save_keys_total:0",
    ] {
        let is_free = line.starts_with("current_") && !children(node).is_empty();
        assert!(is_free || lines.contains(&line), "{about}: {line}: {info}");
    }
    assert!(!info.contains("master_sync_in_progress"), "{about}: {info}");
    let names = fs::read_dir(node.folder()).expect("it has a folder");
    let names = names.map(|entry| entry.expect("it can be read").file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("rdb")).collect();
    assert!(left.is_empty(), "{about}: {left:?}");
    let log = node.output();
    for line in ["CLUSTER RESET is asked for by client ", "No child is left after ", "(ms: "] {
        assert!(log.contains(line), "{about}: {line}: {log}");
    }
    took
}

pub fn check_empty(node: &mut Server, about: &str) {
    for is_new in [false, true] {
        if is_new {
            node.kill();
            node.start_again();
        }
        assert_eq!(ask(node, &["DBSIZE"]), "0", "{about}, started again: {is_new}");
        let info = ask(node, &["CLUSTER", "INFO"]);
        for line in ["cluster_slots_assigned:0", "cluster_known_nodes:1"] {
            assert!(info.contains(line), "{about}, started again: {is_new}: {info}");
        }
        assert!(ask(node, &["INFO", "replication"]).contains("role:master"), "{about}");
    }
}

/// The processes that a server has made.
pub fn children(server: &Server) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let lists = tasks.flatten().flat_map(of_task);
    let pids =
        |list: String| -> Vec<i32> { list.split_whitespace().flat_map(str::parse).collect() };
    lists.flat_map(pids).collect()
}
