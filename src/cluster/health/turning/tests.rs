//! The table, row by row and in all combinations; what is seen of turns, and what a machine does.

use super::*;
use crate::cluster::frame::Beat;
use crate::cluster::machine::bench::Bench;
use crate::cluster::machine::event::Event;
use crate::cluster::machine::settings::Settings;

const FACTS: Facts = Facts { stall_ms: 1000, is_voting: true, still_ms: 1001 };

#[test]
fn each_row_has_its_case() {
    for (label, facts, expected) in [
        ("7.2: switched off", Facts { stall_ms: 0, ..FACTS }, Row::Never),
        ("7.2: a replica", Facts { is_voting: false, ..FACTS }, Row::NoSlots),
        ("7.2: it has just turned", Facts { still_ms: 0, ..FACTS }, Row::Turning),
        ("7.2: up to the last moment", Facts { still_ms: 1000, ..FACTS }, Row::Turning),
        ("7.2: it hangs", FACTS, Row::Stuck),
    ] {
        assert_eq!(row(&facts), expected, "{label}");
    }
}

#[test]
fn every_combination_meets_the_first_row_that_holds() {
    for bits in 0..8_u32 {
        let bit = |index: u32| bits >> index & 1 == 1;
        let facts = Facts {
            stall_ms: if bit(0) { 1000 } else { 0 },
            is_voting: bit(1),
            still_ms: if bit(2) { 1001 } else { 1000 },
        };
        let expected = match (bit(0), bit(1), bit(2)) {
            (false, _, _) => Row::Never,
            (true, false, _) => Row::NoSlots,
            (true, true, false) => Row::Turning,
            (true, true, true) => Row::Stuck,
        };
        assert_eq!(row(&facts), expected, "{facts:?}");
    }
}

#[test]
fn the_shard_counts_that_has_not_turned_for_longest() {
    let mut watch = Watch::default();
    for (label, at, turns, last) in [
        ("at first", 1000, [5, 5], 1000),
        ("both turn", 1100, [6, 7], 1100),
        ("one turns", 1200, [6, 8], 1100),
        ("still", 1300, [6, 9], 1100),
        ("the other one hangs", 1400, [7, 9], 1300),
        ("nothing looked for ten seconds", 11_400, [7, 10], 11_400),
        ("it hangs on", 11_500, [7, 10], 11_400),
        ("a counter begins anew", 11_600, [0, 11], 11_600),
    ] {
        assert_eq!(watch.look(Moment(at), turns.into_iter()), Moment(last), "{label}");
    }
}

const THREE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383";

#[test]
fn a_primary_says_nothing_while_a_shard_hangs() {
    let mut bench = Bench::of(THREE);
    let last = Moment(bench.at);
    for _ in 0..20 {
        bench.pass(100);
        bench.answer_all();
        bench.handle(Event::Turned(last));
    }
    bench.expect("2000 ms are twice the node timeout", &["!send", "!log"]);
    assert!(!bench.machine.state().is_fenced());
    bench.pass(100);
    bench.handle(Event::Turned(last));
    bench.expect("it hangs", &["A shard has not turned for 2100 milliseconds", "own", "!send"]);
    assert!(bench.machine.state().is_fenced(), "the lease still lasts");
    bench.beat('a', Beat::Ping, |_| {});
    bench.expect("a PING", &["!send"]);
    for _ in 0..30 {
        bench.pass(100);
        bench.expect("time passes", &["!send"]);
    }
    bench.handle(Event::Turned(Moment(bench.at)));
    bench.expect("it turns", &["All shards turn", "send a ping", "send b ping"]);
    assert!(bench.machine.state().is_fenced(), "no majority has answered");
    bench.answer_all();
    bench.beat('a', Beat::Ping, |_| {});
    bench.expect("a PING again", &["send a pong"]);
    for _ in 0..20 {
        bench.pass(100);
        bench.answer_all();
    }
    assert!(!bench.machine.state().is_fenced(), "all is well");
}

#[test]
fn a_stall_is_never_so_short_that_a_shard_without_work_has_one() {
    for (label, setting, node_timeout_ms, expected) in [
        ("never", Some(0), 1000, 0),
        ("as set", Some(700), 1000, 700),
        ("too short", Some(1), 1000, STALL_MS_MIN),
        ("of the node timeout", None, 1000, 2000),
        ("of a short node timeout", None, 10, STALL_MS_MIN),
    ] {
        let settings = Settings { shard_stall_ms: setting, node_timeout_ms, ..Settings::default() };
        assert_eq!(settings.stall_ms(), expected, "{label}");
    }
}
