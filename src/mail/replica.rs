//! What shards, control and the relay tell each other of replicas.

use std::os::fd::OwnedFd;

use shards::journal::entry::Note;

use crate::clients::leaving::{Known, Leaving};
use crate::replication::address::Address;
use crate::replication::greeting::{Greeting, Terms};
use crate::replication::history::{Fence, Scalar};
use crate::replication::psync::{Backlog, Request};
use crate::replication::replid::ReplId;
use crate::replication::session::shown::Standing;
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
}

impl Arrival {
    /// A client whose socket has left its shard, and what came in while it left.
    pub fn new(leaving: Leaving, socket: OwnedFd, came: &[u8]) -> Self {
        let Leaving { mut unread, greeting, request, known } = leaving;
        unread.extend_from_slice(came);
        Self { socket, unread, greeting, request, known }
    }
}

/// A number of a session, which no other has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A session that waits for a snapshot, and what it is sent on.
#[derive(Debug)]
pub struct Waiting {
    /// The session.
    pub session: SessionId,
    /// A descriptor of its connection, for the child that writes the snapshot.
    pub socket: OwnedFd,
    /// What the snapshot is to be like.
    pub terms: Terms,
}

/// What control tells the relay of snapshots.
#[derive(Debug)]
pub enum SyncWord {
    /// A child is about to be made that writes to these sessions.
    Lend(Vec<SessionId>),
    /// A child writes a snapshot to these sessions. Behind it the stream goes on at the fence.
    Began {
        /// The sessions.
        sessions: Vec<SessionId>,
        /// The name of the stream.
        replid: ReplId,
        /// Where the snapshot is in all logs.
        cut: Box<Fence>,
    },
    /// The child has written so many bytes to each session.
    Progress(u64),
    /// The snapshot of a session is complete, or why it is not.
    Ended(SessionId, Result<(), String>),
    /// The snapshot of a session was ended by FLUSHALL.
    Flushed(SessionId),
}

/// What the relay tells control.
#[derive(Debug)]
pub enum RelayWord {
    /// This session waits for a snapshot.
    Wait(SessionId, Terms),
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
    /// What it has to show.
    View(Box<RelayView>),
    /// The primary at this address hands over: this node is to become a primary.
    Promote(Address),
}

/// The relay as INFO and ROLE show it.
#[derive(Clone, Debug)]
pub struct RelayView {
    /// Its sessions.
    pub replicas: Vec<Replica>,
    /// The same sessions, as CLIENT LIST and the metrics show them.
    pub sessions: Vec<SessionView>,
    /// What is kept of the stream.
    pub backlog: Backlog,
    /// Requests that were answered by a full sync.
    pub syncs_full: u64,
    /// Requests that were answered by the rest of a stream.
    pub syncs_partial_ok: u64,
    /// Requests for the rest of a stream that is not there any more.
    pub syncs_partial_err: u64,
    /// Bytes of memory for what is kept.
    pub memory_bytes: u64,
}

/// A session, and the client that it was.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Its number.
    pub session: SessionId,
    /// Who it was as a client, and what it has done since.
    pub known: Known,
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
            backlog: Backlog::None,
            syncs_full: 0,
            syncs_partial_ok: 0,
            syncs_partial_err: 0,
            memory_bytes: 0,
        }
    }
}

/// What the relay and control tell a shard about its log.
#[derive(Clone, Copy, Debug)]
pub enum LogWord {
    /// Show the log from this offset on, so many bytes at first.
    Open(u64, u64),
    /// Show so many bytes more.
    Credit(u64),
    /// Write a word to replicas.
    Note(Note),
    /// Nothing is logged any more: what is kept of the log goes.
    Close,
}
