//! Whatever comes by the bus of a cluster, and however it comes in pieces: what decodes is the same
//! when it is encoded and decoded again, no frame stops a node, and its nodes.conf can be read.
//! Frames of real servers are a good beginning: `scripts/fuzz bus 600 ../data/bus`.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use keylane::bus::buffers::{Came, Input, Source};
use keylane::cluster::file;
use keylane::cluster::frame::{Broken, Packet};
use keylane::cluster::ids::ShardId;
use keylane::cluster::machine::Machine;
use keylane::cluster::machine::action::{Action, Actions, Durability};
use keylane::cluster::machine::event::{Event, LinkId};
use keylane::cluster::machine::settings::Settings;
use keylane::cluster::moment::{Moment, Now};
use keylane::cluster::slot_set::SlotSet;
use libfuzzer_sys::fuzz_target;
use shards::base::time::UnixMs;

/// What the node remembers: it knows those whose frames were recorded.
const CONF: &str = include_str!("../data/bus/valkey-9.1.2.nodes.conf");
const UNIX: u64 = 1_795_928_408_000;
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Milliseconds between two frames.
const STEP_MS: u64 = 37;

fuzz_target!(|data: &[u8]| {
    let size = data.len() % 97 + 1;
    let whole = taken([data].into_iter());
    assert_eq!(whole, taken(data.chunks(size)), "in pieces of {size}");
    let mut node = Node::new();
    for came in whole {
        if let Ok(packet) = &came {
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            assert_eq!(Packet::decode(&bytes).as_ref(), Ok(packet), "decoded again");
        }
        node.take(came);
    }
    node.check();
});

fn taken<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Result<Packet, Broken>> {
    let (mut input, mut came) = (Input::new(Source::Known), Vec::new());
    for piece in pieces {
        // A link reads nothing behind bytes that are no frame.
        if !input.is_broken() {
            input.take(piece, |_| true, &mut came);
        }
    }
    let packet = |came| match came {
        Came::Packet(packet, _) => Ok(packet),
        Came::Broken(broken) => Err(broken),
    };
    came.into_iter().map(packet).collect()
}

/// A node, whose disk and whose connects always succeed.
struct Node {
    machine: Machine,
    actions: Actions,
    at: u64,
    /// Links by which frames come.
    links: Vec<LinkId>,
    accepted: u64,
    frames: usize,
}

impl Node {
    fn new() -> Self {
        let memory = file::load(CONF, Moment(0)).expect("it was written by a server");
        let memory = memory.expect("it is not empty");
        let shard = ShardId::of_random([7; 20]);
        let now = Now { at: Moment(0), unix: UnixMs(UNIX) };
        let machine = Machine::load(now, memory, shard, Settings::default(), 1);
        let (actions, links) = (Actions::default(), Vec::new());
        let mut node = Self { machine, actions, at: 0, links, accepted: 0, frames: 0 };
        node.handle(Event::Loaded(SlotSet::default()));
        node.accept();
        node
    }

    fn accept(&mut self) {
        self.accepted += 1;
        let link = LinkId::Inbound(self.accepted);
        self.links.push(link);
        self.handle(Event::Accepted { link, peer: LOCALHOST, local: LOCALHOST });
    }

    /// A frame comes, by one link or another.
    fn take(&mut self, came: Result<Packet, Broken>) {
        self.frames += 1;
        if self.links.is_empty() {
            self.accept();
        }
        let Some(link) = self.links.get(self.frames % self.links.len().max(1)).copied() else {
            return;
        };
        self.at += STEP_MS;
        self.handle(match came {
            Ok(packet) => Event::Received(link, packet),
            Err(broken) => Event::Unreadable(link, broken),
        });
    }

    fn handle(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let now = Now { at: Moment(self.at), unix: UnixMs(UNIX + self.at) };
            self.machine.handle(now, event, &mut self.actions);
            while let Some(action) = self.actions.next_action() {
                match action {
                    Action::Connect(link, ..) => {
                        self.links.push(link);
                        events.push(Event::Connected(link));
                    }
                    Action::Close(link) => self.links.retain(|other| *other != link),
                    Action::Save(Durability::Durable) => {
                        let saves = self.actions.saved();
                        events.extend((0..saves).map(|_| Event::Saved));
                    }
                    Action::Send(_, packet) => {
                        let mut bytes = Vec::new();
                        packet.encode(&mut bytes);
                        assert!(Packet::decode(&bytes).is_ok(), "a node sends what can be read");
                    }
                    _ => {}
                }
            }
        }
    }

    fn check(&self) {
        let memory = file::load(&self.machine.file(), Moment(self.at));
        let memory = memory.unwrap_or_else(|odd| panic!("{odd:?}: {}", self.machine.file()));
        let me = memory.map(|memory| memory.nodes.me().id);
        assert_eq!(me, Some(self.machine.nodes().me().id));
        assert_eq!(self.machine.ownership(1).version, 1);
    }
}
