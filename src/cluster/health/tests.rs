//! T-S, row by row and in all combinations, and the fence.

use super::*;
use crate::cluster::frame::header::Header;
use crate::cluster::frame::{Beat, Body};
use crate::cluster::machine::bench::{Bench, NT, forced, id};
use crate::cluster::machine::event::{End, Event, Failure};

const FACTS: Facts = Facts {
    is_primary: true,
    is_ok: false,
    is_yielding: false,
    since_first_ms: Some(BOOT_MS),
    requires_full_coverage: true,
    is_covered: true,
    reachable: 2,
    quorum: 2,
    since_minority_ms: None,
    rejoin_ms: 500,
};

#[test]
fn each_row_has_its_case() {
    let minority = Facts { reachable: 1, ..FACTS };
    for (label, facts, expected) in [
        ("T-S 1", Facts { since_first_ms: Some(BOOT_MS - 1), ..FACTS }, Row::Booting),
        ("T-S 1: loading", Facts { since_first_ms: None, ..FACTS }, Row::Booting),
        (
            "T-S 1: a replica",
            Facts { is_primary: false, since_first_ms: None, ..FACTS },
            Row::Serving,
        ),
        ("R3", Facts { is_yielding: true, is_covered: false, ..FACTS }, Row::Yielding),
        ("T-S 2", Facts { is_covered: false, ..FACTS }, Row::Uncovered),
        (
            "T-S 2: not required",
            Facts { is_covered: false, requires_full_coverage: false, ..FACTS },
            Row::Serving,
        ),
        ("T-S 3", minority, Row::Minority),
        ("T-S 4", Facts { since_minority_ms: Some(499), ..FACTS }, Row::Rejoining),
        (
            "T-S 4: a replica",
            Facts { is_primary: false, since_minority_ms: Some(499), ..FACTS },
            Row::Serving,
        ),
        (
            "T-S 4: it was ok",
            Facts { is_ok: true, since_minority_ms: Some(499), ..FACTS },
            Row::Serving,
        ),
        ("T-S 5", FACTS, Row::Serving),
    ] {
        assert_eq!(row(&facts), expected, "{label}");
    }
}

/// The conditions of the table, each by itself.
fn holds(row: Row, facts: &Facts) -> bool {
    let Facts { is_primary, is_ok, since_first_ms, since_minority_ms, .. } = *facts;
    match row {
        Row::Booting => is_primary && !is_ok && since_first_ms.is_none_or(|ms| ms < BOOT_MS),
        Row::Yielding => facts.is_yielding,
        Row::Uncovered => facts.requires_full_coverage && !facts.is_covered,
        Row::Minority => facts.reachable < facts.quorum,
        Row::Rejoining => {
            let recent = since_minority_ms.is_some_and(|ms| ms < facts.rejoin_ms);
            is_primary && !is_ok && recent
        }
        Row::Serving => true,
    }
}

#[test]
fn every_combination_meets_the_first_row_that_holds() {
    use Row::{Booting, Minority, Rejoining, Serving, Uncovered, Yielding};
    let rows = [Booting, Yielding, Uncovered, Minority, Rejoining, Serving];
    let mut met = Vec::new();
    for bits in 0..256_u32 {
        let bit = |index: u32| bits >> index & 1 == 1;
        for since_first_ms in [None, Some(0), Some(BOOT_MS)] {
            let facts = Facts {
                is_primary: bit(0),
                is_ok: bit(1),
                since_first_ms,
                is_yielding: bit(7),
                requires_full_coverage: bit(2),
                is_covered: bit(3),
                reachable: usize::from(bit(4)) + 1,
                since_minority_ms: bit(5).then_some(if bit(6) { 0 } else { 500 }),
                ..FACTS
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

const THREE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383";

#[test]
fn the_state_follows_the_table() {
    let mut bench = Bench::of(THREE);
    assert!(bench.machine.state().is_ok());
    for letter in ['a', 'b'] {
        bench.node_mut(letter).health = Health::Suspected;
    }
    bench.machine.todo.state = true;
    bench.handle(Event::Tick);
    bench.expect("T-S 3", &["Cluster state changed: fail", "I am part of a minority", "own"]);
    bench.pass(100);
    bench.beat('a', Beat::Ping, |_| {});
    assert!(!bench.machine.state().is_ok(), "T-S 4");
    for _ in 0..10 {
        bench.pass(100);
        bench.answer_all();
    }
    assert!(bench.machine.state().is_ok(), "T-S 5");
    bench.node_mut('a').health = Health::Failed(Moment(0));
    bench.machine.todo.state = true;
    bench.handle(Event::Tick);
    bench.expect("T-S 2", &["Cluster state changed: fail", "At least one hash slot"]);
}

#[test]
fn a_minority_counts_also_while_slots_are_not_served() {
    for (label, other, waits) in
        [("T-S 2 and 3", Health::Suspected, true), ("T-S 2 alone", Health::Fit, false)]
    {
        let mut bench = Bench::of(THREE);
        bench.node_mut('a').health = Health::Failed(Moment(0));
        bench.node_mut('b').health = other;
        bench.machine.todo.state = true;
        bench.handle(Event::Tick);
        bench.expect(label, &["Cluster state changed: fail", "At least one hash slot"]);
        for letter in ['a', 'b'] {
            bench.node_mut(letter).health = Health::Fit;
        }
        bench.machine.todo.state = true;
        bench.handle(Event::Tick);
        assert_eq!(bench.machine.state().is_ok(), !waits, "{label}");
    }
}

#[test]
fn a_primary_that_no_majority_answers_does_not_write() {
    let mut bench = Bench::of(THREE);
    assert!(!bench.machine.state().is_fenced());
    // Frames of others are no answers.
    for _ in 0..8 {
        bench.pass(100);
        bench.beat('a', Beat::Ping, |_| {});
        bench.beat('b', Beat::Ping, |_| {});
    }
    assert!(bench.machine.state().is_fenced() && bench.machine.state().is_ok());
    bench.pong('a');
    // The PING that is answered was sent when the silence began.
    assert!(bench.machine.state().is_fenced());
    bench.pass(200);
    bench.pong('a');
    bench.expect("one of two others makes a majority", &["no longer refused", "own"]);
    assert!(!bench.machine.state().is_fenced());
}

#[test]
fn a_primary_that_has_voted_for_its_replica_does_not_write_until_it_knows_what_came_of_it() {
    let voted = || {
        let mut bench = Bench::of(&format!("{THREE}, r replica m"));
        bench.frame('r', forced, Body::AuthRequest);
        bench.expect("it has the vote", &["send r auth-ack", "no replica has taken over", "own"]);
        for _ in 0..8 {
            bench.pass(100);
            ['a', 'b'].into_iter().for_each(|letter| bench.pong(letter));
        }
        bench
    };
    let mut bench = voted();
    assert!(!bench.machine.state().is_fenced(), "another voter for it would know");
    // Writes rest while this node ends.
    bench = Bench::of(&format!("{THREE}, r replica m"));
    bench.handle(Event::Rests(true));
    bench.frame('r', forced, Body::AuthRequest);
    bench.expect("no client is refused", &["send r auth-ack", "!refused", "!own"]);
    bench.handle(Event::Rests(false));
    bench.handle(Event::Tick);
    assert!(bench.machine.state().is_fenced(), "it goes on");
    // It has won, and gives the slots back.
    bench = Bench::of(&format!("{THREE}, r replica m"));
    bench.frame('r', forced, Body::AuthRequest);
    let (me, heir) = (bench.key('m'), bench.key('r'));
    bench.machine.nodes.set_primary(heir);
    bench.machine.nodes.set_replica(heir, Some(me));
    bench.handle(Event::Tick);
    assert!(!bench.machine.state().is_fenced(), "what came of the vote is known");
    bench = Bench::of(&format!("{THREE}, r replica m"));
    bench.frame('r', forced, Body::AuthRequest);
    for _ in 0..8 {
        bench.pass(100);
        bench.pong('a');
    }
    assert!(bench.machine.state().is_fenced(), "the replica and b may be a majority");
    // The PING that is open may be older than the end of the election.
    bench.pong('r');
    for _ in 0..6 {
        bench.pass(100);
        bench.pong('a');
    }
    bench.pong('r');
    assert!(!bench.machine.state().is_fenced(), "it has not won");
}

#[test]
fn a_replica_whose_address_refuses_has_no_use_of_a_vote() {
    let mut bench = Bench::of(&format!("{THREE}, r replica m"));
    bench.frame('r', forced, Body::AuthRequest);
    assert!(bench.machine.state().is_fenced());
    let link = bench.node('r').link().expect("it is linked");
    bench.handle(Event::Ended(link, End::ByPeer));
    bench.handle_unconnected(Event::Tick);
    let contact = bench.node('r').contact;
    let link = contact.outbound.expect("it is tried again").link;
    bench.handle(Event::ConnectFailed(link, Failure::Refused));
    bench.handle(Event::Tick);
    assert!(!bench.machine.state().is_fenced());
}

#[test]
fn the_first_act_after_a_long_stop_is_to_look_at_the_fence() {
    let mut bench = Bench::of(THREE);
    bench.at += 10 * NT;
    bench.beat('a', Beat::Ping, |_| {});
    bench.expect("7.4", &["writes are refused", "own"]);
}

#[test]
fn an_answer_to_a_ping_of_before_a_stop_does_not_lift_the_fence() {
    let mut bench = Bench::of(THREE);
    let sent = bench.now().at;
    for letter in ['a', 'b'] {
        bench.node_mut(letter).contact.ping_sent = Some(sent);
    }
    bench.stop();
    bench.handle(Event::Tick);
    bench.expect("the links are not given up", &["writes are refused", "!close"]);
    // What was answered at once is read now.
    for letter in ['a', 'b'] {
        bench.pong(letter);
        assert_eq!(bench.node(letter).contact.answered, Some(sent), "7.4");
    }
    assert!(bench.machine.state().is_fenced(), "7.4");
    for letter in ['a', 'b'] {
        let asked = bench.node(letter).contact.ping_sent;
        assert_eq!(asked, Some(bench.now().at), "7.4: it is asked again at once");
        bench.pong(letter);
    }
    assert!(!bench.machine.state().is_fenced(), "7.4");
}

#[test]
fn a_primary_that_was_lost_for_the_node_timeout_waits_for_its_successor() {
    for (label, lost, waits) in [("shorter", NT - 200, false), ("longer", NT + 100, true)] {
        let mut bench = Bench::of(THREE);
        bench.pass(lost);
        assert!(bench.machine.state().is_fenced(), "{label}");
        let now = bench.now().at;
        for letter in ['a', 'b'] {
            bench.node_mut(letter).contact.ping_sent = Some(now);
            bench.pong(letter);
        }
        assert_eq!(bench.machine.state().is_fenced(), waits, "{label}");
        for _ in 0..=NT / 100 {
            bench.pass(100);
            bench.answer_all();
        }
        assert!(!bench.machine.state().is_fenced(), "{label}");
    }
}

#[test]
fn a_primary_does_not_write_as_long_as_it_is_told_that_it_is_failed() {
    for (label, replica, waits) in
        [("a replica may be elected", ", r replica m", true), ("none may", "", false)]
    {
        let mut bench = Bench::of(&format!("{THREE}{replica}"));
        for _ in 0..4 {
            bench.frame('a', |_| {}, Body::Fail(id('m')));
            for _ in 0..=REMINDER_MS / 100 {
                bench.pass(100);
                bench.answer_all();
                assert_eq!(bench.machine.state().is_fenced(), waits, "7.4: {label}");
            }
        }
        for _ in 0..=NT.max(2 * REMINDER_MS) / 100 {
            bench.pass(100);
            bench.answer_all();
        }
        assert!(!bench.machine.state().is_fenced(), "7.4: {label}");
    }
}

#[test]
fn a_primary_that_is_held_for_failed_does_not_write_when_it_gets_a_replica() {
    let mut bench = Bench::of(&format!("{THREE}, s replica a"));
    bench.frame('a', |_| {}, Body::Fail(id('m')));
    assert!(!bench.machine.state().is_fenced(), "none may be elected");
    let follows = |header: &mut Header| {
        header.primary = Some(id('m'));
    };
    bench.beat('s', Beat::Ping, follows);
    assert!(bench.machine.state().is_fenced(), "7.4");
}

#[test]
fn a_late_answer_to_an_old_ping_tells_of_a_long_silence() {
    let mut bench = Bench::of(THREE);
    let sent = bench.now().at;
    bench.pass(NT + 100);
    for (label, answered) in [("too old", sent.after(200)), ("young", sent.after(NT))] {
        for letter in ['a', 'b'] {
            bench.node_mut(letter).contact.ping_sent = Some(answered);
            bench.pong(letter);
        }
        assert!(bench.machine.state().is_fenced(), "7.4: {label}");
    }
}

#[test]
fn the_fence_is_only_for_primaries_of_a_cluster_with_others() {
    for (label, text, fenced) in [
        ("three", THREE, true),
        ("the only primary", "m primary 3 0-16383, r replica m", false),
        ("a replica", "r replica a, a primary 4 0-8000, b primary 5 8001-16383", false),
        ("without slots", "m primary 3, a primary 4 0-8000, b primary 5 8001-16383", false),
    ] {
        let mut bench = Bench::of(text);
        bench.pass(NT);
        assert_eq!(bench.machine.state().is_fenced(), fenced, "{label}");
    }
    let mut bench = Bench::of(THREE);
    bench.machine.settings.write_lease_ms = Some(0);
    bench.pass(NT);
    assert!(!bench.machine.state().is_fenced(), "switched off");
}

#[test]
fn the_only_primary_waits_for_no_answer() {
    let mut bench = Bench::of("m primary 3 0-16383, r replica m");
    bench.answer_all();
    for _ in 0..20 {
        bench.pass(100);
        assert_eq!(bench.machine.writes_until(), Some(Moment(u64::MAX)), "{}", bench.at);
        bench.answer_all();
    }
}

#[test]
fn shards_are_told_until_when_they_may_write() {
    let mut bench = Bench::of(THREE);
    let until = bench.machine.writes_until().expect("a majority has answered");
    assert!(bench.now().at <= until && until <= bench.now().at.after(NT / 2));
    bench.at = until.0;
    bench.handle(Event::Tick);
    assert!(!bench.machine.state().is_fenced(), "the last moment");
    bench.pass(1);
    assert!(bench.machine.state().is_fenced());
    assert_eq!(bench.machine.writes_until(), Some(until), "it is over");
    bench.machine.settings.write_lease_ms = Some(0);
    assert_eq!(bench.machine.writes_until(), Some(Moment(u64::MAX)), "switched off");
}
