//! T-H, row by row.

use std::net::IpAddr;

use super::*;
use crate::cluster::frame::{Body, Heartbeat};
use crate::cluster::machine::bench::{Bench, NT, id, inbound, ip, shard};
use crate::cluster::machine::event::{Command, Event};
use crate::cluster::moment::Moment;
use crate::cluster::nodes::NODES_MAX;
use crate::cluster::nodes::node::Health;

const FOUR: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383, \
                    r replica m";

const STRANGER: LinkId = LinkId::Inbound(9);

fn meet(bench: &mut Bench, letter: char) -> String {
    bench.ask(Command::Meet { ip: ip(letter), port: 7000, bus_port: 17_000 })
}

/// What a node that is not known says.
fn header(bench: &Bench, letter: char) -> Header {
    let mut header = bench.header('b');
    header.sender = id(letter);
    header.slots = Default::default();
    header.config_epoch = Default::default();
    header
}

fn entry(bench: &Bench, letter: char, flags: Flags) -> Entry {
    let known = bench.machine.nodes.find(id(letter)).map(|key| bench.machine.nodes.at(key));
    let ports = Ports { client: 7000, other: 0, bus: 17_000 };
    Entry {
        node: id(letter),
        ping_sent_s: 0,
        pong_received_s: 0,
        ip: known.map_or(Some(ip(letter)), |node| node.ip),
        ports: known.map_or(ports, |node| node.ports),
        flags,
    }
}

fn gossip(bench: &mut Bench, from: char, entries: Vec<Entry>) {
    let heartbeat = Heartbeat { gossip: entries, extensions: Vec::new() };
    bench.frame(from, |_| {}, Body::Heartbeat(Beat::Ping, heartbeat));
}

fn extend(bench: &mut Bench, from: char, extensions: Vec<Extension>) {
    let heartbeat = Heartbeat { gossip: Vec::new(), extensions };
    bench.frame(from, |_| {}, Body::Heartbeat(Beat::Ping, heartbeat));
}

/// The link of the handshake that is under way.
fn handshake(bench: &Bench) -> LinkId {
    let mut nodes = bench.machine.nodes.others().filter(|(_, node)| node.is_in_handshake());
    nodes.next().and_then(|(_, node)| node.link()).expect("a handshake is under way")
}

#[test]
fn meet_begins_one_handshake_and_says_ok_at_once() {
    let mut bench = Bench::of(FOUR);
    assert_eq!(meet(&mut bench, 'n'), "Ok");
    bench.expect("T-H 2", &["connect ? 10.0.0.110:17000", "send ? meet"]);
    assert_eq!(meet(&mut bench, 'n'), "Ok");
    bench.expect("T-H 1", &["!connect"]);
    assert_eq!(bench.machine.nodes.len(), 5, "T-H 1");
    bench.pass(NT);
    assert_eq!(bench.machine.nodes.len(), 5, "T-H 2");
    bench.pass(1);
    bench.pass(100);
    bench.expect("T-H 2", &["Clusterbus handshake timeout 10.0.0.110:7000", "close Outbound"]);
    assert_eq!(bench.machine.nodes.len(), 4, "T-H 2");
}

#[test]
fn a_meet_of_a_stranger_begins_a_handshake_and_is_believed() {
    let mut bench = Bench::of(FOUR);
    bench.handle(Event::Accepted { link: STRANGER, peer: ip('n'), local: ip('k') });
    let known = entry(&bench, 'o', Flags::PRIMARY);
    let heartbeat = Heartbeat { gossip: vec![known], extensions: Vec::new() };
    let header = header(&bench, 'n');
    bench.receive(STRANGER, header.clone(), Body::Heartbeat(Beat::Meet, heartbeat.clone()));
    bench.expect("T-H 3", &["IP address for this node updated to 10.0.0.107", "send ? pong"]);
    assert_eq!(bench.machine.nodes.len(), 6, "T-H 3: the handshake, and what it tells of");
    assert!(bench.machine.nodes.find(id('o')).is_some(), "T-H 3");
    bench.receive(STRANGER, header, Body::Heartbeat(Beat::Meet, heartbeat));
    bench.expect("T-H 4", &["send ? pong", "!connect"]);
    assert_eq!(bench.machine.nodes.len(), 6, "T-H 4");
}

#[test]
fn a_known_node_that_meets_again_gets_a_new_link() {
    for (label, age, drops) in [("T-H 5", NT + 1, true), ("T-H 5: it is new", NT, false)] {
        let mut bench = Bench::of(FOUR);
        let since = bench.now().at.before(age);
        bench.node_mut('a').since = since;
        bench.beat('a', Beat::Meet, |_| {});
        bench.expect(label, &["send a pong"]);
        assert_eq!(bench.did("close Outbound"), drops, "{label}");
    }
}

#[test]
fn a_forgotten_node_does_not_come_back_by_a_meet() {
    let mut bench = Bench::of(FOUR);
    assert_eq!(bench.ask(Command::Forget(id('a'))), "Ok");
    bench.handle(Event::Accepted { link: STRANGER, peer: ip('a'), local: ip('z') });
    let header = header(&bench, 'a');
    bench.receive(STRANGER, header, Body::Heartbeat(Beat::Meet, Heartbeat::default()));
    bench.expect("T-H 6", &["pong"]);
    assert_eq!(bench.machine.nodes.len(), 3, "T-H 6");
}

#[test]
fn nothing_is_learned_from_a_stranger_that_does_not_meet() {
    let mut bench = Bench::of(FOUR);
    bench.handle(Event::Accepted { link: STRANGER, peer: ip('n'), local: ip('z') });
    let known = entry(&bench, 'o', Flags::PRIMARY);
    let heartbeat = Heartbeat { gossip: vec![known], extensions: Vec::new() };
    let header = header(&bench, 'n');
    bench.receive(STRANGER, header, Body::Heartbeat(Beat::Ping, heartbeat));
    bench.expect("T-H 7", &["pong"]);
    assert_eq!(bench.machine.nodes.len(), 4, "T-H 7");
}

#[test]
fn a_pong_ends_a_handshake() {
    let mut bench = Bench::of(FOUR);
    meet(&mut bench, 'n');
    let (link, header) = (handshake(&bench), header(&bench, 'n'));
    bench.receive(link, header, Body::Heartbeat(Beat::Pong, Heartbeat::default()));
    bench.expect("T-H 8, 10", &["Successfully completed handshake with nnnn"]);
    let node = bench.node('n');
    assert!(node.is_primary() && !node.is_in_handshake() && !node.contact.meets, "T-H 8, 10");
}

#[test]
fn a_node_may_have_the_random_id_that_it_was_given() {
    let mut bench = Bench::of(FOUR);
    meet(&mut bench, 'n');
    let (link, mut header) = (handshake(&bench), header(&bench, 'n'));
    let nodes = &bench.machine.nodes;
    let met = nodes.others().find(|(_, node)| node.is_in_handshake()).map(|(_, node)| node.id);
    header.sender = met.expect("a handshake is under way");
    bench.receive(link, header.clone(), Body::Heartbeat(Beat::Pong, Heartbeat::default()));
    let key = bench.machine.nodes.find(header.sender).expect("it keeps its id");
    assert!(!bench.machine.nodes.at(key).is_in_handshake(), "T-H 8");
}

#[test]
fn a_pong_of_a_known_node_ends_a_handshake_with_its_new_address() {
    let mut bench = Bench::of(FOUR);
    meet(&mut bench, 'n');
    let (link, header) = (handshake(&bench), bench.header('a'));
    bench.receive(link, header, Body::Heartbeat(Beat::Pong, Heartbeat::default()));
    assert_eq!(bench.machine.nodes.len(), 4, "T-H 9");
    assert_eq!(bench.node('a').ip, Some(ip('n')), "T-H 9");
    bench.expect("T-H 9", &["Address updated for node aaaa"]);
}

#[test]
fn the_end_of_a_handshake_leaves_the_link_of_the_node_that_it_was_with() {
    let mut bench = Bench::of(FOUR);
    bench.handle(Event::Accepted { link: STRANGER, peer: ip('n'), local: ip('z') });
    let theirs = header(&bench, 'n');
    let beat = |beat| Body::Heartbeat(beat, Heartbeat::default());
    bench.receive(STRANGER, theirs.clone(), beat(Beat::Meet));
    bench.pass(100);
    let link = handshake(&bench);
    // Another node tells of it, then it speaks by the link that it has.
    let known = entry(&bench, 'n', Flags::PRIMARY);
    gossip(&mut bench, 'a', vec![known]);
    bench.receive(STRANGER, theirs.clone(), beat(Beat::Ping));
    assert_eq!(bench.node('n').contact.inbound, Some(STRANGER));
    bench.receive(link, theirs, beat(Beat::Pong));
    assert_eq!(bench.machine.nodes.len(), 5, "T-H 9");
    bench.expect("T-H 9", &["close Outbound", "!close Inbound"]);
    assert_eq!(bench.node('n').contact.inbound, Some(STRANGER), "T-H 9");
}

#[test]
fn a_forgotten_node_has_no_links() {
    let mut bench = Bench::of(FOUR);
    assert_eq!(bench.ask(Command::Forget(id('b'))), "Ok");
    bench.expect("T-H 16", &["close Outbound", "close Inbound(98)"]);
    let mut links = bench.machine.inbound.values();
    assert!(links.all(|inbound| inbound.node.is_some_and(|key| bench.machine.nodes.contains(key))));
}

#[test]
fn gossip_of_a_known_node_adds_strangers() {
    for (label, flags, forgotten, adds) in [
        ("T-H 11", Flags::PRIMARY, false, true),
        ("T-H 11: without an address", Flags::PRIMARY.with(Flags::NOADDR), false, false),
        ("T-H 11: forgotten", Flags::PRIMARY, true, false),
    ] {
        let mut bench = Bench::of(FOUR);
        if forgotten {
            bench.machine.forgotten.insert(id('n'), Moment(u64::MAX));
        }
        let stranger = entry(&bench, 'n', flags);
        gossip(&mut bench, 'a', vec![stranger]);
        assert_eq!(bench.machine.nodes.find(id('n')).is_some(), adds, "{label}");
    }
}

/// Entries about so many nodes that are not known.
fn strangers(bench: &Bench, count: usize) -> Vec<Entry> {
    let stranger = |number: usize| {
        let mut bytes = [0xee; 20];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Entry { node: NodeId::of_random(bytes), ..entry(bench, 'n', Flags::PRIMARY) }
    };
    (0..count).map(stranger).collect()
}

#[test]
fn a_full_table_takes_no_more_nodes() {
    let mut bench = Bench::of(FOUR);
    let entries = strangers(&bench, NODES_MAX);
    gossip(&mut bench, 'a', entries);
    assert_eq!(bench.machine.nodes.len(), NODES_MAX, "by gossip");
    assert!(meet(&mut bench, 'n').contains("as many nodes as it can"), "by CLUSTER MEET");
    bench.handle(Event::Accepted { link: STRANGER, peer: ip('n'), local: ip('z') });
    let header = header(&bench, 'n');
    bench.receive(STRANGER, header, Body::Heartbeat(Beat::Meet, Heartbeat::default()));
    bench.expect("by a MEET", &["pong"]);
    assert_eq!(bench.machine.nodes.len(), NODES_MAX, "by a MEET");
    assert_eq!(bench.ask(Command::Forget(id('b'))), "Ok");
    assert_eq!(meet(&mut bench, 'n'), "Ok", "there is room again");
}

#[test]
fn the_list_of_forgotten_nodes_ends() {
    let mut bench = Bench::of(FOUR);
    let entries = strangers(&bench, FORGOTTEN_MAX + 1);
    gossip(&mut bench, 'a', entries.clone());
    let forgotten = entries.iter().map(|entry| Extension::Forgotten(entry.node, u64::MAX));
    extend(&mut bench, 'a', forgotten.collect());
    assert_eq!(bench.machine.forgotten.len(), FORGOTTEN_MAX);
    assert_eq!(bench.ask(Command::Forget(id('b'))), "Ok");
    assert_eq!(bench.machine.forgotten.len(), FORGOTTEN_MAX);
    assert!(bench.machine.forgotten.contains_key(&id('b')), "it is forgotten now");
}

#[test]
fn gossip_tells_where_a_node_is_that_seems_to_have_failed() {
    let elsewhere: IpAddr = ip('y');
    for (label, flags, health, moves) in [
        ("T-H 13", Flags::PRIMARY, Health::Suspected, true),
        ("T-H 13: FAIL", Flags::PRIMARY, Health::Failed(Moment(0)), true),
        ("T-H 13: it is well", Flags::PRIMARY, Health::Fit, false),
        ("T-H 13: both think so", Flags::PFAIL, Health::Suspected, false),
        ("T-H 13: no address", Flags::NOADDR, Health::Suspected, false),
    ] {
        let mut bench = Bench::of(FOUR);
        bench.node_mut('b').health = health;
        let entry = Entry { ip: Some(elsewhere), ..entry(&bench, 'b', flags) };
        gossip(&mut bench, 'a', vec![entry]);
        assert_eq!(bench.node('b').ip == Some(elsewhere), moves, "{label}");
        assert_eq!(bench.did("close Outbound"), moves, "{label}");
    }
    let mut bench = Bench::of("r replica a, a primary 4 0-8000, b primary 5 8001-16383");
    bench.node_mut('a').health = Health::Suspected;
    let entry = Entry { ip: Some(elsewhere), ..entry(&bench, 'a', Flags::PRIMARY) };
    gossip(&mut bench, 'b', vec![entry]);
    bench.expect("T-H 13: my primary", &["follow a Partial"]);
}

#[test]
fn a_ping_shows_where_its_sender_is() {
    let mut bench = Bench::of(FOUR);
    bench.beat('a', Beat::Ping, |header| header.ip = Some(ip('y')));
    bench.expect("T-H 14", &["Address updated for node aaaa", "close Outbound"]);
    assert_eq!(bench.node('a').ip, Some(ip('y')), "T-H 14");
    bench.beat('a', Beat::Ping, |_| {});
    assert_eq!(bench.node('a').ip, Some(ip('a')), "T-H 14: its socket's, if it says none");
    bench.beat('a', Beat::Pong, |header| header.ip = Some(ip('y')));
    assert_eq!(bench.node('a').ip, Some(ip('a')), "T-H 14: a PONG does not");
}

#[test]
fn a_pong_that_another_node_got_spares_a_ping() {
    for (label, ahead_ms, health, open, taken) in [
        ("T-H 15", 0_i64, Health::Fit, false, true),
        ("T-H 15: a little ahead", 400, Health::Fit, false, true),
        ("T-H 15: from the future", 1500, Health::Fit, false, false),
        ("T-H 15: PFAIL", 0, Health::Suspected, false, false),
        ("T-H 15: an open PING", 0, Health::Fit, true, false),
        ("T-H 15: older", -9000, Health::Fit, false, false),
    ] {
        let mut bench = Bench::of(FOUR);
        // A whole second, since gossip tells no less.
        bench.at = 12_600;
        let pong = Moment(8_000);
        let contact = &mut bench.node_mut('b').contact;
        contact.pong_received = Some(pong);
        contact.ping_sent = open.then_some(Moment(12_000));
        bench.node_mut('b').health = health;
        let unix = bench.now().unix.0.saturating_add_signed(ahead_ms + 400) / 1000;
        let pong_received_s = u32::try_from(unix).expect("it is now");
        let entry = Entry { pong_received_s, ..entry(&bench, 'b', Flags::PRIMARY) };
        bench.machine.now = bench.now();
        let key = bench.key('b');
        bench.machine.take_pong(key, &entry);
        assert_eq!(bench.node('b').contact.pong_received != Some(pong), taken, "{label}");
    }
}

#[test]
fn a_forgotten_node_leaves_nothing_behind() {
    let mut bench = Bench::of(FOUR);
    let key = bench.key('b');
    bench.node_mut('a').reports.insert(key, Moment(0));
    assert_eq!(bench.ask(Command::Forget(id('b'))), "Ok");
    assert_eq!(bench.ask(Command::Forget(id('b'))), "Ok", "T-H 16: it is on the list");
    assert!(bench.node('a').reports.is_empty(), "T-H 16");
    let owned: usize = bench.machine.nodes.iter().map(|(_, node)| node.slot_count()).sum();
    assert_eq!(owned, 10_923, "T-H 16");
    let stranger = entry(&bench, 'b', Flags::PRIMARY);
    gossip(&mut bench, 'a', vec![stranger]);
    assert_eq!(bench.machine.nodes.find(id('b')), None, "T-H 16");
    bench.pass(60_100);
    gossip(&mut bench, 'a', vec![stranger]);
    assert!(bench.machine.nodes.find(id('b')).is_some(), "T-H 16: for a while only");
    for (letter, error) in [('y', "Unknown node"), ('m', "can't forget myself")] {
        assert!(bench.ask(Command::Forget(id(letter))).contains(error), "{letter}");
    }
    let mut bench = Bench::of("r replica a, a primary 4 0-16383");
    assert!(bench.ask(Command::Forget(id('a'))).contains("Can't forget my master!"));
}

#[test]
fn no_other_node_has_a_node_forgotten_for_ever() {
    for (label, seconds, own, expected) in [
        ("as it says", 30, 60, 30),
        ("an hour", u64::MAX, 60, 3600),
        ("as long as here", u64::MAX, 86_400, 86_400),
        ("less than here", 7200, 86_400, 7200),
    ] {
        let mut bench = Bench::of(FOUR);
        bench.machine.settings.forget_s = own;
        extend(&mut bench, 'a', vec![Extension::Forgotten(id('b'), seconds)]);
        let until = bench.machine.forgotten[&id('b')];
        assert_eq!(until.since(bench.now().at), expected * 1000, "{label}");
    }
}

#[test]
fn what_one_node_was_told_to_forget_others_forget_too() {
    for (label, about, forgets) in
        [("T-H 17", 'b', true), ("T-H 17: me", 'm', false), ("T-H 17: itself", 'a', false)]
    {
        let mut bench = Bench::of(FOUR);
        extend(&mut bench, 'a', vec![Extension::Forgotten(id(about), 30)]);
        assert_eq!(bench.machine.nodes.find(id(about)).is_none(), forgets, "{label}");
        assert_eq!(bench.machine.forgotten.contains_key(&id(about)), forgets, "{label}");
    }
    let mut bench = Bench::of("r replica a, a primary 4 0-8000, b primary 5 8001-16383");
    extend(&mut bench, 'b', vec![Extension::Forgotten(id('a'), 30)]);
    assert!(bench.machine.nodes.find(id('a')).is_some(), "T-H 17: my primary");
}

#[test]
fn extensions_say_more_of_their_sender_and_what_they_lack_it_has_not() {
    let mut bench = Bench::of(FOUR);
    let all = vec![
        Extension::Hostname("h.x".to_string()),
        Extension::Nodename("n".to_string()),
        Extension::ClientIpv4("1.2.3.4".to_string()),
        Extension::ClientPort(9),
        Extension::Shard(shard('t')),
    ];
    extend(&mut bench, 'a', all);
    let node = bench.node('a');
    assert_eq!((node.names.hostname.as_str(), node.names.client_port), ("h.x", 9), "T-H 18");
    assert_eq!((node.shard, node.name().as_str()), (Some(shard('t')), "n"), "T-H 18");
    extend(&mut bench, 'a', Vec::new());
    assert_eq!(bench.node('a').names, Names::default(), "T-H 18");
    assert_eq!(bench.node('a').shard, Some(shard('t')), "T-H 18");
    extend(&mut bench, 'r', vec![Extension::Shard(shard('t'))]);
    bench.expect("a replica has its primary's shard", &["rejecting!"]);
    assert_eq!(bench.node('r').shard, Some(shard('m')));
}

#[test]
fn only_nodes_that_take_extensions_are_sent_some() {
    let mut bench = Bench::of(FOUR);
    let to = bench.key('a');
    assert!(!bench.machine.heartbeat(Some(to)).extensions.is_empty(), "T-H 18");
    bench.node_mut('a').flags = Flags::default();
    assert!(bench.machine.heartbeat(Some(to)).extensions.is_empty(), "T-H 18");
    assert!(bench.machine.heartbeat(None).extensions.is_empty(), "T-H 18");
}

#[test]
fn a_node_that_never_connects_is_met_again() {
    for (label, able, lost_ms, meets) in [
        ("a link is missing", true, NT + 1, true),
        ("a link is missing for a moment", true, NT - 200, false),
        ("it does not take another MEET", false, NT + 1, false),
    ] {
        let mut bench = Bench::of(FOUR);
        bench.handle(Event::Ended(inbound('a'), crate::cluster::machine::event::End::Other));
        let lost = bench.now().at.before(lost_ms);
        bench.node_mut('a').contact.inbound_lost = lost;
        if !able {
            bench.node_mut('a').flags = Flags::default();
        }
        bench.pass(100);
        assert_eq!(bench.did("send a meet"), meets, "{label}");
    }
}
