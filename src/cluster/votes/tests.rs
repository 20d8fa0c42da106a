//! T-V, row by row and in all combinations.

use super::*;
use crate::cluster::frame::Beat;
use crate::cluster::machine::action::{Action, Durability};
use crate::cluster::machine::bench::{Bench, claims, forced, id};
use crate::cluster::machine::event::Event;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::node::Health;

const FACTS: Facts = Facts {
    is_voting: true,
    is_safe: true,
    epoch: Epoch(7),
    current: Epoch(7),
    last_vote: Epoch(6),
    requester: Requester::ReplicaOfFailed,
    is_forced: false,
    is_old_claim: false,
    is_promised: false,
    is_unsettled: false,
    thinks_failed: true,
    size: 3,
    is_fenced: false,
    is_leaving: false,
    cannot_save: false,
};

#[test]
fn each_row_has_its_case() {
    let mine = Facts { requester: Requester::ReplicaOfMe, is_forced: true, ..FACTS };
    for (label, facts, expected) in [
        ("T-V 1", Facts { is_voting: false, ..FACTS }, Row::NoVote),
        ("T-V 2", Facts { is_safe: false, ..FACTS }, Row::NotSafe),
        ("a vote that cannot be kept", Facts { cannot_save: true, ..FACTS }, Row::NotSafe),
        ("T-V 3", Facts { epoch: Epoch(6), ..FACTS }, Row::OldEpoch),
        ("T-V 4", Facts { last_vote: Epoch(7), ..FACTS }, Row::Voted),
        (
            "T-V 5",
            Facts { requester: Requester::Primary, is_forced: true, ..FACTS },
            Row::OfPrimary,
        ),
        ("T-V 5", Facts { requester: Requester::ReplicaOfUnknown, ..FACTS }, Row::NoPrimary),
        ("T-V 5", Facts { requester: Requester::ReplicaOfLive, ..FACTS }, Row::PrimaryUp),
        (
            "T-V 5: FORCEACK",
            Facts { requester: Requester::ReplicaOfLive, is_forced: true, ..FACTS },
            Row::Granted,
        ),
        ("T-V 6", Facts { is_old_claim: true, ..FACTS }, Row::OldClaim),
        ("another one has the vote", Facts { is_promised: true, ..FACTS }, Row::Promised),
        ("no majority answers", Facts { is_fenced: true, ..FACTS }, Row::Fenced),
        ("who leads is not known", Facts { is_unsettled: true, ..FACTS }, Row::Unsettled),
        ("T-V 7", mine, Row::Myself),
        ("T-V 7: it does not think so", Facts { thinks_failed: false, ..mine }, Row::Granted),
        ("T-V 7: two primaries", Facts { size: 2, ..mine }, Row::Granted),
        ("T-V 7: I am fenced", Facts { is_fenced: true, ..mine }, Row::Granted),
        ("T-V 7: I hand over", Facts { is_leaving: true, ..mine }, Row::Granted),
        ("T-V 8", FACTS, Row::Granted),
    ] {
        assert_eq!(row(&facts), expected, "{label}");
    }
}

const ROWS: [Row; 13] = [
    Row::NoVote,
    Row::NotSafe,
    Row::OldEpoch,
    Row::Voted,
    Row::OfPrimary,
    Row::NoPrimary,
    Row::PrimaryUp,
    Row::OldClaim,
    Row::Promised,
    Row::Unsettled,
    Row::Fenced,
    Row::Myself,
    Row::Granted,
];

/// The conditions of the table, each by itself.
fn holds(row: Row, facts: &Facts) -> bool {
    let is_live = matches!(facts.requester, Requester::ReplicaOfLive | Requester::ReplicaOfMe);
    match row {
        Row::NoVote => !facts.is_voting,
        Row::NotSafe => !facts.is_safe || facts.cannot_save,
        Row::OldEpoch => facts.epoch < facts.current,
        Row::Voted => facts.last_vote == facts.current,
        Row::OfPrimary => facts.requester == Requester::Primary,
        Row::NoPrimary => facts.requester == Requester::ReplicaOfUnknown,
        Row::PrimaryUp => is_live && !facts.is_forced,
        Row::OldClaim => facts.is_old_claim,
        Row::Fenced => facts.is_fenced && facts.requester != Requester::ReplicaOfMe,
        Row::Promised => facts.is_promised,
        Row::Unsettled => facts.is_unsettled,
        Row::Myself => {
            let is_mine = facts.requester == Requester::ReplicaOfMe && facts.thinks_failed;
            is_mine && 3 <= facts.size && !facts.is_leaving && !facts.is_fenced
        }
        Row::Granted => true,
    }
}

#[test]
fn every_combination_meets_the_first_row_that_holds() {
    let requesters = [
        Requester::Primary,
        Requester::ReplicaOfUnknown,
        Requester::ReplicaOfFailed,
        Requester::ReplicaOfLive,
        Requester::ReplicaOfMe,
    ];
    let mut met = Vec::new();
    for bits in 0..8192_u64 {
        let bit = |index: u64| bits >> index & 1;
        for requester in requesters {
            let facts = Facts {
                is_voting: bit(0) == 1,
                is_safe: bit(1) == 1,
                epoch: Epoch(6 + bit(2)),
                current: Epoch(7),
                last_vote: Epoch(6 + bit(3)),
                requester,
                is_forced: bit(4) == 1,
                is_old_claim: bit(5) == 1,
                thinks_failed: bit(6) == 1,
                size: if bit(7) == 1 { 3 } else { 2 },
                is_leaving: bit(8) == 1,
                cannot_save: bit(9) == 1,
                is_promised: bit(10) == 1,
                is_unsettled: bit(11) == 1,
                is_fenced: bit(12) == 1,
            };
            let first = ROWS.into_iter().find(|row| holds(*row, &facts));
            assert_eq!(Some(row(&facts)), first, "{facts:?}");
            met.extend(first);
        }
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met, ROWS);
}

const FOUR: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383, \
                    s replica a";

/// A bench whose `a` is FAIL, where `s` asks for a vote in the next epoch.
fn asked(change: impl FnOnce(&mut Header)) -> Bench {
    let mut bench = Bench::of(FOUR);
    bench.node_mut('a').health = Health::Failed(Moment(0));
    let change = |header: &mut Header| {
        header.current_epoch = header.current_epoch.next();
        change(header);
    };
    bench.frame('s', change, Body::AuthRequest);
    bench
}

#[test]
fn a_vote_is_on_the_disk_before_it_is_told() {
    let bench = asked(|_| {});
    bench.expect("T-V 8", &["Failover auth granted to ssss", "send s auth-ack"]);
    let place = |is: fn(&Action) -> bool| bench.done.iter().position(is);
    let save = place(|action| matches!(action, Action::Save(Durability::Durable)));
    let send = place(|action| matches!(action, Action::Send(..)));
    assert!(save.expect("it is saved") < send.expect("it is sent"), "S5");
    assert_eq!(bench.machine.last_vote_epoch(), bench.machine.current_epoch());
}

#[test]
fn there_is_one_vote_an_epoch() {
    let mut bench = asked(|_| {});
    bench.frame('s', |_| {}, Body::AuthRequest);
    bench.expect("T-V 4", &["already voted for epoch 6", "!auth-ack"]);
    bench.frame('s', |header| header.current_epoch = Epoch(5), Body::AuthRequest);
    bench.expect("T-V 3", &["reqEpoch (5) < curEpoch(6)", "!auth-ack"]);
    let next = |header: &mut Header| header.current_epoch = header.current_epoch.next();
    bench.frame('s', next, Body::AuthRequest);
    bench.expect("T-V 8", &["auth-ack"]);
}

#[test]
fn who_claims_what_a_newer_owner_has_is_told_of_it() {
    let mut bench = asked(|header| header.config_epoch = Epoch(3));
    bench.expect("T-V 6", &["slot 5461 epoch (4) > reqConfigEpoch (3)", "send s update a 4"]);
    bench.beat('s', Beat::Ping, |_| {});
    assert_eq!(bench.machine.last_vote_epoch(), Epoch(0), "T-V 6");
}

#[test]
fn who_may_have_been_elected_by_a_vote_gets_no_rival() {
    let five = &format!("{FOUR}, t replica a");
    let next = |header: &mut Header| header.current_epoch = header.current_epoch.next();
    let voted = || {
        let mut bench = Bench::of(five);
        bench.node_mut('a').health = Health::Failed(Moment(0));
        bench.frame('s', next, Body::AuthRequest);
        bench.expect("the first", &["send s auth-ack"]);
        bench.frame('t', next, Body::AuthRequest);
        bench.expect(
            "a rival",
            &["can't vote about its primary before 500 milliseconds", "!auth-ack"],
        );
        bench
    };
    let mut bench = voted();
    bench.frame('s', next, Body::AuthRequest);
    bench.expect("the same again", &["send s auth-ack"]);
    let lease = bench.machine.settings.lease_ms();
    bench.pass(lease - 1);
    bench.pong('b');
    bench.frame('t', next, Body::AuthRequest);
    bench.expect("it may write yet", &["!auth-ack"]);
    bench.pass(1);
    bench.expect("it may write no more, and the rival need not ask again", &["send t auth-ack"]);
    bench.pass(2 * lease);
    bench.expect("once", &["!auth"]);
    let mut bench = voted();
    bench.beat('b', Beat::Ping, next);
    bench.pass(lease);
    bench.expect("in a past epoch", &["reqEpoch", "!auth-ack"]);
}

/// Its successor votes in its place, and it has not heard of that one.
#[test]
fn a_primary_that_no_majority_answers_votes_when_it_is_answered() {
    let asked = |requester: char| {
        let mut bench = Bench::of(&format!("{FOUR}, r replica m"));
        bench.stop();
        bench.frame(requester, forced, Body::AuthRequest);
        bench
    };
    asked('r').expect("its own replica", &["send r auth-ack"]);
    let mut bench = asked('s');
    bench.expect("another one", &["no majority of primaries answers", "!auth-ack"]);
    bench.pass(100);
    bench.pong('b');
    bench.expect("it is answered", &["no longer refused", "send s auth-ack"]);
    let mut bench = asked('s');
    bench.pass(bench.machine.settings.lease_ms());
    bench.pass(100);
    bench.pong('b');
    bench.expect("too late", &["!auth-ack"]);
}

#[test]
fn no_vote_is_given_that_cannot_be_kept() {
    let mut bench = Bench::of(FOUR);
    bench.handle(Event::SaveFailed);
    bench.node_mut('a').health = Health::Failed(Moment(0));
    let next = |header: &mut Header| header.current_epoch = header.current_epoch.next();
    bench.frame('s', next, Body::AuthRequest);
    bench.expect("a full disk", &["it is not safe to vote", "!auth-ack"]);
    bench.handle(Event::Saved);
    bench.frame('s', next, Body::AuthRequest);
    bench.expect("a full disk", &["auth-ack"]);
}

#[test]
fn strangers_and_primaries_get_no_vote() {
    let bench = asked(|header| header.sender = id('y'));
    bench.expect("a stranger", &["!auth"]);
    let mut bench = Bench::of(FOUR);
    bench.frame('b', |header| header.current_epoch = Epoch(9), Body::AuthRequest);
    bench.expect("T-V 5", &["it is a primary node"]);
    bench.frame('s', |header| header.current_epoch = Epoch(10), Body::AuthRequest);
    bench.expect("T-V 5", &["its primary is up"]);
}

#[test]
fn a_primary_that_may_have_been_replaced_makes_no_majority() {
    let three = &format!("{FOUR}, t replica b");
    // A replica of `a` has the vote of the bench, and a replica of `b` asks in the next epoch.
    let asked = |heard: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::of(three);
        bench.answer_all();
        bench.frame('s', forced, Body::AuthRequest);
        bench.expect("the first", &["send s auth-ack"]);
        heard(&mut bench);
        bench.node_mut('b').contact.answered = None;
        bench.frame('t', forced, Body::AuthRequest);
        bench
    };
    let denied = "Failover auth denied to tttt";
    asked(&|_| {}).expect("it is open", &[denied, "may have been replaced", "!send t auth-ack"]);
    let lease = |bench: &Bench| bench.machine.settings.lease_ms();
    let lost = asked(&|bench| {
        bench.pass(lease(bench) + 1);
        bench.answer_all();
    });
    lost.expect("it has lost", &["send t auth-ack"]);
    let won = asked(&|bench| {
        let slots = bench.node('a').slot_set().clone();
        let epoch = bench.machine.current_epoch();
        bench.beat('s', Beat::Ping, claims(epoch.0, slots));
        bench.answer_all();
    });
    won.expect("it has won", &["send t auth-ack"]);
    // Who would have elected it has answered since, and dies only then.
    let mut settled = Bench::of(three);
    settled.answer_all();
    settled.frame('s', forced, Body::AuthRequest);
    settled.pass(lease(&settled) + 1);
    settled.answer_all();
    for _ in 0..10 {
        settled.pass(lease(&settled) / 5);
        settled.pong('a');
    }
    settled.frame('t', forced, Body::AuthRequest);
    settled.expect("it has not won", &["send t auth-ack"]);
}

#[test]
fn a_primary_that_may_have_been_replaced_by_its_own_vote_has_none() {
    let three = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383, \
                 r replica m, s replica a";
    let two = "m primary 3 0-8191, a primary 4 8192-16383, r replica m, s replica a";
    let denied = ["may have been replaced", "!send s auth-ack"];
    for (label, nodes, enough) in [("three", three, "ab"), ("two", two, "a")] {
        let mut bench = Bench::of(nodes);
        let lease = bench.machine.settings.lease_ms();
        bench.frame('r', forced, Body::AuthRequest);
        bench.expect(label, &["send r auth-ack"]);
        bench.frame('s', forced, Body::AuthRequest);
        bench.expect(label, &denied);
        bench.frame('r', forced, Body::AuthRequest);
        bench.expect("it has not won so far", &["send r auth-ack"]);
        // No majority can have replaced this node without one of those that have answered.
        bench.pass(lease + 1);
        for letter in enough.chars() {
            bench.frame('s', forced, Body::AuthRequest);
            bench.expect(label, &denied);
            bench.pong(letter);
        }
        bench.frame('s', forced, Body::AuthRequest);
        bench.expect(label, &["send s auth-ack"]);
    }
}
