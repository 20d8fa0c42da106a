//! Replicas, as the control thread sees to them: it starts the relay, writes fences, and makes the
//! children that send all keys.
//!
//! ```text
//! relay: a session waits --> (others may come) --> control: lend --> relay: descriptors
//!   --> barrier, gate: a fence in all logs, fork --> the child sends --> relay: the stream goes on
//! ```
//! A fence is a transaction of all shards without commands: a point in all logs at which nothing is
//! half done. A snapshot stands at one, and a stream begins at one. All are written in one way: all
//! shards are claimed, so nothing is on its way to a log, and stand still.

use std::io;
use std::sync::Arc;

use shards::journal::entry::Note;
use shards::journal::part;
use shards::rdb::kind::Version;
use shards::shard::Shard;

use crate::clients::filter::{ClientFilter, Subject};
use crate::clients::line::line_of_replica;
use crate::control::core::Control;
use crate::control::standing::Wish;
use crate::log;
use crate::mail::mailbox::Mailbox;
use crate::mail::release::ORDERS;
use crate::mail::replica::{
    Arrival, LogWord, RelayView, RelayWord, SessionId, SessionView, SyncWord, Waiting,
};
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::persistence::sending::{self, Form, MARK_BYTES, Scope, SyncPlan, Target};
use crate::persistence::syncing::{End, Outcome};
use crate::persistence::walking::Origin;
use crate::reactor::clock::Monotonic;
use crate::reactor::system;
use crate::relay::thread::start_relay;
use crate::replication::acks::{self, Acks, Ticket};
use crate::replication::greeting::{Asked, Filter, Framing, RdbForm, Terms};
use crate::replication::history::{Fence, Offset, Scalar, Vector};
use crate::replication::replid::ReplId;
use crate::replication::view::ReplicationView;
use crate::routing::node::{Node, Role};

/// The shard whose log has what concerns no key.
const NOTES: usize = 0;

/// Databases that entries of a log have numbers for.
const DATABASES_MAX: u32 = 1 << 16;

/// What control knows of replicas.
#[derive(Debug)]
pub struct Replicating {
    /// The name of the history, and of its stream.
    pub replid: ReplId,
    /// Where the stream was when the logs began.
    pub(crate) base: Scalar,
    /// What the relay has told of itself.
    pub view: RelayView,
    /// The relay's mail, until it is started.
    relay: Option<Mailbox<ToRelay>>,
    /// Shards keep logs.
    pub(crate) logs: bool,
    /// Sessions that wait for a snapshot, and since when.
    waiting: Vec<(SessionId, Terms, Monotonic)>,
    /// Descriptors are asked for, or all shards are brought to a stand for them.
    is_lending: bool,
    /// The last fence that replicas were asked to acknowledge.
    pub(crate) ack_fence: Scalar,
    /// What replicas are to have when the process ends.
    pub(crate) last_fence: Option<Fence>,
    /// What replicas acknowledge, and who waits for that.
    pub(crate) acks: Acks,
    last_ping: Monotonic,
    /// When there was last a replica, or something that asked for one.
    last_reader: Monotonic,
    /// Shards are brought to a stand to end their logs.
    is_stopping: bool,
}

/// What a fence is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The stream begins at it.
    Stream,
    /// WAIT asked for it.
    Acks(Ticket),
    /// The process ends: replicas are to have all that is in front of it.
    End,
    /// FAILOVER asked for it when this order to hold writes back was in force everywhere.
    Failover(u64),
}

impl Replicating {
    /// Nothing yet; `relay` is the mail of a relay that is still to be started.
    pub fn new(relay: Mailbox<ToRelay>, now: Monotonic) -> Self {
        Self {
            replid: ReplId::of_random(system::random()),
            base: Scalar(0),
            view: RelayView::default(),
            relay: Some(relay),
            logs: false,
            waiting: Vec::new(),
            is_lending: false,
            ack_fence: Scalar(0),
            last_fence: None,
            acks: Acks::default(),
            last_ping: now,
            last_reader: now,
            is_stopping: false,
        }
    }

    /// Whether shards keep logs.
    pub fn keeps_logs(&self) -> bool {
        self.logs
    }

    /// Whether the relay runs.
    pub fn has_relay(&self) -> bool {
        self.relay.is_none()
    }
}

impl Control {
    /// A connection has asked for the stream.
    pub(crate) fn arrived(&mut self, arrival: Box<Arrival>) {
        if DATABASES_MAX < self.node.config.databases {
            // The connection closes.
            return log::warning(&format!(
                "There can be no replicas: logs know {DATABASES_MAX} databases, and `databases` \
                 asks for more"
            ));
        }
        match self.start_relay() {
            Ok(()) => self.mailbox.tell_relay(ToRelay::Arrived(arrival)),
            // The connection closes: the replica asks anew.
            Err(error) => log::warning(&format!("Can't start the relay: {error}")),
        }
    }

    pub(crate) fn start_relay(&mut self) -> io::Result<()> {
        let Some(mailbox) = self.replicating.relay.take() else { return Ok(()) };
        start_relay(mailbox, Arc::clone(&self.node.config), self.node.started, self.process)
    }

    /// What INFO and ROLE show.
    pub fn replication(&self) -> ReplicationView {
        let Replicating { replid, base, view, .. } = &self.replicating;
        let weights = (0..self.shards()).map(|shard| self.mailbox.board(shard).logged.get());
        let following = self.link();
        // Data that a primary has brought are part of its stream, not of ours.
        let link = self.following.view.as_ref().filter(|_| following.is_some());
        let replid = link.and_then(|link| link.replid).unwrap_or(*replid);
        let offset = match &following {
            Some(following) => Scalar(following.applied),
            None => base.after(weights.sum()),
        };
        ReplicationView {
            following,
            replicas: view.replicas.clone(),
            offset,
            backlog: view.backlog,
            failover: self.handing_over.machine.state_name(),
            good_replicas: self.node.needs_replicas().then_some(self.node.condition.good_replicas),
            ..ReplicationView::of_primary(replid.to_string(), self.node.config.repl_backlog_size)
        }
    }

    /// Replicas that a filter of clients means: their ids and lines.
    pub fn list_replicas(&self, filter: &ClientFilter) -> Vec<(u64, String)> {
        let line = |SessionView { known, unsent_bytes, .. }: &SessionView| {
            (known.id, line_of_replica(known, *unsent_bytes, &self.node))
        };
        let sessions = self.replicating.view.sessions.iter();
        sessions.filter(|session| is_meant(filter, session, &self.node)).map(line).collect()
    }

    /// Ends the sessions of the replicas that a filter of clients means. How many there were.
    pub fn kill_replicas(&mut self, filter: &ClientFilter) -> u64 {
        let node = &self.node;
        // What is ended here is not shown until the relay tells of itself again.
        let sessions = &mut self.replicating.view.sessions;
        let killed = sessions.extract_if(.., |session| is_meant(filter, session, node));
        let killed: Vec<SessionId> = killed.map(|session| session.session).collect();
        let count = killed.len() as u64;
        if count != 0 {
            self.mailbox.tell_relay(ToRelay::Kill(killed));
        }
        count
    }

    /// Ends all sessions of replicas: the process ends.
    pub(crate) fn close_replicas(&mut self) {
        if self.replicating.has_relay() {
            let end = match &self.replicating.last_fence {
                Some(fence) => fence.scalar,
                None => self.replication().offset,
            };
            self.mailbox.tell_relay(ToRelay::End(end));
        }
    }

    /// Gives the history another name: replicas do not go on with it.
    pub fn change_replid(&mut self) {
        self.replicating.replid = ReplId::of_random(system::random());
        self.acks_hear(acks::Event::NewHistory);
        if self.replicating.has_relay() {
            let letter = ToRelay::Renamed(self.replicating.replid);
            self.mailbox.tell_relay(letter);
        }
    }

    /// The relay says something.
    pub(crate) fn hear_of_relay(&mut self, word: RelayWord) {
        match word {
            RelayWord::Wait(session, terms) => {
                self.replicating.last_reader = self.node.now;
                self.replicating.waiting.push((session, terms, self.node.now));
            }
            RelayWord::Lent(waiting) if waiting.is_empty() => self.replicating.is_lending = false,
            RelayWord::Lent(waiting) => self.wish(Wish::Sync(waiting)),
            RelayWord::Gone(session) => {
                self.replicating.waiting.retain(|(other, ..)| *other != session);
                self.cut_sync(session.0);
                self.acknowledges_no_more(session);
            }
            RelayWord::Fence => self.wish(Wish::Fence(Purpose::Stream)),
            RelayWord::Acked { session, applied, is_first } => {
                self.acknowledged(session, applied, is_first);
            }
            RelayWord::View(view) => self.replicating.view = *view,
            RelayWord::Promote(from) => self.take_over(&from),
        }
    }

    /// Does for replicas what is due.
    pub fn see_to_replicas(&mut self) {
        self.end_late_acks();
        self.see_to_failover();
        for outcome in self.take_synced() {
            self.synced(outcome);
        }
        if !self.replicating.waiting.is_empty() {
            self.begin_sync();
        }
    }

    /// What is due some times a second.
    pub(crate) fn tick_replicas(&mut self) {
        self.count_good_replicas();
        let now = self.node.now;
        if let Some(sync) = &self.saving.sync {
            self.mailbox.tell_relay(ToRelay::Sync(SyncWord::Progress(sync.bytes)));
        }
        let period = u64::from(self.node.config.repl_ping_replica_period) * 1000;
        // A replica that takes over is to be where the stream ends: it stands still meanwhile.
        let stands =
            self.node.condition.role == Role::Replica || self.handing_over.machine.is_under_way();
        let replicating = &mut self.replicating;
        if replicating.logs
            && !stands
            && !replicating.view.replicas.is_empty()
            && period <= now.millis_since(replicating.last_ping)
        {
            replicating.last_ping = now;
            self.mailbox.send(NOTES, ToShard::Log(LogWord::Note(Note::Ping)));
        }
        self.stop_logs_if_due();
    }

    /// Ends logs that no replica has read for as long as `repl-backlog-ttl` says.
    fn stop_logs_if_due(&mut self) {
        let ttl = u64::from(self.node.config.repl_backlog_ttl);
        let replicating = &mut self.replicating;
        if !replicating.logs || !replicating.view.replicas.is_empty() {
            replicating.last_reader = self.node.now;
        }
        let silent = self.node.now.millis_since(replicating.last_reader) / 1000;
        if ttl != 0 && ttl <= silent {
            self.wish_to_stop_logs();
        }
    }

    /// Has the logs end, if there are any.
    pub(crate) fn wish_to_stop_logs(&mut self) {
        let replicating = &mut self.replicating;
        if replicating.logs && !replicating.is_stopping && !self.end.has_claims() {
            replicating.is_stopping = true;
            self.wish(Wish::StopLogs);
        }
    }

    /// Ends the logs of all shards, which are claimed. What is written from now on is in none, so
    /// the history of a primary has another name then: a replica does not go on with it.
    pub(crate) fn stop_logs(&mut self) {
        self.replicating.is_stopping = false;
        let is_read = !self.is_replica() && !self.replicating.view.replicas.is_empty();
        if is_read {
            return;
        }
        self.while_all_stand(|control, shards| control.end_logs(shards));
        if !self.is_replica() {
            log::notice("Replication backlog freed: no replica has asked for it lately");
            self.change_replid();
            self.mailbox.tell_relay(ToRelay::Forget);
        }
    }

    /// Ends the logs of all shards, which stand still, and has what they keep of them freed. Logs
    /// that begin later go on in the stream where these end.
    pub(crate) fn end_logs(&mut self, shards: &mut [&mut Shard]) {
        if !std::mem::take(&mut self.replicating.logs) {
            return;
        }
        let mut weights = 0;
        for shard in shards {
            weights += shard.effects.log.weight();
            shard.effects.log.clear();
            shard.effects.keeps_log = false;
        }
        self.replicating.base = self.replicating.base.after(weights);
        for shard in 0..self.shards() {
            self.mailbox.board(shard).logged.set(0);
            self.mailbox.send(shard, ToShard::Log(LogWord::Close));
        }
    }

    /// Asks for the descriptors of those who wait for a snapshot of one form, if it is time.
    fn begin_sync(&mut self) {
        let delay = u64::from(self.node.config.repl_diskless_sync_delay) * 1000;
        let now = self.node.now;
        let is_busy = self.has_child_or_wish();
        let Replicating { waiting, is_lending, .. } = &mut self.replicating;
        let is_due = |since: Monotonic| delay <= now.millis_since(since);
        let (_, first, since) = waiting[0];
        if *is_lending || !is_due(since) || is_busy {
            return;
        }
        let form = |terms: &Terms| (terms.rdb, terms.framing, terms.filter);
        let is_like_first =
            |(_, terms, _): &(SessionId, Terms, Monotonic)| form(terms) == form(&first);
        let sessions = waiting.extract_if(.., |one| is_like_first(one)).map(|(id, ..)| id);
        let sessions = sessions.collect();
        *is_lending = true;
        self.mailbox.tell_relay(ToRelay::Sync(SyncWord::Lend(sessions)));
    }

    /// Makes the child that sends all keys to these; all shards are claimed.
    pub(crate) fn sync(&mut self, waiting: Vec<Waiting>) {
        self.replicating.is_lending = false;
        let Some(terms) = waiting.first().map(|waiting| waiting.terms) else { return };
        let sessions: Vec<SessionId> = waiting.iter().map(|waiting| waiting.session).collect();
        let target = |waiting: Waiting| Target {
            id: waiting.session.0,
            socket: waiting.socket,
            asked: match waiting.terms.asked {
                Asked::Sync => sending::Asked::Sync,
                Asked::Psync => sending::Asked::Psync,
            },
        };
        let targets = waiting.into_iter().map(target).collect();
        let mut cut = None;
        let began = self.fork_sync(targets, |control, shards| {
            let fence = control.write_fence(shards);
            let plan = control.plan_sync(terms, fence.scalar);
            cut = Some(fence);
            plan
        });
        match (began, cut) {
            (Ok(()), Some(cut)) => {
                let (replid, cut) = (self.replicating.replid, Box::new(cut));
                let word = SyncWord::Began { sessions, replid, cut };
                self.mailbox.tell_relay(ToRelay::Sync(word));
            }
            (began, _) => {
                let why = began.err().unwrap_or_default();
                log::warning(&why);
                for session in sessions {
                    let word = SyncWord::Ended(session, Err(why.clone()));
                    self.mailbox.tell_relay(ToRelay::Sync(word));
                }
            }
        }
    }

    fn plan_sync(&self, terms: Terms, cut: Scalar) -> SyncPlan {
        let patience_millis = u64::from(self.node.config.repl_progress_timeout) * 1000;
        let terms = sending::Terms {
            version: match terms.rdb {
                RdbForm::Exactly(version) => version,
                RdbForm::Lowest => Version::V80,
            },
            form: match terms.framing {
                Framing::Eof => Form::Marked(mark()),
                Framing::Length => Form::Measured,
            },
            scope: match terms.filter {
                Filter::All => Scope::All,
                Filter::Functions | Filter::Nothing => Scope::Functions,
            },
            patience_millis,
        };
        let origin = Origin { replid: self.replicating.replid.to_string(), offset: cut.0 };
        SyncPlan::new(&self.node.config, self.saving.functions.clone(), terms, origin)
    }

    /// Writes a fence while all shards stand still. With the first one their logs begin.
    fn write_fence(&mut self, shards: &mut [&mut Shard]) -> Fence {
        if !std::mem::replace(&mut self.replicating.logs, true) {
            for shard in &mut *shards {
                shard.effects.log.clear();
                shard.effects.keeps_log = true;
            }
        }
        let participants: Vec<u16> = (0..self.node.slots.shards()).collect();
        let orders = &mut shards[ORDERS].effects.txid;
        let txid = std::mem::replace(orders, *orders + 1);
        let transaction = part::Transaction { txid, participants: &participants };
        for (shard, number) in shards.iter_mut().zip(0..) {
            shard.effects.log.push_part(transaction, number, None);
        }
        let logs = || shards.iter().map(|shard| &shard.effects.log);
        fence_of(self.replicating.base, logs().map(|log| (log.offset(), log.weight())))
    }

    /// Writes a fence; all shards are claimed. Replicas are asked to acknowledge it if that is what
    /// it is for.
    pub(crate) fn fence(&mut self, purpose: Purpose) {
        let fence = self.while_all_stand(|control, shards| {
            let fence = control.write_fence(shards);
            if !matches!(purpose, Purpose::Stream) {
                control.replicating.ack_fence = fence.scalar;
                shards[NOTES].effects.log.push_note(Note::GetAck);
            }
            fence
        });
        match purpose {
            Purpose::Stream => {
                let letter = ToRelay::Fence(self.replicating.replid, Box::new(fence));
                self.mailbox.tell_relay(letter);
            }
            Purpose::Acks(ticket) => self.acks_hear(acks::Event::FenceWritten(ticket, fence)),
            Purpose::End => self.replicating.last_fence = Some(fence),
            Purpose::Failover(order) => self.failover_fence_written(order, fence),
        }
    }

    /// A child that sent all keys has ended.
    fn synced(&mut self, outcome: Outcome) {
        let Outcome { targets, end, .. } = outcome;
        for (target, result) in targets {
            let session = SessionId(target.id);
            let word = match (&end, result) {
                (_, Ok(())) => SyncWord::Ended(session, Ok(())),
                (End::Killed(Some("FLUSHALL")), Err(_)) => SyncWord::Flushed(session),
                (End::Refused(why) | End::Failed(why), Err(_)) => {
                    SyncWord::Ended(session, Err(why.clone()))
                }
                (End::Sent | End::Killed(_), Err(lost)) => {
                    SyncWord::Ended(session, Err(lost.to_string()))
                }
            };
            self.mailbox.tell_relay(ToRelay::Sync(word));
        }
    }
}

fn is_meant(filter: &ClientFilter, session: &SessionView, node: &Node) -> bool {
    filter.matches(&Subject::of_replica(&session.known), node)
}

/// The fence behind which the logs of a history have these offsets and weights.
fn fence_of(base: Scalar, logs: impl Iterator<Item = (u64, u64)>) -> Fence {
    let (offsets, weights): (Vec<Offset>, Vec<u64>) =
        logs.map(|(offset, weight)| (Offset(offset), weight)).unzip();
    Fence { scalar: base.after(weights.iter().sum()), vector: Vector::new(offsets) }
}

/// What stands behind a snapshot whose length is not known before.
fn mark() -> [u8; MARK_BYTES] {
    let name = system::random_name();
    name.as_bytes().try_into().expect("a name has forty digits")
}
