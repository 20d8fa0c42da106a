//! The order of steps, and what belongs to no table.

use super::bench::{Bench, NT, ip};
use super::event::{Command, Ticket};
use super::*;
use crate::cluster::frame::bodies::Publish;
use crate::cluster::frame::{Beat, Message};
use crate::cluster::nodes::node::Names;

const THREE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383";

#[test]
fn what_is_announced_anew_is_owned_saved_and_told() {
    type Change = fn(&mut Settings);
    let cases: &[(&str, Change, &[&str])] = &[
        (
            "cluster-announce-ip",
            |settings| settings.announced_ip = Some(ip('y')),
            &["own", "send a ping 3", "send b ping 3"],
        ),
        (
            "cluster-announce-port",
            |settings| settings.ports.client = 7,
            &["own", "send a ping 3", "send b ping 3"],
        ),
        (
            "cluster-announce-hostname",
            |settings| settings.names.hostname = "h.x".to_owned(),
            &["own", "send a ping 3", "send b ping 3"],
        ),
        (
            "cluster-replica-no-failover",
            |settings| settings.never_fails_over = true,
            &["own", "send a ping 3", "send b ping 3"],
        ),
        (
            "cluster-allow-reads-when-down: shards go by it",
            |settings| settings.allows_reads_when_down = true,
            &["own", "!send"],
        ),
    ];
    for (label, change, expected) in cases {
        let mut bench = Bench::of(THREE);
        let before = bench.machine.file();
        let mut settings = bench.machine.settings().clone();
        change(&mut settings);
        bench.handle(Event::Settings(Box::new(settings)));
        bench.expect(label, expected);
        let is_told = bench.did("send a ping");
        let is_seen = before.lines().next() != bench.machine.file().lines().next();
        assert_eq!(is_seen, is_told, "{label}: its own line says so");
        bench.pass(SAVE_MS);
        assert_eq!(bench.did("save Lazy"), is_told, "{label}");
    }
}

#[test]
fn an_address_that_is_announced_no_more_is_learned_again() {
    let mut bench = Bench::of(THREE);
    let plain = bench.machine.settings().clone();
    let announces = Settings { announced_ip: Some(ip('y')), ..plain.clone() };
    bench.handle(Event::Settings(Box::new(announces)));
    assert_eq!(bench.node('m').ip, Some(ip('y')));
    bench.handle(Event::Settings(Box::new(plain)));
    bench.beat('a', Beat::Ping, |_| {});
    bench.expect("3.1", &["IP address for this node updated to 10.0.0.122"]);
    assert_eq!(bench.node('m').ip, Some(ip('z')), "3.1");
}

#[test]
fn names_are_in_the_frames_of_the_same_event() {
    let mut bench = Bench::of(THREE);
    let names = Names { hostname: "h.x".to_owned(), ..Names::default() };
    let settings = Settings { names, ..bench.machine.settings().clone() };
    bench.handle(Event::Settings(Box::new(settings)));
    let pings = bench.done.iter().filter(|action| matches!(action, Action::Send(..)));
    let pings: Vec<String> = pings.map(|action| format!("{action:?}")).collect();
    assert!(!pings.is_empty() && pings.iter().all(|ping| ping.contains("h.x")), "{pings:?}");
}

fn news() -> Publish {
    Publish { channel: b"news".to_vec(), message: b"all well".to_vec() }
}

#[test]
fn a_message_goes_to_all_nodes_and_one_of_a_shard_to_those_of_this_shard() {
    const NODES: &str = "m replica a, a primary 4 0-8000, b primary 5 8001-16383, c replica a, \
                         d replica b";
    let publish: fn(Publish) -> Message = Message::Publish;
    for (label, message, name, to, not_to) in [
        ("PUBLISH", publish(news()), "publish", "abcd", ""),
        ("SPUBLISH", Message::PublishShard(news()), "publishshard", "ac", "bd"),
    ] {
        let mut bench = Bench::of(NODES);
        bench.handle(Event::Publish(message));
        for letter in to.chars() {
            bench.expect(label, &[&format!("send {letter} light {name}")]);
        }
        for letter in not_to.chars() {
            bench.expect(label, &[&format!("!send {letter}")]);
        }
        assert_eq!(bench.lines.len(), to.len(), "{label}: {:?}", bench.lines);
    }
}

#[test]
fn a_replica_of_a_primary_without_a_shard_id_is_of_its_shard() {
    let mut bench = Bench::of("m replica a, a primary 4 0-8000, b primary 5 8001-16383");
    bench.node_mut('a').shard = None;
    bench.handle(Event::Publish(Message::PublishShard(news())));
    bench.expect("a Redis", &["send a light publishshard", "!send b"]);
}

#[test]
fn a_light_header_goes_to_nodes_that_read_it_and_know_this_one() {
    let mut bench = Bench::of(THREE);
    let old = |bench: &mut Bench| {
        let node = bench.node_mut('a');
        node.flags = node.flags.without(Flags::LIGHT_PUBLISH);
    };
    old(&mut bench);
    bench.handle(Event::Publish(Message::Publish(news())));
    bench.expect("a Redis", &["send a publish 3", "send b light publish"]);
    bench.node_mut('b').contact.inbound = None;
    bench.handle(Event::Publish(Message::Publish(news())));
    bench.expect("no link of theirs", &["send a publish 3", "send b publish 3"]);
    bench.handle(Event::Publish(Message::Publish(news())));
    let sends = bench.done.iter().filter_map(|action| match action {
        Action::Send(_, packet) => Some(packet),
        _ => None,
    });
    let sends: Vec<_> = sends.collect();
    assert!(std::sync::Arc::ptr_eq(sends[0], sends[1]), "nodes share the bytes");
}

#[test]
fn a_node_that_is_not_linked_or_not_known_yet_gets_no_message() {
    let mut bench = Bench::of(THREE);
    let link = bench.node('a').link().expect("it is linked");
    bench.handle_unconnected(Event::Ended(link, event::End::Other));
    bench.handle(Event::Publish(Message::Publish(news())));
    bench.expect("the link has ended", &["!send a", "send b light publish"]);
}

#[test]
fn the_fence_is_in_force_while_the_disk_hangs_that_has_the_file() {
    let mut bench = Bench::of(THREE);
    let handle = |bench: &mut Bench, event| {
        let now = bench.now();
        bench.machine.handle(now, event, &mut bench.actions);
        std::iter::from_fn(|| bench.actions.next_action()).collect::<Vec<Action>>()
    };
    let done = handle(&mut bench, Event::Asked(Ticket(1), Command::BumpEpoch));
    assert!(matches!(done.last(), Some(Action::Save(Durability::Durable))), "{done:?}");
    let mut is_owned = false;
    for _ in 0..NT / 100 {
        bench.at += 100;
        for action in handle(&mut bench, Event::Tick) {
            assert!(matches!(action, Action::Own), "{action:?}");
            is_owned |= bench.machine.ownership(1).is_fenced;
        }
    }
    assert!(is_owned, "shards know that they may not write");
}
