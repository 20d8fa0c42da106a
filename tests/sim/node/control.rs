//! Control of a node, as far as replication is concerned: roles, replicas, WAIT and FAILOVER. This
//! stands for `control::following`, `replicating`, `acknowledging` and `handing_over`; what
//! replicas acknowledge and what a failover does is decided by the real machines.

use std::collections::BTreeMap;

use keylane::replication::acks::{self, Acks, Count, Needs, Patience};
use keylane::replication::address::Address;
use keylane::replication::failover::request::Request;
use keylane::replication::failover::{self, Action, Candidate, Facts, Failover};
use keylane::replication::greeting::Terms;
use keylane::replication::history::{Fence, Scalar, Vector};
use keylane::replication::link::events::{By, Position};
use keylane::replication::psync::Former;
use keylane::replication::replid::ReplId;
use keylane::replication::session::SessionId;
use shards::journal::entry::Note;

use crate::agenda::{Env, Micros};
use crate::checks::Promise;
use crate::disk::Disk;
use crate::keyspace::DeedId;
use crate::node::Node;
use crate::node::child::Child;
use crate::node::letters::{
    Arrival, Letter, LinkView, LinkWord, LogsOf, Purpose, Role, SessionView, UpstreamWord,
};
use crate::node::standing::{Standing, Wish};

/// The shard whose log has what concerns no key.
pub const NOTES: usize = 0;
const TICK: Micros = 200_000;
const PING_MICROS: Micros = 3_000_000;

/// Control.
#[derive(Debug)]
pub struct Control {
    pub role: Role,
    /// Whom this node follows.
    pub primary: Option<Address>,
    pub replid: ReplId,
    pub former: Option<Former>,
    pub base: Scalar,
    /// Shards keep logs.
    pub keeps_logs: bool,
    /// Keys are gone for those of a snapshot that comes.
    pub is_emptied: bool,
    pub waiting: Vec<(SessionId, Terms, Micros)>,
    pub is_lending: bool,
    pub acks: Acks,
    waits: BTreeMap<acks::WaitId, DeedId>,
    /// Deeds that the fence which is asked for is to be behind.
    asked: Vec<DeedId>,
    next_wait: u64,
    last_ping: Micros,
    pub last_reader: Micros,
    pub is_stopping: bool,
    pub sessions: Vec<SessionView>,
    pub view: Option<LinkView>,
    pub next: Option<(Address, By)>,
    pub loaded: Option<Position>,
    pub ends_at: Option<Scalar>,
    pub keeps_history: bool,
    pub failover: Failover,
    hold: Option<(u64, Step)>,
    orders: u64,
    rested: usize,
    pub standing: Standing,
    pub child: Option<Child>,
    pub disk: Disk,
    /// The process has ended by itself.
    pub has_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Quieting,
    Quiet,
    Fencing,
}

impl Control {
    pub fn new(env: &mut Env) -> Self {
        Self {
            role: Role::Primary,
            primary: None,
            replid: env.name(),
            former: None,
            base: Scalar(0),
            keeps_logs: false,
            is_emptied: false,
            waiting: Vec::new(),
            is_lending: false,
            acks: Acks::default(),
            waits: BTreeMap::new(),
            asked: Vec::new(),
            next_wait: 0,
            last_ping: env.agenda.now,
            last_reader: env.agenda.now,
            is_stopping: false,
            sessions: Vec::new(),
            view: None,
            next: None,
            loaded: None,
            ends_at: None,
            keeps_history: false,
            failover: Failover::default(),
            hold: None,
            orders: 0,
            rested: 0,
            standing: Standing::default(),
            child: None,
            disk: Disk::default(),
            has_ended: false,
        }
    }
}

impl Node {
    /// Does what is due.
    pub fn turn_control(&mut self, env: &mut Env) {
        let now = env.moment();
        if self.control.acks.deadline().is_some_and(|deadline| deadline <= now) {
            self.acks_hear(env, acks::Event::Tick);
        }
        if self.control.failover.deadline().is_some_and(|deadline| deadline <= now) {
            self.failover_hears(env, failover::Event::Tick);
        }
        if let Some((order, step @ Step::Quiet)) = &mut self.control.hold
            && self.control.keeps_logs
            && self.control.role == Role::Primary
        {
            *step = Step::Fencing;
            let purpose = Purpose::Failover(*order);
            self.wish(env, Wish::Fence(purpose));
        }
        self.begin_sync(env);
        self.ping(env);
        self.stop_logs_if_due(env);
        self.control_at(env, env.agenda.now + TICK);
    }

    pub fn control_hears(&mut self, env: &mut Env, letter: Letter) {
        match letter {
            Letter::Stands(job) => self.barrier_stands(env, *job),
            Letter::Came(arrival) => self.came(env, arrival),
            Letter::FlowCame(arrival) => self.tell_relay(env, Letter::FlowArrived(arrival)),
            Letter::SnapshotCame(arrival) => {
                self.tell_relay(env, Letter::SnapshotArrived(arrival));
            }
            Letter::AwaitsSnapshot(session, terms) => {
                self.control.last_reader = env.agenda.now;
                self.control.waiting.push((session, terms, env.agenda.now));
            }
            Letter::Lent(lent) if lent.is_empty() => self.control.is_lending = false,
            Letter::Lent(lent) => self.wish(env, Wish::Sync(lent)),
            Letter::Gone(session) => {
                self.control.waiting.retain(|(other, ..)| *other != session);
                self.cut_target(env, session);
                self.acks_hear(env, acks::Event::Gone(acks::ReplicaId(session.0)));
                if let Some(address) = self.address_of(session) {
                    self.failover_hears(env, failover::Event::Gone(address));
                }
            }
            Letter::WantsFence => self.wish(env, Wish::Fence(Purpose::Stream)),
            Letter::Acked(session, applied, is_first) => {
                self.acknowledged(env, session, applied, is_first);
            }
            Letter::Sessions(views) => self.control.sessions = views,
            Letter::Promote(at) => self.take_over(env, at),
            Letter::Link(word) => self.hear_of_link(env, word),
            Letter::WritesRest(order) => self.writes_rest(order),
            Letter::Wait(deed) => self.await_acks(env, deed),
            Letter::HasFlushed => self.end_sync_by_flush(env),
            other => panic!("no letter to control: {other:?}"),
        }
    }

    fn came(&mut self, env: &mut Env, mut arrival: Box<Arrival>) {
        let Control { replid, base, keeps_logs, .. } = self.control;
        arrival.logs = keeps_logs.then_some(LogsOf { replid, base });
        self.tell_relay(env, Letter::Arrived(arrival));
    }

    fn ping(&mut self, env: &mut Env) {
        let control = &mut self.control;
        let stands = control.role == Role::Replica || control.failover.is_under_way();
        if control.keeps_logs
            && !stands
            && !control.sessions.is_empty()
            && PING_MICROS <= env.agenda.now - control.last_ping
        {
            control.last_ping = env.agenda.now;
            let from = self.control_thread();
            self.post.send(env, from, NOTES, Letter::Note(Note::Ping));
        }
    }

    /// The place that INFO shows.
    pub fn shown_offset(&self) -> Scalar {
        let control = &self.control;
        let is_own = control.keeps_logs || control.role == Role::Primary;
        let view = control.view.as_ref().filter(|_| !is_own);
        match view.filter(|view| view.position.is_some()) {
            Some(view) => view.applied,
            None => {
                let weights = self.shards.iter().map(|shard| shard.units.weight());
                control.base.after(weights.sum())
            }
        }
    }

    // --- whom this node follows

    /// REPLICAOF host port
    pub fn replicaof(&mut self, env: &mut Env, primary: Address) {
        let control = &self.control;
        if !control.failover.is_under_way() && control.primary.as_ref() != Some(&primary) {
            self.follow(env, primary, By::Replicaof);
            self.order(env, || Letter::Role(Role::Replica));
        }
    }

    /// REPLICAOF NO ONE
    pub fn no_one(&mut self, env: &mut Env) {
        if !self.control.failover.is_under_way() && self.control.primary.is_some() {
            self.unfollow(env, By::Replicaof);
        }
    }

    pub fn follow(&mut self, env: &mut Env, primary: Address, by: By) {
        env.tell(|| format!("node {} follows {primary}, by {by:?}", self.run.node));
        env.checks.expect_nothing_of(self.run.node);
        let control = &mut self.control;
        control.primary = Some(primary.clone());
        control.disk.primary = Some(primary.clone());
        (control.keeps_history, control.ends_at) = (false, None);
        control.role = Role::Replica;
        if control.keeps_logs {
            control.next = Some((primary, by));
            self.wish(env, Wish::Demote);
        } else {
            let position = control.loaded.take();
            let word = UpstreamWord::Follow { primary, by, position };
            self.tell_relay(env, Letter::Upstream(word));
        }
        self.end_hold_of_failover(env);
    }

    pub fn unfollow(&mut self, env: &mut Env, by: By) {
        env.tell(|| format!("node {} follows none, by {by:?}", self.run.node));
        let control = &mut self.control;
        (control.primary, control.disk.primary, control.next) = (None, None, None);
        self.tell_relay(env, Letter::Upstream(UpstreamWord::Unfollow(by)));
    }

    fn hear_of_link(&mut self, env: &mut Env, word: LinkWord) {
        match word {
            LinkWord::Commit(generation) => self.wish(env, Wish::Commit(generation)),
            LinkWord::Empty => self.wish(env, Wish::Empty),
            LinkWord::Ended => self.promote(env),
            LinkWord::Resumed if self.control.keeps_logs => self.wish(env, Wish::EndLogs),
            LinkWord::Resumed => {
                self.tell_relay(env, Letter::Upstream(UpstreamWord::LogsEnded));
            }
            LinkWord::Held(position) => self.stream_is_held(env, position),
            LinkWord::Handover(news) => {
                env.checks.counts.handovers += u64::from(news == failover::News::Accepted);
                self.failover_hears(env, failover::Event::Link(news));
            }
            LinkWord::View(view) => self.control.view = Some(view),
        }
    }

    // --- WAIT

    fn await_acks(&mut self, env: &mut Env, deed: DeedId) {
        let id = acks::WaitId(self.control.next_wait);
        self.control.next_wait += 1;
        self.control.waits.insert(id, deed);
        env.checks.counts.waits += 1;
        let needs = Needs::Applied(1 + env.random.below(2));
        let patience = Patience::Until(Some(env.moment().after(1 + env.random.below(3_000))));
        self.acks_hear(env, acks::Event::Wait(id, needs, patience));
    }

    fn acknowledged(&mut self, env: &mut Env, session: SessionId, applied: Scalar, first: bool) {
        let replica = acks::ReplicaId(session.0);
        if first {
            self.acks_hear(env, acks::Event::Joined(replica));
        }
        let position = acks::Position::Stock(applied);
        self.acks_hear(env, acks::Event::Acked(replica, position.clone(), None));
        if let Some(address) = self.address_of(session) {
            self.failover_hears(env, failover::Event::Acked(address, position));
        }
    }

    pub fn acks_hear(&mut self, env: &mut Env, event: acks::Event) {
        let mut todo = Vec::new();
        self.control.acks.handle(env.moment(), event, &mut todo);
        for action in todo {
            match action {
                acks::Action::AskFence(ticket) if self.control.keeps_logs => {
                    self.control.asked = self.control.waits.values().copied().collect();
                    self.wish(env, Wish::Fence(Purpose::Acks(ticket)));
                }
                acks::Action::AskFence(ticket) => {
                    let vector = Vector::start(self.routing.slots.shards());
                    let fence = Fence { scalar: Scalar(0), vector };
                    self.acks_hear(env, acks::Event::FenceWritten(ticket, fence));
                }
                acks::Action::Answer(id, count) => self.answer_wait(env, id, count),
            }
        }
    }

    fn answer_wait(&mut self, env: &mut Env, id: acks::WaitId, count: Count) {
        let deed = self.control.waits.remove(&id).expect("it is answered once");
        let Count::Applied(replicas) = count else { panic!("it was no WAITAOF") };
        let is_own = self.control.role == Role::Primary && self.control.keeps_logs;
        if replicas != 0 && is_own {
            env.checks.counts.promises += 1;
            let (node, run, replid) = (self.run.node, self.run.number, self.control.replid);
            env.checks.promises.push(Promise { node, run, replid, deed });
        }
    }

    /// A fence for WAIT was written: what its clients were answered for is in front of it.
    pub fn check_waits(&mut self, env: &mut Env) {
        for deed in std::mem::take(&mut self.control.asked) {
            let missing = env.checks.deed(deed).missing;
            assert_eq!(missing, 0, "a fence for WAIT stands before what its client did");
        }
    }

    // --- FAILOVER

    /// FAILOVER. False if it is refused.
    pub fn begin_failover(&mut self, env: &mut Env, request: &Request) -> bool {
        let candidate = |view: &SessionView| Candidate {
            address: view.address.clone(),
            is_online: view.is_online,
        };
        let replicas: Vec<Candidate> = self.control.sessions.iter().map(candidate).collect();
        let is_replica = self.control.primary.is_some();
        let (now, mut todo) = (env.moment(), Vec::new());
        let facts = Facts { is_replica, replicas: &replicas };
        let began = self.control.failover.start(now, request, facts, &mut todo);
        self.act_for_failover(env, todo);
        began.is_ok()
    }

    /// FAILOVER ABORT
    pub fn abort_failover(&mut self, env: &mut Env) {
        let mut todo = Vec::new();
        if self.control.failover.abort(&mut todo).is_ok() {
            self.act_for_failover(env, todo);
        }
    }

    fn failover_hears(&mut self, env: &mut Env, event: failover::Event) {
        let mut todo = Vec::new();
        self.control.failover.handle(env.moment(), event, &mut todo);
        self.act_for_failover(env, todo);
    }

    pub fn failover_fence_written(&mut self, env: &mut Env, order: u64, fence: Fence) {
        if self.control.hold.is_some_and(|(other, _)| other == order) {
            self.failover_hears(env, failover::Event::Fenced(fence));
        }
    }

    /// No write of one more shard is under way that this order holds back.
    fn writes_rest(&mut self, order: u64) {
        if let Some((other, step)) = &mut self.control.hold
            && *other == order
        {
            self.control.rested += 1;
            if self.control.rested == self.shards.len() {
                *step = Step::Quiet;
            }
        }
    }

    fn take_over(&mut self, env: &mut Env, at: Option<Scalar>) {
        if self.control.primary.is_some() {
            self.control.ends_at = at;
            self.unfollow(env, By::Failover);
        }
    }

    fn address_of(&self, session: SessionId) -> Option<Address> {
        let mut all = self.control.sessions.iter();
        all.find(|one| one.session == session).map(|one| one.address.clone())
    }

    fn act_for_failover(&mut self, env: &mut Env, todo: Vec<Action>) {
        for action in todo {
            match action {
                Action::Pause => {
                    self.control.orders += 1;
                    let order = self.control.orders;
                    (self.control.hold, self.control.rested) = (Some((order, Step::Quieting)), 0);
                    self.order(env, || Letter::HoldWrites(order));
                }
                Action::Unpause => self.let_writes_go(env),
                Action::Demote(target) => {
                    self.follow(env, target, By::Failover);
                    self.order(env, || Letter::Role(Role::Replica));
                }
                Action::Follow(_) => {
                    self.tell_relay(env, Letter::Upstream(UpstreamWord::AskPlainly));
                }
                Action::Restore => {
                    self.unfollow(env, By::Failover);
                    self.control.keeps_history = true;
                }
                Action::Log(_, line) => env.tell(|| format!("node {}: {line}", self.run.node)),
            }
        }
    }

    /// Lets writes go, unless another failover is under way.
    pub fn end_hold_of_failover(&mut self, env: &mut Env) {
        if !self.control.failover.is_under_way() {
            self.let_writes_go(env);
        }
    }

    fn let_writes_go(&mut self, env: &mut Env) {
        if self.control.hold.take().is_some() {
            self.order(env, || Letter::EndHold);
        }
    }
}
