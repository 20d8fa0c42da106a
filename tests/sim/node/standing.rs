//! What all shards of a node stand still for, and what becomes of its history then. This stands for
//! `control::standing`, `fences` and `histories`. Shards that stand still are one moment here.

use std::collections::VecDeque;

use keylane::replication::acks;
use keylane::replication::history::{Fence, Offset, Vector};
use keylane::replication::link::events::{Generation, Position};
use keylane::replication::merge::SELECT_0;
use keylane::replication::psync::Former;
use keylane::transactions::locks::Mode;
use shards::journal::entry::Note;
use shards::journal::part;

use crate::agenda::Env;
use crate::checks::{Snapshot, SnapshotId};
use crate::disk::{Disk, Saved};
use crate::faults::Fault;
use crate::keyspace::Image;
use crate::node::Node;
use crate::node::control::NOTES;
use crate::node::letters::{
    Began, Beginning, Job, Lent, Letter, Purpose, Role, UpstreamWord, What,
};

/// What all shards are to stand still for.
#[derive(Debug)]
pub enum Wish {
    /// A snapshot for replicas, sent by a child.
    Sync(Vec<Lent>),
    /// A snapshot for the disk.
    Save,
    /// The last snapshot, before the process ends.
    Final,
    Fence(Purpose),
    Commit(Generation),
    Empty,
    StopLogs,
    Demote,
    EndLogs,
    Promote,
}

/// What they stand still for, and what has its turn then.
#[derive(Debug, Default)]
pub struct Standing {
    now: Option<Wish>,
    next: VecDeque<Wish>,
    hold: Hold,
    /// What was there when all were asked to stand.
    early: Option<Image>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    No,
    Asked,
    Held(Option<Position>),
}

impl Wish {
    fn is_instant(&self) -> bool {
        matches!(self, Self::Fence(_) | Self::Demote | Self::EndLogs | Self::Promote)
    }

    fn names_place(&self) -> bool {
        matches!(self, Self::Sync(_) | Self::Save | Self::Final)
    }
}

impl Standing {
    pub fn is_idle(&self) -> bool {
        self.now.is_none() && self.next.is_empty()
    }

    pub fn has_sync(&self) -> bool {
        self.now.iter().chain(&self.next).any(Wish::names_place)
    }

    fn held(&self) -> Option<Position> {
        match self.hold {
            Hold::No | Hold::Asked => None,
            Hold::Held(position) => position,
        }
    }
}

impl Node {
    /// Brings all shards to a stand for this, after whatever they stand still for before.
    pub fn wish(&mut self, env: &mut Env, wish: Wish) {
        let next = &mut self.control.standing.next;
        let first_slow = || next.iter().position(|other| !other.is_instant());
        let place = if wish.is_instant() { first_slow() } else { None };
        next.insert(place.unwrap_or(next.len()), wish);
        self.next_wish(env);
    }

    pub fn next_wish(&mut self, env: &mut Env) {
        let (standing, has_child) = (&mut self.control.standing, self.control.child.is_some());
        let may_begin = |wish: &Wish| !has_child || !wish.names_place();
        if standing.now.is_some() || !standing.next.front().is_some_and(may_begin) {
            return;
        }
        standing.now = standing.next.pop_front();
        let names_place = standing.now.as_ref().is_some_and(Wish::names_place);
        if names_place && self.control.role == Role::Replica {
            standing.hold = Hold::Asked;
            return self.tell_relay(env, Letter::Upstream(UpstreamWord::Hold));
        }
        self.claim_all(env);
    }

    pub fn stream_is_held(&mut self, env: &mut Env, position: Option<Position>) {
        self.control.standing.hold = Hold::Held(position);
        self.claim_all(env);
    }

    fn claim_all(&mut self, env: &mut Env) {
        if env.has(Fault::EarlySnapshot) {
            self.control.standing.early = Some(self.image.clone());
        }
        let mode = match self.control.standing.now {
            Some(Wish::Commit(_) | Wish::Empty) => Mode::Exclusive,
            _ => Mode::Shared,
        };
        let visits = (0..self.shards.len()).map(|shard| (shard, Vec::new())).collect();
        let job = Job { what: What::Barrier, mode, visits, tickets: Vec::new() };
        let from = self.control_thread();
        self.send_job(env, from, Box::new(job));
    }

    /// The barrier has claimed all shards: what it was for happens now.
    pub fn barrier_stands(&mut self, env: &mut Env, job: Job) {
        self.come_to_gate(env);
        let wish = self.control.standing.now.take().expect("a barrier stands for something");
        match wish {
            Wish::Sync(lent) => self.sync_to(env, lent),
            Wish::Save => self.save(env),
            Wish::Final => self.save_last(env),
            Wish::Fence(purpose) => self.fence(env, purpose),
            Wish::Commit(generation) => self.commit_snapshot(env, generation),
            Wish::Empty => self.empty_for_snapshot(env),
            Wish::StopLogs => self.stop_logs(env),
            Wish::Demote => self.demoted(env),
            Wish::EndLogs => self.join(env),
            Wish::Promote => self.promoted(env),
        }
        let control = self.control_thread();
        self.release_all(env, control, &job.visits, job.tickets);
        if std::mem::take(&mut self.control.standing.hold) != Hold::No {
            self.tell_relay(env, Letter::Upstream(UpstreamWord::GoOn));
        }
        self.next_wish(env);
    }

    // --- fences

    /// Writes a fence while all shards stand still. With the first one their logs begin.
    fn write_fence(&mut self, env: &mut Env) -> Fence {
        if !std::mem::replace(&mut self.control.keeps_logs, true) {
            for shard in &mut self.shards {
                shard.units.clear();
                shard.keeps_log = true;
            }
            let shape = (self.shards.len(), self.owners);
            let (base, values) = (self.control.base, &self.image.values);
            self.logs = Some(env.checks.begin_logs(shape, base, values));
        }
        let participants: Vec<u16> = (0..self.routing.slots.shards()).collect();
        let txid = self.shards[0].txid;
        self.shards[0].txid += 1;
        let transaction = part::Transaction { txid, participants: &participants };
        let logs = self.logs.expect("they have begun");
        for (at, number) in participants.iter().enumerate() {
            let units = &mut self.shards[at].units;
            units.push_part(transaction, *number, None);
            let end = (units.offset(), units.weight());
            env.checks.logged(logs, *number, end, &[]);
            self.note_entry(env, at, false, 0);
        }
        let fence = self.end_of_all();
        if !env.has(Fault::HastyFence) {
            env.checks.check_fence(logs, &fence, &self.image.values);
        }
        (0..self.shards.len()).for_each(|at| self.show_log(env, at));
        fence
    }

    fn end_of_all(&self) -> Fence {
        let offsets = self.shards.iter().map(|shard| Offset(shard.units.offset()));
        let weights = self.shards.iter().map(|shard| shard.units.weight());
        let scalar = self.control.base.after(weights.sum());
        Fence { scalar, vector: Vector::new(offsets.collect()) }
    }

    /// Writes a word to replicas into the log of a shard.
    pub fn log_note(&mut self, env: &mut Env, at: usize, note: Note) {
        let Some(logs) = self.logs.filter(|_| self.shards[at].keeps_log) else { return };
        let units = &mut self.shards[at].units;
        units.push_note(note);
        let end = (units.offset(), units.weight());
        env.checks.logged(logs, u16::try_from(at).expect("shards are few"), end, &[]);
        self.note_entry(env, at, false, 0);
        self.show_log(env, at);
    }

    fn fence(&mut self, env: &mut Env, purpose: Purpose) {
        let control = &self.control;
        if control.role == Role::Replica && !control.keeps_logs {
            if let Purpose::Acks(ticket) = purpose {
                let vector = Vector::start(self.routing.slots.shards());
                let fence = Fence { scalar: self.shown_offset(), vector };
                self.acks_hear(env, acks::Event::FenceWritten(ticket, fence));
            }
            return;
        }
        let is_asked = control.role == Role::Primary && purpose != Purpose::Stream;
        let fence = self.write_fence(env);
        if is_asked {
            self.log_note(env, NOTES, Note::GetAck);
        }
        match purpose {
            Purpose::Stream => self.tell_relay(env, Letter::Fence(self.control.replid, fence)),
            Purpose::Acks(ticket) => {
                self.check_waits(env);
                self.acks_hear(env, acks::Event::FenceWritten(ticket, fence));
            }
            Purpose::Failover(order) => self.failover_fence_written(env, order, fence),
        }
    }

    // --- histories

    /// All that came of a primary is applied, and no more comes: clients are to write.
    pub fn promote(&mut self, env: &mut Env) {
        if self.control.primary.is_some() || self.control.role == Role::Primary {
            return;
        }
        if std::mem::take(&mut self.control.keeps_history) && self.is_history_kept(env) {
            self.tell_relay(env, Letter::Upstream(UpstreamWord::Forget));
            return self.lead(env);
        }
        self.wish(env, Wish::Promote);
    }

    /// Whether nothing has come of another node since this one was a primary.
    fn is_history_kept(&self, env: &Env) -> bool {
        let view = self.control.view.as_ref();
        let position = view.and_then(|view| view.position);
        let is_ours = position.is_none_or(|position| position.id == self.control.replid);
        env.has(Fault::MixedHistories) || (self.control.keeps_logs && is_ours)
    }

    fn promoted(&mut self, env: &mut Env) {
        if self.control.primary.is_some() || self.control.role == Role::Primary {
            return;
        }
        env.checks.counts.promotions += 1;
        let view = self.control.view.clone();
        let position = view.as_ref().and_then(|view| view.position);
        let ends_at = self.control.ends_at.take();
        let is_exact = view.as_ref().is_none_or(|view| {
            !view.takes_logs || ends_at == view.position.map(|position| position.offset)
        });
        if let Some(track) = self.track.take() {
            env.checks.check_end(&track, position, &self.image.values);
        }
        env.checks.check_expected(self.run.node, &self.image);
        self.begin_history(env, position, is_exact);
        self.tell_relay(env, Letter::Upstream(UpstreamWord::Forget));
        self.lead(env);
    }

    fn lead(&mut self, env: &mut Env) {
        (self.control.role, self.control.is_emptied) = (Role::Primary, false);
        self.order(env, || Letter::Role(Role::Primary));
        self.end_hold_of_failover(env);
    }

    fn begin_history(&mut self, env: &mut Env, position: Option<Position>, is_exact: bool) {
        let before = self.control.replid;
        let begun = if self.control.keeps_logs {
            let fence = self.write_fence(env);
            Some((Former { id: before, until: fence.scalar }, fence))
        } else {
            position.map(|Position { id, offset, db }| {
                let select = if db == 0 { 0 } else { SELECT_0.len() as u64 };
                self.control.base = offset.after(select);
                (Former { id, until: offset }, self.write_fence(env))
            })
        };
        self.change_replid(env, position);
        match begun {
            Some((former, fence)) => {
                let former = Some(former).filter(|_| is_exact);
                let control = &mut self.control;
                control.former = former;
                control.last_reader = env.agenda.now;
                let (replid, base) = (control.replid, control.base);
                let beginning = Beginning { replid, former, fence, base };
                self.tell_relay(env, Letter::Begin(Box::new(beginning)));
            }
            None => self.tell_relay(env, Letter::Forget),
        }
    }

    fn change_replid(&mut self, env: &mut Env, position: Option<Position>) {
        self.control.replid = match position {
            Some(position) if env.has(Fault::KeepsName) => position.id,
            _ => env.name(),
        };
        self.control.former = None;
        self.acks_hear(env, acks::Event::NewHistory);
        self.tell_relay(env, Letter::Renamed(self.control.replid));
    }

    fn demoted(&mut self, env: &mut Env) {
        let Some((primary, by)) = self.control.next.take() else { return };
        let position = self.control.keeps_logs.then(|| self.place(env).0);
        let word = UpstreamWord::Follow { primary, by, position };
        self.tell_relay(env, Letter::Upstream(word));
    }

    fn join(&mut self, env: &mut Env) {
        if self.control.primary.is_some() {
            self.end_logs(env);
            self.tell_relay(env, Letter::Upstream(UpstreamWord::LogsEnded));
        }
    }

    /// The point in a history that the data are of.
    fn place(&mut self, env: &mut Env) -> (Position, Option<Fence>) {
        let held = self.control.standing.held();
        if let Some(position) = held.filter(|_| !self.control.keeps_logs) {
            if env.checks.knows(position.id, position.offset) {
                let values = &self.image.values;
                env.checks.check_place(position.id, position.offset, values);
            }
            return (position, None);
        }
        let fence = self.write_fence(env);
        let position = Position { id: self.control.replid, offset: fence.scalar, db: 0 };
        (position, Some(fence))
    }

    pub fn stop_logs_if_due(&mut self, env: &mut Env) {
        let (now, control) = (env.agenda.now, &mut self.control);
        if !control.keeps_logs || !control.sessions.is_empty() {
            control.last_reader = now;
        }
        let is_due = env.setup.ttl_ms * 1000 <= now - control.last_reader;
        if is_due && !control.is_stopping && control.primary.is_none() {
            control.is_stopping = true;
            self.wish(env, Wish::StopLogs);
        }
    }

    fn stop_logs(&mut self, env: &mut Env) {
        self.control.is_stopping = false;
        if self.control.primary.is_some() || !self.control.sessions.is_empty() {
            return;
        }
        self.end_logs(env);
        self.change_replid(env, None);
        self.tell_relay(env, Letter::Forget);
    }

    fn end_logs(&mut self, env: &mut Env) {
        if !std::mem::take(&mut self.control.keeps_logs) {
            return;
        }
        let weights = self.shards.iter().map(|shard| shard.units.weight()).sum();
        self.control.base = self.control.base.after(weights);
        for shard in &mut self.shards {
            shard.units.clear();
            shard.keeps_log = false;
        }
        self.logs = None;
        self.order(env, || Letter::CloseLog);
    }

    // --- snapshots

    fn commit_snapshot(&mut self, env: &mut Env, _generation: Generation) {
        let staged = self.shards.iter_mut().map(|shard| shard.staged.take());
        let staged: Vec<Option<SnapshotId>> = staged.collect();
        let snapshot = staged[0].expect("a snapshot is staged before it is the data");
        assert!(staged.iter().all(|other| *other == Some(snapshot)), "all shards have it");
        self.image = env.checks.snapshots[snapshot.0].image.clone();
        (self.track, self.control.is_emptied) = (None, false);
        env.checks.counts.commits += 1;
        env.checks.expect_nothing_of(self.run.node);
        self.end_logs(env);
        let word = UpstreamWord::Committed(_generation);
        self.tell_relay(env, Letter::Upstream(word));
    }

    /// Drops all keys for those that are to come.
    fn empty_for_snapshot(&mut self, env: &mut Env) {
        let are_wanted = self.control.primary.is_some();
        if are_wanted {
            (self.image, self.track) = (Image::default(), None);
            self.control.is_emptied = true;
            env.checks.counts.emptied += 1;
            env.checks.expect_nothing_of(self.run.node);
            self.end_logs(env);
        }
        self.tell_relay(env, Letter::Upstream(UpstreamWord::Emptied(are_wanted)));
    }

    /// All keys at a place: what a snapshot is of.
    fn snapshot(&mut self, env: &mut Env) -> (SnapshotId, Position, Option<Fence>) {
        let (position, fence) = self.place(env);
        let early = self.control.standing.early.take();
        let image = early.unwrap_or_else(|| self.image.clone());
        env.checks.snapshots.push(Snapshot { image, db: position.db });
        (SnapshotId(env.checks.snapshots.len() - 1), position, fence)
    }

    fn sync_to(&mut self, env: &mut Env, lent: Vec<Lent>) {
        self.control.is_lending = false;
        let is_part = self.control.keeps_logs || self.control.standing.held().is_some();
        if self.control.role == Role::Replica && !is_part {
            for Lent { session, .. } in lent {
                let why = Err("there is no data of the primary".to_owned());
                self.tell_relay(env, Letter::ChildEnded(session, why));
            }
            return;
        }
        let (snapshot, position, fence) = self.snapshot(env);
        let sessions = lent.iter().map(|lent| lent.session).collect();
        let Position { id: replid, offset: cut, .. } = position;
        let base = self.control.base;
        self.begin_transfer(env, snapshot, (replid, cut), lent);
        let began = Began { sessions, replid, cut, fence, base };
        self.tell_relay(env, Letter::Began(Box::new(began)));
    }

    /// What a file is to say.
    fn saved(&mut self, env: &mut Env) -> Saved {
        let is_part = self.control.keeps_logs || self.control.standing.held().is_some();
        if is_part {
            let (snapshot, position, _) = self.snapshot(env);
            return Saved { snapshot, position: Some(position) };
        }
        env.checks.snapshots.push(Snapshot { image: self.image.clone(), db: 0 });
        Saved { snapshot: SnapshotId(env.checks.snapshots.len() - 1), position: None }
    }

    fn save(&mut self, env: &mut Env) {
        let saved = self.saved(env);
        self.begin_saving(env, saved);
    }

    fn save_last(&mut self, env: &mut Env) {
        self.control.disk.saved = Some(self.saved(env));
        self.control.has_ended = true;
    }

    /// Begins with what is on the disk.
    pub fn load(&mut self, env: &mut Env, disk: &Disk) {
        self.control.disk = disk.clone();
        let position = disk.saved.and_then(|saved| {
            self.image = env.checks.snapshots[saved.snapshot.0].image.clone();
            saved.position
        });
        match (&disk.primary, position) {
            (Some(primary), position) => {
                self.control.loaded = position;
                self.shards.iter_mut().for_each(|shard| shard.role = Role::Replica);
                let by = keylane::replication::link::events::By::Configuration;
                self.follow(env, primary.clone(), by);
            }
            (None, Some(position)) => self.begin_history(env, Some(position), true),
            (None, None) => {}
        }
    }
}
