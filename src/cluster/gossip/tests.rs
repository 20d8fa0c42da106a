//! How many nodes a heartbeat tells of, and who is sent a PING when.

use super::*;
use crate::cluster::machine::bench::{Bench, NT, id};
use crate::cluster::moment::Moment;

const LETTERS: &str = "abcdefghijkln";

fn many() -> Bench {
    let nodes = LETTERS.chars().map(|letter| format!(", {letter} replica m"));
    Bench::of(&format!("m primary 3 0-16383{}", nodes.collect::<String>()))
}

#[test]
fn a_heartbeat_tells_of_some_nodes_and_of_all_that_are_suspected() {
    let mut bench = many();
    let to = bench.key('a');
    for letter in ['b', 'c', 'd', 'e'] {
        bench.node_mut(letter).health = Health::Suspected;
    }
    for _ in 0..50 {
        let gossip = bench.machine.heartbeat(Some(to)).gossip;
        let mut nodes: Vec<_> = gossip.iter().map(|entry| entry.node).collect();
        assert_eq!(nodes.len(), ENTRIES_MIN + 4);
        nodes.sort_unstable();
        nodes.dedup();
        assert_eq!(nodes.len(), ENTRIES_MIN + 4, "each once");
        assert!(!nodes.contains(&id('a')) && !nodes.contains(&id('m')), "not of both ends");
        let suspected = gossip.iter().filter(|entry| entry.flags.has(Flags::PFAIL));
        assert_eq!(suspected.count(), 4);
    }
    bench.machine.settings.gossip_percent = 50;
    assert_eq!(bench.machine.heartbeat(Some(to)).gossip.len(), 7 + 4);
}

#[test]
fn nothing_is_told_of_nodes_that_nobody_can_reach() {
    let mut bench = many();
    for letter in LETTERS.chars().skip(1) {
        bench.node_mut(letter).ip = None;
    }
    let to = bench.key('a');
    assert_eq!(bench.machine.heartbeat(Some(to)).gossip, []);
}

#[test]
fn a_random_node_is_asked_each_second_and_each_before_it_was_silent_too_long() {
    let mut bench = many();
    let mut last: std::collections::BTreeMap<char, u64> = std::collections::BTreeMap::new();
    let start = bench.at;
    let mut pings = 0;
    for _ in 0..100 {
        bench.pass(100);
        for letter in LETTERS.chars() {
            if bench.did(&format!("send {letter} ping")) {
                last.insert(letter, bench.at);
                pings += 1;
            }
            let since = bench.at - last.get(&letter).copied().unwrap_or(start);
            assert!(since <= NT / 2 + 200, "{letter} was not asked for {since} ms");
        }
        bench.answer_all();
    }
    assert!(pings <= 13 * 20 + 10, "and not more often: {pings}");
    assert!(bench.node('a').contact.pong_received > Some(Moment(start)));
}

#[test]
fn voters_are_asked_often_enough_for_the_fence() {
    // What others tell of a voter's last PONG, to them, changes nothing.
    for others_tell in [false, true] {
        let mut bench =
            Bench::of("m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383");
        bench.machine.settings.node_timeout_ms = 15_000;
        let mut last = bench.at;
        for _ in 0..200 {
            bench.pass(100);
            if bench.did("send a ping") {
                last = bench.at;
            }
            assert!(bench.at - last <= 7500 / 3 + 200, "{others_tell}");
            bench.answer_all();
            if others_tell {
                let now = Moment(bench.at);
                bench.node_mut('a').contact.pong_received = Some(now);
            }
        }
    }
}
