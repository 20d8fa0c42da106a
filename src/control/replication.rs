//! What INFO and ROLE show of this node's replication.

use crate::control::core::Control;
use crate::replication::view::ReplicationView;

/// What Valkey's backlog has at its defaults.
const BACKLOG_BYTES: u64 = 10 << 20;

impl Control {
    /// Its replication as it is now: it follows no primary, and serves no replica.
    pub fn replication(&self) -> ReplicationView {
        ReplicationView::of_primary(self.replid.clone(), BACKLOG_BYTES)
    }
}
