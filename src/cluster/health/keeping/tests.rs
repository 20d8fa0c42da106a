//! The table, row by row and in all combinations, and what a machine does.

use super::*;
use crate::cluster::machine::bench::{Bench, NT, slots};
use crate::cluster::machine::event::{Event, Replicated};
use crate::cluster::machine::settings::Settings;

const FACTS: Facts = Facts {
    keeps: true,
    has_slots: true,
    has_data: true,
    is_late: false,
    since_refused_ms: Some(999),
    limit_ms: 1000,
};

#[test]
fn each_row_has_its_case() {
    for (label, facts, expected) in [
        ("R3: cluster-empty-restart serve", Facts { keeps: false, ..FACTS }, Row::Takes),
        ("R3: a primary, or none with slots", Facts { has_slots: false, ..FACTS }, Row::NoSlots),
        ("R3: nothing to lose", Facts { has_data: false, ..FACTS }, Row::NoData),
        (
            "R3: the primary may have served for long",
            Facts { is_late: true, since_refused_ms: None, ..FACTS },
            Row::Late,
        ),
        ("R3: it grows late while it is not elected", Facts { is_late: true, ..FACTS }, Row::Keeps),
        ("R3: all is well", Facts { since_refused_ms: None, ..FACTS }, Row::Watches),
        ("R3: nobody elects it", Facts { since_refused_ms: Some(1000), ..FACTS }, Row::Over),
        ("R3", FACTS, Row::Keeps),
    ] {
        assert_eq!(row(&facts), expected, "{label}");
    }
}

/// The conditions of the table, each by itself.
fn holds(row: Row, facts: &Facts) -> bool {
    match row {
        Row::Takes => !facts.keeps,
        Row::NoSlots => !facts.has_slots,
        Row::NoData => !facts.has_data,
        Row::Late => facts.is_late && facts.since_refused_ms.is_none(),
        Row::Watches => facts.since_refused_ms.is_none(),
        Row::Over => facts.since_refused_ms.is_some_and(|millis| facts.limit_ms <= millis),
        Row::Keeps => true,
    }
}

#[test]
fn every_combination_meets_the_first_row_that_holds() {
    use Row::{Keeps, Late, NoData, NoSlots, Over, Takes, Watches};
    let rows = [Takes, NoSlots, NoData, Late, Watches, Over, Keeps];
    let mut met = Vec::new();
    for bits in 0..16_u32 {
        let bit = |index: u32| bits >> index & 1 == 1;
        for since_refused_ms in [None, Some(0), Some(999), Some(1000)] {
            let (keeps, has_slots, has_data) = (bit(0), bit(1), bit(2));
            let is_late = bit(3);
            let facts = Facts { keeps, has_slots, has_data, is_late, since_refused_ms, ..FACTS };
            let first = rows.into_iter().find(|row| holds(*row, &facts));
            assert_eq!(Some(row(&facts)), first, "{facts:?}");
            met.extend(first);
        }
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met, rows);
}

/// The bench is a replica of `a`, beside `s`.
const SHARD: &str = "m replica a, a primary 4 0-5460, b primary 5 5461-10922, \
                     c primary 6 10923-16383, s replica a";

/// What the bench is told of its stream when its link is down.
fn down(bench: &Bench) -> Replicated {
    let heard = Some(Moment(bench.at));
    Replicated { offset: 100, is_linked: false, heard, lacks_keys: false, has_keys: true }
}

fn refuses(settings: Settings, change: impl FnOnce(&mut Replicated)) -> Bench {
    let mut bench = Bench::with(SHARD, Settings { node_timeout_ms: NT, ..settings });
    let mut replicated = down(&bench);
    change(&mut replicated);
    bench.handle(Event::Replicated(Replicated { is_linked: true, ..replicated }));
    bench.handle(Event::Replicated(replicated));
    bench.handle(Event::Refused);
    bench
}

/// A replica that has followed its primary until now.
fn follows() -> Bench {
    let mut bench = Bench::with(SHARD, Settings { node_timeout_ms: NT, ..Settings::default() });
    let linked = Replicated { is_linked: true, ..down(&bench) };
    bench.handle(Event::Replicated(linked));
    bench
}

/// How long it keeps its data without its primary: longer than that is silent.
fn late_ms(bench: &Bench) -> u64 {
    bench.machine.settings.keep_ms() + bench.machine.settings.repl_ping_ms
}

#[test]
fn a_replica_that_was_away_takes_what_its_primary_has_served_since() {
    for (label, away_ms, keeps) in [("R3: no time", 0, true), ("R3: too long", 1, false)] {
        let mut bench = follows();
        let (heard, late) = (down(&bench).heard, late_ms(&bench));
        // It did nothing meanwhile, as one that was stopped.
        bench.at += late + away_ms;
        bench.handle(Event::Replicated(Replicated { heard, ..down(&bench) }));
        assert_eq!(bench.machine.keeps_data(), keeps, "{label}");
        // It has reached its primary again.
        bench.handle(Event::Replicated(down(&bench)));
        assert_eq!(bench.machine.keeps_data(), keeps, "{label}");
        bench.handle(Event::Refused);
        assert_eq!(bench.machine.outdoes_primary(), keeps, "{label}");
    }
}

#[test]
fn a_replica_keeps_its_data_for_a_primary_that_was_gone_for_long() {
    let mut bench = follows();
    bench.handle(Event::Replicated(down(&bench)));
    let primary = bench.machine.nodes.my_primary().expect("it is known");
    for _ in 0..3 {
        bench.at += late_ms(&bench);
        bench.handle(Event::Tick);
        bench.machine.note_gone(primary);
    }
    bench.handle(Event::Refused);
    assert!(bench.machine.outdoes_primary());
}

/// Lets time pass while all nodes answer. What was done, a line each.
fn pass(bench: &mut Bench, millis: u64) -> Vec<String> {
    let mut lines = std::mem::take(&mut bench.lines);
    for _ in 0..millis / 10 {
        bench.pass(10);
        lines.append(&mut bench.lines);
        bench.answer_all();
        lines.append(&mut bench.lines);
    }
    lines
}

fn has(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

#[test]
fn a_replica_that_has_more_than_its_primary_asks_to_be_elected() {
    let mut bench = refuses(Settings::default(), |_| {});
    bench.expect("R3", &["has come back with less data", "Start of election delayed"]);
    assert!(bench.machine.keeps_data());
    let lines = pass(&mut bench, 200);
    assert!(has(&lines, "send b auth-req forced"), "R3: its primary is up: {lines:#?}");
    for voter in ['b', 'c'] {
        bench.frame(voter, |_| {}, crate::cluster::frame::Body::AuthAck);
    }
    bench.expect("R3: elected", &["promote"]);
    assert!(!bench.machine.keeps_data(), "it has no primary any more");
}

#[test]
fn a_replica_that_is_not_elected_takes_what_its_primary_has() {
    let mut bench = refuses(Settings::default(), |_| {});
    let limit = bench.machine.settings.keep_ms();
    pass(&mut bench, limit - 10);
    assert!(bench.machine.keeps_data(), "R3: the time is not over");
    let lines = pass(&mut bench, 200);
    assert!(has(&lines, "was not elected in time"), "{lines:#?}");
    assert!(!bench.machine.keeps_data());
    bench.handle(Event::Refused);
    assert!(!bench.machine.keeps_data(), "R3: the time does not begin anew");
    for voter in ['b', 'c'] {
        bench.frame(voter, |_| {}, crate::cluster::frame::Body::AuthAck);
        bench.expect("R3: these votes come too late", &["!promote"]);
    }
    let linked = Replicated { offset: 7, is_linked: true, ..down(&bench) };
    bench.handle(Event::Replicated(linked));
    assert!(bench.machine.keeps_data(), "R3: what it has now is to be kept the next time");
}

/// A node that has just started does not vote, and the primary is one: where its vote is needed, it
/// comes late.
#[test]
fn voters_that_were_not_ready_are_asked_again() {
    let mut bench = refuses(Settings::default(), |_| {});
    let asks = |lines: &[String]| {
        lines.iter().filter(|line| line.contains("send b auth-req forced")).count()
    };
    let begin = bench.machine.current_epoch;
    let early = asks(&pass(&mut bench, 2 * NT));
    assert!((4..20).contains(&early), "{early}");
    let late = asks(&pass(&mut bench, 1000));
    assert!((4..=6).contains(&late), "{late}");
    let epochs = bench.machine.current_epoch.0 - begin.0;
    assert!((4..=6).contains(&epochs), "a vote binds for half the node timeout: {epochs}");
    while !bench.did("send b auth-req forced") {
        bench.pass(10);
    }
    for voter in ['b', 'c'] {
        bench.frame(voter, |_| {}, crate::cluster::frame::Body::AuthAck);
    }
    bench.expect("R3: elected late", &["promote"]);
    assert!(asks(&pass(&mut bench, 1000)) == 0, "no vote is needed any more");
}

#[test]
fn a_replica_keeps_nothing_that_is_not_to_be_kept() {
    let serves = Settings { yields_when_empty: false, ..Settings::default() };
    let external = Settings { is_external: true, ..Settings::default() };
    type Change = fn(&mut Replicated);
    let cases: [(&str, Settings, Change); 5] = [
        ("serve", serves, |_| {}),
        ("there is no election", external, |_| {}),
        ("no keys", Settings::default(), |it| it.has_keys = false),
        ("its keys are gone", Settings::default(), |it| it.lacks_keys = true),
        ("not yet of this primary", Settings::default(), |it| it.offset = 0),
    ];
    for (label, settings, change) in cases {
        let mut bench = refuses(settings, change);
        assert!(!bench.machine.keeps_data(), "{label}");
        let lines = pass(&mut bench, 500);
        assert!(!has(&lines, "auth-req"), "{label}: {lines:#?}");
    }
}

/// What a snapshot has of other slots is of another primary, whatever place it names.
#[test]
fn what_was_loaded_may_be_of_the_primary_if_all_of_it_is_of_its_slots() {
    let bench = Bench::with(SHARD, Settings::default());
    for (label, slots, expected) in [
        ("all", slots(0..5461), true),
        ("a part", slots(7..8), true),
        ("nothing", slots(0..0), false),
        ("one more", slots(0..5462), false),
    ] {
        assert_eq!(bench.machine.is_of_primary(&slots), expected, "{label}");
    }
    let bench = Bench::with("m primary 3 0-5460", Settings::default());
    assert!(!bench.machine.is_of_primary(&slots(7..8)), "it has no primary");
}

#[test]
fn a_replica_that_may_not_fail_over_lets_another_one_take_over() {
    let never = Settings { never_fails_over: true, ..Settings::default() };
    let mut bench = refuses(never, |_| {});
    assert!(bench.machine.keeps_data());
    let lines = pass(&mut bench, 500);
    assert!(!has(&lines, "auth-req"), "{lines:#?}");
}
