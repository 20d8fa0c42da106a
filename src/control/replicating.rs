//! Replicas, as the control thread sees to them: it starts the relay, writes fences, and makes the
//! children that send all keys.
//!
//! ```text
//! relay: a session waits --> (others may come) --> control: lend --> relay: descriptors
//!   --> barrier, gate: a fence in all logs, fork --> the child sends --> relay: the stream goes on
//! ```

use std::io;
use std::sync::Arc;

use shards::journal::entry::Note;

use crate::clients::filter::{ClientFilter, Subject};
use crate::clients::leaving::Known;
use crate::clients::line::{line_of_primary, line_of_replica};
use crate::control::core::Control;
use crate::control::fences::{NOTES, Purpose};
use crate::control::histories::{Cut, origin_of};
use crate::control::standing::Wish;
use crate::log;
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::{
    Arrived, LogWord, LogsOf, RelayView, RelayWord, SessionView, SyncWord, Waiting,
};
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::mail::upstream::UpstreamWord;
use crate::persistence::sending::{self, Form, MARK_BYTES, Scope, SyncPlan, Target};
use crate::persistence::syncing::{End, Outcome, SyncChild};
use crate::persistence::walking::Versions;
use crate::reactor::clock::Monotonic;
use crate::reactor::system;
use crate::relay::thread::start_relay;
use crate::replication::acks::Acks;
use crate::replication::greeting::{Asked, Filter, Framing, RdbForm, Terms};
use crate::replication::history::{Fence, Scalar};
use crate::replication::link::events::{Point, Position};
use crate::replication::psync::Former;
use crate::replication::replid::ReplId;
use crate::replication::session;
use crate::replication::session::SessionId;
use crate::replication::session::ended::Cut as SessionCut;
use crate::replication::view::ReplicationView;
use crate::routing::node::{Node, Role};
use crate::shutdown;

/// How long replicas that take chunks wait for others that want them, too, if
/// `repl-diskless-sync-delay` is longer: their transfer does not take much longer than that.
const CHUNKS_DELAY_MILLIS: u64 = 200;
/// Databases that entries of a log have numbers for.
pub(crate) const DATABASES_MAX: u32 = 1 << 16;

/// What control knows of replicas.
#[derive(Debug)]
pub struct Replicating {
    /// The name of the history, and of its stream.
    pub replid: ReplId,
    /// The history that it goes on from.
    pub(crate) former: Option<Former>,
    /// Where the stream was when the logs began.
    pub(crate) base: Scalar,
    /// What the relay has told of itself.
    pub view: RelayView,
    /// The relay's mail, until it is started.
    relay: Option<Mailbox<ToRelay>>,
    /// Shards keep logs.
    pub(crate) logs: bool,
    /// Sessions that wait for a snapshot.
    waiting: Vec<Waits>,
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
    pub(crate) last_reader: Monotonic,
    /// Shards are brought to a stand to end their logs.
    pub(crate) is_stopping: bool,
}

/// A session that waits for a snapshot.
#[derive(Debug)]
struct Waits {
    session: SessionId,
    terms: Terms,
    takes_logs: bool,
    since: Monotonic,
}

impl Replicating {
    /// Nothing yet; `relay` is the mail of a relay that is still to be started.
    pub fn new(relay: Mailbox<ToRelay>, now: Monotonic) -> Self {
        Self {
            replid: ReplId::of_random(system::random()),
            former: None,
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
    pub(crate) fn arrived(&mut self, mut arrived: Arrived) {
        if DATABASES_MAX < self.node.config.database_count() {
            // The connection closes.
            return log::warning(&format!(
                "There can be no replicas: logs know {DATABASES_MAX} databases, and `databases` \
                 asks for more"
            ));
        }
        if let Arrived::Stream(arrival) = arrived {
            let Some(mut arrival) = self.admit_replica(arrival) else { return };
            arrival.logs = self.own_logs();
            let clustering = self.clustering.as_ref();
            arrival.lacks_data = clustering.is_some_and(|it| it.machine.lacks_data());
            arrival.at = Some(self.place());
            arrived = Arrived::Stream(arrival);
        }
        match self.start_relay() {
            Ok(()) => self.mailbox.tell_relay(ToRelay::Arrived(arrived)),
            // The connection closes: the replica asks anew.
            Err(error) => log::warning(&format!("Can't start the relay: {error}")),
        }
    }

    /// The logs that this node writes, if it does.
    fn own_logs(&self) -> Option<LogsOf> {
        let Replicating { replid, base, logs, .. } = self.replicating;
        logs.then_some(LogsOf { replid, base })
    }

    pub(crate) fn start_relay(&mut self) -> io::Result<()> {
        let Some(mailbox) = self.replicating.relay.take() else { return Ok(()) };
        start_relay(mailbox, Arc::clone(&self.node.config), self.node.started, self.process)
    }

    /// The history that the data are of, and where in it they are.
    fn place(&self) -> (ReplId, Scalar) {
        let Replicating { replid, base, .. } = &self.replicating;
        let link = self.following.view.as_ref().filter(|_| !self.has_own_history());
        let position = link.and_then(|link| Some((link.position?.id, self.applied_of(link))));
        position.unwrap_or_else(|| (*replid, base.after(self.mailbox.logged())))
    }

    /// Whether the data are a part of a history of this node: those that a primary has brought are
    /// part of its stream.
    fn has_own_history(&self) -> bool {
        self.replicating.logs || self.node.condition.role == Role::Primary
    }

    /// What INFO and ROLE show.
    pub fn replication(&self) -> ReplicationView {
        let Replicating { former, view, .. } = &self.replicating;
        let (replid, offset) = self.place();
        let former = if self.has_own_history() { *former } else { view.former };
        ReplicationView {
            following: self.link(),
            former: former.map(|former| (former.id.to_string(), former.until)),
            replicas: view.replicas.clone(),
            refused: view.refused.clone(),
            offset,
            backlog: view.backlog,
            failover: self.handing_over.machine.state_name(),
            good_replicas: self.node.needs_replicas().then_some(self.node.condition.good_replicas),
            ..ReplicationView::of_primary(replid.to_string(), self.node.config.repl_backlog_size)
        }
    }

    /// Replicas, and the connection to the primary, that a filter of clients means: their ids and
    /// lines.
    pub fn list_streams(&self, filter: &ClientFilter) -> Vec<(u64, String)> {
        let line = |SessionView { known, unsent_bytes, .. }: &SessionView| {
            (known.id, line_of_replica(known, *unsent_bytes, &self.node))
        };
        let sessions = self.replicating.view.sessions.iter();
        let sessions = sessions.filter(|session| is_meant(filter, session, &self.node)).map(line);
        let primary = self.connection_to_primary(filter);
        let primary = primary.map(|known| (known.id, line_of_primary(known, &self.node)));
        sessions.chain(primary).collect()
    }

    /// Ends the sessions of the replicas, and the connection to the primary, that a filter of
    /// clients means. How many there were.
    pub fn kill_streams(&mut self, filter: &ClientFilter) -> u64 {
        let is_cut = self.connection_to_primary(filter).is_some();
        let node = &self.node;
        // What is ended here is not shown until the relay tells of itself again.
        let sessions = &mut self.replicating.view.sessions;
        let killed = sessions.extract_if(.., |session| is_meant(filter, session, node));
        let killed: Vec<SessionId> = killed.map(|session| session.session).collect();
        let count = killed.len() as u64;
        if count != 0 {
            self.mailbox.tell_relay(ToRelay::Kill(killed, SessionCut::Killed));
        }
        if is_cut {
            self.following.view.iter_mut().for_each(|view| view.known = None);
            self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Cut));
        }
        count + u64::from(is_cut)
    }

    /// The connection to the primary, if a filter of clients means it.
    fn connection_to_primary(&self, filter: &ClientFilter) -> Option<&Known> {
        let known = self.following.view.as_ref()?.known.as_ref()?;
        filter.matches(&Subject::of_primary(known), &self.node).then_some(known)
    }

    /// Ends all sessions of replicas: the process ends.
    pub(crate) fn close_replicas(&mut self) {
        if !self.replicating.has_relay() {
            return self.happens(shutdown::Event::ReplicasClosed);
        }
        let end = match &self.replicating.last_fence {
            Some(fence) => fence.scalar,
            None => self.replication().offset,
        };
        self.mailbox.tell_relay(ToRelay::End(end));
    }

    /// The relay says something.
    pub(crate) fn hear_of_relay(&mut self, word: RelayWord) {
        match word {
            RelayWord::Wait { session, terms, takes_logs } => {
                let since = self.node.now;
                self.replicating.last_reader = since;
                self.replicating.waiting.push(Waits { session, terms, takes_logs, since });
            }
            RelayWord::Lent(waiting) if waiting.is_empty() => self.replicating.is_lending = false,
            RelayWord::Lent(waiting) => self.wish(Wish::Sync(waiting)),
            RelayWord::Gone(session) => {
                self.replicating.waiting.retain(|waits| waits.session != session);
                self.cut_sync(session.0);
                self.acknowledges_no_more(session);
            }
            RelayWord::Fence => self.wish(Wish::Fence(Purpose::Stream)),
            RelayWord::Acked { session, applied, is_first } => {
                self.acknowledged(session, applied, is_first);
            }
            RelayWord::Closed => self.happens(shutdown::Event::ReplicasClosed),
            RelayWord::View(view) => self.replicating.view = *view,
            RelayWord::Promote { from, at } => self.take_over(&from, at),
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

    /// Counts what the relay, and a child that sends all keys, have exchanged with other servers
    /// since the last call.
    pub fn note_traffic(&mut self) {
        let shown = self.mailbox.board(self.mailbox.relay()).traffic.get();
        let new = shown.since(std::mem::replace(&mut self.traffic, shown));
        let of_child = self.saving.sync.as_mut().map_or(0, SyncChild::take_sent);
        let to_replicas = new.to_replicas + of_child;
        let counters = &mut self.counters;
        counters.bytes_in += new.from_primary + new.from_replicas;
        counters.bytes_out += new.to_primary + to_replicas;
        counters.repl_bytes_in += new.from_primary;
        counters.repl_bytes_out += to_replicas;
        counters.reads += new.reads;
        counters.writes += new.writes;
    }

    /// What is due some times a second.
    pub(crate) fn tick_replicas(&mut self) {
        self.count_good_replicas();
        let now = self.node.now;
        if let Some(sync) = &self.saving.sync {
            let (written, keys) = (sync.bytes, sync.forked.progress.keys);
            // A product of two figures of 64 bits has 128.
            let all = u128::from(written) * u128::from(self.saving.keys_total);
            let expected = all.checked_div(keys.into()).unwrap_or(0);
            let expected = u64::try_from(expected).unwrap_or(u64::MAX);
            let progress = session::Progress { written, expected };
            self.mailbox.tell_relay(ToRelay::Sync(SyncWord::Progress(progress)));
        }
        let period = u64::from(self.node.config.repl_ping_replica_period) * 1000;
        // Who takes over, or goes on when this process has ended and begun again, is to be where
        // the stream ends: it stands still meanwhile.
        let stands = self.node.condition.role == Role::Replica
            || self.handing_over.machine.is_under_way()
            || self.hold.is_some()
            || self.end.shutdown.is_under_way();
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

    /// Asks for the descriptors of those who wait for a snapshot of one form, if it is time.
    fn begin_sync(&mut self) {
        let delay = u64::from(self.node.config.repl_diskless_sync_delay) * 1000;
        let delay_of = |terms: &Terms| match terms.framing {
            Framing::Chunks => delay.min(CHUNKS_DELAY_MILLIS),
            Framing::Eof | Framing::Length => delay,
        };
        let now = self.node.now;
        let is_busy = self.has_child_or_wish();
        let Replicating { waiting, is_lending, .. } = &mut self.replicating;
        let is_due = |waits: &&Waits| delay_of(&waits.terms) <= now.millis_since(waits.since);
        let Some(first) = waiting.iter().find(is_due) else { return };
        if *is_lending || is_busy {
            return;
        }
        let form = |Waits { terms, takes_logs, .. }: &Waits| {
            (terms.rdb, terms.framing, terms.filter, *takes_logs)
        };
        let first = form(first);
        let like_first = waiting.extract_if(.., |one| form(one) == first);
        let sessions = like_first.map(|waits| waits.session).collect();
        *is_lending = true;
        self.mailbox.tell_relay(ToRelay::Sync(SyncWord::Lend(sessions)));
    }

    /// Makes the child that sends all keys to these; all shards are claimed.
    pub(crate) fn sync(&mut self, waiting: Vec<Waiting>) {
        self.replicating.is_lending = false;
        let Some(Waiting { terms, takes_logs, .. }) = waiting.first() else { return };
        let (terms, takes_logs) = (*terms, *takes_logs);
        let sessions: Vec<SessionId> = waiting.iter().map(|waiting| waiting.session).collect();
        let target = |waiting: Waiting| Target {
            id: waiting.session.0,
            sockets: waiting.sockets,
            asked: match waiting.terms.asked {
                Asked::Sync => sending::Asked::Sync,
                Asked::Psync => sending::Asked::Psync,
            },
        };
        let targets = waiting.into_iter().map(target).collect();
        let mut cut = None;
        let is_part = self.replicating.logs || self.standing.held().is_some();
        let began = if self.node.condition.role == Role::Replica && !is_part {
            Err("Can't sync: there is no data of the primary".to_owned())
        } else {
            self.fork_sync(targets, |control, shards| {
                let made = control.cut(shards);
                let point = if takes_logs { made.point.clone() } else { made.in_stream() };
                let plan = control.plan_sync(terms, &point);
                cut = Some((point.position, made));
                plan
            })
        };
        match (began, cut) {
            (
                Ok(()),
                Some((Position { id: replid, offset: cut, .. }, Cut { whose, fence, .. })),
            ) => {
                let (fence, logs) = (fence.map(Box::new), self.own_logs());
                let word = SyncWord::Began { sessions, replid, cut, whose, fence, logs };
                self.mailbox.tell_relay(ToRelay::Sync(word));
                self.tell_of_open_slots();
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

    fn plan_sync(&self, terms: Terms, point: &Point) -> SyncPlan {
        let patience_millis = u64::from(self.node.config.repl_progress_timeout) * 1000;
        let terms = sending::Terms {
            versions: match terms.rdb {
                RdbForm::Exactly(version) => Versions::Only(version),
                RdbForm::Lowest => Versions::Lowest,
            },
            form: match terms.framing {
                Framing::Eof => Form::Marked(mark()),
                Framing::Length => Form::Measured,
                Framing::Chunks => Form::Chunked,
            },
            scope: match terms.filter {
                Filter::All => Scope::All,
                Filter::Functions | Filter::Nothing => Scope::Functions,
            },
            patience_millis,
        };
        let functions = self.saving.functions.clone();
        SyncPlan::new(&self.node.config, functions, terms, origin_of(point))
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

/// What stands behind a snapshot whose length is not known before.
fn mark() -> [u8; MARK_BYTES] {
    let name = system::random_name();
    name.as_bytes().try_into().expect("a name has forty digits")
}
