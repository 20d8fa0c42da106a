//! Limits, waits and what is sent each second.

use super::rig::{GREETED, ID, OTHER_ID, Rig};
use crate::replication::limits::Limits;
use crate::replication::link::events::{Event, News};

/// A state, after how many milliseconds without anything its attempt ends, and why.
const LIMITS: &[(&str, u64, &str)] = &[
    ("connecting", 3_000, "Timeout connecting to the PRIMARY..."),
    ("greeting", 5_000, "Timeout waiting for the PRIMARY's reply to PING"),
    ("asking", 5_000, "PRIMARY is silent before its snapshot begins"),
    ("header", 5_000, "PRIMARY is silent before its snapshot begins"),
    (
        "body",
        5_000,
        "Timeout receiving bulk data from PRIMARY... If the problem persists try to set the \
         'repl-progress-timeout' parameter to a larger value.",
    ),
    ("following", 60_000, "PRIMARY timeout: no data nor PING received..."),
];

#[test]
fn each_limit_ends_an_attempt_when_it_passes() {
    for (state, limit, text) in LIMITS {
        let mut rig = Rig::at(state);
        let end = rig.now.after(*limit);
        while rig.now < end {
            assert_ne!(rig.status(), "waiting", "{state} at {:?} of {end:?}", rig.now);
            let deadline = rig.link.deadline().expect("something is waited for");
            assert!(rig.now < deadline, "{state}: a deadline is not over");
            rig.tick_after(deadline.since(rig.now) - 1);
            assert_ne!(rig.status(), "waiting", "{state} before its deadline");
            rig.tick_after(1);
        }
        assert_eq!((rig.status(), rig.now), ("waiting", end), "{state}");
        assert_eq!(rig.lines.last(), Some(&format!("# {text}")), "{state}");
    }
}

/// How long a link lasts while the primary says `bytes` each `every` milliseconds.
fn lasts(state: &str, bytes: &[u8], every: u64) -> u64 {
    let mut rig = Rig::at(state);
    let began = rig.now;
    while rig.status() != "waiting" {
        rig.tick_after(every);
        rig.bytes(bytes);
        if 200_000 < rig.now.since(began) {
            break;
        }
    }
    rig.now.since(began)
}

#[test]
fn a_trickle_is_no_progress() {
    let chunk = vec![b'x'; 17 << 10];
    for (state, bytes, every, lasted) in [
        // Line feeds keep the link while a snapshot is prepared, but not for ever.
        ("asking", &b"\n"[..], 1_000, 60_000),
        ("header", b"\n", 1_000, 60_000),
        ("asking", b"\n", 5_000, 5_000),
        // They answer no step of the handshake.
        ("greeting", b"\n", 1_000, 5_000),
        ("body", b"x", 1_000, 5_000),
        // The stream may be as slow as its changes are.
        ("following", b"\n", 59_000, 236_000),
        ("following", b"\n", 60_000, 60_000),
    ] {
        assert_eq!(lasts(state, bytes, every), lasted, "{state} {every}");
    }
    for (every, is_enough) in [(1_000, true), (1_300, false)] {
        let mut rig = Rig::at("asking");
        rig.bytes(format!("+FULLRESYNC {OTHER_ID} 1\r\n$1000000\r\n"));
        for _ in 0..20 {
            rig.tick_after(every);
            rig.bytes(&chunk);
        }
        assert_eq!(rig.status() == "receiving", is_enough, "17 KiB each {every} ms");
    }
}

#[test]
fn a_node_that_takes_no_bytes_does_not_blame_its_primary() {
    for state in ["body", "header", "following"] {
        let mut rig = Rig::at(state);
        rig.happen("full");
        // The time from PSYNC to a snapshot goes on all the same.
        rig.tick_after(if state == "header" { 40_000 } else { 100_000 });
        assert_ne!(rig.status(), "waiting", "{state}");
        rig.happen("room");
        rig.tick_after(4_999);
        assert_ne!(rig.status(), "waiting", "{state} has all of its limit again");
    }
}

#[test]
fn applied_offsets_are_acknowledged_each_second() {
    let mut rig = Rig::at("following");
    rig.bytes(b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n");
    rig.said();
    for _ in 0..5 {
        let deadline = rig.link.deadline().expect("an acknowledgement is due");
        assert_eq!(deadline, rig.now.after(1_000));
        rig.tick_after(999);
        assert_eq!(rig.said(), "");
        rig.tick_after(1);
        assert_eq!(rig.said(), "send[ack 120]");
    }
}

#[test]
fn a_primary_hears_each_second_that_its_snapshot_is_taken_in() {
    for state in ["whole", "committing"] {
        let mut rig = Rig::at(state);
        for _ in 0..100 {
            let deadline = rig.link.deadline().expect("a beat is due");
            rig.tick_after(deadline.since(rig.now));
            assert_eq!(rig.said(), "send[beat]", "{state}");
        }
    }
}

fn wait_ms(rig: &Rig) -> u64 {
    assert_eq!(rig.status(), "waiting");
    rig.link.deadline().expect("the next attempt has a time").since(rig.now)
}

fn next(rig: &mut Rig) {
    rig.tick_after(wait_ms(rig));
    assert_eq!(rig.status(), "connecting");
}

#[test]
fn waits_grow_while_nothing_works() {
    let mut rig = Rig::at("connecting");
    let mut waits = Vec::new();
    for _ in 0..6 {
        rig.happen("connect-failed");
        waits.push(wait_ms(&rig));
        next(&mut rig);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
    rig.happen("connect-failed");
    rig.happen("same");
    rig.happen("connect-failed");
    assert_eq!(wait_ms(&rig), 100, "REPLICAOF by hand begins anew");
}

#[test]
fn a_primary_that_refuses_this_node_is_asked_less_and_less() {
    let mut rig = Rig::at("connecting");
    let refused = |rig: &mut Rig| {
        rig.news(News::Connected);
        let error = "-NOPERM Node a is no replica of this node in version 4 of the topology";
        rig.bytes(format!("{GREETED}{error}\r\n"));
        wait_ms(rig)
    };
    let mut waits = Vec::new();
    for _ in 0..9 {
        waits.push(refused(&mut rig));
        next(&mut rig);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    refused(&mut rig);
    rig.handle(Event::Retry);
    assert_eq!(rig.status(), "connecting", "what this node knows has changed");
    assert_eq!(refused(&mut rig), 100);
    next(&mut rig);
    rig.happen("connect-failed");
    rig.handle(Event::Retry);
    assert_eq!(wait_ms(&rig), 100, "a primary that is not there is no other one by that");
}

#[test]
fn syncs_that_fail_are_tried_less_and_less() {
    let mut rig = Rig::at("connecting");
    let mut waits = Vec::new();
    for round in 0..9 {
        rig.news(News::Connected);
        rig.bytes(format!("{GREETED}+FULLRESYNC {OTHER_ID} 500\r\n$3\r\nabc"));
        match round % 3 {
            0 => rig.happen("staging-failed"),
            // A sync whose stream is lost sooner than it took was in vain.
            1 => {
                rig.tick_after(2_000);
                rig.happen("staged");
                rig.happen("committed");
                rig.tick_after(1_999);
                rig.happen("closed");
            }
            _ => {
                rig.happen("staged");
                rig.happen("closed");
                rig.happen("committed");
            }
        }
        waits.push(wait_ms(&rig));
        next(&mut rig);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60].map(|seconds| seconds * 1_000));
    // A stream that goes on costs its primary nothing.
    rig.news(News::Connected);
    rig.bytes(format!("{GREETED}+CONTINUE {ID}\r\n"));
    rig.happen("closed");
    assert_eq!(wait_ms(&rig), 100);
    next(&mut rig);
    rig.news(News::Connected);
    rig.bytes(format!("{GREETED}+FULLRESYNC {OTHER_ID} 500\r\n$3\r\nabc"));
    rig.happen("closed");
    rig.happen("staged");
    rig.happen("committed");
    assert_eq!(wait_ms(&rig), 1_000);
}

#[test]
fn a_sync_after_which_the_stream_ran_is_no_failure() {
    let mut rig = Rig::at("connecting");
    for _ in 0..3 {
        rig.news(News::Connected);
        rig.bytes(format!("{GREETED}+FULLRESYNC {OTHER_ID} 500\r\n$3\r\nabc"));
        rig.tick_after(2_000);
        rig.happen("staged");
        rig.happen("committed");
        rig.tick_after(2_000);
        rig.happen("closed");
        assert_eq!(wait_ms(&rig), 100);
        next(&mut rig);
    }
}

#[test]
fn a_stream_must_bring_whole_commands_or_many_bytes() {
    let mut rig = Rig::at("following");
    let idle_s = Limits::default().idle_ms / 1_000;
    let seconds = |rig: &mut Rig, count: u64, bytes: &[u8]| {
        for _ in 0..count {
            rig.bytes(bytes);
            rig.tick_after(1_000);
        }
    };
    seconds(&mut rig, 2 * idle_s, b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(rig.status(), "following");
    rig.bytes(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$9999999\r\n");
    seconds(&mut rig, 2 * idle_s, &vec![b'x'; 2 << 10]);
    assert_eq!(rig.status(), "following", "a large value comes slowly");
    seconds(&mut rig, idle_s, b"x");
    assert_ne!(rig.status(), "following", "one byte a second is silence");
}

#[test]
fn a_stream_that_ran_for_a_while_is_soon_tried_again() {
    let mut rig = Rig::at("connecting");
    for (followed_ms, wait) in [(0, 100), (999, 200), (0, 400), (1_000, 100), (0, 200)] {
        rig.news(News::Connected);
        rig.bytes(format!("{GREETED}+CONTINUE {ID}\r\n"));
        rig.tick_after(followed_ms);
        rig.happen("closed");
        assert_eq!(wait_ms(&rig), wait, "after {followed_ms} ms");
        next(&mut rig);
    }
}
