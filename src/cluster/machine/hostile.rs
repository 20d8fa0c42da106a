//! A machine among nodes that say anything: whatever comes by the bus, and in whatever order, no
//! frame stops the process, and nodes.conf can be read again.

use std::net::IpAddr;

use shards::base::random::Random;
use shards::base::slot::SLOTS;

use super::bench::{Bench, id, inbound, ip, shard, slots};
use super::event::{Command, End, Event, Failover, Failure, LinkId, Replicated, SetSlot, Ticket};
use crate::cluster::file;
use crate::cluster::frame::bodies::{Module, Publish, Update};
use crate::cluster::frame::extensions::Extension;
use crate::cluster::frame::gossip::Entry;
use crate::cluster::frame::header::{Flags, Header, Marks, Ports};
use crate::cluster::frame::{Beat, Body, Frame, Heartbeat, Message, Packet};
use crate::cluster::ids::{Epoch, NodeId};
use crate::cluster::moment::Moment;
use crate::cluster::report::endpoint::{Endpoint, Network, Security, Viewer};
use crate::cluster::report::nodes::{Reader, nodes as shown};
use crate::cluster::slot_set::{SlotSet, all_slots};

/// The machine is `m`; the first ones are known to it, the last ones are not.
const LETTERS: &[u8] = b"mabcdeuvw";
const SEEDS: u64 = 300;
const STEPS: usize = 400;
const VIEWER: Viewer =
    Viewer { endpoint: Endpoint::Ip, network: Network::V4, security: Security::Plain };

struct Hostile {
    bench: Bench,
    random: Random,
}

impl Hostile {
    fn new(seed: u64) -> Self {
        let as_primary = "m primary 3 0-99, a replica m, b primary 2 100-16383, c replica b, \
            d primary 0, e replica m";
        let as_replica = "m replica a, a primary 3 0-99, b primary 2 100-16383, c replica b, \
            d primary 0, e replica a";
        let text = if seed.is_multiple_of(2) { as_primary } else { as_replica };
        Self { bench: Bench::of(text), random: Random::new(seed) }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).expect("it is small")
    }

    fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    fn letter(&mut self) -> char {
        char::from(LETTERS[self.below(LETTERS.len())])
    }

    fn id(&mut self) -> NodeId {
        if self.one_in(20) {
            let mut bytes = [0; 20];
            bytes[..8].copy_from_slice(&self.random.bits().to_be_bytes());
            return NodeId::of_random(bytes);
        }
        // The random id of a node in handshake: CLUSTER NODES shows it to anyone.
        if self.one_in(10)
            && let Some(met) = self.in_handshake()
        {
            return met;
        }
        id(self.letter())
    }

    fn in_handshake(&mut self) -> Option<NodeId> {
        let others = self.bench.machine.nodes.others();
        let met = others.filter(|(_, node)| node.is_in_handshake()).map(|(_, node)| node.id);
        let met: Vec<NodeId> = met.collect();
        if met.is_empty() { None } else { Some(met[self.below(met.len())]) }
    }

    fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX - 1,
            3 => self.random.bits(),
            _ => self.random.below(12),
        }
    }

    fn byte(&mut self) -> u8 {
        self.random.bits().to_be_bytes()[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn ip(&mut self) -> Option<IpAddr> {
        match self.below(4) {
            0 => Some(ip(self.letter())),
            1 => Some(IpAddr::from(u128::from(self.random.bits()).to_be_bytes())),
            _ => None,
        }
    }

    fn ports(&mut self) -> Ports {
        Ports { client: self.u16(), other: self.u16(), bus: self.u16() }
    }

    fn slots(&mut self) -> SlotSet {
        match self.below(6) {
            0 => SlotSet::default(),
            1 => SlotSet::all(),
            2 => slots(0..100),
            _ => {
                let start = self.u16() % (SLOTS - 150);
                slots(start..start + 150)
            }
        }
    }

    fn flags(&mut self) -> Flags {
        match self.below(4) {
            0 => Flags(self.u16()),
            1 => Flags::REPLICA.with(Flags::EXTENSIONS),
            2 => Flags::PRIMARY.with(Flags::PRIMARY_FAIL),
            _ => Flags::PRIMARY.with(Flags::EXTENSIONS).with(Flags::LIGHT_PUBLISH),
        }
    }

    fn header(&mut self, sender: NodeId) -> Header {
        Header {
            sender,
            primary: if self.one_in(2) { Some(self.id()) } else { None },
            ip: self.ip(),
            ports: self.ports(),
            flags: self.flags(),
            current_epoch: Epoch(self.number()),
            config_epoch: Epoch(self.number()),
            offset: self.number(),
            slots: self.slots(),
            sees_fail: self.one_in(2),
            marks: Marks(self.byte()),
        }
    }

    fn heartbeat(&mut self) -> Heartbeat {
        let entries = (0..self.below(4)).map(|_| Entry {
            node: self.id(),
            ping_sent_s: self.u32(),
            pong_received_s: self.u32(),
            ip: self.ip(),
            ports: self.ports(),
            flags: self.flags(),
        });
        let gossip = entries.collect();
        let extensions = (0..self.below(4)).map(|_| self.extension()).collect();
        Heartbeat { gossip, extensions }
    }

    fn extension(&mut self) -> Extension {
        match self.below(8) {
            0 => Extension::Hostname("host-1.example".to_owned()),
            1 => Extension::Nodename("name".to_owned()),
            2 => Extension::Forgotten(self.id(), self.number()),
            3 | 4 => Extension::Shard(shard(self.letter())),
            5 => Extension::ClientIpv4("10.0.0.1".to_owned()),
            6 => Extension::ClientPort(self.u16()),
            _ => Extension::Unknown(self.u16(), vec![1; 8]),
        }
    }

    fn body(&mut self) -> Body {
        let message = Publish { channel: b"c".to_vec(), message: b"m".to_vec() };
        match self.below(16) {
            0..4 => Body::Heartbeat(Beat::Ping, self.heartbeat()),
            4..8 => Body::Heartbeat(Beat::Pong, self.heartbeat()),
            8 => Body::Heartbeat(Beat::Meet, self.heartbeat()),
            9 => Body::Fail(self.id()),
            10 => Body::AuthRequest,
            11 => Body::AuthAck,
            12 => Body::Update(Update {
                node: self.id(),
                config_epoch: Epoch(self.number()),
                slots: self.slots(),
            }),
            13 => Body::MfStart,
            14 => Body::Message(Message::Publish(message)),
            _ => Body::Message(Message::Module(Module { module: 1, kind: 2, payload: vec![3] })),
        }
    }

    fn link(&mut self) -> LinkId {
        let outbound: Vec<LinkId> = self.bench.machine.outbound.keys().copied().collect();
        match self.below(2) {
            0 if !outbound.is_empty() => outbound[self.below(outbound.len())],
            _ => inbound(self.letter()),
        }
    }

    /// A frame, some of them with other bytes than those of any node.
    fn frame(&mut self) -> Event {
        let (link, sender) = (self.link(), self.id());
        let (header, body) = (self.header(sender), self.body());
        let packet = Packet::Full(Box::new(Frame { header, body }));
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        for _ in 0..self.below(3) {
            let at = self.below(bytes.len());
            bytes[at] = self.byte();
        }
        match Packet::decode(&bytes) {
            Ok(packet) => Event::Received(link, packet),
            Err(broken) => Event::Unreadable(link, broken),
        }
    }

    fn command(&mut self) -> Command {
        let node = self.id();
        let slot = all_slots().nth(self.below(200)).expect("there are more");
        match self.below(16) {
            0 => Command::Meet { ip: ip(self.letter()), port: 7000, bus_port: 17000 },
            1 | 2 => Command::Forget(node),
            3 => Command::AddSlots(self.slots()),
            4 => Command::DelSlots(self.slots()),
            5 => Command::FlushSlots,
            6 => Command::SetSlot(slot, SetSlot::Migrating(node)),
            7 => Command::SetSlot(slot, SetSlot::Importing(node)),
            8 => Command::SetSlot(slot, SetSlot::Node { owner: node, keys: self.below(2) }),
            9 => Command::BumpEpoch,
            10 => Command::Replicate { primary: node, is_empty: self.one_in(2) },
            11 => Command::ReplicateNoOne(shard(self.letter())),
            12 => Command::Failover(Failover::Force),
            13 => Command::Failover(Failover::Takeover),
            14 => Command::ResetSoft(shard(self.letter())),
            _ => Command::Failover(Failover::Plain),
        }
    }

    fn step(&mut self) {
        let link = self.link();
        match self.below(40) {
            0 => self.bench.pass(self.random.below(5000)),
            1..4 => self.bench.pass(self.random.below(120)),
            4 => self.bench.handle(Event::Ended(link, End::ByPeer)),
            5 => self.bench.handle(Event::ConnectFailed(link, Failure::Refused)),
            6 => {
                let (letter, local) = (self.letter(), ip('z'));
                let (link, peer) = (inbound(letter), ip(letter));
                self.bench.handle(Event::Accepted { link, peer, local });
            }
            7 => {
                let heard = Some(Moment(self.bench.at));
                let (offset, is_linked) = (self.number(), self.one_in(2));
                self.bench.handle(Event::Replicated(Replicated {
                    offset,
                    is_linked,
                    heard,
                    lacks_keys: false,
                    has_keys: true,
                }));
            }
            8 => {
                let command = self.command();
                self.bench.handle(Event::Asked(Ticket(1), command));
            }
            9 => self.bench.handle_unconnected(Event::Tick),
            10 => self.answer_pings(),
            _ => {
                let frame = self.frame();
                self.bench.handle(frame);
            }
        }
    }

    /// Lets nodes that are known say what is known of them.
    fn answer_pings(&mut self) {
        for letter in LETTERS.iter().copied().map(char::from) {
            let nodes = &self.bench.machine.nodes;
            let key = nodes.find(id(letter)).filter(|key| *key != nodes.myself());
            if key.is_some_and(|key| nodes.at(key).link().is_some()) {
                self.bench.pong(letter);
            }
        }
    }

    fn check(&self) {
        let machine = &self.bench.machine;
        let counted: usize = machine.nodes.iter().map(|(_, node)| node.slot_count()).sum();
        let owned = all_slots().filter(|slot| machine.nodes.owner(*slot).is_some()).count();
        assert_eq!(counted, owned, "each slot has one owner");
        let memory = file::load(&machine.file(), self.bench.now().at);
        let memory = memory.unwrap_or_else(|odd| panic!("{odd:?}: {}", machine.file()));
        assert_eq!(memory.map(|memory| memory.nodes.me().id), Some(machine.nodes.me().id));
        let seen = shown(&machine.nodes, machine.now(), Reader::Client(VIEWER));
        assert_eq!(seen.lines().count(), machine.nodes.len(), "no name breaks a line: {seen}");
        assert_eq!(machine.ownership(1).version, 1);
    }
}

#[test]
fn no_frame_stops_the_process_or_spoils_the_file() {
    for seed in 0..SEEDS {
        let mut hostile = Hostile::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for step in 0..STEPS {
                hostile.step();
                if step % 20 == 0 {
                    hostile.check();
                }
            }
        }));
        assert!(run.is_ok(), "seed {seed}");
    }
}
