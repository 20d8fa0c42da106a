//! T-E, row by row and in all combinations.

use shards::base::slot::Slot;

use super::*;
use crate::cluster::frame::Beat;
use crate::cluster::machine::action::{Durability, Sync};
use crate::cluster::machine::bench::{Bench, NT, claims, id, slots};
use crate::cluster::machine::event::{Command, Event, Failover, Replicated};

const FACTS: Facts = Facts {
    is_candidate: true,
    is_manual: false,
    is_too_old: false,
    wait_ms: 0,
    age_ms: Some(0),
    requested: true,
    votes: 1,
    quorum: 2,
    timeout_ms: 2000,
    retry_ms: 4000,
};

#[test]
fn each_row_has_its_case() {
    let old = Facts { is_too_old: true, ..FACTS };
    for (label, facts, expected) in [
        ("T-E 1", Facts { is_candidate: false, ..FACTS }, Row::None),
        ("T-E 2", old, Row::TooOld),
        ("T-E 2: manual", Facts { is_manual: true, ..old }, Row::Missing),
        ("T-E 3: none", Facts { age_ms: None, ..FACTS }, Row::Schedule),
        ("T-E 3: retry", Facts { age_ms: Some(4001), ..FACTS }, Row::Schedule),
        ("T-E 5", Facts { wait_ms: 1, ..FACTS }, Row::Wait),
        ("T-E 6", Facts { age_ms: Some(2001), ..FACTS }, Row::Expired),
        ("T-E 6: no retry yet", Facts { age_ms: Some(4000), ..FACTS }, Row::Expired),
        ("T-E 7", Facts { requested: false, ..FACTS }, Row::Request),
        ("T-E 8", Facts { votes: 2, age_ms: Some(2000), ..FACTS }, Row::Won),
        ("T-E 9", FACTS, Row::Missing),
    ] {
        assert_eq!(row(&facts), expected, "{label}");
    }
}

const ROWS: [Row; 8] = [
    Row::None,
    Row::TooOld,
    Row::Schedule,
    Row::Wait,
    Row::Expired,
    Row::Request,
    Row::Won,
    Row::Missing,
];

/// The conditions of the table, each by itself.
fn holds(row: Row, facts: &Facts) -> bool {
    let age = |above: u64| facts.age_ms.is_some_and(|age| above < age);
    match row {
        Row::None => !facts.is_candidate,
        Row::TooOld => facts.is_too_old && !facts.is_manual,
        Row::Schedule => facts.age_ms.is_none() || age(facts.retry_ms),
        Row::Wait => 0 < facts.wait_ms,
        Row::Expired => age(facts.timeout_ms),
        Row::Request => !facts.requested,
        Row::Won => facts.quorum <= facts.votes,
        Row::Missing => true,
    }
}

#[test]
fn every_combination_meets_the_first_row_that_holds() {
    let mut met = Vec::new();
    for bits in 0..64_u32 {
        let bit = |index: u32| bits >> index & 1 == 1;
        for age_ms in [None, Some(0), Some(2000), Some(2001), Some(4000), Some(4001)] {
            let facts = Facts {
                is_candidate: bit(0),
                is_manual: bit(1),
                is_too_old: bit(2),
                wait_ms: u64::from(bit(3)),
                age_ms,
                requested: bit(4),
                votes: if bit(5) { 2 } else { 1 },
                ..FACTS
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

/// The bench is a replica of `a`, beside `s` and `t`.
const SHARD: &str = "m replica a, a primary 4 0-5460, b primary 5 5461-10922, \
                     c primary 6 10923-16383, s replica a, t replica a";
/// The bench is the only replica of `a`.
const ALONE: &str = "m replica a, a primary 4 0-5460, b primary 5 5461-10922, \
                     c primary 6 10923-16383";

fn fail(bench: &mut Bench, letter: char) {
    let failed = id(letter);
    bench.frame('b', |_| {}, Body::Fail(failed));
}

/// The wait of the last line about an election, its rank and its primary's rank.
fn scheduled(bench: &Bench) -> (u64, u64, u64) {
    let line = bench.lines.iter().find(|line| line.contains("Start of election delayed for"));
    let line = line.expect("an election is scheduled");
    let numbers = line.split(|letter: char| !letter.is_ascii_digit());
    let numbers: Vec<u64> = numbers.filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1], numbers[2])
}

#[test]
fn the_only_replica_asks_at_once() {
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    bench.expect(
        "T-E 3, 7",
        &[
            "This is the best ranked replica",
            "Starting a failover election for epoch 7, node config epoch is 4",
            "send b auth-req forced",
            "send c auth-req forced",
        ],
    );
    let place = |is: fn(&Action) -> bool| bench.done.iter().position(is);
    let save = place(|action| matches!(action, Action::Save(Durability::Durable)));
    let send = place(|action| matches!(action, Action::Send(..)));
    assert!(save.expect("it is saved") < send.expect("it is sent"), "S5");
}

#[test]
fn ranks_make_replicas_wait_for_better_ones() {
    let d = NT / 30;
    for (label, mine, others, rank) in [
        ("the most data", 100, [50, 60], 0),
        ("one has more", 100, [150, 60], 1),
        ("both have more", 100, [150, 160], 2),
        ("as much, and a greater id", 100, [100, 60], 0),
        ("none", 0, [0, 60], 1),
    ] {
        let mut bench = Bench::of(SHARD);
        for (letter, offset) in ['s', 't'].into_iter().zip(others) {
            bench.node_mut(letter).offset = offset;
        }
        let heard = Some(bench.now().at);
        bench.handle(Event::Replicated(Replicated {
            offset: mine,
            is_linked: false,
            heard,
            lacks_keys: false,
            has_keys: true,
        }));
        fail(&mut bench, 'a');
        let (wait, said, _) = scheduled(&bench);
        assert_eq!(said, rank, "{label}");
        let empty = if mine == 0 { 500 } else { 0 };
        let least = d + 2 * d * rank + empty;
        assert!(least <= wait && wait < least + d, "{label}: {wait}");
        bench.expect(label, &["send s pong", "!auth-req"]);
    }
}

#[test]
fn votes_are_asked_for_when_the_wait_is_over_and_not_in_the_next_round() {
    for by in ["the tick", "another event"] {
        let mut bench = Bench::of(SHARD);
        fail(&mut bench, 'a');
        let (wait, _, _) = scheduled(&bench);
        let due = Moment(bench.at + wait);
        assert_eq!(bench.machine.deadline(), due, "it is before the next round");
        bench.pass(wait - 1);
        bench.expect(by, &["!auth-req"]);
        bench.at += 1;
        let heard = Some(due);
        let replicated =
            Replicated { offset: 100, is_linked: false, heard, lacks_keys: false, has_keys: true };
        bench.handle(match by {
            "the tick" => Event::Tick,
            _ => Event::Replicated(replicated),
        });
        bench.expect(by, &["send b auth-req"]);
    }
}

#[test]
fn replicas_of_primaries_that_failed_together_take_turns() {
    let mut bench = Bench::of(
        "m replica c, a primary 4 0-5460, b primary 5 5461-10922, c primary 6 10923-16383, \
         s replica a, t replica b",
    );
    fail(&mut bench, 'a');
    fail(&mut bench, 'c');
    let (_, _, primary_rank) = scheduled(&bench);
    assert_eq!(primary_rank, 1, "the shard of a comes first");
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'c');
    fail(&mut bench, 'a');
    assert_eq!(scheduled(&bench).2, 0, "the shard of c comes later");
}

#[test]
fn a_replica_waits_no_longer_when_all_know_and_none_has_more() {
    let mut bench = Bench::of(SHARD);
    fail(&mut bench, 'a');
    bench.expect("T-E 3: s may not know", &["!best ranked"]);
    let knows = |header: &mut crate::cluster::frame::header::Header| {
        header.flags = header.flags.with(Flags::PRIMARY_FAIL);
    };
    bench.beat('s', Beat::Pong, knows);
    bench.expect("T-E 4: t may not know", &["!best ranked", "!auth-req"]);
    bench.beat('t', Beat::Pong, knows);
    bench.expect("T-E 4", &["Myself become the best ranked replica", "send b auth-req forced"]);
}

#[test]
fn a_rank_that_changes_moves_the_time() {
    let mut bench = Bench::of(SHARD);
    fail(&mut bench, 'a');
    let before = bench.machine.election.time.expect("it is scheduled");
    bench.beat('s', Beat::Pong, |header| header.offset = 900);
    bench.handle(Event::Tick);
    bench.machine.todo.election = true;
    bench.handle(Event::Tick);
    let after = bench.machine.election.time.expect("it is scheduled");
    assert_eq!(after.since(before), 2 * (NT / 30), "T-E 4");
}

#[test]
fn data_that_is_too_old_is_not_elected() {
    let mut bench = Bench::of(ALONE);
    bench.machine.settings.validity_factor = 1;
    bench.machine.settings.repl_ping_ms = 0;
    let heard = Some(bench.now().at.before(2 * NT + 1));
    bench.handle(Event::Replicated(Replicated {
        offset: 100,
        is_linked: false,
        heard,
        lacks_keys: false,
        has_keys: true,
    }));
    fail(&mut bench, 'a');
    bench.expect("T-E 2", &["Disconnected from primary for longer than allowed", "!auth-req"]);
    bench.machine.settings.validity_factor = 0;
    bench.pass(100);
    bench.expect("T-E 2: no limit", &["auth-req"]);
}

#[test]
fn a_node_that_has_given_up_its_keys_is_not_elected() {
    let mut bench = Bench::of(ALONE);
    bench.machine.settings.validity_factor = 0;
    let heard = Some(bench.now().at);
    let given_up =
        Replicated { offset: 0, is_linked: false, heard, lacks_keys: true, has_keys: false };
    bench.handle(Event::Replicated(given_up));
    fail(&mut bench, 'a');
    bench.pass(100);
    bench.expect("T-E 2: no keys", &["!auth-req"]);
    bench.handle(Event::Replicated(Replicated { lacks_keys: false, offset: 100, ..given_up }));
    bench.pass(100);
    bench.expect("T-E 2: a full sync is complete", &["auth-req"]);
}

#[test]
fn a_node_that_is_no_candidate_does_nothing() {
    let mut bench = Bench::of(ALONE);
    bench.machine.settings.never_fails_over = true;
    fail(&mut bench, 'a');
    bench.pass(100);
    bench.expect("T-E 1: cluster-replica-no-failover", &["!election", "!auth-req"]);
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'b');
    bench.expect("T-E 1: not my primary", &["!election"]);
}

#[test]
fn a_majority_of_votes_makes_a_primary() {
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    let epoch = bench.machine.current_epoch();
    bench.frame('b', |header| header.current_epoch = Epoch(6), Body::AuthAck);
    bench.frame('b', |header| header.current_epoch = epoch, Body::AuthAck);
    bench.expect("T-E 9", &["!promote"]);
    bench.frame('b', |_| {}, Body::AuthAck);
    bench.expect("a vote counts once", &["!promote"]);
    bench.frame('c', |_| {}, Body::AuthAck);
    bench.expect(
        "T-E 8",
        &[
            "Failover election won",
            "configEpoch set to 7 after successful failover",
            "Setting myself to primary in shard aaaa",
            "promote",
            "delete 10923",
            "own",
            "save Durable",
            "send b pong 7",
            "send a pong 7",
        ],
    );
    assert_eq!(bench.node('m').slot_count(), 5461, "T-W");
    assert_eq!(bench.node('a').slot_count(), 0, "T-W");
    assert_eq!(bench.node('m').config_epoch, Epoch(7), "T-W");
}

#[test]
fn who_takes_over_keeps_the_keys_that_are_on_their_way() {
    let mut bench = Bench::of(ALONE);
    let (slot, b) = (Slot::new(6000).expect("there is such a slot"), bench.key('b'));
    bench.machine.nodes.importing.insert(slot, b);
    fail(&mut bench, 'a');
    ['b', 'c'].into_iter().for_each(|letter| bench.frame(letter, |_| {}, Body::AuthAck));
    bench.expect("T-W", &["promote", "delete 10922", "own"]);
    assert!(bench.machine.nodes.importing.contains_key(&slot), "T-W");
}

#[test]
fn who_is_elected_writes_whatever_older_answers_come() {
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    // To what it asked before, nothing has come for longer than a lease lasts.
    let long_ago = Moment(bench.at).before(bench.machine.settings.lease_ms() + 1);
    for letter in ['b', 'c'] {
        let contact = &mut bench.node_mut(letter).contact;
        (contact.ping_sent, contact.answered) = (Some(long_ago), Some(long_ago));
    }
    ['b', 'c'].into_iter().for_each(|letter| bench.frame(letter, |_| {}, Body::AuthAck));
    bench.expect("T-E 8", &["promote"]);
    for letter in ['b', 'c'] {
        bench.pong(letter);
        assert!(!bench.machine.state().is_fenced(), "7.4: {letter}");
    }
}

/// Who answers a replica does not know of a claim, and may elect another one when its vote is over.
#[test]
fn answers_to_a_replica_do_not_let_the_primary_write_that_it_became() {
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    let (asked, lease) = (bench.at, bench.machine.settings.lease_ms());
    let ping = |bench: &mut Bench| {
        let at = Moment(bench.at);
        for letter in ['b', 'c'] {
            bench.node_mut(letter).contact.ping_sent = Some(at);
        }
    };
    bench.at += lease / 2;
    ping(&mut bench);
    ['b', 'c'].into_iter().for_each(|letter| bench.frame(letter, |_| {}, Body::AuthAck));
    bench.expect("T-E 8", &["promote"]);
    ['b', 'c'].into_iter().for_each(|letter| bench.pong(letter));
    // The epoch, and the claim.
    [Event::Saved, Event::Saved].into_iter().for_each(|saved| bench.handle(saved));
    assert_eq!(bench.machine.writes_until(), Some(Moment(asked + lease)), "7.4: the votes bind");
    bench.at += 1;
    ping(&mut bench);
    ['b', 'c'].into_iter().for_each(|letter| bench.pong(letter));
    assert_eq!(bench.machine.writes_until(), Some(Moment(bench.at + lease)), "7.4");
}

#[test]
fn an_election_that_cannot_be_won_is_given_up_and_tried_again() {
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    let all = bench.node('b').slot_set().clone();
    bench.beat('b', Beat::Ping, |header| {
        (header.current_epoch, header.config_epoch) = (Epoch(7), Epoch(7));
        header.slots = all;
    });
    bench.expect("reset", &["Resetting the election since we cannot win", "for epoch 8"]);
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    bench.at += 2 * NT + 1;
    bench.beat('b', Beat::Ping, |_| {});
    bench.expect("T-E 6", &["Failover attempt expired.", "!auth-req"]);
    assert_eq!(bench.machine.stats().automatic.expired, 1, "T-E 6");
    bench.at += 2 * NT + 1;
    bench.beat('b', Beat::Ping, |_| {});
    bench.expect("T-E 3", &["Start of election delayed"]);
}

#[test]
fn votes_decide_only_as_long_as_they_bind() {
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    let epoch = bench.machine.current_epoch();
    let vote = |header: &mut crate::cluster::frame::header::Header| {
        header.current_epoch = epoch;
    };
    bench.frame('b', vote, Body::AuthAck);
    bench.pass(bench.machine.settings.lease_ms() + 1);
    bench.expect("T-E 6", &["Failover attempt expired."]);
    bench.frame('c', vote, Body::AuthAck);
    bench.expect("another one may have b's vote", &["!promote"]);
}

/// The bench has just been elected, and its claim is to be saved.
fn elected() -> Bench {
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    bench.handle(Event::Saved);
    let epoch = bench.machine.current_epoch();
    for voter in ['b', 'c'] {
        bench.frame(voter, |header| header.current_epoch = epoch, Body::AuthAck);
    }
    bench.expect("T-E 8", &["promote", "save Durable"]);
    bench
}

/// Voters count on it that they would have heard of it.
#[test]
fn an_election_that_is_not_saved_as_long_as_votes_bind_is_void() {
    for is_saved in [true, false] {
        let mut bench = elected();
        let lease = bench.machine.settings.lease_ms();
        for round in 0..=lease / 100 + 1 {
            if bench.did("save Durable") {
                bench.handle(if is_saved { Event::Saved } else { Event::SaveFailed });
            }
            assert!(bench.node('m').is_primary() || lease / 100 <= round, "the votes bind");
            bench.pass(100);
        }
        assert_eq!(bench.node('m').is_primary(), is_saved);
        let primary = bench.machine.nodes.my_primary();
        assert_eq!(primary, Some(bench.key(if is_saved { 'm' } else { 'a' })));
        let slots = bench.machine.nodes.at(primary.expect("it is known")).slot_count();
        assert_eq!(slots, 5461, "{is_saved}");
    }
}

/// Its frames wait for the disk: the former primary may be answered meanwhile.
#[test]
fn an_election_that_is_saved_late_is_no_right_to_write_at_once() {
    for is_late in [false, true] {
        let mut bench = elected();
        let lease = bench.machine.settings.lease_ms();
        bench.pass(lease / 2);
        if is_late {
            bench.pass(lease);
        }
        assert_eq!(bench.machine.writes_until(), None, "no node knows of it");
        bench.handle(Event::Saved);
        let saved = bench.at;
        let mut writes = || {
            bench.pass(100);
            bench.answer_all();
            (bench.at, bench.machine.writes_until().is_some_and(|until| bench.now().at < until))
        };
        let first = std::iter::repeat_with(&mut writes).find(|(_, may)| *may);
        let waited = first.expect("it writes").0 - saved;
        // The former primary's fence stands a lease behind its last answer.
        assert!(if is_late { lease < waited } else { waited == 100 }, "{is_late}: {waited}");
    }
}

#[test]
fn no_node_is_asked_in_an_epoch_that_cannot_be_kept() {
    let mut bench = Bench::of(ALONE);
    bench.handle(Event::SaveFailed);
    fail(&mut bench, 'a');
    bench.expect("a full disk", &["!auth-req"]);
    bench.handle(Event::Saved);
    bench.expect("there is room again", &["auth-req"]);
}

#[test]
fn votes_count_no_more_when_the_data_was_too_old_in_between() {
    let mut bench = Bench::of(ALONE);
    fail(&mut bench, 'a');
    bench.expect("T-E 7", &["send b auth-req forced"]);
    let epoch = bench.machine.current_epoch();
    let stream = |heard| {
        let (offset, is_linked) = (100, false);
        let has_keys = true;
        Event::Replicated(Replicated { offset, is_linked, heard, lacks_keys: false, has_keys })
    };
    bench.handle(stream(None));
    bench.pass(100);
    for voter in ['b', 'c'] {
        bench.frame(voter, |header| header.current_epoch = epoch, Body::AuthAck);
    }
    let heard = Some(bench.now().at);
    bench.handle(stream(heard));
    bench.pass(100);
    bench.expect("T-E 2", &["!promote"]);
    assert!(epoch < bench.machine.current_epoch(), "T-E 3: it asks in a new epoch");
}

/// It was a replica in between, and takes the slots by its own word now.
#[test]
fn an_election_of_the_past_holds_no_later_claim_back() {
    let mut bench = elected();
    bench.handle(Event::Saved);
    let a = bench.key('a');
    bench.machine.nodes.move_slots(bench.key('m'), a);
    bench.machine.replicate(a, Sync::Partial);
    for _ in 0..20 {
        bench.pass(100);
        bench.handle(Event::Saved);
        bench.answer_all();
    }
    bench.ask(Command::Failover(Failover::Takeover));
    bench.handle(Event::Saved);
    bench.pass(100);
    bench.answer_all();
    assert!(bench.machine.writes_until().is_some());
}

#[test]
fn a_primary_that_its_heir_has_replaced_may_follow_it_up() {
    let text = "m primary 3 0-5460, b primary 4 5461-10922, c primary 5 10923-16383, a replica m";
    let mut bench = Bench::of(text);
    bench.machine.settings.validity_factor = 1;
    bench.beat('a', Beat::Ping, claims(6, slots(0..5461)));
    bench.expect("T-C 6", &["follow a Partial"]);
    let unlinked = Replicated { offset: 100, has_keys: true, ..Replicated::default() };
    bench.handle(Event::Replicated(unlinked));
    fail(&mut bench, 'a');
    bench.expect("T-E 2: its heir may live", &["longer than allowed", "!auth-req"]);
    let mut asks = || {
        bench.pass(100);
        bench.did("auth-req")
    };
    assert!((0..2 * NT / 100).any(|_| asks()), "T-E 2: it has had no link to its heir");
}
