//! What INFO and the metrics show of the topology: what is desired, and whether replication of this
//! node is so.

use crate::control::clustering::Clustering;
use crate::control::core::Control;
use crate::topology::reconciler::State;

/// What INFO and the metrics show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The version, which of one that nodes agree on is their epoch; -1 before there is one.
    pub version: i64,
    /// What tells its content from others: nodes that agree have the same.
    pub hash: String,
    /// Whether this node is in it.
    pub is_member: bool,
    /// Whether replication is as it says.
    pub state: State,
    /// Why the last attempt failed; empty if none has.
    pub last_error: String,
    /// Milliseconds for which replication has been otherwise.
    pub pending_ms: u64,
    /// Attached replicas that the topology does not give to this node.
    pub orphans: usize,
}

impl Shown {
    /// The fields of INFO.
    pub fn fields(&self) -> [(&'static str, String); 7] {
        [
            ("topology_version", self.version.to_string()),
            ("topology_hash", self.hash.clone()),
            ("in_topology", u8::from(self.is_member).to_string()),
            ("reconcile_state", self.state.name().to_owned()),
            ("reconcile_last_error", self.last_error.clone()),
            ("reconcile_pending_ms", self.pending_ms.to_string()),
            ("orphaned_links", self.orphans.to_string()),
        ]
    }
}

impl Control {
    /// What there is to show; `None` outside of cluster mode.
    pub fn topology(&self) -> Option<Shown> {
        self.clustering.as_deref().map(Clustering::shown)
    }
}
