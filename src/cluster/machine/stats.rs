//! What a node counts of its cluster.

use std::collections::BTreeMap;

use crate::cluster::frame::Kind;

/// The counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that were sent.
    pub sent: BTreeMap<Kind, u64>,
    /// Frames that came.
    pub received: BTreeMap<Kind, u64>,
    /// Frames whose sender did not know that it had lost its role.
    pub stale_frames: u64,
    /// Links that were closed since too much waited to be sent.
    pub limits_exceeded: u64,
    /// Nodes that became PFAIL since they were silent.
    pub suspected_by_timeout: u64,
    /// Nodes that became PFAIL since no process listens.
    pub suspected_by_refusal: u64,
    /// Nodes that became FAIL since another node said so.
    pub failed_by_report: u64,
    /// Nodes that were PFAIL or FAIL and no longer are.
    pub recanted: u64,
    /// Elections that this node has won.
    pub elections_won: u64,
    /// Elections that took too long.
    pub elections_expired: u64,
    /// Elections that another claim or request ended.
    pub elections_reset: u64,
    /// Votes that it has given.
    pub votes_granted: u64,
    /// Votes that it has denied.
    pub votes_denied: u64,
}
