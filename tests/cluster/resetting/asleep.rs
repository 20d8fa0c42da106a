//! A child that sleeps in the kernel, where no signal wakes it: CLUSTER RESET waits for it no
//! longer than it says, and then nothing is reset.

use std::fs;

use crate::client::Reply;
use crate::nodes::{ask, id, join, start};
use crate::processes::Server;
use crate::resetting::frozen::Frozen;
use crate::resetting::{become_primary, check_empty, children, keys, reset};
use crate::say;
use crate::servers::{Kind, now, until};

/// Milliseconds that a child has to end.
const CHILD_MILLIS: u128 = 5_000;
/// The same, and what a busy machine may need to say so.
const REFUSED_MILLIS: u128 = 8_000;

#[test]
fn nothing_is_reset_while_a_child_sleeps_in_the_kernel() {
    let options = ["--rdb-save-threads", "1", "--enable-protected-configs", "yes"];
    let [primary, mut node] = [(); 2].map(|()| start(Kind::Keylane(2), &options));
    become_primary(&primary);
    join(&node, &primary, "asleep");
    let count = keys().to_string();
    until("it has the keys", || ask(&node, &["DBSIZE"]) == count, || node.output());
    let mut frozen = match Frozen::mount(&node.folder().join("frozen"), "temp-") {
        Ok(frozen) => frozen,
        Err(why) => return say(&format!("a child asleep: NOT PLAYED: {why}")),
    };
    let name = id(&node);
    let child = fall_asleep(&node, &frozen);
    refuses(&node, child);
    assert!(is_asleep(child));
    assert_eq!(id(&node), name);
    let info = ask(&node, &["INFO", "replication"]);
    assert!(info.contains("role:slave"), "{info}");
    assert!(info.contains("master_link_status:up"), "{info}");
    assert!(ask(&node, &["CLUSTER", "INFO"]).contains("cluster_known_nodes:2"));
    assert_eq!(ask(&node, &["DBSIZE"]), count);
    // It is a replica as before.
    assert_eq!(ask(&primary, &["SET", "another key", "value"]), "OK");
    let more = (keys() + 1).to_string();
    until("it has the key", || ask(&node, &["DBSIZE"]) == more, || node.output());

    frozen.thaw();
    until("the child is gone", || children(&node).is_empty(), || node.output());
    let folder = node.folder().display().to_string();
    assert_eq!(ask(&node, &["CONFIG", "SET", "dir", &folder]), "OK");
    reset(&node, "HARD", &[child], "the child is gone");
    check_empty(&mut node, "the child is gone");
}

/// A child writes a snapshot, and does not get on. Its number.
fn fall_asleep(node: &Server, frozen: &Frozen) -> i32 {
    let folder = node.folder().join("frozen").display().to_string();
    assert_eq!(ask(node, &["CONFIG", "SET", "dir", &folder]), "OK");
    assert_eq!(ask(node, &["BGSAVE"]), "Background saving started");
    until("a write does not end", || 0 < frozen.asleep(), || node.output());
    let [child] = children(node)[..] else { panic!("there is one child: {}", node.output()) };
    child
}

/// Whether a process can be waked by nothing. A write to a frozen file is that from the first
/// signal on.
fn is_asleep(child: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'))
}

/// Resets are refused after a while, in which others are served.
fn refuses(node: &Server, child: i32) {
    let expected = format!("ERR Can't reset: child {child} does not end");
    let began = now();
    let clients = ["HARD", "SOFT"].map(|mode| {
        let mut client = node.client();
        client.send(&["CLUSTER", "RESET", mode]).expect("it is taken");
        (mode, client)
    });
    assert_eq!(ask(node, &["PING"]), "PONG");
    for (mode, mut client) in clients {
        let reply = client.receive().expect("it answers");
        let took = began.elapsed();
        assert_eq!(reply, Reply::Error(expected.clone().into_bytes()), "{mode}");
        say(&format!("RESET {mode}, a child sleeps in the kernel: refused after {took:.1?}"));
        assert!((CHILD_MILLIS..REFUSED_MILLIS).contains(&took.as_millis()), "{mode}: {took:?}");
    }
    assert!(node.output().contains(&expected[4..]), "{}", node.output());
}
