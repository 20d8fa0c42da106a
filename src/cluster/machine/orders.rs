//! What a primary tells its replicas by its stream, besides commands on keys: SETSLOT, which it
//! does itself when they have it, and who takes over when it ends.

use shards::base::number::parse_u64;
use shards::base::slot::Slot;

use crate::cluster::ids::{Epoch, NodeId};
use crate::cluster::machine::Machine;
use crate::cluster::machine::event::SetSlot;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Node, Role};
use crate::cluster::slot_set::SlotSet;
use crate::config::choices::LogLevel;

/// What a primary tells its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// CLUSTER SETSLOT
    SetSlot(Slot, SetSlot),
    /// CLUSTER FAILOVER FORCE REPLICAID: this one takes over.
    HandOver(NodeId),
}

/// A slot that this node's primary has got by SETSLOT. That one tells others of it a moment later,
/// and the former owner hears of it later still.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) struct Given {
    /// The former owner.
    from: NodeId,
    /// Its config epoch then.
    epoch: Epoch,
    at: Moment,
}

impl Order {
    /// What the words of a command say, as a primary writes it. `None`: nothing that a replica
    /// knows.
    pub fn parse<W: AsRef<[u8]>>(words: &[W]) -> Option<Self> {
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match words.as_slice() {
            [_, name, slot, rest @ ..] if is(name, "setslot") => {
                let number = u16::try_from(parse_u64(slot)?).ok()?;
                let slot = Slot::new(number)?;
                let request = match rest {
                    [action, id, ..] if is(action, "migrating") => {
                        SetSlot::Migrating(NodeId::parse(id)?)
                    }
                    [action, id, ..] if is(action, "importing") => {
                        SetSlot::Importing(NodeId::parse(id)?)
                    }
                    // The primary has looked at its keys.
                    [action, id, ..] if is(action, "node") => {
                        SetSlot::Node { owner: NodeId::parse(id)?, keys: 0 }
                    }
                    [action, ..] if is(action, "stable") => SetSlot::Stable,
                    _ => return None,
                };
                Some(Self::SetSlot(slot, request))
            }
            [_, name, force, replica, id] if is(name, "failover") => {
                let is_order = is(force, "force") && is(replica, "replicaid");
                NodeId::parse(id).filter(|_| is_order).map(Self::HandOver)
            }
            _ => None,
        }
    }

    /// SETSLOT as a command.
    pub fn words(slot: Slot, request: SetSlot) -> Vec<Vec<u8>> {
        let (action, id) = match &request {
            SetSlot::Migrating(id) => ("MIGRATING", Some(id)),
            SetSlot::Importing(id) => ("IMPORTING", Some(id)),
            SetSlot::Stable => ("STABLE", None),
            SetSlot::Node { owner, .. } => ("NODE", Some(owner)),
        };
        let number = slot.number().to_string();
        let words = ["CLUSTER", "SETSLOT", &number, action].map(|word| word.as_bytes().to_vec());
        words.into_iter().chain(id.map(|id| id.as_bytes().to_vec())).collect()
    }
}

impl Machine {
    /// The primary of this node says something by its stream.
    pub(super) fn ordered(&mut self, order: Order) {
        match order {
            Order::HandOver(id) => self.handed_over(id),
            Order::SetSlot(slot, request) => self.slot_ordered(slot, request),
        }
    }

    /// SETSLOT: if this node takes over, it knows which slots are on their way.
    fn slot_ordered(&mut self, slot: Slot, request: SetSlot) {
        let Role::Replica(Some(mine)) = self.nodes.me().role else { return };
        let find = |id| self.nodes.find(id).filter(|key| !self.nodes.at(*key).is_replica());
        let (number, is_ours) = (slot.number(), self.nodes.owner(slot) == Some(mine));
        let text = match request {
            SetSlot::Migrating(id) => {
                let Some(target) = find(id).filter(|target| is_ours && *target != mine) else {
                    return;
                };
                self.nodes.migrating.insert(slot, target);
                format!("Migrating slot {number} to node {}", self.shown(target))
            }
            SetSlot::Importing(id) => {
                let Some(source) = find(id).filter(|source| !is_ours && *source != mine) else {
                    return;
                };
                self.nodes.importing.insert(slot, source);
                format!("Importing slot {number} from node {}", self.shown(source))
            }
            SetSlot::Stable => {
                self.nodes.migrating.remove(&slot);
                self.nodes.importing.remove(&slot);
                format!("Marking slot {number} stable")
            }
            SetSlot::Node { owner, .. } => {
                let Some(owner) = find(owner) else { return };
                self.nodes.migrating.remove(&slot);
                self.given.remove(&slot);
                if owner == mine {
                    let source = self.nodes.importing.remove(&slot).or(self.nodes.owner(slot));
                    let source = source.filter(|source| *source != mine);
                    source.into_iter().for_each(|source| self.note_given(slot, source));
                }
                self.nodes.own(slot, owner);
                let (shown, shard) = (self.shown(owner), self.nodes.shown_shard(owner));
                format!("Assigning slot {number} to node {shown} in shard {shard}")
            }
        };
        self.log(LogLevel::Notice, text);
        self.todo.owners_changed();
    }

    fn note_given(&mut self, slot: Slot, source: Key) {
        let Node { id: from, config_epoch: epoch, .. } = *self.nodes.at(source);
        self.given.insert(slot, Given { from, epoch, at: self.now.at });
    }

    /// Forgets slots that this node's primary has claimed by now, or will not: it was asked long
    /// ago, and does not claim them.
    pub(in crate::cluster) fn confirm_given(&mut self, sender: Key, claimed: &SlotSet) {
        let (now, patience_ms) = (self.now.at, self.settings.node_timeout_ms);
        match self.nodes.me().role {
            Role::Replica(Some(mine)) if mine == sender => self.given.retain(|slot, given| {
                !claimed.contains(*slot) && now.since(given.at) < patience_ms
            }),
            Role::Replica(_) => {}
            Role::Primary | Role::Unknown => self.given.clear(),
        }
    }

    /// Slots that a node claims as it did before they were given to this node's primary: it has not
    /// heard of that. If the primary dies now, it is the last word, and who takes over is to know.
    pub(in crate::cluster) fn withheld(&self, sender: Key, epoch: Epoch) -> SlotSet {
        let sender = self.nodes.at(sender).id;
        let is_its = |given: &Given| given.from == sender && given.epoch == epoch;
        let given = self.given.iter().filter(|(_, given)| is_its(given));
        given.map(|(slot, _)| *slot).collect()
    }
}

#[cfg(test)]
mod tests;
