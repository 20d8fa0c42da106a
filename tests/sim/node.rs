//! A node: its threads, their letters and their sockets. What a thread does is in a file of its
//! own; here letters and bytes find the thread that they are for.

pub mod letters;
pub mod shard;
pub mod logging;
pub mod door;
pub mod stream;
pub mod peers;
pub mod sessions;
pub mod relay;
pub mod snapshots;
pub mod dial;
pub mod inchunks;
pub mod inflows;
pub mod upstream;
pub mod room;
pub mod child;
pub mod standing;
pub mod control;

use std::collections::BTreeMap;

use keylane::flows::dispatch::Routing;
use keylane::flows::following::{Action, Following, Word};
use keylane::replication::link::events::Generation;
use keylane::replication::replid::ReplId;

use crate::agenda::{Due, Env, Event, Run};
use crate::checks::{LogsId, SnapshotId, Track};
use crate::disk::Disk;
use crate::keyspace::{DATABASES, Image, KEYS};
use crate::network::{ConnId, Tried};
use crate::node::control::Control;
use crate::node::door::Door;
use crate::node::letters::{Follow, Letter, Post};
use crate::node::relay::Relay;
use crate::node::shard::Shard;
use crate::setup::owners;

/// The owner of a connection that has asked for nothing yet.
const DOOR: usize = usize::MAX;

/// A node as it runs.
#[derive(Debug)]
pub struct Node {
    pub run: Run,
    pub routing: Routing,
    pub owners: [u16; KEYS],
    pub shards: Vec<Shard>,
    pub relay: Relay,
    pub control: Control,
    pub post: Post,
    /// All keys of all shards.
    pub image: Image,
    /// What they follow; `None` while that is not known yet, and on a primary.
    pub track: Option<Track>,
    /// Its own logs.
    pub logs: Option<LogsId>,
    /// By connection: the thread that has it.
    sockets: BTreeMap<ConnId, usize>,
    pub doors: BTreeMap<ConnId, Door>,
    /// The turns of the relay, and of control.
    turns: [Turns; 2],
}

/// When a thread has its next turn. What is on the agenda already is looked at before anything is
/// added, and goes on to a later moment from there: so the agenda stays short.
#[derive(Clone, Debug, Default)]
struct Turns {
    next: Option<Due>,
    /// The latest first.
    on_agenda: Vec<Due>,
}

impl Turns {
    /// There is a turn at the latest then.
    fn ask(&mut self, at: u64, env: &mut Env, event: Event) {
        if self.next.is_none_or(|next| at < next.at()) {
            let due = env.agenda.due(at);
            self.next = Some(due);
            self.see_to(due, env, event);
        }
    }

    /// Whether a turn that is asked for now is the next that happens. It counts as an event, and
    /// need not get on the agenda.
    fn is_next(&mut self, env: &mut Env) -> bool {
        let now = env.agenda.now;
        let is_next = self.next.is_none_or(|next| now < next.at()) && !env.agenda.has_more_now();
        if is_next {
            self.next = None;
            env.checks.counts.events += 1;
        }
        is_next
    }

    /// What was on the agenda comes. Whether the turn is due.
    fn comes(&mut self, env: &mut Env, event: Event) -> bool {
        self.on_agenda.pop();
        match self.next {
            Some(next) if next.at() <= env.agenda.now => {
                self.next = None;
                true
            }
            Some(next) => {
                self.see_to(next, env, event);
                false
            }
            None => false,
        }
    }

    fn see_to(&mut self, due: Due, env: &mut Env, event: Event) {
        if self.on_agenda.last().is_none_or(|first| due < *first) {
            self.on_agenda.push(due);
            env.agenda.add_due(due, event);
        }
    }
}

impl Node {
    /// Begins to run with what is on its disk.
    pub fn start(env: &mut Env, run: Run, disk: &Disk) -> Self {
        let routing = env.setup.routing(run.node);
        let count = usize::from(routing.slots.shards());
        let shard = |shard| Shard::new(Following::new(shard, routing.clone(), DATABASES));
        let shards = (0..count).map(shard).collect();
        let owners = owners(&routing.slots);
        let post = Post::new(run, count, env);
        let relay = Relay::new(run.node, env);
        let mut node = Self {
            run,
            owners,
            shards,
            relay,
            control: Control::new(env),
            post,
            image: Image::default(),
            track: None,
            logs: None,
            sockets: BTreeMap::new(),
            doors: BTreeMap::new(),
            turns: Default::default(),
            routing,
        };
        node.load(env, disk);
        node.control_at(env, env.agenda.now + 1);
        node
    }

    pub fn relay_thread(&self) -> usize {
        self.shards.len()
    }

    pub fn control_thread(&self) -> usize {
        self.shards.len() + 1
    }

    pub fn tell_control(&mut self, env: &mut Env, letter: Letter) {
        let (from, to) = (self.relay_thread(), self.control_thread());
        self.post.send(env, from, to, letter);
    }

    pub fn tell_relay(&mut self, env: &mut Env, letter: Letter) {
        let (from, to) = (self.control_thread(), self.relay_thread());
        self.post.send(env, from, to, letter);
    }

    /// The relay tells a shard.
    pub fn relay_tells(&mut self, env: &mut Env, shard: usize, letter: Letter) {
        let from = self.relay_thread();
        self.post.send(env, from, shard, letter);
    }

    /// Control tells all shards.
    pub fn order(&mut self, env: &mut Env, letter: impl Fn() -> Letter) {
        let from = self.control_thread();
        (0..self.shards.len()).for_each(|shard| self.post.send(env, from, shard, letter()));
    }

    /// The relay has a turn at the latest then.
    pub fn turn_at(&mut self, env: &mut Env, at: u64) {
        self.turns[0].ask(at, env, Event::Turn(self.run));
    }

    /// Control has a turn at the latest then.
    pub fn control_at(&mut self, env: &mut Env, at: u64) {
        self.turns[1].ask(at, env, Event::Control(self.run));
    }

    /// The relay has the turn that was asked for.
    pub fn relay_turn(&mut self, env: &mut Env) {
        if self.turns[0].comes(env, Event::Turn(self.run)) {
            self.turn_relay(env);
        }
    }

    /// Control has the turn that was asked for.
    pub fn control_turn(&mut self, env: &mut Env) {
        if self.turns[1].comes(env, Event::Control(self.run)) {
            self.turn_control(env);
        }
    }

    // --- letters

    /// A letter comes from one thread to another.
    pub fn mail(&mut self, env: &mut Env, from: usize, to: usize) {
        if to == self.relay_thread() {
            // It reads all that there is when it has its turn.
            if self.turns[0].is_next(env) {
                return self.turn_relay(env);
            }
            return self.turn_at(env, env.agenda.now);
        }
        let Some(letter) = self.post.take(from, to) else { return };
        self.read_letter(env, to, letter);
    }

    fn read_letter(&mut self, env: &mut Env, to: usize, letter: Letter) {
        if to == self.control_thread() {
            self.control_hears(env, letter);
            let soon = env.agenda.now + env.random.below(30);
            self.control_at(env, soon);
        } else {
            self.shard_hears(env, to, letter);
        }
    }

    /// A shard reads all that control has sent before now: it comes to the gate.
    pub fn come_to_gate(&mut self, env: &mut Env) {
        let control = self.control_thread();
        for shard in 0..self.shards.len() {
            while let Some(letter) = self.post.take(control, shard) {
                self.read_letter(env, shard, letter);
            }
        }
    }

    fn shard_hears(&mut self, env: &mut Env, at: usize, letter: Letter) {
        match letter {
            Letter::Visit(job) => self.visit(env, at, job),
            Letter::Commit(releases) => self.order_transaction(env, at, releases),
            Letter::Release(release) => self.release(env, at, *release),
            Letter::OpenLog(reading, offset) => self.open_log(env, at, reading, offset),
            Letter::Credit(bytes) => self.give_credit(env, at, bytes),
            Letter::Note(note) => self.log_note(env, at, note),
            Letter::CloseLog => self.close_log(env, at),
            Letter::OpenFlow(session, offset) => self.open_flow(env, at, session, offset),
            Letter::ConnectFlow(session, conn) => self.connect_flow(env, at, session, conn),
            Letter::CloseFlow(session) => self.close_flow(env, at, session),
            Letter::Follow(follow) => self.follow_log(env, at, *follow),
            Letter::Word(word) => self.hear_word(env, at, word),
            Letter::ReadLog(conn) => self.shard_reads(env, at, conn),
            Letter::Apply(batch) => self.apply(env, at, batch),
            Letter::BeginStaging | Letter::DropStaging => self.shards[at].staged = None,
            Letter::Stage(generation, snapshot) => self.stage(env, at, generation, snapshot),
            Letter::Role(role) => self.shards[at].role = role,
            Letter::HoldWrites(order) => self.hold_writes(env, at, order),
            Letter::EndHold => self.end_hold(at),
            other => panic!("no letter to a shard: {other:?}"),
        }
    }

    fn stage(&mut self, env: &mut Env, at: usize, generation: Generation, snapshot: SnapshotId) {
        self.shards[at].staged = Some(snapshot);
        let relay = self.relay_thread();
        self.post.send(env, at, relay, Letter::Staged(generation));
    }

    // --- sockets

    /// A thread has a connection from now on.
    pub fn own(&mut self, conn: ConnId, thread: usize) {
        self.sockets.insert(conn, thread);
    }

    /// Ends a connection.
    pub fn close(&mut self, env: &mut Env, conn: ConnId) {
        self.sockets.remove(&conn);
        env.net.close((conn, self.run.node), &mut env.random, &mut env.agenda);
    }

    /// Another node has connected.
    pub fn accept(&mut self, conn: ConnId) {
        self.sockets.insert(conn, DOOR);
        self.doors.insert(conn, Door::default());
    }

    /// Something has come by a connection, or there is room on it.
    pub fn ready(&mut self, env: &mut Env, conn: ConnId) {
        match self.sockets.get(&conn) {
            None => {}
            Some(&DOOR) => self.door_reads(env, conn),
            Some(&thread) if thread < self.shards.len() => self.shard_reads(env, thread, conn),
            Some(_) => {
                let soon = env.agenda.now + env.random.below(30);
                self.turn_at(env, soon);
            }
        }
    }

    /// A shard looks what has come by a connection of a log.
    fn shard_reads(&mut self, env: &mut Env, at: usize, conn: ConnId) {
        if self.outgoing_ended(env, at, conn) {
            return self.send_log(env, at);
        }
        let incoming = self.shards[at].incoming.iter().find(|(_, other)| *other == conn);
        let Some((flow, _)) = incoming.copied() else { return };
        while !self.shards[at].paused.contains(&flow) && self.sockets.contains_key(&conn) {
            let mut actions = Vec::new();
            match env.read(conn, self.run.node, 700) {
                Tried::Moved(bytes) => {
                    self.note_store(env, at);
                    self.shards[at].following.receive(flow, &bytes, &mut actions);
                    self.act_on_flows(env, at, actions);
                }
                Tried::Later => return,
                Tried::Over => {
                    self.sockets.remove(&conn);
                    self.shards[at].following.closed(flow, &mut actions);
                    return self.act_on_flows(env, at, actions);
                }
            }
        }
    }

    // --- logs that come in

    fn hear_word(&mut self, env: &mut Env, at: usize, word: Word) {
        let mut actions = Vec::new();
        self.shards[at].following.hear(word, &mut actions);
        self.act_on_flows(env, at, actions);
    }

    fn follow_log(&mut self, env: &mut Env, at: usize, follow: Follow) {
        let Follow { generation, flow, offset, stores, conn, unread } = follow;
        // Nothing is kept here: no node of this simulator serves what it has of a primary's logs.
        let history = ReplId::of_random([0; 20]);
        if !self.shards[at].following.begin((generation, stores), history, flow, offset) {
            return self.close(env, conn);
        }
        self.shards[at].incoming.push((flow, conn));
        self.own(conn, at);
        self.note_store(env, at);
        let mut actions = Vec::new();
        self.shards[at].following.receive(flow, &unread, &mut actions);
        self.act_on_flows(env, at, actions);
        self.shard_reads(env, at, conn);
    }

    fn note_store(&mut self, env: &Env, at: usize) {
        let all: u64 = self.shards.iter().map(|shard| shard.stored).sum();
        let elsewhere = all - self.shards[at].stored;
        self.shards[at].following.note_store(env.setup.store_bytes, elsewhere);
    }

    fn act_on_flows(&mut self, env: &mut Env, at: usize, actions: Vec<Action>) {
        let relay = self.relay_thread();
        for action in actions {
            match action {
                Action::Apply(shard, batch) if shard == at => self.apply(env, at, batch),
                Action::Apply(shard, batch) => {
                    self.post.send(env, at, shard, Letter::Apply(batch));
                }
                // Nothing is told here but of keys.
                Action::Order(_) => {}
                Action::Tell(shard, word) => self.post.send(env, at, shard, Letter::Word(word)),
                Action::TellRelay(news) => {
                    self.post.send(env, at, relay, Letter::Following(news));
                }
                Action::Pause(flow) => self.shards[at].paused.push(flow),
                Action::Resume(flow) => {
                    self.shards[at].paused.retain(|paused| *paused != flow);
                    let conn = self.incoming(at, flow);
                    conn.into_iter()
                        .for_each(|conn| self.post.send(env, at, at, Letter::ReadLog(conn)));
                }
                Action::Close(flow) => {
                    let conn = self.incoming(at, flow);
                    self.shards[at].incoming.retain(|(other, _)| *other != flow);
                    self.shards[at].paused.retain(|paused| *paused != flow);
                    conn.into_iter().for_each(|conn| self.close(env, conn));
                }
                Action::Show(weight) => self.relay.boards[at] = weight,
                Action::ShowStored(bytes) => self.shards[at].stored = bytes,
                Action::StoreIsFull => env.checks.counts.full_stores += 1,
                Action::Short => panic!("there is memory"),
            }
        }
    }

    fn incoming(&self, at: usize, flow: u16) -> Option<ConnId> {
        let incoming = self.shards[at].incoming.iter().find(|(other, _)| *other == flow);
        incoming.map(|(_, conn)| *conn)
    }
}
