//! Letters to the relay.

use std::sync::Arc;

use crate::config::table::Config;
use crate::mail::flows::FlowNews;
use crate::mail::replica::{Arrived, Beginning, SyncWord};
use crate::mail::upstream::{Applied, Staged, UpstreamWord};
use crate::replication::greeting::member::Identity;
use crate::replication::history::{Fence, Scalar};
use crate::replication::merge::{Reading, Segment};
use crate::replication::replid::ReplId;
use crate::replication::session::SessionId;
use crate::replication::session::ended::Cut;

/// A letter to the relay, from a shard or from control.
#[derive(Debug)]
pub enum ToRelay {
    /// What a shard shows of its log. What was shown for a stream before means nothing.
    Segment(Reading, Box<Segment>),
    /// A shard's log has no more what the relay was not shown yet of this.
    Fell(Reading, u16),
    /// A connection has asked for the stream.
    Arrived(Arrived),
    /// A fence was written: the stream of this name can begin there.
    Fence(ReplId, Box<Fence>),
    /// The stream is over: logs are kept no more.
    Forget,
    /// The stream has another name from now on, and goes on from none.
    Renamed(ReplId),
    /// This node writes from here on, in a history of its own. What a primary has brought, if
    /// anything, goes on as its stream.
    Begin(Box<Beginning>),
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
    /// About logs that go to replicas, or come from the primary, each by a connection of its own.
    Flow(FlowNews),
    /// Which node this is.
    Introduce(Identity),
    /// These sessions are to end, for this reason.
    Kill(Vec<SessionId>, Cut),
    /// The process ends: the log is to tell of each replica that lacks what is in front of this
    /// place, and all sessions end.
    End(Scalar),
}
