//! T-M, row by row.

use super::*;
use crate::cluster::frame::Beat;
use crate::cluster::ids::Epoch;
use crate::cluster::machine::bench::{Bench, id};
use crate::cluster::machine::event::{Command, Event, Replicated};
use crate::cluster::machine::orders::Order;
use crate::cluster::nodes::node::Health;

/// The bench is a replica of `a`.
const REPLICA: &str = "m replica a, a primary 4 0-5460, b primary 5 5461-10922, \
                       c primary 6 10923-16383, s replica a";
/// The bench is a primary with a replica.
const PRIMARY: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383, \
                       r replica m, s replica a";

fn failover(bench: &mut Bench, how: Failover) -> String {
    bench.ask(Command::Failover(how))
}

fn paused(bench: &mut Bench, offset: u64) {
    bench.beat('a', Beat::Ping, |header| {
        header.marks = header.marks.with(Marks::PAUSED);
        header.offset = offset;
    });
}

fn reach(bench: &mut Bench, offset: u64) {
    let heard = Some(bench.now().at);
    bench.handle(Event::Replicated(Replicated {
        offset,
        is_linked: true,
        heard,
        lacks_keys: false,
        has_keys: true,
    }));
}

#[test]
fn a_plain_failover_waits_for_the_primarys_offset() {
    let mut bench = Bench::of(REPLICA);
    assert_eq!(failover(&mut bench, Failover::Plain), "Ok");
    bench.expect("T-M 1", &["send a mfstart", "!auth-req"]);
    paused(&mut bench, 120);
    bench.expect("T-M 3", &["Received replication offset for paused primary manual failover: 120"]);
    paused(&mut bench, 130);
    bench.expect("T-M 3: once", &["!Received replication offset"]);
    reach(&mut bench, 119);
    bench.expect("T-M 4: not yet", &["!auth-req"]);
    reach(&mut bench, 120);
    bench.expect(
        "T-M 4",
        &["All primary replication stream processed", "delayed for 0", "send b auth-req forced"],
    );
}

#[test]
fn force_asks_the_voters_at_once_and_takeover_asks_none() {
    let mut bench = Bench::of(REPLICA);
    assert_eq!(failover(&mut bench, Failover::Force), "Ok");
    bench.expect("T-M 5", &["!mfstart", "send b auth-req forced", "save Durable"]);
    let mut bench = Bench::of(REPLICA);
    assert_eq!(failover(&mut bench, Failover::Takeover), "Ok");
    bench.expect("T-M 6", &["promote", "send b pong 7", "save Durable", "!auth-req"]);
    assert_eq!(bench.node('m').config_epoch, Epoch(7), "T-M 6");
}

#[test]
fn a_node_that_takes_over_asks_at_once_whether_it_may_write() {
    let mut bench = Bench::of(REPLICA);
    ['b', 'c'].into_iter().for_each(|letter| bench.pong(letter));
    // Longer than the lease lasts, shorter than others take to see a failure.
    bench.pass(bench.machine.settings.lease_ms() + 1);
    assert_eq!(failover(&mut bench, Failover::Takeover), "Ok");
    bench.expect("7.4: its last answers are old", &["writes are refused", "send b ping"]);
    bench.pong('b');
    assert!(!bench.machine.state().is_fenced(), "7.4");
}

#[test]
fn a_primary_that_ends_names_its_successor() {
    for (label, to, starts) in [("T-M 5", 'm', true), ("T-M 5: another one", 's', false)] {
        let mut bench = Bench::of(REPLICA);
        bench.handle(Event::Ordered(Order::HandOver(id(to))));
        assert_eq!(bench.did("Forced failover primary request accepted"), starts, "{label}");
        assert_eq!(bench.did("auth-req"), starts, "{label}");
    }
}

#[test]
fn a_second_request_does_not_split_the_votes() {
    let mut bench = Bench::of(REPLICA);
    failover(&mut bench, Failover::Force);
    let epoch = bench.machine.current_epoch();
    for how in [Failover::Plain, Failover::Force] {
        assert_eq!(failover(&mut bench, how), "Ok", "R6");
        bench.expect("R6", &["!mfstart", "!auth-req"]);
        assert_eq!(bench.machine.current_epoch(), epoch, "R6");
    }
    let mut bench = Bench::of(REPLICA);
    failover(&mut bench, Failover::Plain);
    assert_eq!(failover(&mut bench, Failover::Force), "Ok", "R6");
    bench.expect("R6: it becomes quicker", &["send b auth-req forced"]);
}

#[test]
fn a_failover_needs_a_replica_with_a_primary_it_can_reach() {
    let mut bench = Bench::of(PRIMARY);
    let text = failover(&mut bench, Failover::Plain);
    assert!(text.contains("You should send CLUSTER FAILOVER to a replica"), "{text}");
    let mut bench = Bench::of(REPLICA);
    bench.node_mut('a').health = Health::Failed(Moment(0));
    let text = failover(&mut bench, Failover::Plain);
    assert!(text.contains("Master is down or failed"), "{text}");
    let key = bench.key('m');
    bench.machine.nodes.at_mut(key).role = Role::Replica(None);
    let text = failover(&mut bench, Failover::Force);
    assert!(text.contains("my master is unknown to me"), "{text}");
}

#[test]
fn a_primary_lets_writes_wait_and_tells_its_offset_when_they_rest() {
    let mut bench = Bench::of(PRIMARY);
    bench.frame('r', |_| {}, Body::MfStart);
    bench.expect("T-M 2", &["Manual failover requested by replica rrrr", "pause 10000", "!paused"]);
    bench.handle(Event::Quiesced);
    bench.expect("T-M 2", &["send r ping paused"]);
    bench.pass(100);
    bench.expect("T-M 2: each tick", &["send r ping paused"]);
    bench.pass(5000);
    bench.pass(100);
    assert!(!bench.machine.manual.is_under_way(), "T-M 7");
    bench.frame('s', |_| {}, Body::MfStart);
    bench.expect("T-M 2: no replica of mine", &["!pause"]);
}

#[test]
fn a_primary_that_ends_tells_its_heir_that_it_stands_still() {
    let mut bench = Bench::of(PRIMARY);
    bench.handle(Event::HeirAgreed(id('r')));
    bench.expect("a stock one begins at once", &["send r ping paused", "!send a"]);
    bench.beat('a', Beat::Ping, |_| {});
    bench.expect("others are told nothing of it", &["send a pong", "!paused"]);
    for other in ['s', 'a', 'z'] {
        bench.handle(Event::HeirAgreed(id(other)));
        bench.expect("no replica of mine", &["!paused"]);
    }
}

#[test]
fn what_takes_too_long_is_given_up() {
    let mut bench = Bench::of(PRIMARY);
    bench.frame('r', |_| {}, Body::MfStart);
    bench.pass(5001);
    bench.expect("T-M 7", &["Manual failover timed out.", "unpause"]);
    let mut bench = Bench::of(REPLICA);
    failover(&mut bench, Failover::Plain);
    bench.pass(5001);
    bench.expect("T-M 7", &["Manual failover timed out.", "!unpause"]);
    paused(&mut bench, 100);
    bench.expect("T-M 7: too late", &["!Received", "!auth-req"]);
}

#[test]
fn it_is_given_up_when_its_time_is_over_and_not_in_the_next_round() {
    let mut bench = Bench::of(PRIMARY);
    bench.at += 50;
    bench.frame('r', |_| {}, Body::MfStart);
    (0..50).for_each(|_| bench.pass(100));
    bench.expect("T-M 7: not yet", &["!Manual failover timed out."]);
    assert_eq!(bench.machine.deadline(), Moment(bench.at + 1));
    bench.pass(1);
    bench.expect("T-M 7", &["Manual failover timed out.", "unpause"]);
}

#[test]
fn a_change_of_roles_ends_it() {
    let mut bench = Bench::of(PRIMARY);
    bench.frame('r', |_| {}, Body::MfStart);
    bench.handle(Event::Quiesced);
    let mine = bench.node('m').slot_set().clone();
    bench.beat('r', Beat::Pong, |header| {
        header.primary = None;
        header.flags = header.flags.without(crate::cluster::frame::header::Flags::REPLICA);
        header.flags = header.flags.with(crate::cluster::frame::header::Flags::PRIMARY);
        (header.config_epoch, header.current_epoch) = (Epoch(9), Epoch(9));
        header.slots = mine;
    });
    bench.expect("T-M 8", &["follow r Partial", "unpause", "send a pong", "send b pong"]);
    let mut bench = Bench::of(PRIMARY);
    bench.frame('r', |_| {}, Body::MfStart);
    bench.ask(Command::Forget(id('r')));
    bench.expect("T-M 8: it is forgotten", &["unpause"]);
}
