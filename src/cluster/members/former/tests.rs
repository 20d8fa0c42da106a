//! R15: nodes that do not let go.

use crate::cluster::frame::extensions::Extension;
use crate::cluster::frame::gossip::Entry;
use crate::cluster::frame::header::{Flags, Header, Ports};
use crate::cluster::frame::{Beat, Body, Heartbeat, Packet};
use crate::cluster::ids::Epoch;
use crate::cluster::machine::action::Action;
use crate::cluster::machine::bench::{Bench, NT, id, ip, shard, slots};
use crate::cluster::machine::event::{Command, Event, LinkId};

const THREE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383";

/// How a node is reset; its letter behind that.
const WAYS: [(&str, char); 2] = [("SOFT", 'm'), ("HARD", 'q')];

fn command(way: &str) -> Command {
    match way {
        "SOFT" => Command::ResetSoft(shard('n')),
        _ => Command::ResetHard(shard('n'), id('q')),
    }
}

/// What a former node says by a link, and what the bench does.
fn hears(bench: &mut Bench, link: u64, header: &Header, beat: Beat) {
    let gossip = vec![Entry {
        node: id('o'),
        ping_sent_s: 0,
        pong_received_s: 0,
        ip: Some(ip('o')),
        ports: Ports { client: 7000, other: 0, bus: 17_000 },
        flags: Flags::PRIMARY,
    }];
    let heartbeat = Heartbeat { gossip, extensions: Vec::new() };
    bench.receive(LinkId::Inbound(link), header.clone(), Body::Heartbeat(beat, heartbeat));
}

fn connects(bench: &mut Bench, link: u64, letter: char) {
    let link = LinkId::Inbound(link);
    bench.handle(Event::Accepted { link, peer: ip(letter), local: ip('z') });
}

/// A reset node, and the header that a former node goes on sending.
fn reset(way: &str) -> (Bench, Header) {
    let mut bench = Bench::of(THREE);
    let header = bench.header('a');
    assert_eq!(bench.ask(command(way)), "Ok", "{way}");
    (bench, header)
}

/// The heartbeat that was sent last, and its header.
fn last_beat(bench: &Bench) -> (Header, Heartbeat) {
    let sent = bench.done.iter().rev().find_map(|action| match action {
        Action::Send(_, packet) => match &**packet {
            Packet::Full(frame) => match &frame.body {
                Body::Heartbeat(_, heartbeat) => Some((frame.header.clone(), heartbeat.clone())),
                _ => None,
            },
            Packet::Light(_) => None,
        },
        _ => None,
    });
    sent.expect("a heartbeat was sent")
}

#[test]
fn what_a_former_node_says_by_its_link_changes_nothing() {
    for (way, letter) in WAYS {
        let (mut bench, header) = reset(way);
        connects(&mut bench, 50, 'a');
        for beat in [Beat::Ping, Beat::Meet, Beat::Ping, Beat::Meet] {
            hears(&mut bench, 50, &header, beat);
            bench.expect(way, &["pong", "!connect", "!save"]);
            let (header, heartbeat) = last_beat(&bench);
            assert_eq!((header.sender, heartbeat), (id(letter), Heartbeat::default()), "{way}");
            assert_eq!(bench.machine.nodes.len(), 1, "{way}: {beat:?}");
        }
        assert_eq!(
            bench.machine.current_epoch(),
            Epoch(if way == "HARD" { 0 } else { 5 }),
            "{way}"
        );
    }
}

#[test]
fn a_former_node_has_one_link_which_stays() {
    let (mut bench, header) = reset("SOFT");
    connects(&mut bench, 50, 'a');
    hears(&mut bench, 50, &header, Beat::Ping);
    for _ in 0..20 {
        bench.pass(NT / 10);
        bench.expect("it stays", &["!close"]);
    }
    connects(&mut bench, 51, 'a');
    hears(&mut bench, 51, &header, Beat::Ping);
    bench.expect("one of each", &["close Inbound(50)", "pong"]);
}

#[test]
fn a_meet_that_an_operator_asks_for_is_heard() {
    for (way, _) in WAYS {
        let (mut bench, header) = reset(way);
        connects(&mut bench, 50, 'a');
        hears(&mut bench, 50, &header, Beat::Ping);
        // That of a client of the former node comes by a new link.
        connects(&mut bench, 51, 'a');
        hears(&mut bench, 51, &header, Beat::Meet);
        bench.expect(way, &["send ? pong"]);
        assert_eq!(bench.machine.nodes.len(), 3, "{way}: the handshake, and what it tells of");
    }
}

#[test]
fn a_node_that_was_never_known_is_met_by_any_link() {
    let (mut bench, mut header) = reset("SOFT");
    header.sender = id('s');
    connects(&mut bench, 50, 's');
    hears(&mut bench, 50, &header, Beat::Ping);
    hears(&mut bench, 50, &header, Beat::Meet);
    assert_eq!(bench.machine.nodes.len(), 3);
}

#[test]
fn a_former_node_is_told_of_no_new_cluster() {
    let (mut bench, header) = reset("SOFT");
    assert_eq!(bench.ask(Command::AddSlots(slots(0..100))), "Ok");
    let mut stranger = header.clone();
    stranger.sender = id('s');
    connects(&mut bench, 60, 's');
    hears(&mut bench, 60, &stranger, Beat::Meet);
    connects(&mut bench, 50, 'a');
    hears(&mut bench, 50, &header, Beat::Ping);
    let (told, heartbeat) = last_beat(&bench);
    assert_eq!((told.slots.len(), heartbeat), (0, Heartbeat::default()));
    hears(&mut bench, 60, &stranger, Beat::Meet);
    assert_eq!(last_beat(&bench).0.slots.len(), 100, "others are told");
}

#[test]
fn a_former_node_that_is_met_is_one_like_all_others() {
    let (mut bench, header) = reset("SOFT");
    let meet = Command::Meet { ip: ip('a'), port: 7000, bus_port: 17_000 };
    assert_eq!(bench.ask(meet), "Ok");
    let link = *bench.machine.outbound.keys().next().expect("it connects");
    bench.receive(link, header.clone(), Body::Heartbeat(Beat::Pong, Heartbeat::default()));
    assert!(bench.machine.nodes.find(id('a')).is_some());
    assert!(!bench.machine.nodes.former.contains(&id('a')));
    assert!(bench.machine.nodes.former.contains(&id('b')));
    connects(&mut bench, 50, 'a');
    hears(&mut bench, 50, &header, Beat::Ping);
    bench.expect("it names another", &["send a pong"]);
    assert_eq!(bench.machine.nodes.len(), 3);
}

#[test]
fn former_nodes_stay_so_after_a_restart() {
    let (bench, header) = reset("SOFT");
    let file = bench.machine.file();
    assert!(file.contains(&format!("formerNodes {},{}", id('a'), id('b'))), "{file}");
    let memory = crate::cluster::file::load(&file, bench.now().at);
    let memory = memory.expect("it is right").expect("it is not empty");
    assert_eq!(memory.nodes.former, bench.machine.nodes.former);
    assert!(memory.warnings.is_empty(), "{:?}", memory.warnings);
    assert!(memory.nodes.former.contains(&header.sender));
}

#[test]
fn no_node_is_told_to_forget_this_one() {
    for (way, letter) in WAYS {
        let (mut bench, header) = reset(way);
        connects(&mut bench, 50, 'a');
        let about_this = |extension: &Extension| match extension {
            Extension::Forgotten(about, _) => [id('m'), id(letter)].contains(about),
            _ => false,
        };
        for beat in [Beat::Ping, Beat::Meet] {
            hears(&mut bench, 50, &header, beat);
            assert!(!last_beat(&bench).1.extensions.iter().any(about_this), "{way}");
        }
        // It is met by another cluster, which takes extensions.
        let mut stranger = header.clone();
        stranger.sender = id('s');
        connects(&mut bench, 60, 's');
        hears(&mut bench, 60, &stranger, Beat::Meet);
        assert!(!last_beat(&bench).1.extensions.iter().any(about_this), "{way}");
    }
}
