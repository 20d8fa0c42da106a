//! CLUSTER RESET: what a node had does not come back, whatever was under way.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Reply;
use crate::nodes::{ask, join, start};
use crate::processes::Server;
use crate::servers::{Kind, until};

/// Keys of the node, so that a snapshot of them takes a moment.
const KEYS: usize = 20_000;

#[test]
fn a_replica_that_is_reset_stays_empty() {
    for (save, mode) in [("", "SOFT"), ("", "HARD"), ("3600 1", "SOFT"), ("3600 1", "HARD")] {
        let about = format!("save {save:?}, {mode}");
        let [primary, mut node] = pair(save);
        fill(&primary);
        join(&node, &primary, &about);
        until_filled(&node, &about);
        assert_eq!(ask(&node, &["SAVE"]), "OK", "{about}");
        stop_a_snapshot(&node);
        reset(&node, mode, &about);
        check_empty(&mut node, &about);
    }
}

#[test]
fn a_node_that_is_reset_while_it_gets_or_sends_all_keys_stays_empty() {
    for mode in ["SOFT", "HARD"] {
        let about = format!("it gets keys, {mode}");
        let [primary, mut node] = pair("");
        fill(&primary);
        send_slowly(&primary, true);
        join(&node, &primary, &about);
        until_info(&node, "master_sync_in_progress:1", &about);
        reset(&node, mode, &about);
        until_info(&primary, "connected_slaves:0", &about);
        check_empty(&mut node, &about);
        send_slowly(&primary, false);

        let about = format!("it is there again, and sends keys, {mode}");
        join(&node, &primary, &about);
        until_filled(&node, &about);
        send_slowly(&node, true);
        let below = Kind::Keylane(3).start(&[]).expect("it is Keylane");
        let (host, port) = node.addr.split_once(':').expect("it has a port");
        assert_eq!(ask(&below, &["REPLICAOF", host, port]), "OK", "{about}");
        until_info(&below, "master_sync_in_progress:1", &about);
        reset(&node, mode, &about);
        send_slowly(&node, false);
        until_info(&below, "master_link_status:up", &about);
        assert_eq!(ask(&below, &["DBSIZE"]), "0", "{about}: nothing is there to follow");
        check_empty(&mut node, &about);
    }
}

#[test]
fn a_primary_that_was_emptied_and_reset_stays_empty() {
    for mode in ["SOFT", "HARD"] {
        let mut node = start(Kind::Keylane(2), &["--save", ""]);
        assert_eq!(ask(&node, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
        fill(&node);
        assert_eq!(ask(&node, &["SAVE"]), "OK", "{mode}");
        assert_eq!(ask(&node, &["FLUSHALL"]), "OK", "{mode}");
        reset(&node, mode, mode);
        check_empty(&mut node, mode);
    }
}

/// A primary of all slots, and a node that knows it not. The primary goes on knowing a node that
/// was reset, and would have it meet again when it has had no link of it for a node timeout.
fn pair(save: &str) -> [Server; 2] {
    let options = ["--save", save, "--rdb-save-threads", "1", "--cluster-node-timeout", "60000"];
    let pair = [(); 2].map(|()| start(Kind::Keylane(2), &options));
    assert_eq!(ask(&pair[0], &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    pair
}

fn until_filled(node: &Server, about: &str) {
    let count = KEYS.to_string();
    let has_all = || ask(node, &["DBSIZE"]) == count;
    until(&format!("{about}: it has the keys"), has_all, || node.output());
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

fn fill(primary: &Server) {
    let serves = || ask(primary, &["SET", "key", "0"]) == "OK";
    until("the primary serves", serves, || primary.output());
    let mut client = primary.client();
    for number in 1..KEYS {
        client.send(&["SET", &format!("key:{number}"), "value"]).expect("it is taken");
    }
    for _ in 1..KEYS {
        assert!(matches!(client.receive(), Ok(Reply::Simple(_))), "{}", primary.output());
    }
}

/// A child writes a snapshot, and does not get on: it does not end when it is asked to, either.
fn stop_a_snapshot(node: &Server) {
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

/// Resets a node. When it says so, nothing that it had is left.
fn reset(node: &Server, mode: &str, about: &str) {
    let mut client = node.client();
    client.send(&["CLUSTER", "RESET", mode]).expect("it is taken");
    client.send(&["INFO", "persistence"]).expect("it is taken");
    let reply = client.receive().expect("it answers");
    assert!(matches!(&reply, Reply::Simple(text) if text == b"OK"), "{about}: {reply:?}");
    assert_eq!(children(node), [0; 0], "{about}");
    let info = client.receive().expect("it answers");
    let Reply::Bulk(info) = info else { panic!("{about}: {info:?}") };
    let info = String::from_utf8_lossy(&info);
    for line in ["rdb_bgsave_in_progress:0", "rdb_last_bgsave_status:ok"] {
        assert!(info.contains(line), "{about}: {line}: {info}");
    }
    let names = fs::read_dir(node.folder()).expect("it has a folder");
    let names = names.map(|entry| entry.expect("it can be read").file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("rdb")).collect();
    assert!(left.is_empty(), "{about}: {left:?}");
}

fn check_empty(node: &mut Server, about: &str) {
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
fn children(server: &Server) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let lists = tasks.flatten().flat_map(of_task);
    let pids =
        |list: String| -> Vec<i32> { list.split_whitespace().flat_map(str::parse).collect() };
    lists.flat_map(pids).collect()
}
