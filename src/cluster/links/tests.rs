//! T-L, row by row.

use super::*;
use crate::cluster::frame::bodies::Publish;
use crate::cluster::frame::{Body, Broken, Message, Packet};
use crate::cluster::machine::bench::{Bench, NT, id, inbound, ip};
use crate::cluster::machine::event::{End, Event, Failure, LinkId};
use crate::cluster::machine::settings::Settings;
use crate::cluster::moment::Moment;

const THREE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383";

fn link(bench: &Bench, letter: char) -> LinkId {
    bench.node(letter).link().expect("it is linked")
}

#[test]
fn a_node_without_a_link_gets_one_and_a_ping() {
    let mut bench = Bench::started(THREE, Settings::default());
    bench.handle(Event::Tick);
    bench
        .expect("T-L 1", &["connect a 10.0.0.97:17000", "send a ping", "connect b", "send b ping"]);
    assert_eq!(bench.node('m').contact.outbound, None, "T-L 1: not to itself");
}

#[test]
fn an_older_ping_goes_on_counting_when_a_link_is_made_anew() {
    let mut bench = Bench::of(THREE);
    bench.node_mut('a').contact.ping_sent = Some(Moment(9_990));
    let ended = link(&bench, 'a');
    bench.handle(Event::Ended(ended, End::Other));
    bench.pass(100);
    bench.expect("T-L 1", &["connect a", "send a ping"]);
    assert_eq!(bench.node('a').contact.ping_sent, Some(Moment(9_990)), "T-L 1");
}

#[test]
fn a_connect_that_fails_lets_the_silence_count() {
    let mut bench = Bench::of(THREE);
    let ended = link(&bench, 'a');
    bench.handle(Event::Ended(ended, End::Other));
    let LinkId::Outbound(number) = bench.machine.new_link() else { panic!("it is outbound") };
    let next = LinkId::Outbound(number + 1);
    bench.at += 100;
    let now = bench.now();
    bench.machine.handle(now, Event::Tick, &mut bench.actions);
    bench.handle(Event::ConnectFailed(next, Failure::Other));
    assert_eq!(bench.node('a').contact.ping_sent, Some(now.at), "T-L 2");
    assert_eq!(bench.node('a').contact.outbound.filter(|link| link.is_up), None, "T-L 2");
}

#[test]
fn a_primary_that_loads_accepts_no_link() {
    for (label, text, loads, accepts) in [
        ("T-L 3", THREE, true, false),
        ("T-L 3: it has loaded", THREE, false, true),
        ("T-L 3: a replica", "r replica a, a primary 4 0-16383", true, true),
    ] {
        let mut bench = Bench::started(text, Settings::default());
        if !loads {
            bench.handle(Event::Loaded(Default::default()));
        }
        let link = inbound('a');
        bench.handle(Event::Accepted { link, peer: ip('a'), local: ip('z') });
        assert_eq!(bench.did("close Inbound(97)"), !accepts, "{label}");
        assert_eq!(bench.machine.inbound.contains_key(&link), accepts, "{label}");
    }
}

#[test]
fn bytes_that_are_no_frame_close_the_link_and_odd_frames_do_not() {
    for (label, broken, closes) in
        [("T-L 4", Broken::NotAFrame, true), ("T-L 5", Broken::Odd, false)]
    {
        let mut bench = Bench::of(THREE);
        bench.handle(Event::Unreadable(inbound('a'), broken));
        bench.expect(label, &["log "]);
        assert_eq!(bench.did("close Inbound"), closes, "{label}");
    }
}

#[test]
fn a_light_frame_needs_a_known_sender() {
    let mut bench = Bench::of(THREE);
    let publish = || Publish { channel: b"c".to_vec(), message: b"m".to_vec() };
    let light = || Packet::Light(Message::Publish(publish()));
    bench.handle(Event::Received(inbound('a'), light()));
    bench.expect("T-L 6", &["deliver publish", "!close"]);
    let link = LinkId::Inbound(9);
    bench.handle(Event::Accepted { link, peer: ip('y'), local: ip('z') });
    bench.handle(Event::Received(link, light()));
    bench.expect("T-L 6", &["!deliver", "close Inbound(9)"]);
}

#[test]
fn a_link_of_a_stranger_is_given_up() {
    let mut bench = Bench::of(THREE);
    let link = LinkId::Inbound(9);
    bench.handle(Event::Accepted { link, peer: ip('y'), local: ip('z') });
    for _ in 0..NT / 100 {
        bench.pass(100);
        let header = Header { sender: id('y'), ..bench.header('a') };
        bench.receive(link, header, Body::Heartbeat(Beat::Ping, Default::default()));
        bench.expect("a PING is answered", &["pong", "!close"]);
        bench.answer_all();
    }
    bench.pass(100);
    bench.expect("it does not show a node", &["close Inbound(9)", "!close Inbound(97)"]);
    assert!(!bench.machine.inbound.contains_key(&link));
}

#[test]
fn of_two_links_of_one_node_the_new_one_counts() {
    let mut bench = Bench::of(THREE);
    let link = LinkId::Inbound(9);
    bench.handle(Event::Accepted { link, peer: ip('a'), local: ip('z') });
    let header = bench.header('a');
    bench.receive(link, header, Body::Heartbeat(Beat::Ping, Default::default()));
    bench.expect("T-L 7", &["close Inbound(97)", "send a pong"]);
    assert_eq!(bench.node('a').contact.inbound, Some(link), "T-L 7");
    let header = bench.header('a');
    bench.receive(link, header, Body::Heartbeat(Beat::Ping, Default::default()));
    bench.expect("T-L 7", &["!close"]);
}

#[test]
fn an_address_that_belongs_to_another_node_now_fails_the_former_one() {
    let mut bench = Bench::of(THREE);
    let mut header = bench.header('a');
    header.sender = id('y');
    let link = link(&bench, 'a');
    bench.receive(link, header, Body::Heartbeat(Beat::Pong, Default::default()));
    bench.expect(
        "T-L 8",
        &["PONG contains mismatching sender ID", "close Outbound", "send b fail a"],
    );
    let node = bench.node('a');
    assert_eq!((node.ip, node.is_failed()), (None, true), "T-L 8");
    bench.pass(100);
    bench.expect("T-L 8", &["!connect a"]);
}

#[test]
fn a_link_with_too_much_to_send_is_closed_and_counted() {
    let mut bench = Bench::of(THREE);
    let link = link(&bench, 'a');
    bench.handle(Event::Overflowing(link, 1234));
    bench.expect("T-L 9", &["close Outbound", "(to node aaaa", "used memory: 1234"]);
    bench.handle(Event::Overflowing(inbound('b'), 1234));
    bench.expect("T-L 9", &["close Inbound", "(from node bbbb"]);
    assert_eq!(bench.machine.stats().limits_exceeded, 2, "T-L 9");
}

#[test]
fn a_link_that_does_nothing_is_made_anew() {
    // Milliseconds that the link is old, the PING open and the node silent.
    for (label, age, ping, silence, closes) in [
        ("T-L 10", NT + 1, Some(NT / 2 + 1), NT / 2 + 1, true),
        ("T-L 10: a young link", NT, Some(NT / 2 + 1), NT / 2 + 1, false),
        ("T-L 10: a young PING", NT + 1, Some(NT / 2), NT / 2 + 1, false),
        ("T-L 10: no PING", NT + 1, None, NT / 2 + 1, false),
        ("T-L 10: the node speaks", NT + 1, Some(NT / 2 + 1), NT / 2, false),
        ("T-L 11", NT + 1, Some(NT + 1), 1, true),
        ("T-L 11: a young PING", NT + 1, Some(NT), 1, false),
    ] {
        let mut bench = Bench::of(THREE);
        let now = bench.now().at;
        let ago = |millis| now.before(millis);
        let heard = ago(silence);
        for letter in ['a', 'b'] {
            let contact = &mut bench.node_mut(letter).contact;
            contact.ping_sent = None;
            contact.pong_received = Some(now);
            contact.heard = now;
        }
        let contact = &mut bench.node_mut('a').contact;
        if let Some(outbound) = &mut contact.outbound {
            outbound.since = ago(age);
        }
        (contact.ping_sent, contact.heard) = (ping.map(ago), heard);
        bench.machine.tend_links();
        bench.handle(Event::Tick);
        assert_eq!(bench.did("close Outbound"), closes, "{label}: {:#?}", bench.lines);
        assert_eq!(bench.did("connect a"), closes, "{label}");
    }
}

#[test]
fn a_connect_that_hangs_is_given_up() {
    let mut bench = Bench::of(THREE);
    let former = link(&bench, 'a');
    bench.handle(Event::Ended(former, End::Other));
    bench.at += 100;
    let now = bench.now();
    bench.machine.handle(now, Event::Tick, &mut bench.actions);
    while bench.actions.next_action().is_some() {}
    bench.pass(NT);
    bench.expect("a connect that is young", &["!connect a"]);
    bench.pass(100);
    bench.expect("a connect that hangs", &["close Outbound", "connect a"]);
}

#[test]
fn nodes_without_an_inbound_link_are_not_connected_to_in_each_round() {
    let mut bench = Bench::of(THREE);
    for letter in ['a', 'b'] {
        let former = link(&bench, letter);
        bench.handle(Event::Ended(former, End::Other));
    }
    bench.handle(Event::Ended(inbound('a'), End::Other));
    let tried = Some(bench.now().at);
    for letter in ['a', 'b'] {
        bench.node_mut(letter).contact.tried = tried;
    }
    bench.machine.settings.node_timeout_ms = 15_000;
    bench.pass(100);
    bench.expect("at most each nt / 20", &["!connect a", "connect b"]);
    bench.pass(650);
    bench.expect("at most each nt / 20", &["connect a"]);
}
