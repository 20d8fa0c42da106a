//! What the threads of a node tell each other. Queues keep their order, and take their time.

use std::collections::VecDeque;

use keylane::batches::batch::{Applies, Batch, BatchNumber};
use keylane::flows::following::{News, Word};
use keylane::replication::acks::Ticket as FenceTicket;
use keylane::replication::address::Address;
use keylane::replication::failover;
use keylane::replication::greeting::{Greeting, Terms};
use keylane::replication::history::{Fence, Offset, Scalar};
use keylane::replication::link::events::{By, Generation, Position};
use keylane::replication::merge::Segment;
use keylane::replication::psync::{Former, Request};
use keylane::replication::replid::ReplId;
use keylane::replication::session::{Progress, SessionId};
use keylane::transactions::apart::Logged;
use keylane::transactions::locks::{Mode, Ticket};
use shards::journal::entry::Note;

use crate::agenda::{Env, Event, Micros, Run};
use crate::checks::SnapshotId;
use crate::keyspace::{Change, DeedId};
use crate::network::ConnId;

/// What a node is to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Primary,
    Replica,
}

/// Something that claims keys of shards, one shard after the other, and is done when it has all.
#[derive(Debug)]
pub struct Job {
    pub what: What,
    pub mode: Mode,
    /// Shards, and the keys on each; none are all.
    pub visits: Vec<(usize, Vec<usize>)>,
    pub tickets: Vec<Ticket>,
}

/// What a job is for.
#[derive(Debug)]
pub enum What {
    Write(Write),
    /// A client looks at keys.
    Read(Vec<usize>),
    Barrier,
    /// The next request of a batch of a primary's stream or log.
    Apply(Box<Applying>),
}

/// A client changes keys.
#[derive(Debug)]
pub struct Write {
    pub home: usize,
    pub deed: DeedId,
    pub changes: Vec<Change>,
    /// What a shard is to do is done when it is visited.
    pub is_early: bool,
    /// Its client sends WAIT behind it.
    pub waits: bool,
    /// Its client sent it at this moment.
    pub begun: u64,
}

/// A batch that is being applied: what is left of it.
#[derive(Debug)]
pub struct Applying {
    /// The shard that has it.
    pub shard: usize,
    pub applies: Applies,
    pub requests: VecDeque<Vec<Change>>,
}

/// The end of claims on a shard.
#[derive(Debug)]
pub struct Release {
    pub ticket: Ticket,
    pub logged: Option<Logged>,
    pub txid: u64,
    /// What that does to the keys of the shard.
    pub changes: Vec<Change>,
    pub deed: Option<DeedId>,
    pub begun: u64,
}

/// A connection that asks for a stream.
#[derive(Debug)]
pub struct Arrival {
    pub conn: ConnId,
    pub unread: Vec<u8>,
    pub greeting: Greeting,
    pub request: Request,
    pub logs: Option<LogsOf>,
}

/// A connection that asks for a log.
#[derive(Debug)]
pub struct FlowArrival {
    pub conn: ConnId,
    pub unread: Vec<u8>,
    pub name: ReplId,
    pub flow: u16,
    pub offset: u64,
}

/// A connection that asks for a part of a snapshot.
#[derive(Debug)]
pub struct SnapshotArrival {
    pub conn: ConnId,
    pub unread: Vec<u8>,
    pub name: ReplId,
    pub connection: u16,
}

/// Connections of a session, for the child that writes a snapshot.
#[derive(Debug)]
pub struct Lent {
    pub session: SessionId,
    pub conns: Vec<ConnId>,
    /// They are there for that alone.
    pub is_by_chunks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsOf {
    pub replid: ReplId,
    pub base: Scalar,
}

/// A history of this node's own that begins, or goes on under another name.
#[derive(Clone, Debug)]
pub struct Beginning {
    pub replid: ReplId,
    pub former: Option<Former>,
    pub fence: Fence,
    pub base: Scalar,
}

/// A snapshot that is about to be sent to sessions.
#[derive(Debug)]
pub struct Began {
    pub sessions: Vec<SessionId>,
    pub replid: ReplId,
    pub cut: Scalar,
    pub fence: Option<Fence>,
    pub base: Scalar,
}

/// A log that a shard is to apply.
#[derive(Debug)]
pub struct Follow {
    pub generation: Generation,
    pub flow: u16,
    pub offset: Offset,
    /// It is only stored for now.
    pub stores: bool,
    pub conn: ConnId,
    pub unread: Vec<u8>,
}

/// What control tells the relay of the primary.
#[derive(Debug)]
pub enum UpstreamWord {
    Follow { primary: Address, by: By, position: Option<Position> },
    AskPlainly,
    Unfollow(By),
    Forget,
    Committed(Generation),
    Emptied(bool),
    LogsEnded,
    Hold,
    GoOn,
}

/// What the relay tells control of the primary.
#[derive(Debug)]
pub enum LinkWord {
    Commit(Generation),
    Empty,
    Resumed,
    Held(Option<Position>),
    Ended,
    Handover(failover::News),
    View(LinkView),
}

/// The link as control knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkView {
    pub is_up: bool,
    pub position: Option<Position>,
    pub takes_logs: bool,
    pub applied: Scalar,
}

/// A session as control knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    pub session: SessionId,
    pub address: Address,
    pub is_online: bool,
}

#[derive(Debug)]
pub enum Letter {
    // To shards.
    Visit(Box<Job>),
    Commit(Vec<(usize, Release)>),
    Release(Box<Release>),
    OpenLog(u64, Offset),
    Credit(u64),
    Note(Note),
    CloseLog,
    OpenFlow(SessionId, Offset),
    ConnectFlow(SessionId, ConnId),
    CloseFlow(SessionId),
    Follow(Box<Follow>),
    Word(Word),
    /// Read this log again.
    ReadLog(ConnId),
    Apply(Box<Batch>),
    BeginStaging,
    Stage(Generation, SnapshotId),
    DropStaging,
    Role(Role),
    HoldWrites(u64),
    EndHold,
    // To the relay.
    Segment(u64, Segment),
    Fell(u64),
    Fence(ReplId, Fence),
    Renamed(ReplId),
    Begin(Box<Beginning>),
    Forget,
    Arrived(Box<Arrival>),
    FlowArrived(FlowArrival),
    SnapshotArrived(SnapshotArrival),
    Lend(Vec<SessionId>),
    Began(Box<Began>),
    Progress(Progress),
    ChildEnded(SessionId, Result<(), String>),
    Flushed(SessionId),
    Upstream(UpstreamWord),
    Applied(BatchNumber),
    Staged(Generation),
    FlowOpened(SessionId, bool),
    FlowFell(SessionId),
    FlowLost(SessionId),
    Following(News),
    // To control.
    Stands(Box<Job>),
    Came(Box<Arrival>),
    FlowCame(FlowArrival),
    SnapshotCame(SnapshotArrival),
    AwaitsSnapshot(SessionId, Terms),
    Lent(Vec<Lent>),
    Gone(SessionId),
    WantsFence,
    Acked(SessionId, Scalar, bool),
    Sessions(Vec<SessionView>),
    Promote(Option<Scalar>),
    Link(LinkWord),
    WritesRest(u64),
    Wait(DeedId),
    HasFlushed,
}

/// What a fence is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Stream,
    Acks(FenceTicket),
    Failover(u64),
}

/// The queues between the threads of one node: its shards, its relay and its control.
#[derive(Debug)]
pub struct Post {
    run: Run,
    threads: usize,
    /// From each to each.
    queues: Vec<VecDeque<Letter>>,
    /// When the last letter of each queue comes.
    last: Vec<Micros>,
    /// Threads that are slow now and then.
    slow: Vec<bool>,
}

impl Post {
    pub fn new(run: Run, shards: usize, env: &mut Env) -> Self {
        let threads = shards + 2;
        let queues = (0..threads * threads).map(|_| VecDeque::new()).collect();
        let slow = (0..threads * threads).map(|_| env.chance(150)).collect();
        Self { run, threads, queues, last: vec![0; threads * threads], slow }
    }

    pub fn send(&mut self, env: &mut Env, from: usize, to: usize, letter: Letter) {
        let path = from * self.threads + to;
        let most = if self.slow[path] && env.chance(100) { 400_000 } else { 40 };
        let due = (env.agenda.now + 1 + env.random.below(most)).max(self.last[path]);
        self.last[path] = due;
        self.queues[path].push_back(letter);
        env.agenda.add_at(due, Event::Mail(self.run, from, to));
    }

    /// The next letter on a way; `None` if it was taken before its time.
    pub fn take(&mut self, from: usize, to: usize) -> Option<Letter> {
        self.queues[from * self.threads + to].pop_front()
    }

    /// From now on no way is slow.
    pub fn heal(&mut self) {
        self.slow.fill(false);
    }
}
