//! A bench for tests: one machine among nodes that are named by letters, and what it does as text.

use std::net::{IpAddr, Ipv4Addr};

use shards::base::slot::Slot;
use shards::base::time::UnixMs;

use super::Machine;
use super::action::{Action, Actions, Durability};
use super::event::{Command, Event, LinkId, Replicated, Ticket};
use super::settings::Settings;
use crate::cluster::file;
use crate::cluster::frame::header::{Flags, Header, Marks};
use crate::cluster::frame::{Beat, Body, Frame, Heartbeat, Message, Packet};
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::moment::{Moment, Now};
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::Node;
use crate::cluster::slot_set::SlotSet;

/// What the calendar says at the moment 0.
const UNIX: u64 = 1_000_000_000_000;
/// The node timeout of a bench.
pub const NT: u64 = 1000;

/// A machine and what it has done.
pub struct Bench {
    pub machine: Machine,
    pub at: u64,
    pub actions: Actions,
    /// What it did since the last event, a line each.
    pub lines: Vec<String>,
    /// The same, as it is.
    pub done: Vec<Action>,
}

pub fn id(letter: char) -> NodeId {
    NodeId::parse(letter.to_string().repeat(40).as_bytes()).expect("a letter")
}

pub fn shard(letter: char) -> ShardId {
    ShardId::parse(letter.to_string().repeat(40).as_bytes()).expect("a letter")
}

pub fn slot(number: u16) -> Slot {
    Slot::new(number).expect("a slot")
}

pub fn slots(range: std::ops::Range<u16>) -> SlotSet {
    range.map(slot).collect()
}

pub fn ip(letter: char) -> IpAddr {
    let last = u8::try_from(u32::from(letter)).expect("a letter");
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// The link that a node makes.
pub fn inbound(letter: char) -> LinkId {
    LinkId::Inbound(u64::from(u32::from(letter)))
}

/// The sender says that it is a primary with these slots.
pub fn claims(epoch: u64, claimed: SlotSet) -> impl FnOnce(&mut Header) {
    move |header| {
        header.primary = None;
        header.flags = header.flags.without(Flags::REPLICA).with(Flags::PRIMARY);
        header.config_epoch = Epoch(epoch);
        header.current_epoch = header.current_epoch.max(Epoch(epoch));
        header.slots = claimed;
    }
}

/// A request for votes in the next epoch, though the primary is well.
pub fn forced(header: &mut Header) {
    header.current_epoch = header.current_epoch.next();
    header.marks = header.marks.with(Marks::FORCEACK);
}

/// The lines of nodes.conf for a text like `m primary 3 0-99, a replica m`; the first one is the
/// bench's. `a primary/s 3` is of the shard s, else of the one that is named like it.
pub fn conf(text: &str) -> String {
    let spell = |letter: &str| letter.repeat(40);
    let mut lines = String::new();
    for (index, node) in text.split(", ").enumerate() {
        let words: Vec<&str> = node.split(' ').collect();
        let (letter, role) = (words[0], words[1].split('/').collect::<Vec<_>>());
        let me = if index == 0 { "myself," } else { "" };
        let (flag, primary, epoch) = match role[0] {
            "primary" => ("master", "-".to_string(), words[2]),
            "replica" => ("slave", spell(words[2]), "0"),
            other => panic!("{other} is no role"),
        };
        let of = match role[0] {
            "primary" => letter,
            _ => words[2],
        };
        let shard = spell(role.get(1).unwrap_or(&of));
        let host = ip(letter.chars().next().expect("a letter"));
        let slots = words[3..].join(" ");
        lines += &format!(
            "{} {host}:7000@17000,,shard-id={shard} {me}{flag} {primary} 0 0 {epoch} connected \
             {slots}\n",
            spell(letter)
        );
    }
    lines
}

impl Bench {
    /// The first node of `text` among the others, with links both ways to all of them, all data
    /// loaded, and long enough after the start to serve.
    pub fn of(text: &str) -> Self {
        Self::with(text, Settings { node_timeout_ms: NT, ..Settings::default() })
    }

    pub fn with(text: &str, settings: Settings) -> Self {
        let mut bench = Self::started(text, settings);
        let slots = bench.machine.nodes.me().slot_set().clone();
        bench.handle(Event::Loaded(slots));
        let replicated = Replicated {
            offset: 100,
            is_linked: true,
            heard: Some(Moment(1)),
            lacks_keys: false,
            has_keys: true,
        };
        bench.handle(Event::Replicated(replicated));
        let others = bench.letters();
        for letter in &others {
            let peer = ip(*letter);
            bench.handle(Event::Accepted { link: inbound(*letter), peer, local: ip('z') });
            bench.beat(*letter, Beat::Ping, |_| {});
        }
        for _ in 0..25 {
            bench.pass(100);
            bench.answer_all();
        }
        // Long enough to be sure of everything again.
        bench.at = 8_700;
        for _ in 0..16 {
            bench.pass(100);
            bench.answer_all();
        }
        let heard = Some(Moment(bench.at));
        bench.handle(Event::Replicated(Replicated { heard, ..replicated }));
        bench
    }

    /// The same before anything has happened.
    pub fn started(text: &str, settings: Settings) -> Self {
        let memory = file::load(&conf(text), Moment(0)).expect("it is right");
        let memory = memory.expect("it is not empty");
        let now = Now { at: Moment(0), unix: UnixMs(UNIX) };
        let machine = Machine::load(now, memory, shard('x'), settings, 1);
        let (actions, lines, done) = (Actions::default(), Vec::new(), Vec::new());
        Self { machine, at: 0, actions, lines, done }
    }

    /// All nodes but this one.
    pub fn letters(&self) -> Vec<char> {
        let others = self.machine.nodes.others();
        others.map(|(_, node)| char::from(node.id.as_bytes()[0])).collect()
    }

    pub fn now(&self) -> Now {
        Now { at: Moment(self.at), unix: UnixMs(UNIX + self.at) }
    }

    pub fn key(&self, letter: char) -> Key {
        self.machine.nodes.find(id(letter)).expect("it is known")
    }

    pub fn node(&self, letter: char) -> &Node {
        self.machine.nodes.at(self.key(letter))
    }

    pub fn node_mut(&mut self, letter: char) -> &mut Node {
        let key = self.key(letter);
        self.machine.nodes.at_mut(key)
    }

    /// Lets the machine act, and saves whatever it asks for. Connects succeed at once.
    pub fn handle(&mut self, event: Event) {
        self.handle_unconnected(event);
        for action in self.done.clone() {
            if let Action::Connect(link, ..) = action {
                let (lines, done) = (self.lines.clone(), self.done.clone());
                self.handle(Event::Connected(link));
                self.lines.splice(0..0, lines);
                self.done.splice(0..0, done);
            }
        }
    }

    /// The same, but connects go on.
    pub fn handle_unconnected(&mut self, event: Event) {
        (self.lines, self.done) = (Vec::new(), Vec::new());
        self.machine.handle(self.now(), event, &mut self.actions);
        while let Some(action) = self.actions.next_action() {
            if matches!(action, Action::Save(Durability::Durable)) {
                self.actions.saved();
            }
            let line = self.shown(&action);
            self.lines.push(line);
            self.done.push(action);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, millis: u64) {
        self.at += millis;
        self.handle(Event::Tick);
    }

    /// Stops the process for so long that it may not write any more, and looks at nothing yet.
    pub fn stop(&mut self) {
        self.at += self.machine.settings.node_timeout_ms / 2 + 100;
    }

    /// Lets each node answer the PING that is open, if one is.
    pub fn answer_all(&mut self) {
        for letter in self.letters() {
            let contact = self.node(letter).contact;
            if contact.ping_sent.is_some() {
                self.pong(letter);
            }
        }
    }

    /// A PONG by the link of this node.
    pub fn pong(&mut self, letter: char) {
        let link = self.node(letter).link().expect("it is linked");
        let header = self.header(letter);
        self.receive(link, header, Body::Heartbeat(Beat::Pong, Heartbeat::default()));
    }

    /// What a node says of itself, as this one knows it.
    pub fn header(&self, letter: char) -> Header {
        let nodes = &self.machine.nodes;
        let key = self.key(letter);
        let node = nodes.at(key);
        let primary = nodes.primary_of(key).filter(|primary| *primary != key);
        let claims = primary.map_or(node, |primary| nodes.at(primary));
        let able = Flags::LIGHT_PUBLISH.with(Flags::LIGHT_MODULE);
        Header {
            sender: node.id,
            primary: primary.map(|primary| nodes.at(primary).id),
            ip: None,
            ports: node.ports,
            flags: node.all_flags().without(Flags::PFAIL.with(Flags::FAIL)).with(able),
            current_epoch: self.machine.current_epoch,
            config_epoch: claims.config_epoch,
            offset: node.offset,
            slots: claims.slot_set().clone(),
            sees_fail: false,
            marks: Marks::EXTENSIONS,
        }
    }

    pub fn receive(&mut self, link: LinkId, header: Header, body: Body) {
        let packet = Packet::Full(Box::new(Frame { header, body }));
        self.handle(Event::Received(link, packet));
    }

    /// A frame by the link that a node makes.
    pub fn frame(&mut self, letter: char, change: impl FnOnce(&mut Header), body: Body) {
        let mut header = self.header(letter);
        change(&mut header);
        self.receive(inbound(letter), header, body);
    }

    /// A heartbeat with nothing but a header.
    pub fn beat(&mut self, letter: char, beat: Beat, change: impl FnOnce(&mut Header)) {
        self.frame(letter, change, Body::Heartbeat(beat, Heartbeat::default()));
    }

    pub fn ask(&mut self, command: Command) -> String {
        self.handle(Event::Asked(Ticket(1), command));
        let reply = self.lines.iter().find_map(|line| line.strip_prefix("reply "));
        reply.expect("it is answered").to_string()
    }

    /// Whether one of the last lines has this in it.
    pub fn did(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    #[track_caller]
    pub fn expect(&self, label: &str, texts: &[&str]) {
        for text in texts {
            let is_there = match text.strip_prefix('!') {
                Some(text) => !self.did(text),
                None => self.did(text),
            };
            assert!(is_there, "{label}: {text:?} of {:#?}", self.lines);
        }
    }

    fn whose(&self, link: LinkId) -> String {
        let node = self.machine.node_of(link);
        let letter = node.filter(|key| self.machine.nodes.contains(*key)).map(|key| {
            let node = self.machine.nodes.at(key);
            if node.is_in_handshake() { '?' } else { char::from(node.id.as_bytes()[0]) }
        });
        letter.map_or_else(|| format!("{link:?}"), String::from)
    }

    fn shown(&self, action: &Action) -> String {
        match action {
            Action::Log(_, text) => format!("log {text}"),
            Action::Connect(link, ip, port) => {
                format!("connect {} {ip}:{port}", self.whose(*link))
            }
            Action::Close(link) => format!("close {link:?}"),
            Action::Send(link, packet) => {
                format!("send {} {}", self.whose(*link), packet_shown(packet))
            }
            Action::Save(durability) => format!("save {durability:?}"),
            Action::Own => "own".to_string(),
            Action::Follow(follow) => {
                let letter = char::from(follow.primary.as_bytes()[0]);
                format!("follow {letter} {:?}", follow.sync)
            }
            Action::Promote => "promote".to_string(),
            Action::Flush => "flush".to_string(),
            Action::AskToTakeOver(heir) => format!("ask {}", char::from(heir.id.as_bytes()[0])),
            Action::DeleteKeys(slots) => format!("delete {}", slots.len()),
            Action::Pause(millis) => format!("pause {millis}"),
            Action::Unpause => "unpause".to_string(),
            Action::Deliver(message) => format!("deliver {}", message.kind().name()),
            Action::Reply(_, Ok(answer)) => format!("reply {answer:?}"),
            Action::Reply(_, Err(error)) => {
                let mut bytes = Vec::new();
                error.write(&mut bytes);
                format!("reply {}", String::from_utf8_lossy(&bytes).trim_end())
            }
        }
    }
}

fn packet_shown(packet: &Packet) -> String {
    let kind = packet.kind().map_or("unknown", |kind| kind.name());
    match packet {
        Packet::Light(Message::Publish(_) | Message::PublishShard(_) | Message::Module(_)) => {
            format!("light {kind}")
        }
        Packet::Full(frame) => {
            let first = |id: &NodeId| char::from(id.as_bytes()[0]);
            let marks = frame.header.marks;
            let paused = if marks.has(Marks::PAUSED) { " paused" } else { "" };
            let forced = if marks.has(Marks::FORCEACK) { " forced" } else { "" };
            let epoch = frame.header.config_epoch;
            match &frame.body {
                Body::Fail(id) => format!("fail {}", first(id)),
                Body::Update(update) => {
                    format!("update {} {}", first(&update.node), update.config_epoch)
                }
                _ => format!("{kind}{paused}{forced} {epoch}"),
            }
        }
    }
}
