//! What the relay and shards tell each other of flows: logs of a primary, each on a connection of
//! its own.

use std::os::fd::OwnedFd;

use crate::flows::following::{News, Word};
use crate::flows::kept::Which;
use crate::replication::history::{LogId, Offset};
use crate::replication::link::events::Generation;
use crate::replication::replid::ReplId;
use crate::replication::session::SessionId;

/// What a shard is told.
#[derive(Debug)]
pub enum FlowWord {
    /// Keep a log from here on for this replica: [`FlowNews::Opened`] answers.
    Open(SessionId, LogId, Offset),
    /// The replica's connection for it.
    Connect(Box<Connect>),
    /// The replica's session has ended.
    Close(SessionId),
    /// Keep a log of the primary from this offset on.
    Keep(Which, Offset),
    /// Apply a log of the primary, or store it.
    Follow(Box<Follow>),
    /// Keep logs of these histories, and drop others that are kept.
    Retain(Vec<ReplId>),
    /// About the logs of the primary that are applied.
    Following(Word),
}

/// The connection of a replica for a log.
#[derive(Debug)]
pub struct Connect {
    /// The replica's session.
    pub session: SessionId,
    /// The log.
    pub log: LogId,
    /// The connection.
    pub socket: OwnedFd,
}

/// A log of the primary that a shard is to apply.
#[derive(Debug)]
pub struct Follow {
    /// The attempt that it belongs to.
    pub generation: Generation,
    /// Its history.
    pub history: ReplId,
    /// The log.
    pub flow: u16,
    /// What comes first.
    pub offset: Offset,
    /// It is only stored for now: the snapshot is on its way from which it goes on.
    pub stores: bool,
    /// Its connection, on which the primary has agreed.
    pub socket: OwnedFd,
    /// What came behind that.
    pub unread: Vec<u8>,
}

/// What the relay is told.
#[derive(Debug)]
pub enum FlowNews {
    /// Whether a shard keeps its log for a replica.
    Opened(SessionId, bool),
    /// The log does not reach back any more to what a replica needs.
    Fell(SessionId),
    /// A replica's connection for a log has ended.
    Lost(SessionId),
    /// About the logs of the primary.
    Following(News),
}
