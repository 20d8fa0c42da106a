//! A table of nodes that comes from outside (`cluster-topology external`). The node neither gossips
//! nor elects; it takes the table as a whole.

use std::net::IpAddr;

use crate::cluster::frame::header::{BUS_PORT_BEHIND, Ports};
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::Answer;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Health, Names, Node, Role as NodeRole};
use crate::cluster::slot_set::SlotSet;
use crate::config::choices::LogLevel;
use shards::resp::error::Error;

/// What CLUSTER answers that would change a topology from outside.
pub const EXTERNAL: Error =
    Error::Text("ERR The topology of this node comes from outside (cluster-topology external)");

/// A node of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its address or name.
    pub host: String,
    /// Where it listens for clients.
    pub port: u16,
    /// What it is.
    pub role: Role,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A primary of these slots.
    Primary(SlotSet),
    /// A replica.
    Replica {
        /// The node that it replicates, which may be a replica, too, or missing in the table.
        of: NodeId,
        /// Whether clients are not to read from it.
        is_failed: bool,
    },
}

/// The table, and which node of it this one is. A node that is not in it has no slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imposed {
    /// The id of this node.
    pub me: NodeId,
    /// The version of the table; all epochs are this number.
    pub version: u64,
    /// All nodes, in the order of their ids.
    pub members: Vec<Member>,
}

impl Machine {
    /// Takes the table in the place of the one that there is. No key is deleted: what a slot had
    /// here is there again if it comes back.
    pub(super) fn impose(&mut self, imposed: &Imposed) -> Result<Answer, Error> {
        let Imposed { me, version, members } = imposed;
        self.rename_myself(*me);
        let is_listed =
            |id: NodeId| id == *me || members.binary_search_by_key(&id, |member| member.id).is_ok();
        for key in self.nodes.keys() {
            self.nodes.disown_all(key);
            if !is_listed(self.nodes.at(key).id) {
                self.nodes.remove(key);
            }
        }
        self.nodes.is_imposed = true;
        self.nodes.migrating.clear();
        self.nodes.importing.clear();
        let myself = self.nodes.myself();
        self.nodes.at_mut(myself).role = NodeRole::Primary;
        let keys: Vec<Key> = members.iter().map(|member| self.place_member(member)).collect();
        for (key, member) in keys.iter().zip(members) {
            let role = match &member.role {
                Role::Primary(_) => NodeRole::Primary,
                Role::Replica { of, .. } => NodeRole::Replica(self.nodes.find(*of)),
            };
            self.nodes.at_mut(*key).role = role;
        }
        for (key, member) in keys.iter().zip(members) {
            if let Role::Primary(slots) = &member.role {
                self.nodes.own_unowned(slots, *key);
            }
        }
        self.current_epoch = Epoch(*version);
        for key in self.nodes.keys() {
            // All nodes of a shard name it alike without having talked.
            let root = self.nodes.at(self.nodes.root_of(key)).id;
            let node = self.nodes.at_mut(key);
            node.config_epoch = Epoch(*version);
            node.shard = Some(ShardId::of_primary(root));
        }
        let (count, id) = (members.len(), self.nodes.me().id);
        let text = if members.is_empty() {
            format!("Without a topology so far, I'm {id}")
        } else {
            format!("Topology version {version} of {count} nodes is in force, I'm {id}")
        };
        self.log(LogLevel::Notice, text);
        self.todo.owners_changed();
        Ok(Answer::Ok)
    }

    fn rename_myself(&mut self, id: NodeId) {
        let myself = self.nodes.myself();
        if let Some(other) = self.nodes.find(id).filter(|other| *other != myself) {
            self.nodes.remove(other);
        }
        self.nodes.rename(myself, id);
    }

    /// Adds a node, or notes anew what is said of it.
    fn place_member(&mut self, member: &Member) -> Key {
        let Member { id, host, port, role } = member;
        let now = self.now.at;
        let found = self.nodes.find(*id);
        let key = found
            .or_else(|| self.nodes.add(Node::new(*id, NodeRole::Unknown, now)))
            .expect("an id that is not found is new");
        let is_me = key == self.nodes.myself();
        let own = self.settings.names.clone();
        let node = self.nodes.at_mut(key);
        let ip: Option<IpAddr> = host.parse().ok();
        // Clients are told what the table says, also if that is a name.
        let told = if ip.is_none() { host.clone() } else { String::new() };
        let bus = port.saturating_add(BUS_PORT_BEHIND);
        node.ip = ip;
        node.ports = Ports { client: *port, other: 0, bus };
        let names = if is_me { own } else { Names::default() };
        let (client_port, client_tls_port) = (0, 0);
        node.names = Names {
            client_ipv4: told.clone(),
            client_ipv6: told,
            client_port,
            client_tls_port,
            ..names
        };
        let fails = matches!(role, Role::Replica { is_failed: true, .. }) && !is_me;
        node.health = if fails { Health::Failed(now) } else { Health::Fit };
        // Offsets of others are not known: they are not 0, which would hide a replica.
        node.offset = node.offset.max(1);
        key
    }
}

#[cfg(test)]
mod tests;
