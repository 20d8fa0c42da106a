//! A world of machines: time, links in order, disks that forget, replication as offsets.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use shards::base::random::Random;
use shards::base::time::UnixMs;

use super::super::Machine;
use super::super::action::{Action, Actions, Durability, Follow};
use super::super::event::{Command, End, Event, Failover, Failure, LinkId, Replicated, Ticket};
use super::super::settings::Settings;
use super::Kind;
use super::checks::{Checks, best_asks_first};
use super::moving::{KeysBySlot, Move, slots_with_keys};
use super::planted::Planted;
use crate::cluster::file;
use crate::cluster::frame::{Body, Packet};
use crate::cluster::ids::{NodeId, ShardId};
use crate::cluster::moment::{Moment, Now};

/// What the calendar says at the moment 0.
const UNIX: u64 = 1_000_000_000_000;
/// Milliseconds between two looks at replication: two turns of a server's control.
pub const REPLICATION_MS: u64 = 100;

/// One connection of so many is slow in an uneven world, by less than so many milliseconds.
const SLOW_EACH: u64 = 4;
const SLOW_MS_MAX: u64 = 100;

/// A connection; each side has a queue of what is on its way to it.
pub struct Connection {
    ends: [(usize, LinkId); 2],
    /// Milliseconds that all of it takes longer than usual.
    slow_ms: u64,
    queues: [VecDeque<Arc<Packet>>; 2],
}

/// A node and its disk.
pub struct Node {
    /// `None`: it is dead.
    pub machine: Option<Machine>,
    actions: Actions,
    /// A stopped process: what happens to it waits.
    pub is_stopped: bool,
    waiting: Vec<Event>,
    boot: u64,
    pub disk: String,
    /// When the last save that was begun ends: they end in their order.
    saves_until: u64,
    /// Saves fail.
    pub disk_fails: bool,
    /// How far its data is, and whose it replicates.
    pub offset: u64,
    /// The history that this is an offset of: the start without data that began it.
    pub(super) history: u64,
    pub(super) follows: Option<NodeId>,
    /// Whether it has had what that one has.
    pub(super) has_followed: bool,
    pub(super) heard: Option<Moment>,
    /// Its keys in slots that are moved.
    pub(super) keys: KeysBySlot,
    /// What its machine was told last.
    pub(super) told: Option<Replicated>,
    pub is_paused: bool,
    next_tick: u64,
    pub settings: Settings,
}

/// Something that will happen.
enum Happening {
    Tick(usize, u64),
    Event(usize, u64, Box<Event>),
    Saved(usize, u64, Box<str>, bool),
    Arrive(u64, usize),
    Ended(usize, LinkId, u64),
    Replicate,
    Move(usize),
    Fault(usize),
}

struct Due {
    at: u64,
    number: u64,
    what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub struct World {
    pub at: u64,
    pub nodes: Vec<Node>,
    pub checks: Checks,
    pub random: Random,
    /// What cannot get from one node to another.
    pub blocked: BTreeSet<(usize, usize)>,
    /// When something last went wrong but for the silence of a node.
    pub disturbed_at: u64,
    /// Some connections are slow.
    pub is_uneven: bool,
    /// Moves of slots take their time.
    pub moves_take_time: bool,
    /// Slots that are or were moved so.
    pub moves: Vec<Move>,
    /// What a tool draws.
    pub tool: Random,
    /// A primary may have gone on, or been replaced, without what others had of it.
    pub may_lose_keys: bool,
    /// What is wrong with every node.
    pub planted: Option<Planted>,
    due: BinaryHeap<Reverse<Due>>,
    number: u64,
    /// By their numbers, which are those of their inbound links, too. `None`: it has ended.
    connections: Vec<Option<Connection>>,
    /// By node and number of an outbound link: its connection.
    made: Vec<Vec<Option<u64>>>,
}

pub fn ip(node: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 1, u8::try_from(node).expect("nodes are few")).into()
}

/// The id of a node by its number.
pub fn id(node: usize) -> NodeId {
    let letter = b'a' + u8::try_from(node).expect("nodes are few");
    NodeId::parse(&[letter; 40]).expect("a letter")
}

/// The shard that a node is of at first.
pub fn shard(node: usize) -> ShardId {
    ShardId::parse(id(node).as_bytes()).expect("a letter")
}

impl World {
    /// Nodes with these files.
    pub fn new(seed: u64, files: &[String], settings: &Settings, kind: Kind) -> Self {
        let Kind { planted, is_uneven, moves_take_time, .. } = kind;
        let settings = planted.map_or(settings.clone(), |planted| planted.settings(settings));
        let mut random = Random::new(seed);
        let node = |disk: &String| Node {
            machine: None,
            actions: Actions::default(),
            is_stopped: false,
            waiting: Vec::new(),
            boot: 0,
            disk: disk.clone(),
            saves_until: 0,
            disk_fails: false,
            offset: 1,
            history: 0,
            follows: None,
            has_followed: false,
            heard: None,
            keys: KeysBySlot::new(),
            told: None,
            is_paused: false,
            next_tick: 0,
            settings: settings.clone(),
        };
        let nodes: Vec<Node> = files.iter().map(node).collect();
        let checks = Checks::new(nodes.len());
        random.bits();
        let mut world = Self {
            at: 1000,
            nodes,
            checks,
            random,
            blocked: BTreeSet::new(),
            disturbed_at: 0,
            is_uneven,
            moves_take_time,
            moves: Vec::new(),
            tool: Random::new(seed ^ 0x7001),
            may_lose_keys: false,
            planted,
            due: BinaryHeap::new(),
            number: 0,
            connections: Vec::new(),
            made: vec![Vec::new(); files.len()],
        };
        (0..files.len()).for_each(|node| world.start(node));
        world.later(REPLICATION_MS, Happening::Replicate);
        world
    }

    fn now(&self) -> Now {
        Now { at: Moment(self.at), unix: UnixMs(UNIX + self.at) }
    }

    fn later(&mut self, millis: u64, what: Happening) {
        self.number += 1;
        self.due.push(Reverse(Due { at: self.at + millis, number: self.number, what }));
    }

    /// Lets a fault happen at a moment; it is named by its number.
    pub fn fault_at(&mut self, at: u64, fault: usize) {
        self.later(at.saturating_sub(self.at), Happening::Fault(fault));
    }

    /// Lets a move of a slot go on.
    pub fn move_later(&mut self, millis: u64, number: usize) {
        self.later(millis, Happening::Move(number));
    }

    /// By how much a new connection is slower than others: of two links between two nodes one may
    /// bring older news.
    fn slowness(&mut self) -> u64 {
        let is_slow = self.is_uneven && self.random.below(SLOW_EACH) == 0;
        if is_slow { self.random.below(SLOW_MS_MAX) } else { 0 }
    }

    fn latency(&mut self) -> u64 {
        1 + self.random.below(4)
    }

    /// Starts a node without data, but with its file. A stock one serves nevertheless.
    pub fn start_empty(&mut self, node: usize, is_stock: bool) {
        if self.nodes[node].machine.is_none() {
            let history = 1 + self.nodes.iter().map(|node| node.history).fold(0, u64::max);
            let one = &mut self.nodes[node];
            (one.offset, one.history) = (0, history);
            one.keys.clear();
            one.settings.yields_when_empty = !is_stock;
            self.start(node);
        }
    }

    /// Starts a node with what is on its disk.
    pub fn start(&mut self, node: usize) {
        let (now, seed) = (self.now(), self.random.bits());
        let one = &mut self.nodes[node];
        if one.machine.is_some() {
            return;
        }
        let settings = Settings { announced_ip: Some(ip(node)), ..one.settings.clone() };
        let memory = file::load(&one.disk, now.at).expect("only machines write it");
        let machine = match memory {
            Some(memory) => Machine::load(now, memory, shard(node), settings, seed),
            None => Machine::new(now, id(node), shard(node), settings, seed),
        };
        let follows = machine.nodes().my_primary().map(|primary| machine.nodes().at(primary).id);
        one.follows = follows.filter(|primary| *primary != machine.nodes().me().id);
        let keys = machine.nodes().me().slot_set().clone();
        let keys = slots_with_keys(one, &keys);
        one.machine = Some(machine);
        one.actions = Actions::default();
        one.boot += 1;
        (one.is_stopped, one.is_paused, one.has_followed) = (false, false, false);
        (one.heard, one.told) = (None, None);
        one.waiting.clear();
        self.checks.started(node, &self.nodes[node].disk);
        self.event(node, Event::Loaded(keys));
    }

    /// Kills a node: its links end at once, and what was not durable may be lost.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].machine = None;
        self.links(node).into_iter().for_each(|link| self.close(node, link));
    }

    /// Lets a stopped node go on.
    pub fn go_on(&mut self, node: usize) {
        self.nodes[node].is_stopped = false;
        self.checks.went_on(node);
        for event in std::mem::take(&mut self.nodes[node].waiting) {
            self.event(node, event);
        }
        if self.nodes[node].machine.is_some() {
            self.event(node, Event::Tick);
        }
    }

    /// Breaks all links of a node once.
    pub fn cut_links(&mut self, node: usize) {
        for link in self.links(node) {
            self.close(node, link);
            self.event(node, Event::Ended(link, End::ByPeer));
        }
    }

    pub fn ask(&mut self, node: usize, command: Command) {
        if self.nodes[node].machine.is_some() {
            self.event(node, Event::Asked(Ticket(0), command));
        }
    }

    /// Lets time pass up to `until`; stops at a fault and names it.
    pub fn run(&mut self, until: u64) -> Option<usize> {
        while let Some(Reverse(due)) = self.due.peek() {
            if until < due.at {
                break;
            }
            let Some(Reverse(due)) = self.due.pop() else { break };
            self.at = due.at;
            match due.what {
                Happening::Fault(fault) => return Some(fault),
                what => self.happen(what),
            }
        }
        self.at = until;
        None
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Tick(node, boot) => {
                if self.is_alive(node, boot) && self.nodes[node].next_tick <= self.at {
                    self.event(node, Event::Tick);
                }
            }
            Happening::Event(node, boot, event) => {
                if self.is_alive(node, boot) {
                    self.event(node, *event);
                }
            }
            Happening::Saved(node, boot, text, durable) => {
                self.saved(node, boot, text.into(), durable)
            }
            Happening::Arrive(connection, side) => self.arrive(connection, side),
            Happening::Ended(node, link, boot) => {
                if self.is_alive(node, boot) {
                    self.event(node, Event::Ended(link, End::ByPeer));
                }
            }
            Happening::Replicate => {
                self.replicate();
                self.later(REPLICATION_MS, Happening::Replicate);
            }
            Happening::Move(number) => self.go_on_moving(number),
            Happening::Fault(_) => {}
        }
    }

    fn is_alive(&self, node: usize, boot: u64) -> bool {
        self.nodes[node].machine.is_some() && self.nodes[node].boot == boot
    }

    /// Lets a node act.
    pub fn event(&mut self, node: usize, event: Event) {
        let now = self.now();
        let one = &mut self.nodes[node];
        if one.is_stopped {
            one.waiting.push(event);
            return;
        }
        let Some(machine) = &mut one.machine else { return };
        machine.handle(now, event, &mut one.actions);
        self.do_all(node);
        self.plan_tick(node);
        self.checks.after(node, self.at, &self.nodes);
    }

    fn plan_tick(&mut self, node: usize) {
        let one = &self.nodes[node];
        let Some(machine) = &one.machine else { return };
        let at = machine.deadline().0.max(self.at + 1);
        let boot = one.boot;
        if one.next_tick <= self.at || at < one.next_tick {
            self.nodes[node].next_tick = at;
            self.later(at - self.at, Happening::Tick(node, boot));
        }
    }

    fn do_all(&mut self, node: usize) {
        while let Some(action) = self.nodes[node].actions.next_action() {
            self.act(node, action);
        }
    }

    fn act(&mut self, node: usize, action: Action) {
        let boot = self.nodes[node].boot;
        match action {
            Action::Log(_, text) => self.checks.logged(node, self.at, &text),
            Action::Connect(link, ip, _) => self.connect(node, link, ip),
            Action::Close(link) => self.close(node, link),
            Action::Send(link, packet) => {
                self.checks.sent(node, &packet, self.at);
                if asks_for_votes(&packet) {
                    best_asks_first(node, self);
                }
                self.checks.took_over |= self.is_vote_against_a_live_primary(node, link, &packet);
                self.send(node, link, packet);
            }
            Action::Save(durability) => {
                let text = self.nodes[node].machine.as_ref().map(Machine::file);
                let durable = durability == Durability::Durable;
                let end = (self.at + 1 + self.random.below(5)).max(self.nodes[node].saves_until);
                self.nodes[node].saves_until = end;
                let is_hasty = self.is_saved_hastily(node, durability);
                let waits = durable && !is_hasty;
                let millis = end - self.at;
                self.later(
                    millis,
                    Happening::Saved(node, boot, text.unwrap_or_default().into(), waits),
                );
                let saves = if is_hasty { self.nodes[node].actions.saved() } else { 0 };
                (0..saves).for_each(|_| self.event(node, Event::Saved));
            }
            Action::Follow(Follow { primary, .. }) => {
                let one = &mut self.nodes[node];
                (one.follows, one.has_followed, one.heard) = (Some(primary), false, None);
            }
            Action::Promote => self.nodes[node].follows = None,
            Action::Pause(_) => {
                self.nodes[node].is_paused = true;
                self.later(5, Happening::Event(node, boot, Box::new(Event::Quiesced)));
            }
            Action::AskToTakeOver(heir) => self.ask_heir(node, heir.ip),
            Action::Unpause => self.nodes[node].is_paused = false,
            Action::DeleteKeys(slots) => self.delete_keys(node, &slots),
            Action::Own | Action::Flush => {}
            Action::Deliver(_) | Action::Reply(..) => {}
        }
    }

    /// A client asks a replica to take over; that it does nothing is its answer.
    fn ask_heir(&mut self, node: usize, at: IpAddr) {
        let heir = (0..self.nodes.len()).find(|other| ip(*other) == at);
        if let Some(heir) = heir.filter(|heir| !self.is_cut(node, *heir)) {
            // Its primary may have given up when it is elected.
            self.checks.took_over = true;
            let asked = Event::Asked(Ticket(0), Command::Failover(Failover::Force));
            let (boot, millis) = (self.nodes[heir].boot, self.latency());
            self.later(millis, Happening::Event(heir, boot, Box::new(asked)));
        }
    }

    fn saved(&mut self, node: usize, boot: u64, text: String, durable: bool) {
        let one = &mut self.nodes[node];
        let fails = one.disk_fails;
        if !fails && (durable || one.boot == boot) {
            self.checks.on_disk(node, &text);
            one.disk = text;
        }
        if !self.is_alive(node, boot) || !durable {
            return;
        }
        let one = &mut self.nodes[node];
        let saves = if fails { one.actions.save_failed() } else { one.actions.saved() };
        self.do_all(node);
        for _ in 0..saves {
            self.event(node, if fails { Event::SaveFailed } else { Event::Saved });
        }
    }

    /// Whether a node is alive and follows this one.
    pub fn replicates(&self, node: usize, primary: usize) -> bool {
        let one = &self.nodes[node];
        one.machine.is_some() && one.follows == Some(id(primary))
    }

    pub fn is_cut(&self, one: usize, other: usize) -> bool {
        self.blocked.contains(&(one, other)) || self.blocked.contains(&(other, one))
    }

    fn connect(&mut self, node: usize, link: LinkId, to: IpAddr) {
        let boot = self.nodes[node].boot;
        let target = (0..self.nodes.len()).find(|other| ip(*other) == to);
        let alive = target.filter(|target| self.nodes[*target].machine.is_some());
        match (target, alive) {
            (Some(target), _) if self.is_cut(node, target) => {
                let event = Event::ConnectFailed(link, Failure::Other);
                self.later(300, Happening::Event(node, boot, Box::new(event)));
            }
            (_, Some(target)) => {
                let number = self.connections.len() as u64;
                let theirs = LinkId::Inbound(number);
                let ends = [(node, link), (target, theirs)];
                let queues = [VecDeque::new(), VecDeque::new()];
                let slow_ms = self.slowness();
                self.connections.push(Some(Connection { ends, slow_ms, queues }));
                self.made(node, link, number);
                let accepted = Event::Accepted { link: theirs, peer: ip(node), local: ip(target) };
                let theirs = self.nodes[target].boot;
                self.later(1, Happening::Event(target, theirs, Box::new(accepted)));
                self.later(1, Happening::Event(node, boot, Box::new(Event::Connected(link))));
            }
            (_, None) => {
                let event = Event::ConnectFailed(link, Failure::Refused);
                self.later(1, Happening::Event(node, boot, Box::new(event)));
            }
        }
    }

    /// A node has made a connection.
    fn made(&mut self, node: usize, link: LinkId, number: u64) {
        let LinkId::Outbound(link) = link else { return };
        let (made, link) = (&mut self.made[node], index(link));
        if made.len() <= link {
            made.resize(link + 1, None);
        }
        made[link] = Some(number);
    }

    /// The connection that is a link of a node, and which end of it that node is.
    fn by_link(&self, node: usize, link: LinkId) -> Option<(u64, usize)> {
        let (number, side) = match link {
            LinkId::Outbound(link) => (self.made[node].get(index(link)).copied().flatten()?, 0),
            LinkId::Inbound(number) => (number, 1),
        };
        let connection = self.connections.get(index(number))?.as_ref()?;
        (connection.ends[side] == (node, link)).then_some((number, side))
    }

    /// The links of a node: first those that it has made.
    fn links(&self, node: usize) -> Vec<LinkId> {
        let open = self.connections.iter().flatten();
        let of_side = |side: usize| {
            let links = open.clone().map(move |connection| connection.ends[side]);
            links.filter(|(other, _)| *other == node).map(|(_, link)| link)
        };
        of_side(0).chain(of_side(1)).collect()
    }

    /// A node closes a link; the other side learns of it, unless nothing gets there.
    fn close(&mut self, node: usize, link: LinkId) {
        let Some((number, _)) = self.by_link(node, link) else { return };
        let Some(connection) = self.connections[index(number)].take() else { return };
        for (other, theirs) in connection.ends {
            if other == node {
                continue;
            }
            let boot = self.nodes[other].boot;
            if !self.blocked.contains(&(node, other)) {
                let millis = self.latency();
                self.later(millis, Happening::Ended(other, theirs, boot));
            }
        }
    }

    fn send(&mut self, node: usize, link: LinkId, packet: Arc<Packet>) {
        let Some((number, side)) = self.by_link(node, link) else { return };
        if let Some(connection) = &mut self.connections[index(number)] {
            connection.queues[1 - side].push_back(packet);
            let millis = connection.slow_ms + self.latency();
            self.later(millis, Happening::Arrive(number, 1 - side));
        }
    }

    /// Whether a voter that holds a primary for alive votes for its replica: then FORCEACK has
    /// asked for it. Old reports may have made the replica, or who told it, think of a failure. The
    /// primary goes on until it hears of its successor.
    fn is_vote_against_a_live_primary(&self, node: usize, link: LinkId, packet: &Packet) -> bool {
        let is_vote = matches!(packet, Packet::Full(frame) if frame.body == Body::AuthAck);
        if !is_vote {
            return false;
        }
        let Some((number, side)) = self.by_link(node, link) else { return false };
        let candidate = self.connections[index(number)].as_ref().map(|one| one.ends[1 - side].0);
        let machine = candidate.zip(self.nodes[node].machine.as_ref());
        let holds_failed = machine.is_some_and(|(candidate, machine)| {
            let nodes = machine.nodes();
            let primary = nodes.find(id(candidate)).and_then(|key| nodes.primary_of(key));
            primary.is_some_and(|primary| nodes.at(primary).is_failed())
        });
        !holds_failed
    }

    fn arrive(&mut self, number: u64, side: usize) {
        let Some(connection) = &mut self.connections[index(number)] else { return };
        let ((from, _), (to, link)) = (connection.ends[1 - side], connection.ends[side]);
        if self.blocked.contains(&(from, to)) {
            // The system sends it again and again.
            self.later(50, Happening::Arrive(number, side));
            return;
        }
        let Some(packet) = connection.queues[side].pop_front() else { return };
        let packet = self.twisted(to, Arc::unwrap_or_clone(packet));
        self.event(to, Event::Received(link, packet));
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("it is small")
}

fn asks_for_votes(packet: &Packet) -> bool {
    matches!(packet, Packet::Full(frame) if frame.body == Body::AuthRequest)
}
