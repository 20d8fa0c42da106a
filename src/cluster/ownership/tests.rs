//! The copy says what the table says, and its summary what the copy says.

use super::*;
use crate::cluster::machine::bench::{Bench, id, slot};
use crate::cluster::machine::event::{Command, Event, SetSlot};
use crate::cluster::moment::Moment;
use crate::cluster::nodes::node::Health;
use crate::cluster::report::endpoint::Endpoint;

const THREE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16382, \
                     r replica m";

#[test]
fn each_place_has_its_case() {
    let mut bench = Bench::of(THREE);
    bench.machine.settings.requires_full_coverage = false;
    bench.machine.todo.state = true;
    bench.ask(Command::SetSlot(slot(1), SetSlot::Migrating(id('a'))));
    bench.ask(Command::SetSlot(slot(6000), SetSlot::Importing(id('a'))));
    let ownership = bench.machine.ownership(1);
    for (number, place) in [
        (0, Place::Served),
        (1, Place::Migrating),
        (5461, Place::Elsewhere),
        (6000, Place::Importing),
        (16383, Place::Unbound),
    ] {
        assert_eq!(ownership.place(slot(number)), place, "{number}");
        assert_eq!(ownership.serves(slot(number)), place == Place::Served, "{number}");
    }
    assert_eq!(*ownership.run_ends(), [1, 2, 5461, 6000, 6001, 10923, 16383, 16384]);
    assert_eq!(ownership.target(slot(1)), ownership.owner(slot(5461)));
    assert_eq!(ownership.source(slot(6000)), ownership.owner(slot(5461)));
    assert_eq!(ownership.owner(slot(16383)), None);
    let mut bench = Bench::of("r replica a, a primary 4 0-8000, b primary 5 8001-16383");
    let target = bench.key('b');
    bench.machine.nodes.migrating.insert(slot(1), target);
    let ownership = bench.machine.ownership(1);
    assert_eq!(ownership.place(slot(0)), Place::AtPrimary);
    assert_eq!(ownership.place(slot(1)), Place::MigratingAtPrimary);
    assert_eq!(ownership.place(slot(9000)), Place::Elsewhere);
}

#[test]
fn the_summary_says_no_more_than_the_slots() {
    type Change = fn(&mut Bench);
    let cases: &[(&str, Change, bool)] = &[
        ("it serves", |_| {}, true),
        (
            "the cluster is down",
            |bench| {
                bench.node_mut('a').health = Health::Failed(Moment(0));
                bench.machine.todo.state = true;
                bench.handle(Event::Tick);
            },
            false,
        ),
        ("it is fenced", |bench| bench.pass(10_000), false),
    ];
    for (label, change, serves) in cases {
        let text = THREE.replace("16382", "16383");
        let mut bench = Bench::of(&text);
        change(&mut bench);
        let ownership = bench.machine.ownership(1);
        for slot in all_slots() {
            let is_mine = slot.number() <= 5460;
            assert_eq!(ownership.serves(slot), is_mine && *serves, "{label}: {slot:?}");
        }
        assert_eq!(
            ownership.blocks.iter().filter(|block| **block).count(),
            if *serves { 85 } else { 0 }
        );
    }
}

#[test]
fn addresses_are_as_each_client_is_to_see_them() {
    let mut bench = Bench::of(THREE);
    let node = bench.node_mut('a');
    node.names.client_ipv6 = "::5".to_string();
    node.names.client_tls_port = 9;
    let ownership = bench.machine.ownership(1);
    let a = ownership.owner(slot(6000)).expect("it has an owner");
    for (network, security, expected) in [
        (Network::V4, Security::Plain, "10.0.0.97:7000"),
        (Network::V4, Security::Tls, "10.0.0.97:9"),
        (Network::V6, Security::Plain, "::5:7000"),
        (Network::V6, Security::Tls, "::5:9"),
    ] {
        assert_eq!(ownership.address(a, network, security), expected);
    }
    for (endpoint, hostname, expected) in [
        (Endpoint::Hostname, "", "?:7000"),
        (Endpoint::Hostname, "a.host", "a.host:7000"),
        (Endpoint::Unknown, "a.host", ":7000"),
    ] {
        bench.machine.settings.endpoint = endpoint;
        bench.node_mut('a').names.hostname = hostname.to_string();
        let ownership = bench.machine.ownership(2);
        assert_eq!(ownership.address(a, Network::V4, Security::Plain), expected);
    }
}

#[test]
fn a_copy_that_is_fenced_serves_no_slot_without_a_closer_look() {
    let all = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383";
    let ownership = Bench::of(all).machine.ownership(7);
    let fenced = ownership.fenced();
    for number in [0, 63, 64, 5460] {
        assert!(ownership.serves(slot(number)) && !fenced.serves(slot(number)), "{number}");
        assert_eq!(fenced.place(slot(number)), Place::Served, "{number}");
    }
    assert!(fenced.is_fenced && !ownership.is_fenced);
    assert_eq!(fenced.version, 7);
}
