//! Two nodes that talk by sockets.

use super::*;
use crate::bus::buffers::KEPT_BYTES;
use crate::cluster::frame::bodies::Publish;
use crate::cluster::frame::{Broken, Frame, Heartbeat, Message};
use crate::cluster::machine::bench::Bench;
use crate::cluster::machine::event::End;

/// Turns after which what is waited for does not come any more. Each takes some microseconds.
const TURNS_MAX: usize = 10_000_000;

struct Pair {
    /// `m`, which listens.
    one: Links,
    /// `a`, which listens too.
    other: Links,
    ports: [u16; 2],
}

impl Pair {
    fn new() -> Self {
        let listening = || {
            let address = "127.0.0.1:0".parse().expect("an address");
            let socket = sockets::listen_tcp(address, 9).expect("a port is free");
            let port = sockets::local(&socket).expect("it has a name").port();
            let limits = Limits { silence_ms: 10_000, waiting_bytes: 0 };
            (Links::new(vec![socket], limits).expect("it is a socket"), port)
        };
        let ((one, first), (other, second)) = (listening(), listening());
        Self { one, other, ports: [first, second] }
    }

    /// The next event of the first one that `is` what is waited for.
    fn until(&mut self, is: impl Fn(&Event) -> bool) -> Event {
        for _ in 0..TURNS_MAX {
            for links in [&mut self.one, &mut self.other] {
                links.turn(Monotonic::now());
                links.flush();
            }
            while let Some(event) = self.one.next_event() {
                if is(&event) {
                    return event;
                }
            }
            while self.other.next_event().is_some() {}
            std::thread::yield_now();
        }
        panic!("it does not happen");
    }

    /// Waits until the second one knows that it is connected.
    fn until_connected(&mut self) {
        for _ in 0..TURNS_MAX {
            self.other.turn(Monotonic::now());
            if self.other.links.get(&LINK).is_some_and(Link::is_connected) {
                return;
            }
        }
        panic!("it never is");
    }

    /// Connects the second one to the first one, and says how the first one calls that.
    fn connected(&mut self) -> LinkId {
        self.other.connect(LINK, localhost(), self.ports[0]);
        match self.until(|event| matches!(event, Event::Accepted { .. })) {
            Event::Accepted { link, .. } => link,
            event => panic!("{event:?}"),
        }
    }
}

const LINK: LinkId = LinkId::Outbound(1);

fn localhost() -> IpAddr {
    [127, 0, 0, 1].into()
}

/// What `a` sends.
fn packet(body: Body) -> Packet {
    let bench = Bench::started("m primary 3 0-99, a primary 4 100-199", Default::default());
    Packet::Full(Box::new(Frame { header: bench.header('a'), body }))
}

fn beat(beat: Beat) -> Packet {
    packet(Body::Heartbeat(beat, Heartbeat::default()))
}

fn publish() -> Packet {
    let publish = Publish { channel: b"c".to_vec(), message: vec![7; 1 << 20] };
    packet(Body::Message(Message::Publish(publish)))
}

#[test]
fn a_node_that_connects_is_accepted_and_its_frames_come() {
    let mut pair = Pair::new();
    let link = pair.connected();
    pair.other.send(LINK, Arc::new(beat(Beat::Ping)));
    let event = pair.until(|event| matches!(event, Event::Received(..)));
    assert!(matches!(event, Event::Received(from, _) if from == link), "{event:?}");
    pair.other.close(LINK);
    let event = pair.until(|event| matches!(event, Event::Ended(..)));
    assert!(matches!(event, Event::Ended(from, End::ByPeer) if from == link), "{event:?}");
    assert!(pair.one.is_empty() && pair.other.is_empty());
}

#[test]
fn what_comes_is_acknowledged_though_nothing_is_sent() {
    let mut pair = Pair::new();
    let address = SocketAddr::new(localhost(), pair.ports[0]);
    let socket = sockets::begin_to_connect(address, 10_000).expect("it listens");
    pair.until(|event| matches!(event, Event::Accepted { .. }));
    let mut bytes = Vec::new();
    beat(Beat::Ping).encode(&mut bytes);
    let mut late = 0;
    for _ in 0..100 {
        for is_answered in [true, false] {
            assert_eq!(sockets::send_some(&socket, &bytes).ok(), Some(bytes.len()));
            let event = pair.until(|event| matches!(event, Event::Received(..)));
            let Event::Received(link, _) = event else { panic!("{event:?}") };
            if is_answered {
                // The system counts on answers to come with acknowledgements from now on.
                pair.one.send(link, Arc::new(beat(Beat::Pong)));
                pair.one.flush();
            } else {
                late += usize::from(0 < sockets::unacknowledged(&socket));
            }
        }
    }
    assert!(late < 10, "{late} of 100 are acknowledged later");
}

#[test]
fn only_nodes_that_have_replied_send_long_frames() {
    for has_replied in [false, true] {
        let mut pair = Pair::new();
        let link = pair.connected();
        if has_replied {
            pair.one.connect(LINK, localhost(), pair.ports[1]);
            let mut theirs = None;
            while theirs.is_none() {
                pair.one.turn(Monotonic::now());
                pair.other.turn(Monotonic::now());
                while let Some(event) = pair.other.next_event() {
                    if let Event::Accepted { link, .. } = event {
                        theirs = Some(link);
                    }
                }
            }
            pair.other.send(theirs.expect("it was waited for"), Arc::new(beat(Beat::Pong)));
            pair.until(|event| matches!(event, Event::Received(from, _) if *from == LINK));
        }
        pair.other.send(LINK, Arc::new(beat(Beat::Ping)));
        pair.other.send(LINK, Arc::new(publish()));
        let is_second = |event: &Event| match event {
            Event::Received(_, packet) => packet.kind() == Some(Kind::Publish),
            event => matches!(event, Event::Unreadable(..)),
        };
        let event = pair.until(is_second);
        match event {
            Event::Received(from, _) => assert!(has_replied && from == link),
            Event::Unreadable(from, Broken::NotAFrame) => assert!(!has_replied && from == link),
            event => panic!("{event:?}"),
        }
    }
}

#[test]
fn a_long_message_leaves_no_long_buffer() {
    let mut pair = Pair::new();
    pair.connected();
    pair.other.send(LINK, Arc::new(publish()));
    assert!(pair.other.frame.capacity() <= KEPT_BYTES, "{}", pair.other.frame.capacity());
    assert!(1 << 20 <= pair.other.buffer(LINK).used, "it waits to be sent");
}

/// A message of so many bytes behind a light header.
fn light(number: u8, bytes: usize) -> Arc<Packet> {
    let publish = Publish { channel: b"c".to_vec(), message: vec![number; bytes] };
    Arc::new(Packet::Light(Message::Publish(publish)))
}

#[test]
fn messages_keep_their_order_and_heartbeats_pass_them() {
    let mut pair = Pair::new();
    pair.connected();
    pair.other.send(LINK, Arc::new(beat(Beat::Ping)));
    (0..9).for_each(|number| pair.other.send(LINK, light(number, 10_000)));
    pair.other.send(LINK, Arc::new(beat(Beat::Pong)));
    (9..20).for_each(|number| pair.other.send(LINK, light(number, 10_000)));
    let mut came = Vec::new();
    while came.len() < 22 {
        let event = pair.until(|event| matches!(event, Event::Received(..)));
        let Event::Received(_, packet) = event else { panic!("{event:?}") };
        came.push(match packet {
            Packet::Light(Message::Publish(publish)) => i32::from(publish.message[0]),
            packet => -i32::from(packet.kind() == Some(Kind::Pong)) - 1,
        });
    }
    let expected: Vec<i32> = [-1, -2].into_iter().chain(0..20).collect();
    assert_eq!(came, expected);
}

#[test]
fn a_link_that_is_too_slow_gets_fewer_messages_but_all_heartbeats() {
    let mut pair = Pair::new();
    pair.connected();
    let message = light(7, 1 << 20);
    (0..300).for_each(|_| pair.other.send(LINK, Arc::clone(&message)));
    let waiting = pair.other.buffer(LINK).used;
    assert!(waiting <= MESSAGES_BYTES_MAX + (2 << 20), "{waiting}");
    assert_eq!(pair.other.dropped(), 300 - 256);
    pair.other.send(LINK, Arc::new(beat(Beat::Ping)));
    assert!(waiting < pair.other.buffer(LINK).used, "a heartbeat is never dropped");
    let count = Arc::strong_count(&message);
    assert_eq!(count, 1 + 256, "what waits is there once for all links");
    pair.other.close(LINK);
    assert_eq!(Arc::strong_count(&message), 1, "it goes with the link");
}

#[test]
fn a_limit_closes_a_link_only_if_its_peer_does_not_take_what_waits() {
    let mut pair = Pair::new();
    pair.connected();
    pair.until_connected();
    pair.other.limit(Limits { silence_ms: 10_000, waiting_bytes: 50_000 });
    for number in 0..20 {
        pair.other.send(LINK, light(number, 10_000));
    }
    let is_over = |event: &Event| matches!(event, Event::Overflowing(..));
    assert!(!pair.other.events.iter().any(is_over), "there is room in the socket");
    (0..100).for_each(|_| pair.other.send(LINK, light(7, 1 << 20)));
    assert!(pair.other.events.iter().any(is_over), "there is none any more");
}
