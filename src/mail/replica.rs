//! What shards, control and the relay tell each other of replicas.

use std::os::fd::OwnedFd;

use shards::base::slot::Slot;
use shards::journal::entry::Note;

use crate::clients::leaving::{Errand, FlowRequest, Known, Leaving, SnapshotRequest};
use crate::cluster::machine::event::SetSlot;
use crate::replication::address::Address;
use crate::replication::greeting::member::Identity;
use crate::replication::greeting::{Greeting, Terms};
use crate::replication::history::{Fence, LogId, Scalar, Whose};
use crate::replication::merge::Reading;
use crate::replication::psync::{Backlog, Former, Request};
use crate::replication::replid::ReplId;
use crate::replication::resume;
use crate::replication::session::Progress;
use crate::replication::session::SessionId;
use crate::replication::session::ended::Counts;
use crate::replication::session::shown::Standing;
use crate::replication::session::sync::Shortage;
use crate::replication::view::Replica;

/// A replica, or a tool that takes itself for one, which has sent PSYNC or SYNC.
#[derive(Debug)]
pub struct Arrival {
    /// Its connection. No byte of an answer to the request was sent.
    pub socket: OwnedFd,
    /// What came behind the request.
    pub unread: Vec<u8>,
    /// What it has told by REPLCONF.
    pub greeting: Box<Greeting>,
    /// What it asks for.
    pub request: Request,
    /// Who it was as a client.
    pub known: Known,
    /// The logs that this node keeps, as control knows it; `None`: it keeps none.
    pub logs: Option<LogsOf>,
    /// Whether this node has started without its data, which replicas may have, as control knows
    /// it.
    pub lacks_data: bool,
    /// The history that this node's data are of, and where in it they are, as control knows it.
    pub at: Option<(ReplId, Scalar)>,
}

/// The logs of all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsOf {
    /// The name of their history.
    pub replid: ReplId,
    /// Where the stream was when they began: with what they weigh, where it is now.
    pub base: Scalar,
}

/// A further connection of a replica, for something that its session was told of.
#[derive(Debug)]
pub struct Further<R> {
    /// The connection. No byte of an answer to the request was sent.
    pub socket: OwnedFd,
    /// What came behind the request.
    pub unread: Vec<u8>,
    /// What it asks for.
    pub request: R,
}

/// A client that has left its shard.
#[derive(Debug)]
pub enum Arrived {
    /// For the stream.
    Stream(Box<Arrival>),
    /// For a log.
    Flow(Further<FlowRequest>),
    /// For a part of a snapshot.
    Snapshot(Further<SnapshotRequest>),
}

impl Arrived {
    /// A client whose socket has left its shard, and what came in while it left.
    pub fn new(leaving: Leaving, socket: OwnedFd, came: &[u8]) -> Self {
        let Leaving { mut unread, greeting, errand, known } = leaving;
        unread.extend_from_slice(came);
        match errand {
            Errand::Stream(request) => {
                let (logs, lacks_data, at) = (None, false, None);
                let arrival =
                    Arrival { socket, unread, greeting, request, known, logs, lacks_data, at };
                Self::Stream(Box::new(arrival))
            }
            Errand::Flow(request) => Self::Flow(Further { socket, unread, request }),
            Errand::Snapshot(request) => Self::Snapshot(Further { socket, unread, request }),
        }
    }
}

/// A session that waits for a snapshot, and what it is sent on.
#[derive(Debug)]
pub struct Waiting {
    /// The session.
    pub session: SessionId,
    /// Descriptors of its connection, or of those that chunks go by, for the child that writes the
    /// snapshot.
    pub sockets: Vec<OwnedFd>,
    /// What the snapshot is to be like.
    pub terms: Terms,
    /// Behind it come logs, each by a connection of its own.
    pub takes_logs: bool,
}

/// What control tells the relay of snapshots.
#[derive(Debug)]
pub enum SyncWord {
    /// A child is about to be made that writes to these sessions.
    Lend(Vec<SessionId>),
    /// A child writes a snapshot to these sessions. Behind it the stream goes on at the cut.
    Began {
        /// The sessions.
        sessions: Vec<SessionId>,
        /// The name of the stream.
        replid: ReplId,
        /// Where the snapshot is in it.
        cut: Scalar,
        /// Of which logs it is made.
        whose: Whose,
        /// The place in all of them, unless the stream is a primary's.
        fence: Option<Box<Fence>>,
        /// The logs that this node writes, if it does.
        logs: Option<LogsOf>,
    },
    /// The child gets on.
    Progress(Progress),
    /// The snapshot of a session is complete, or why it is not.
    Ended(SessionId, Result<(), String>),
    /// The snapshot of a session was ended by FLUSHALL.
    Flushed(SessionId),
}

/// What the relay tells control.
#[derive(Debug)]
pub enum RelayWord {
    /// A session waits for a snapshot.
    Wait {
        /// The session.
        session: SessionId,
        /// What the snapshot is to be like.
        terms: Terms,
        /// Behind it come logs, each by a connection of its own.
        takes_logs: bool,
    },
    /// What is lent of sessions that control has asked for, and that are still there.
    Lent(Vec<Waiting>),
    /// The replica of this session has applied the stream up to there.
    Acked {
        /// The session.
        session: SessionId,
        /// The place.
        applied: Scalar,
        /// It is the first that the session acknowledges.
        is_first: bool,
    },
    /// This session has ended.
    Gone(SessionId),
    /// What it waits for to begin a stream: a fence.
    Fence,
    /// All sessions have ended: the process ends.
    Closed,
    /// What it has to show.
    View(Box<RelayView>),
    /// The primary hands over: this node is to become a primary.
    Promote {
        /// Where the primary can be reached.
        from: Address,
        /// Where its own history has ended, if it has said so.
        at: Option<Scalar>,
    },
}

/// The relay as INFO and ROLE show it.
#[derive(Clone, Debug)]
pub struct RelayView {
    /// Its sessions.
    pub replicas: Vec<Replica>,
    /// The same sessions, as CLIENT LIST and the metrics show them.
    pub sessions: Vec<SessionView>,
    /// The name that the stream had before.
    pub former: Option<Former>,
    /// What is kept of the stream.
    pub backlog: Backlog,
    /// Requests that were answered by a full sync.
    pub syncs_full: u64,
    /// Requests that were answered by the rest of a stream.
    pub syncs_partial_ok: u64,
    /// Requests for the rest of a stream that is not there any more.
    pub syncs_partial_err: u64,
    /// Sessions that have ended, by reason.
    pub ended: Counts,
    /// Requests for a full sync that were refused, since those before it had failed.
    pub syncs_refused: u64,
    /// Replicas that get none for want of memory, and what their last one would have needed.
    pub refused: Vec<(Address, Shortage)>,
    /// Bytes of memory for what is kept.
    pub memory_bytes: u64,
}

/// A history of this node's own, that begins or goes on under another name.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The name of its stream.
    pub replid: ReplId,
    /// The stream that it goes on from.
    pub former: Option<Former>,
    /// The history that ended there.
    pub ended: Option<resume::Former>,
    /// Where its logs begin, or went on.
    pub fence: Fence,
    /// Where the stream was when they began.
    pub base: Scalar,
}

/// A session, and the client that it was.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Its number.
    pub session: SessionId,
    /// Who it was as a client, and what it has done since.
    pub known: Known,
    /// Which node it is, as far as it has told.
    pub identity: Identity,
    /// How far it is.
    pub standing: Standing,
    /// Bytes of the stream that wait for it.
    pub unsent_bytes: u64,
}

impl Default for RelayView {
    /// That of a relay which was not started.
    fn default() -> Self {
        Self {
            replicas: Vec::new(),
            sessions: Vec::new(),
            former: None,
            backlog: Backlog::None,
            syncs_full: 0,
            syncs_partial_ok: 0,
            syncs_partial_err: 0,
            ended: Counts::default(),
            syncs_refused: 0,
            refused: Vec::new(),
            memory_bytes: 0,
        }
    }
}

/// What the relay and control tell a shard about its log.
#[derive(Clone, Copy, Debug)]
pub enum LogWord {
    /// Show a log from this offset on, so many bytes at first, as what is read now.
    Open(Reading, LogId, u64, u64),
    /// Show so many bytes more of it.
    Credit(LogId, u64),
    /// Write a word to replicas.
    Note(Note),
    /// Write a SETSLOT for replicas.
    SetSlot(Slot, SetSlot),
    /// Nothing is logged any more: what is kept of the log goes.
    Close,
    /// Nothing is logged any more: what is kept of the log stays, as that of this history.
    Retire(ReplId),
}
