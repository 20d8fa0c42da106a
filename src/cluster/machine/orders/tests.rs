//! What orders say, and what a replica does about them.

use std::ops::Range;

use super::*;
use crate::cluster::frame::Beat;
use crate::cluster::machine::bench::{Bench, id, slot, slots};
use crate::cluster::machine::event::Event;

fn parse(line: &str) -> Option<Order> {
    let words: Vec<String> = line
        .split(' ')
        .map(|word| {
            if word.len() == 1 && !word.starts_with(char::is_numeric) {
                word.repeat(40)
            } else {
                word.into()
            }
        })
        .collect();
    Order::parse(&words)
}

#[test]
fn orders_are_read_as_primaries_write_them() {
    let set = |request| Some(Order::SetSlot(slot(77), request));
    for (line, expected) in [
        ("CLUSTER SETSLOT 77 MIGRATING a", set(SetSlot::Migrating(id('a')))),
        ("cluster setslot 77 importing a timeout 5", set(SetSlot::Importing(id('a')))),
        ("CLUSTER SETSLOT 77 STABLE", set(SetSlot::Stable)),
        ("CLUSTER SETSLOT 77 NODE a TIMEOUT 0", set(SetSlot::Node { owner: id('a'), keys: 0 })),
        ("CLUSTER FAILOVER FORCE REPLICAID a", Some(Order::HandOver(id('a')))),
        ("CLUSTER FAILOVER FORCE", None),
        ("CLUSTER FAILOVER TAKEOVER REPLICAID a", None),
        ("CLUSTER SETSLOT 16384 STABLE", None),
        ("CLUSTER SETSLOT x STABLE", None),
        ("CLUSTER SETSLOT 77 NODE", None),
        ("CLUSTER SETSLOT 77 AWAY a", None),
        ("CLUSTER RESET", None),
    ] {
        assert_eq!(parse(line), expected, "{line}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    for request in [
        SetSlot::Migrating(id('a')),
        SetSlot::Importing(id('b')),
        SetSlot::Stable,
        SetSlot::Node { owner: id('c'), keys: 0 },
    ] {
        let words = Order::words(slot(5), request);
        assert_eq!(Order::parse(&words), Some(Order::SetSlot(slot(5), request)));
    }
}

const FOUR: &str = "m replica a, a primary 3 0-5460, b primary 4 5461-10922, \
                    c primary 5 10923-16383, r replica b";

#[test]
fn a_replica_does_what_its_primary_does_with_slots() {
    for (label, lines, migrating, importing, owner) in [
        ("out", &["SETSLOT 1 MIGRATING b"][..], Some('b'), None, 'a'),
        ("in", &["SETSLOT 9000 IMPORTING b"], None, Some('b'), 'b'),
        ("out, and not", &["SETSLOT 1 MIGRATING b", "SETSLOT 1 STABLE"], None, None, 'a'),
        ("in, and not", &["SETSLOT 9000 IMPORTING b", "SETSLOT 9000 STABLE"], None, None, 'b'),
        ("gone", &["SETSLOT 1 MIGRATING b", "SETSLOT 1 NODE b"], None, None, 'b'),
        ("come, unless a dies now", &["SETSLOT 9000 NODE a"], None, Some('b'), 'a'),
        ("to one elected just now", &["SETSLOT 1 MIGRATING r"], Some('r'), None, 'a'),
        ("from one elected just now", &["SETSLOT 9000 IMPORTING r"], None, Some('r'), 'b'),
        ("assigned to a replica", &["SETSLOT 1 NODE r"], None, None, 'a'),
        ("to its own primary", &["SETSLOT 1 MIGRATING a"], None, None, 'a'),
        ("to no known node", &["SETSLOT 1 MIGRATING z", "SETSLOT 1 NODE z"], None, None, 'a'),
        ("what it has not", &["SETSLOT 9000 MIGRATING c"], None, None, 'b'),
        ("what it has", &["SETSLOT 1 IMPORTING c"], None, None, 'a'),
    ] {
        let mut bench = Bench::of(FOUR);
        let mut number = 0;
        for line in lines {
            let order = parse(&format!("CLUSTER {line}")).expect("it is one");
            let Order::SetSlot(slot, _) = order else { panic!("{line}") };
            number = slot.number();
            bench.handle(Event::Ordered(order));
        }
        let nodes = &bench.machine.nodes;
        let key = |letter: Option<char>| letter.map(|letter| bench.key(letter));
        let open = slot(number);
        assert_eq!(nodes.migrating.get(&open).copied(), key(migrating), "{label}");
        assert_eq!(nodes.importing.get(&open).copied(), key(importing), "{label}");
        assert_eq!(nodes.owner(open), key(Some(owner)), "{label}");
    }
}

#[test]
fn what_is_on_its_way_is_so_for_the_replica_that_takes_over() {
    let mut bench = Bench::of(FOUR);
    let order = parse("CLUSTER SETSLOT 1 MIGRATING b").expect("it is one");
    bench.handle(Event::Ordered(order));
    bench.expect("it is durable", &["Migrating slot 1 to node b", "save Durable", "own"]);
    bench.machine.take_over();
    assert_eq!(bench.machine.nodes.migrating.get(&slot(1)), Some(&bench.key('b')));
    bench.handle(Event::Ordered(parse("CLUSTER SETSLOT 1 STABLE").expect("it is one")));
    assert!(!bench.machine.nodes.migrating.is_empty(), "a primary obeys no other");
}

#[test]
fn who_gets_a_copy_is_told_anew_which_slots_are_on_their_way() {
    let mut bench = Bench::of(FOUR);
    for order in ["1 MIGRATING b", "9000 IMPORTING b", "9001 NODE a"] {
        let order = parse(&format!("CLUSTER SETSLOT {order}"));
        bench.handle(Event::Ordered(order.expect("it is one")));
    }
    assert_eq!(bench.machine.open_slots().len(), 3);
    bench.handle(Event::Copied);
    bench.expect("it is durable", &["save Durable", "own"]);
    let given = SetSlot::Importing(id('b'));
    assert_eq!(bench.machine.open_slots(), [(slot(9001), given)], "its primary may die before");
    bench.handle(Event::Copied);
    bench.expect("nothing has changed", &["!save"]);
}

/// A primary says that it has these slots, by this epoch.
fn claims(bench: &mut Bench, letter: char, epoch: u64, claimed: Range<u16>) {
    bench.beat(letter, Beat::Ping, |header| {
        header.config_epoch = Epoch(epoch);
        header.slots = slots(claimed);
    });
}

/// The primary may die before it does what it has told, or before it says so.
#[test]
fn a_slot_is_on_its_way_until_the_primary_claims_it() {
    let given = || {
        let mut bench = Bench::of(FOUR);
        bench.handle(Event::Ordered(parse("CLUSTER SETSLOT 5461 NODE a").expect("it is one")));
        bench
    };
    let owner = |bench: &Bench| {
        let owner = bench.machine.nodes.owner(slot(5461)).expect("it has one");
        char::from(bench.machine.nodes.at(owner).id.as_bytes()[0])
    };
    let is_coming = |bench: &Bench| bench.machine.nodes.importing.contains_key(&slot(5461));

    let mut bench = given();
    claims(&mut bench, 'a', 6, 0..5462);
    assert_eq!((owner(&bench), is_coming(&bench)), ('a', false), "it was claimed");

    let mut bench = given();
    claims(&mut bench, 'b', 4, 5461..10923);
    assert_eq!((owner(&bench), is_coming(&bench)), ('b', true), "its former owner still has it");
    claims(&mut bench, 'a', 6, 0..5462);
    assert_eq!((owner(&bench), is_coming(&bench)), ('a', false), "it was claimed then");

    let mut bench = given();
    bench.machine.take_over();
    bench.machine.nodes.me_mut().config_epoch = Epoch(7);
    let mine = bench.machine.nodes.myself();
    assert!(!is_coming(&bench), "the keys are here, and the slot");
    for epoch in [4, 9] {
        claims(&mut bench, 'b', epoch, 5461..10923);
        let owner = bench.machine.nodes.owner(slot(5461));
        assert_eq!(owner, Some(mine), "it is the successor's, {epoch}");
    }
}
