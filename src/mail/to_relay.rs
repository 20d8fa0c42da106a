//! Letters to the relay.

use std::sync::Arc;

use crate::config::table::Config;
use crate::mail::replica::{Arrival, SessionId, SyncWord};
use crate::mail::upstream::{Applied, Staged, UpstreamWord};
use crate::replication::history::{Fence, Scalar};
use crate::replication::merge::Segment;
use crate::replication::replid::ReplId;

/// A letter to the relay, from a shard or from control.
#[derive(Debug)]
pub enum ToRelay {
    /// What a shard shows of its log.
    Segment(Box<Segment>),
    /// A shard's log has no more what the relay was not shown yet.
    Fell(u16),
    /// A connection has asked for the stream.
    Arrived(Box<Arrival>),
    /// A fence was written: the stream of this name can begin there.
    Fence(ReplId, Box<Fence>),
    /// The stream is over: logs are kept no more.
    Forget,
    /// The stream has another name from now on.
    Renamed(ReplId),
    /// About snapshots for replicas.
    Sync(SyncWord),
    /// The configuration in force from now on.
    Configure(Arc<Config>),
    /// About the primary that this node follows.
    Upstream(UpstreamWord),
    /// A shard has run a batch of the primary's stream.
    Applied(Applied),
    /// A shard has taken in keys of the primary's snapshot.
    Staged(Staged),
    /// CLIENT KILL has met these sessions.
    Kill(Vec<SessionId>),
    /// The process ends: the log is to tell of each replica that lacks what is in front of this
    /// place, and all sessions end.
    End(Scalar),
}
