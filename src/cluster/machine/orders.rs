//! What a primary tells its replicas by its stream, besides commands on keys: SETSLOT, which it
//! does itself when they have it, and who takes over when it ends.

use shards::base::number::parse_u64;
use shards::base::slot::Slot;

use crate::cluster::ids::{Epoch, NodeId};
use crate::cluster::machine::Machine;
use crate::cluster::machine::event::SetSlot;
use crate::cluster::nodes::node::Role;
use crate::cluster::nodes::{Key, Nodes};
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

    /// Which slots are on their way, as SETSLOT would say it.
    pub fn open_slots(&self) -> Vec<(Slot, SetSlot)> {
        let id = |key: &Key| self.nodes.at(*key).id;
        let migrating = self.nodes.migrating.iter();
        let migrating = migrating.map(|(slot, to)| (*slot, SetSlot::Migrating(id(to))));
        let importing = self.nodes.importing.iter();
        let importing = importing.map(|(slot, from)| (*slot, SetSlot::Importing(id(from))));
        migrating.chain(importing).collect()
    }

    /// This node has begun anew: that a slot was closed it may have missed. What its primary was
    /// given, and has not claimed yet, is not told again.
    pub(super) fn copied(&mut self) {
        let Role::Replica(Some(mine)) = self.nodes.me().role else { return };
        let own = self.nodes.at(mine).slot_set().clone();
        let before = self.nodes.importing.len() + self.nodes.migrating.len();
        self.nodes.migrating.clear();
        self.nodes.importing.retain(|slot, _| own.contains(*slot));
        if self.nodes.importing.len() < before {
            self.todo.owners_changed();
        }
    }

    /// SETSLOT: if this node takes over, it knows which slots are on their way.
    fn slot_ordered(&mut self, slot: Slot, request: SetSlot) {
        let Role::Replica(Some(mine)) = self.nodes.me().role else { return };
        // The other one may have been elected just now, as the primary knows, and not this node.
        let find = |id| self.nodes.find(id);
        let (number, is_ours) = (slot.number(), self.nodes.owner(slot) == Some(mine));
        let text = match request {
            SetSlot::Migrating(id) => {
                let Some(target) = find(id).filter(|target| is_ours && *target != mine) else {
                    return;
                };
                self.begin_migrating(slot, target);
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
                let Some(owner) = find(owner).filter(|key| !self.nodes.at(*key).is_replica())
                else {
                    return;
                };
                self.nodes.migrating.remove(&slot);
                // Its keys are on their way until the primary, which may die before, claims it.
                if owner == mine
                    && let Some(former) = self.nodes.owner(slot).filter(|former| *former != mine)
                {
                    self.nodes.importing.entry(slot).or_insert(former);
                }
                self.nodes.own(slot, owner);
                let (shown, shard) = (self.shown(owner), self.nodes.shown_shard(owner));
                format!("Assigning slot {number} to node {shown} in shard {shard}")
            }
        };
        self.log(LogLevel::Notice, text);
        self.todo.owners_changed();
    }

    /// A slot was given to this node, a primary.
    pub(in crate::cluster) fn note_given(&mut self, slot: Slot, source: Key) {
        self.given.insert(slot, self.nodes.at(source).id);
    }

    /// Forgets slots of which those who are concerned know by now: the former owner, if they were
    /// given to this node; its primary, if this is a replica of it.
    pub(in crate::cluster) fn confirm_given(&mut self, sender: Key, claimed: &SlotSet) {
        let me = self.nodes.myself();
        let nodes = &mut self.nodes;
        if nodes.me().role == Role::Replica(Some(sender)) {
            let own = nodes.at(sender).slot_set().common(claimed);
            nodes.importing.retain(|slot, _| !own.contains(*slot));
        }
        self.given.retain(|slot, from| {
            let is_known = is_of_shard(nodes, *from, sender) && !claimed.contains(*slot);
            nodes.owner(*slot) == Some(me) && !is_known
        });
    }

    /// Slots that were given to this node by the shard of another one, which has not heard of that
    /// so far. The epoch of its claim says nothing: it may be a newer one for other reasons.
    pub(in crate::cluster) fn withheld(&self, sender: Key) -> SlotSet {
        let given = self.given.iter().filter(|_| !self.cannot_save);
        let its = given.filter(|(_, from)| is_of_shard(&self.nodes, **from, sender));
        its.map(|(slot, _)| *slot).collect()
    }

    /// A primary keeps the slots that it got by SETSLOT, with their keys, also if the former owner
    /// claims them by a newer epoch than its own: it takes a newer one still.
    pub(in crate::cluster) fn keep_given(&mut self, sender: Key, epoch: Epoch, claimed: &SlotSet) {
        let is_over = epoch < self.nodes.me().config_epoch;
        // A replica that is being elected would lose against a newer epoch of its primary.
        let is_giving = self.manual.is_under_way();
        if self.given.is_empty() || is_over || is_giving || self.may_raise_epoch().is_err() {
            return;
        }
        let kept = self.withheld(sender).common(claimed);
        if let Some(range) = kept.ranges().first() {
            self.raise_epoch();
            self.todo.pong_all = true;
            let (shown, epoch) = (self.shown(sender), self.nodes.me().config_epoch);
            let text = format!(
                "Node {shown} claims slots of which this node was given {} ({} in all). New \
                 configEpoch set to {epoch}",
                crate::cluster::report::nodes::shown(*range),
                kept.len(),
            );
            self.log(LogLevel::Notice, text);
        }
    }
}

/// Whether a node is the one with this id, or of its shard.
fn is_of_shard(nodes: &Nodes, id: NodeId, node: Key) -> bool {
    nodes.find(id).is_some_and(|known| nodes.are_of_one_shard(known, node))
}

#[cfg(test)]
mod tests;
