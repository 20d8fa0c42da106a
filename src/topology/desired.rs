//! What this node is to be: the last topology that it was told, its version, and which of the nodes
//! it is.

use shards::base::crc64::crc64;
use shards::resp::error::Error;

use crate::cluster::ids::NodeId;
use crate::cluster::machine::imposed::{Imposed, Member, Role};
use crate::cluster::slot_set::SlotSet;
use crate::config::primary::Primary;
use crate::topology::text;

/// The version is negative, below the one in force, or for SETSLOT not the next one.
pub const VERSION: Error = Error::Text("ERR Invalid cluster version");
/// The version is the one in force, and the nodes are others.
pub const CONTENT: Error = Error::Text(
    "ERR Invalid cluster version: this version is in force with other nodes, see topology_hash. \
     Raise the version, or FORCE",
);
/// SETSLOT names a node that is not there.
pub const NO_NODE: Error = Error::Text("ERR No this node in the cluster");
/// SETSLOT names a replica.
pub const NO_PRIMARY: Error = Error::Text("ERR The node isn't a master");

/// The version before there is a topology.
pub const UNSET: i64 = -1;

/// The desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Which node this is, if it was told or has found out.
    pub id: Option<NodeId>,
    version: i64,
    hash: u64,
    /// In the order of their ids.
    members: Vec<Member>,
}

impl Default for Desired {
    fn default() -> Self {
        Self { id: None, version: UNSET, hash: 0, members: Vec::new() }
    }
}

/// What CLUSTERX asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// SETNODES
    Nodes {
        /// The nodes, a line each.
        text: Vec<u8>,
        /// The version that they are.
        version: i64,
        /// Whether the version in force matters.
        force: Force,
    },
    /// SETSLOT
    Slots {
        /// These slots get another owner,
        slots: SlotSet,
        /// this one,
        owner: NodeId,
        /// and that is this version.
        version: i64,
    },
    /// SETNODEID
    Name(NodeId),
}

/// Whether a topology is to be taken whatever its version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// It must be newer.
    No,
    /// It is taken.
    Yes,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Another topology is desired.
    Changed,
    /// It is the one that was desired already.
    Same,
}

/// Where this node can be reached, by which it finds itself in a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The addresses and names.
    pub hosts: Vec<String>,
    /// The port for clients.
    pub port: u16,
}

/// What replication of this node is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// There is no topology: whatever it is.
    Unset,
    /// A primary.
    Lead,
    /// No replica of any node: this node is not in the topology. Its keys stay.
    Leave,
    /// A replica of the node there.
    Follow(Primary),
    /// A replica of a node that is not in the topology.
    Lost(NodeId),
}

/// Which version rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Negative,
    Forced,
    Older,
    Same,
    Diverged,
    Newer,
}

fn rule(version: i64, force: Force, now: i64, is_same: bool) -> Rule {
    match (version, force) {
        (..0, _) => Rule::Negative,
        (_, Force::Yes) if version == now && is_same => Rule::Same,
        (_, Force::Yes) => Rule::Forced,
        (_, Force::No) if version < now => Rule::Older,
        (_, Force::No) if now < version => Rule::Newer,
        (_, Force::No) if is_same => Rule::Same,
        (_, Force::No) => Rule::Diverged,
    }
}

impl Desired {
    /// What a file has said; members in the order of their ids.
    pub fn of(id: Option<NodeId>, version: i64, members: Vec<Member>) -> Self {
        let mut desired = Self { id, version, hash: 0, members };
        desired.hash = desired.content();
        desired
    }

    /// Takes a change, or nothing of it.
    ///
    /// # Errors
    /// If the text, the version or the owner make no sense.
    pub fn take(&mut self, change: &Change, own: &Own) -> Result<Outcome, Error> {
        match change {
            Change::Nodes { text, version, force } => self.set_nodes(text, *version, *force, own),
            Change::Slots { slots, owner, version } => self.set_slots(slots, *owner, *version),
            Change::Name(id) if self.id == Some(*id) => Ok(Outcome::Same),
            Change::Name(id) => {
                self.id = Some(*id);
                Ok(Outcome::Changed)
            }
        }
    }

    fn set_nodes(
        &mut self,
        text: &[u8],
        version: i64,
        force: Force,
        own: &Own,
    ) -> Result<Outcome, Error> {
        if let Rule::Negative | Rule::Older = rule(version, force, self.version, false) {
            return Err(VERSION);
        }
        let next = Self::of(self.id, version, text::parse(text)?);
        let is_same = next.hash == self.hash;
        match rule(version, force, self.version, is_same) {
            Rule::Negative | Rule::Older => return Err(VERSION),
            Rule::Diverged => return Err(CONTENT),
            Rule::Same => return Ok(Outcome::Same),
            Rule::Forced | Rule::Newer => {}
        }
        let id = match (self.id, force) {
            (Some(id), Force::No) => Some(id),
            (known, _) => next.find_own(own).or(known),
        };
        *self = Self { id, ..next };
        Ok(Outcome::Changed)
    }

    /// One step from the version in force: it says nothing of what it builds on.
    fn set_slots(
        &mut self,
        slots: &SlotSet,
        owner: NodeId,
        version: i64,
    ) -> Result<Outcome, Error> {
        if version <= 0 || Some(version) != self.version.checked_add(1) {
            return Err(VERSION);
        }
        match self.find(owner).ok_or(NO_NODE)?.role {
            Role::Primary(_) => {}
            Role::Replica { .. } => return Err(NO_PRIMARY),
        }
        for Member { id, role, .. } in &mut self.members {
            let Role::Primary(owned) = role else { continue };
            if *id == owner {
                slots.iter().for_each(|slot| owned.insert(slot));
            } else {
                *owned = owned.without(slots);
            }
        }
        (self.version, self.hash) = (version, self.content());
        Ok(Outcome::Changed)
    }

    /// Forgets all: CLUSTER RESET.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The version; [`UNSET`] before there is one.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// Whether there is a topology.
    pub const fn is_set(&self) -> bool {
        0 <= self.version
    }

    /// A checksum of the content, the same on all nodes that have the same content. 0 before there
    /// is a topology.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// All nodes, in the order of their ids.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// This node as the topology has it; `None` if it is not in it.
    pub fn me(&self) -> Option<&Member> {
        self.find(self.id?)
    }

    /// The node with this id; `None` if there is none.
    pub fn find(&self, id: NodeId) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        Some(&self.members[at])
    }

    /// What replication of this node is to be.
    pub fn goal(&self) -> Goal {
        match self.me().map(|me| &me.role) {
            _ if !self.is_set() => Goal::Unset,
            None => Goal::Leave,
            Some(Role::Primary(_)) => Goal::Lead,
            Some(Role::Replica { of, .. }) => match self.find(*of) {
                Some(Member { host, port, .. }) => {
                    Goal::Follow(Primary { host: host.clone(), port: *port })
                }
                None => Goal::Lost(*of),
            },
        }
    }

    /// The table for the cluster's machine. A node that knows no id has this one.
    pub fn imposed(&self, unnamed: NodeId) -> Imposed {
        Imposed {
            me: self.id.unwrap_or(unnamed),
            version: u64::try_from(self.version).unwrap_or(0),
            members: self.members.clone(),
        }
    }

    /// The node of the topology that this one is, by its address.
    fn find_own(&self, own: &Own) -> Option<NodeId> {
        let is_own = |member: &&Member| member.port == own.port && own.hosts.contains(&member.host);
        self.members.iter().find(is_own).map(|member| member.id)
    }

    fn content(&self) -> u64 {
        let add = |sum, member: &Member| crc64(crc64(sum, text::line(member).as_bytes()), b"\n");
        self.members.iter().fold(0, add)
    }
}

#[cfg(test)]
mod tests;
