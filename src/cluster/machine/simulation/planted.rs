//! What can be wrong with every node on purpose: each must be found. It is planted between machines
//! and their world, so the machine is the one that is built for servers.

use super::world::World;
use crate::cluster::frame::{Body, Packet};
use crate::cluster::ids::Epoch;
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::Durability;
use crate::cluster::machine::settings::Settings;
use crate::cluster::nodes::node::Role;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A vote leaves before it is on the disk.
    VoteWithoutFsync,
    /// A voter forgets that it has voted in an epoch.
    TwoVotes,
    /// A frame counts whose sender did not know the present when it wrote it.
    StaleFrame,
    /// A primary that no majority answers goes on writing.
    NoFence,
    /// A replica does not wait for those that have more data.
    NoRank,
}

impl Planted {
    /// The settings of a node.
    pub fn settings(self, settings: &Settings) -> Settings {
        match self {
            Self::NoFence => Settings { write_lease_ms: Some(0), ..settings.clone() },
            Self::VoteWithoutFsync | Self::TwoVotes | Self::StaleFrame | Self::NoRank => {
                settings.clone()
            }
        }
    }

    /// Whether a save counts as done before it is.
    fn is_hasty(self, machine: &Machine, disk: Epoch) -> bool {
        self == Self::VoteWithoutFsync && disk < machine.last_vote_epoch()
    }

    /// What a machine is given for a packet that has come.
    fn twist(self, machine: &mut Machine, mut packet: Packet) -> Packet {
        let Packet::Full(frame) = &mut packet else { return packet };
        let sender = machine.nodes().find(frame.header.sender);
        let Some(sender) = sender else { return packet };
        match self {
            Self::TwoVotes if frame.body == Body::AuthRequest => machine.last_vote_epoch = Epoch(0),
            Self::StaleFrame if frame.header.primary.is_some() => {
                let primary = frame.header.primary.and_then(|id| machine.nodes().find(id));
                let known = [Some(sender), primary].into_iter().flatten();
                let known = known.map(|key| machine.nodes().at(key).config_epoch).max();
                frame.header.config_epoch =
                    frame.header.config_epoch.max(known.unwrap_or_default());
            }
            Self::NoRank => {
                let (mine, theirs) = (machine.nodes().me().role, machine.nodes().at(sender).role);
                if mine == theirs && matches!(mine, Role::Replica(_)) {
                    frame.header.offset = 0;
                }
            }
            Self::TwoVotes | Self::StaleFrame | Self::VoteWithoutFsync | Self::NoFence => {}
        }
        packet
    }
}

impl World {
    /// Whether a save of a node counts as done before it is.
    pub fn is_saved_hastily(&self, node: usize, durability: Durability) -> bool {
        let Some(machine) = &self.nodes[node].machine else { return false };
        let disk = self.checks.vote_on_disk(node);
        let is_hasty = self.planted.is_some_and(|planted| planted.is_hasty(machine, disk));
        is_hasty && durability == Durability::Durable
    }

    /// A packet as a node is given it.
    pub fn twisted(&mut self, node: usize, packet: Packet) -> Packet {
        match (self.planted, &mut self.nodes[node].machine) {
            (Some(planted), Some(machine)) => planted.twist(machine, packet),
            _ => packet,
        }
    }
}
