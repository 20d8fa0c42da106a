//! T-F, row by row, and the early detection.

use super::*;
use crate::cluster::frame::gossip::Entry;
use crate::cluster::frame::{Beat, Body, Frame, Heartbeat, Packet};
use crate::cluster::machine::action::Action;
use crate::cluster::machine::bench::{Bench, NT, id, inbound};
use crate::cluster::machine::event::{End, Event, Failure, LinkId};

const FIVE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383, \
                    r replica m, s replica a";
/// The bench is the replica of `a`.
const REPLICA: &str = "s replica a, a primary 4 0-5460, b primary 5 5461-10922, \
                       c primary 6 10923-16383";

fn say(bench: &mut Bench, from: char, about: char, flags: Flags) {
    let node = bench.node(about);
    let entry = Entry {
        node: id(about),
        ping_sent_s: 0,
        pong_received_s: 0,
        ip: node.ip,
        ports: node.ports,
        flags,
    };
    let heartbeat = Heartbeat { gossip: vec![entry], extensions: Vec::new() };
    bench.frame(from, |_| {}, Body::Heartbeat(Beat::Ping, heartbeat));
}

fn health(bench: &Bench, letter: char) -> Health {
    bench.node(letter).health
}

#[test]
fn a_node_that_answers_nothing_and_says_nothing_is_suspected() {
    for (label, open, silent, suspected) in [
        ("T-F 1", NT + 1, NT + 1, true),
        ("T-F 1: it speaks", NT + 1, NT, false),
        ("T-F 1: the PING is young", NT, NT + 1, false),
    ] {
        let mut bench = Bench::of(FIVE);
        let now = bench.now().at;
        let contact = &mut bench.node_mut('a').contact;
        (contact.ping_sent, contact.heard) = (Some(now.before(open)), now.before(silent));
        bench.machine.suspect_silent_nodes();
        assert_eq!(health(&bench, 'a') == Health::Suspected, suspected, "{label}");
    }
    let mut bench = Bench::of(FIVE);
    let now = bench.now().at;
    let contact = &mut bench.node_mut('a').contact;
    (contact.ping_sent, contact.heard) = (None, now.before(10 * NT));
    bench.machine.suspect_silent_nodes();
    assert_eq!(health(&bench, 'a'), Health::Fit, "T-F 1: no PING is open");
}

#[test]
fn a_suspicion_is_told_at_once_to_whom_it_concerns() {
    let mut bench = Bench::of(FIVE);
    let key = bench.key('a');
    bench.machine.suspect(key);
    bench.handle(Event::Tick);
    bench.expect("7.1", &["send b ping", "send s ping", "!send r ping"]);
    let pings = bench.done.iter().filter_map(|action| match action {
        Action::Send(_, packet) => Some(format!("{packet:?}")),
        _ => None,
    });
    assert!(pings.into_iter().all(|ping| ping.contains(&"a".repeat(40))), "7.1: it is in them");
}

#[test]
fn reports_of_primaries_are_kept_and_withdrawn() {
    for (label, from, flags, kept) in [
        ("T-F 2", 'b', Flags::PFAIL, true),
        ("T-F 2: FAIL", 'b', Flags::FAIL, true),
        ("T-F 2: a replica reports", 'r', Flags::PFAIL, false),
        ("T-F 3", 'b', Flags::PRIMARY, false),
    ] {
        let mut bench = Bench::of(FIVE);
        say(&mut bench, from, 'a', flags);
        assert_eq!(!bench.node('a').reports.is_empty(), kept, "{label}");
        say(&mut bench, from, 'a', Flags::PRIMARY);
        assert!(bench.node('a').reports.is_empty(), "{label}");
    }
}

#[test]
fn a_majority_of_primaries_decides() {
    // Reports, how old they are, whether this node suspects it, too, and votes itself.
    for (label, text, reports, age, suspects, fails) in [
        ("T-F 4", FIVE, 1, 0, true, true),
        ("T-F 4: alone", FIVE, 0, 0, true, false),
        ("T-F 4: an old report", FIVE, 1, 2 * NT + 1, true, false),
        ("T-F 4: a report that is just young enough", FIVE, 1, 2 * NT, true, true),
        ("T-F 5", FIVE, 1, 0, false, false),
        ("T-F 4: a replica decides by two reports", REPLICA, 2, 0, true, true),
        ("T-F 4: a replica is no reporter", REPLICA, 1, 0, true, false),
    ] {
        let mut bench = Bench::of(text);
        let at = bench.now().at.before(age);
        let others: Vec<Key> = ['b', 'c'].into_iter().take(reports).map(|l| bench.key(l)).collect();
        let key = bench.key('a');
        others.into_iter().for_each(|other| {
            bench.machine.nodes.at_mut(key).reports.insert(other, at);
        });
        if suspects {
            bench.machine.suspect(key);
        } else {
            bench.machine.decide(key);
        }
        bench.handle(Event::Tick);
        let fail = bench.lines.iter().any(|line| line.contains("as failing (quorum reached)."));
        assert_eq!(fail, fails, "{label}");
        assert_eq!(bench.did("send b fail a"), fails, "{label}: all are told");
        assert_eq!(matches!(health(&bench, 'a'), Health::Failed(_)), fails, "{label}");
    }
}

#[test]
fn a_fail_of_a_known_node_is_believed() {
    for (label, about, fails) in [("T-F 6", 'a', true), ("T-F 6: me", 'm', false)] {
        let mut bench = Bench::of(FIVE);
        bench.frame('b', |_| {}, Body::Fail(id(about)));
        assert_eq!(bench.did("FAIL message received from bbbb"), fails, "{label}");
        assert!(!bench.node('m').is_failed(), "{label}");
        bench.frame('b', |_| {}, Body::Fail(id(about)));
        bench.expect(label, &["!FAIL message received"]);
    }
    let mut bench = Bench::of(FIVE);
    bench.frame('b', |header| header.sender = id('y'), Body::Fail(id('a')));
    bench.expect("T-F 7", &["Ignoring FAIL message from unknown node yyyy"]);
    assert!(!bench.node('a').is_failed(), "T-F 7");
}

#[test]
fn who_waits_for_a_majority_that_is_gone_is_told_what_it_decided() {
    let mut bench = Bench::of(FIVE);
    bench.node_mut('a').health = Health::Failed(Moment(0));
    say(&mut bench, 'b', 'a', Flags::PFAIL);
    bench.expect("T-F 8", &["send b fail a"]);
    say(&mut bench, 'b', 'a', Flags::PFAIL);
    bench.expect("T-F 8: once a second", &["!fail a"]);
    (0..10).for_each(|_| bench.pass(100));
    say(&mut bench, 'b', 'a', Flags::PFAIL);
    bench.expect("T-F 8: once a second", &["send b fail a"]);
    (0..10).for_each(|_| bench.pass(100));
    say(&mut bench, 'b', 'a', Flags::FAIL);
    bench.expect("T-F 8: it knows", &["!fail a"]);
}

#[test]
fn a_replica_whose_primary_fails_says_so_and_stands_for_election() {
    let mut bench = Bench::of(REPLICA);
    bench.frame('b', |_| {}, Body::Fail(id('a')));
    bench.expect("T-F 9", &["Start of election delayed"]);
    let flags = bench.done.iter().find_map(|action| match action {
        Action::Send(_, packet) => Some(packet.clone()),
        _ => None,
    });
    let packet = format!("{:?}", flags.expect("something is sent"));
    let all = Flags::REPLICA.with(Flags::MYSELF).with(Flags::EXTENSIONS);
    let all = all.with(Flags::LIGHT_PUBLISH).with(Flags::LIGHT_MODULE).with(Flags::PRIMARY_FAIL);
    assert!(packet.contains(&format!("flags: {all:?}")), "T-F 9: {packet}");
}

#[test]
fn a_pong_clears_what_may_be_cleared() {
    let failed = |ago| Health::Failed(Moment(10_300).before(ago));
    for (label, letter, health, cleared, text) in [
        ("T-F 10", 'a', Health::Suspected, true, ""),
        ("T-F 11", 'r', failed(0), true, "replica is reachable again."),
        ("T-F 11", 'e', failed(0), true, "primary without slots is reachable again."),
        ("T-F 12", 'a', failed(2 * NT + 1), true, "nobody is serving its slots"),
        ("T-F 12: it is young", 'a', failed(2 * NT - 100), false, ""),
    ] {
        let mut bench = Bench::of(&format!("{FIVE}, e primary 7"));
        bench.at = 10_300;
        bench.node_mut(letter).health = health;
        bench.pong(letter);
        assert_eq!(bench.node(letter).is_fit(), cleared, "{label}");
        assert!(text.is_empty() || bench.did(text), "{label}");
    }
}

/// A bench where `a` is dead: its system has ended the link that this node makes, then its own.
fn dead(text: &str) -> Bench {
    let mut bench = Bench::of(text);
    let replica = if text == REPLICA { 'b' } else { 's' };
    bench.node_mut(replica).offset = 50;
    bench.at += 1;
    bench.handle_unconnected(Event::Ended(inbound('a'), End::ByPeer));
    let link = bench.node('a').link().expect("it is linked");
    bench.handle_unconnected(Event::Ended(link, End::ByPeer));
    bench
}

/// Lets connects to `a` end in this way for so many milliseconds.
fn connects_fail(bench: &mut Bench, millis: u64, failure: Failure) {
    for _ in 0..millis / 10 {
        let links: Vec<LinkId> =
            bench.node('a').contact.outbound.map(|o| o.link).into_iter().collect();
        for link in links {
            bench.handle_unconnected(Event::ConnectFailed(link, failure));
        }
        bench.at += 10;
        bench.handle_unconnected(Event::Tick);
    }
}

#[test]
fn a_process_that_died_is_suspected_when_its_address_refuses() {
    let mut bench = dead(FIVE);
    bench.expect("7.1: at once", &["connect a"]);
    connects_fail(&mut bench, 190, Failure::Refused);
    assert_eq!(health(&bench, 'a'), Health::Fit, "7.1 c: first to last");
    connects_fail(&mut bench, 30, Failure::Refused);
    assert_eq!(health(&bench, 'a'), Health::Suspected, "7.1");
    assert_eq!(bench.machine.stats().suspected_by_refusal, 1, "7.1");
    bench.beat('a', Beat::Ping, |_| {});
    assert_eq!(health(&bench, 'a'), Health::Fit, "7.1: a byte clears it");
}

#[test]
fn what_is_no_evidence_leaves_it_to_the_ordinary_rule() {
    type Change = fn(&mut Bench);
    let cases: &[(&str, Change)] = &[
        ("7.1 (a): we ended the link", |bench| bench.node_mut('a').evidence = None),
        ("7.1 (b): an inbound link is open", |bench| {
            bench.node_mut('a').contact.inbound = Some(inbound('a'));
        }),
        ("7.1 (d): it said something", |bench| {
            bench.handle_unconnected(Event::Heard(id('a')));
        }),
        ("7.1 (e): no replica has data", |bench| bench.node_mut('s').offset = 0),
        ("7.1 (e): no replica may", |bench| {
            bench.node_mut('s').flags = Flags::NOFAILOVER;
        }),
        ("7.1 (e): the replica is suspected", |bench| {
            bench.node_mut('s').health = Health::Suspected;
        }),
        ("7.1 (e): it has no slots", |bench| {
            let key = bench.key('a');
            bench.machine.nodes.disown_all(key);
        }),
    ];
    for (label, change) in cases {
        let mut bench = dead(FIVE);
        change(&mut bench);
        connects_fail(&mut bench, 500, Failure::Refused);
        assert_eq!(health(&bench, 'a'), Health::Fit, "{label}");
    }
    let mut bench = dead(FIVE);
    connects_fail(&mut bench, 500, Failure::Other);
    assert_eq!(health(&bench, 'a'), Health::Fit, "7.1: a hang means nothing");
    let mut bench = dead(FIVE);
    connects_fail(&mut bench, 150, Failure::Refused);
    let link = bench.node('a').contact.outbound.map(|outbound| outbound.link);
    let link = link.unwrap_or_else(|| {
        connects_fail(&mut bench, 50, Failure::Other);
        bench.node('a').contact.outbound.expect("it is tried").link
    });
    bench.handle_unconnected(Event::Connected(link));
    assert_eq!(bench.node('a').evidence, None, "7.1: a good connect clears the evidence");
    let mut bench = Bench::of(FIVE);
    bench.machine.settings.detects_fast = false;
    let link = bench.node('a').link().expect("it is linked");
    bench.handle_unconnected(Event::Ended(link, End::ByPeer));
    assert_eq!(bench.node('a').evidence, None, "7.1: switched off");
}

#[test]
fn a_node_that_is_judged_is_not_probed_any_more() {
    type Judge = fn(&mut Bench);
    let cases: &[(&str, Judge)] = &[
        ("PFAIL by silence", |bench| {
            let since = bench.now().at.before(NT + 1);
            let contact = &mut bench.node_mut('a').contact;
            (contact.ping_sent, contact.heard) = (Some(since), since);
            bench.machine.suspect_silent_nodes();
        }),
        ("FAIL by report", |bench| {
            let frame = Frame { header: bench.header('b'), body: Body::Fail(id('a')) };
            let packet = Packet::Full(Box::new(frame));
            bench.handle_unconnected(Event::Received(inbound('b'), packet));
        }),
    ];
    for (label, judge) in cases {
        // No replica may take over: the evidence alone decides nothing.
        let mut bench = dead(FIVE);
        bench.node_mut('s').offset = 0;
        connects_fail(&mut bench, 300, Failure::Refused);
        assert!(bench.node('a').is_fit() && bench.node('a').evidence.is_some(), "{label}");
        judge(&mut bench);
        assert!(!bench.node('a').is_fit(), "{label}");
        assert_eq!(bench.node('a').evidence, None, "{label}");
        assert_eq!(bench.machine.probe_deadline(), None, "{label}");
    }
}

#[test]
fn who_was_wrong_twice_waits_twice_as_long() {
    let mut bench = dead(FIVE);
    let now = bench.now().at;
    bench.node_mut('a').doubt.note(now);
    bench.node_mut('a').doubt.note(now);
    connects_fail(&mut bench, 250, Failure::Refused);
    assert_eq!(health(&bench, 'a'), Health::Fit, "R2");
    connects_fail(&mut bench, 250, Failure::Refused);
    assert_eq!(health(&bench, 'a'), Health::Suspected, "R2");
}

#[test]
fn a_report_makes_an_observer_ask_at_once() {
    let mut bench = Bench::of(FIVE);
    say(&mut bench, 'b', 'a', Flags::PFAIL);
    bench.expect("7.1", &["send a ping"]);
    let mut bench = Bench::of(FIVE);
    let link = bench.node('a').link().expect("it is linked");
    bench.handle_unconnected(Event::Ended(link, End::Other));
    say(&mut bench, 'b', 'a', Flags::PFAIL);
    bench.expect("7.1", &["connect a"]);
}

#[test]
fn who_was_stopped_decides_nothing_by_what_it_then_reads() {
    for (label, stopped, decides) in
        [("it was stopped", NT, false), ("it was only late", NT / 2, true)]
    {
        let mut bench = Bench::of(FIVE);
        bench.at += stopped;
        bench.handle(Event::Tick);
        say(&mut bench, 'b', 'a', Flags::PFAIL);
        bench.node_mut('a').health = Health::Suspected;
        let key = bench.key('a');
        bench.machine.decide(key);
        assert_eq!(bench.node('a').is_failed(), decides, "{label}");
    }
    let mut bench = Bench::of(FIVE);
    let now = bench.now().at;
    bench.node_mut('a').contact.ping_sent = Some(now);
    bench.at += 3 * NT;
    bench.handle(Event::Tick);
    assert_eq!(health(&bench, 'a'), Health::Fit, "the silence was its own");
    bench.pass(NT / 2);
    bench.answer_all();
    say(&mut bench, 'b', 'a', Flags::PFAIL);
    assert!(!bench.node('a').reports.is_empty(), "then it believes others again");
}

#[test]
fn a_primary_that_is_failed_and_speaks_is_told_so() {
    for (label, letter, is_told) in [("a primary", 'a', true), ("a replica", 's', false)] {
        let mut bench = Bench::of(FIVE);
        bench.node_mut(letter).health = Health::Failed(Moment(0));
        bench.beat(letter, Beat::Ping, |_| {});
        assert_eq!(bench.did(&format!("send {letter} fail {letter}")), is_told, "7.4: {label}");
        bench.beat(letter, Beat::Ping, |_| {});
        bench.expect("7.4: once a while", &[&format!("!send {letter} fail {letter}")]);
    }
}
