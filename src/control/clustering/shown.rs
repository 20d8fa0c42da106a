//! What INFO and the metrics show of the topology: what is desired, and whether replication of this
//! node is so.

use crate::cluster::nodes::Nodes;
use crate::control::clustering::is_of;
use crate::control::core::Control;
use crate::mail::replica::SessionView;
use crate::routing::node::Role;
use crate::topology::reconciler::State;

/// What INFO and the metrics show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The version, which of one that nodes agree on is their epoch; -1 before there is one.
    pub version: i64,
    /// What tells its content from others; empty if nodes agree on it.
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
        let clustering = self.clustering.as_deref()?;
        Some(match &clustering.external {
            Some(external) => external.shown(),
            None => self.gossiped(clustering.machine.nodes(), clustering.machine.current_epoch().0),
        })
    }

    /// The same of a topology that nodes agree on: the machine and the link have no reconciler
    /// between them.
    fn gossiped(&self, nodes: &Nodes, epoch: u64) -> Shown {
        let link = self.link();
        let is_up = link.as_ref().is_none_or(|link| link.status.is_up());
        let leads = link.is_some() || self.node.condition.role == Role::Primary;
        let error = link.as_ref().and_then(|link| link.last_error.clone());
        let state = match (is_up && leads, error.is_some()) {
            (true, _) => State::InSync,
            (false, true) => State::Failed,
            (false, false) => State::Pending,
        };
        let differs = state != State::InSync;
        let down = link.and_then(|link| link.down_seconds).filter(|_| differs);
        let is_orphan = |session: &&SessionView| {
            !nodes.replicas_of(nodes.myself()).any(|(_, node)| is_of(session, node))
        };
        Shown {
            version: i64::try_from(epoch).unwrap_or(i64::MAX),
            hash: String::new(),
            is_member: true,
            state,
            last_error: error.filter(|_| differs).unwrap_or_default(),
            pending_ms: down.unwrap_or(0).saturating_mul(1000),
            orphans: self.replicating.view.sessions.iter().filter(is_orphan).count(),
        }
    }
}
