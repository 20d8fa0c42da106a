//! Whether a replica that is attached, or wants to be, is this node's by the topology.

use crate::cluster::ids::NodeId;
use crate::cluster::machine::imposed::{Member, Role};
use crate::topology::desired::Desired;

/// What a replica has told of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its id and the version of its topology, if it is a Keylane that is told its topology.
    pub told: Option<(NodeId, i64)>,
    /// Where it can be reached.
    pub host: String,
    /// Where it listens for clients.
    pub port: u16,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A replica of this node, or there is no topology to judge by.
    Member,
    /// None, as far as this node can know: it has not told which node it is, or it may know a newer
    /// topology.
    Tolerated,
    /// None.
    Stranger,
}

/// What a peer is by the topology of this node.
pub fn judge(desired: &Desired, peer: &Peer) -> Verdict {
    if !desired.is_set() {
        return Verdict::Member;
    }
    let is_mine = |member: &Member| match member.role {
        Role::Replica { of, .. } => Some(of) == desired.id,
        Role::Primary(_) => false,
    };
    match peer.told {
        Some((id, _)) if desired.find(id).is_some_and(is_mine) => Verdict::Member,
        Some((_, version)) if desired.version() < version => Verdict::Tolerated,
        Some(_) => Verdict::Stranger,
        None => {
            let is_there = |member: &&Member| member.host == peer.host && member.port == peer.port;
            let mut there = desired.members().iter().filter(is_there);
            if there.any(is_mine) { Verdict::Member } else { Verdict::Tolerated }
        }
    }
}

#[cfg(test)]
mod tests;
