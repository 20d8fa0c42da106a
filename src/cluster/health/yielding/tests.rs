//! The table, row by row and in all combinations, and what a machine does.

use super::*;
use crate::cluster::frame::Beat;
use crate::cluster::machine::bench::{Bench, NT, slots};
use crate::cluster::machine::event::Event;
use crate::cluster::machine::settings::Settings;
use crate::cluster::nodes::node::Health;

const FACTS: Facts = Facts {
    yields: true,
    is_voting: true,
    unknown: 0,
    heirs: 1,
    age_ms: 100,
    limit_ms: 2000,
    is_needed: false,
    since_asked_ms: None,
};

#[test]
fn each_row_has_its_case() {
    for (label, facts, expected) in [
        ("R3: cluster-empty-restart serve", Facts { yields: false, ..FACTS }, Row::Serves),
        ("R3: a replica has taken over", Facts { is_voting: false, ..FACTS }, Row::Claimed),
        (
            "R3: all replicas are empty, too",
            Facts { heirs: 0, age_ms: BOOT_MS, ..FACTS },
            Row::NoHeir,
        ),
        ("R3: they may still load what they have", Facts { heirs: 0, ..FACTS }, Row::Waits),
        ("R3: nobody came", Facts { age_ms: 2000, ..FACTS }, Row::Over),
        ("R3: two primaries", Facts { is_needed: true, ..FACTS }, Row::CannotVote),
        (
            "R3: two primaries, later",
            Facts { is_needed: true, age_ms: BOOT_MS, limit_ms: 30_000, ..FACTS },
            Row::Asks,
        ),
        ("R3: not heard of yet", Facts { unknown: 1, heirs: 0, ..FACTS }, Row::Waits),
        ("R3: asked just now", Facts { since_asked_ms: Some(999), ..FACTS }, Row::Waits),
        ("R3: asked", Facts { since_asked_ms: Some(1000), ..FACTS }, Row::Asks),
        ("R3", FACTS, Row::Asks),
    ] {
        assert_eq!(row(&facts), expected, "{label}");
    }
}

/// The conditions of the table, each by itself.
fn holds(row: Row, facts: &Facts) -> bool {
    match row {
        Row::Serves => !facts.yields,
        Row::Claimed => !facts.is_voting,
        Row::NoHeir => facts.unknown + facts.heirs == 0 && BOOT_MS <= facts.age_ms,
        Row::Over => facts.limit_ms <= facts.age_ms,
        Row::CannotVote => facts.is_needed && facts.age_ms < BOOT_MS,
        Row::Waits => facts.heirs == 0 || facts.since_asked_ms.is_some_and(|ms| ms < ASK_MS),
        Row::Asks => true,
    }
}

#[test]
fn every_combination_meets_the_first_row_that_holds() {
    use Row::{Asks, CannotVote, Claimed, NoHeir, Over, Serves, Waits};
    let rows = [Serves, Claimed, NoHeir, Over, CannotVote, Waits, Asks];
    let mut met = Vec::new();
    for bits in 0..128_u32 {
        let bit = |index: u32| bits >> index & 1 == 1;
        for since_asked_ms in [None, Some(0), Some(ASK_MS)] {
            let facts = Facts {
                yields: bit(0),
                is_voting: bit(1),
                unknown: usize::from(bit(2)),
                heirs: usize::from(bit(3)),
                age_ms: if bit(4) { BOOT_MS } else { 0 },
                limit_ms: if bit(5) { BOOT_MS } else { 2 * BOOT_MS },
                is_needed: bit(6),
                since_asked_ms,
            };
            let first = rows.into_iter().find(|row| holds(*row, &facts));
            assert_eq!(Some(row(&facts)), first, "{facts:?}");
            met.extend(first);
        }
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met, rows);
}

const FIVE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383, \
                    r replica m, s replica m";

/// A node that has started, with links to all others.
fn started(text: &str, settings: Settings, loaded: SlotSet) -> Bench {
    let mut bench = Bench::started(text, settings);
    assert_eq!(bench.machine.lacks_data(), bench.machine.settings.yields_when_empty);
    bench.handle(Event::Loaded(loaded));
    bench.pass(100);
    bench
}

fn settings() -> Settings {
    Settings { node_timeout_ms: NT, ..Settings::default() }
}

/// Lets a node answer its PING, as far as `offset`.
fn answers(bench: &mut Bench, letter: char, offset: u64) {
    bench.node_mut(letter).offset = offset;
    bench.pong(letter);
}

#[test]
fn the_replica_with_most_data_is_asked_first_then_the_others() {
    let mut bench = started(FIVE, settings(), SlotSet::default());
    assert!(bench.machine.lacks_data() && !bench.machine.state().is_ok());
    answers(&mut bench, 'r', 10);
    answers(&mut bench, 's', 20);
    bench.pass(100);
    bench.expect("at once", &["ask s"]);
    bench.pass(900);
    bench.expect("it may take its time", &["!ask"]);
    answers(&mut bench, 'r', 10);
    answers(&mut bench, 's', 20);
    bench.pass(100);
    bench.expect("the next one", &["ask r"]);
    bench.beat('r', Beat::Ping, |header| {
        header.primary = None;
        header.flags = header.flags.with(Flags::PRIMARY).without(Flags::REPLICA);
        header.config_epoch.0 = 9;
        header.current_epoch.0 = 9;
    });
    bench.pass(100);
    assert!(!bench.machine.lacks_data(), "r has its slots");
}

#[test]
fn a_primary_serves_without_data_when_no_replica_takes_over() {
    let mut bench = started(FIVE, settings(), SlotSet::default());
    for round in 0..120 {
        for letter in ['a', 'b', 'r', 's'] {
            if bench.node(letter).contact.ping_sent.is_some() && bench.node(letter).is_linked() {
                answers(&mut bench, letter, 10);
            }
        }
        bench.pass(100);
        let is_over = settings().yield_ms() <= bench.at;
        assert_eq!(bench.machine.lacks_data(), !is_over, "round {round}");
        assert!(is_over || !bench.machine.state().is_ok(), "round {round}");
    }
    assert!(bench.machine.state().is_ok(), "it serves");
}

#[test]
fn no_primary_waits_that_has_nothing_to_wait_for() {
    let serves = Settings { yields_when_empty: false, ..settings() };
    let alone = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383";
    for (label, text, settings, loaded) in [
        ("it has keys", FIVE, settings(), slots(5..6)),
        ("it is to serve", FIVE, serves, SlotSet::default()),
    ] {
        let bench = started(text, settings, loaded);
        assert!(!bench.machine.lacks_data(), "{label}");
    }
    let mut bench = Bench::started(alone, settings());
    bench.handle(Event::Loaded(SlotSet::default()));
    assert!(!bench.machine.lacks_data(), "it has no replica");

    let mut bench = started(FIVE, settings(), SlotSet::default());
    answers(&mut bench, 'r', 0);
    bench.pass(100);
    assert!(bench.machine.lacks_data(), "what s has is not known");
    bench.node_mut('s').health = Health::Suspected;
    bench.pass(100);
    assert!(bench.machine.lacks_data(), "s may come back with it");
    bench.node_mut('s').health = Health::Fit;
    answers(&mut bench, 's', 0);
    bench.pass(100);
    assert!(bench.machine.lacks_data(), "they may still load it");
    answers(&mut bench, 's', 10);
    bench.pass(100);
    bench.expect("s has loaded it", &["ask s"]);
    answers(&mut bench, 's', 0);
    bench.pass(BOOT_MS);
    bench.expect("s has none", &["no replica has any"]);
    assert!(!bench.machine.lacks_data());
}

#[test]
fn a_replica_that_never_takes_over_by_itself_is_asked_last() {
    let mut bench = started(FIVE, settings(), SlotSet::default());
    let never = bench.node('s').flags.with(Flags::NOFAILOVER);
    bench.node_mut('s').flags = never;
    answers(&mut bench, 'r', 10);
    answers(&mut bench, 's', 20);
    for (label, asked) in [("the other one", "ask r"), ("s", "ask s")] {
        bench.node_mut('s').flags = never;
        bench.pass(100);
        bench.expect(label, &[asked]);
        bench.pass(900);
        answers(&mut bench, 'r', 10);
        answers(&mut bench, 's', 20);
    }
}
