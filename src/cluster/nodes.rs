//! The table of nodes: what this node knows of itself and of others, who owns which slot, and who
//! replicates whom. It decides nothing.

pub mod node;
mod places;

use std::collections::{BTreeMap, BTreeSet};

use shards::base::slot::{SLOTS, Slot};

use crate::cluster::frame::header::Flags;
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::moment::Moment;
#[cfg(test)]
use crate::cluster::slot_set::SlotRange;
use crate::cluster::slot_set::SlotSet;
use node::{Health, Node, Role};
use places::Places;

/// Nodes that are known at one time, those in handshake too: far more than a cluster has, and as
/// many as may connect to this one.
pub const NODES_MAX: usize = 4096;

/// A node's place in the table. It is never given to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(std::num::NonZeroU32);

/// A shard, named as well as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shard {
    /// By the id that its nodes announce.
    Named(ShardId),
    /// By its primary: a Redis before 7.2 announces no shard id.
    Of(NodeId),
}

/// The table.
#[derive(Debug)]
pub struct Nodes {
    nodes: Places,
    by_id: BTreeMap<NodeId, Key>,
    me: Key,
    next: Key,
    owners: Box<[Option<Key>]>,
    /// Slots that have an owner.
    owned: SlotSet,
    /// Slots that their owner does not claim any more, and that no other node claims.
    unclaimed: SlotSet,
    /// The table comes from outside: nothing is known of others by links.
    pub is_imposed: bool,
    /// Slots of this node's shard that are on their way to another primary.
    pub migrating: BTreeMap<Slot, Key>,
    /// Slots of another primary that are on their way to this node's shard.
    pub importing: BTreeMap<Slot, Key>,
    /// Nodes that this one was reset away from, and that it has not met again.
    pub former: BTreeSet<NodeId>,
}

impl Nodes {
    /// A table of this node alone.
    pub fn new(me: Node) -> Self {
        let first = Key(std::num::NonZeroU32::MIN);
        let by_id = BTreeMap::from([(me.id, first)]);
        let mut nodes = Places::default();
        nodes.push(first, me);
        Self {
            by_id,
            nodes,
            me: first,
            next: Key(first.0.saturating_add(1)),
            owners: vec![None; usize::from(SLOTS)].into(),
            owned: SlotSet::default(),
            unclaimed: SlotSet::default(),
            is_imposed: false,
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            former: BTreeSet::new(),
        }
    }

    /// Where this node stands.
    pub const fn myself(&self) -> Key {
        self.me
    }

    /// This node.
    pub fn me(&self) -> &Node {
        self.at(self.me)
    }

    /// This node.
    pub fn me_mut(&mut self) -> &mut Node {
        self.at_mut(self.me)
    }

    /// The node at `key`, which must be in the table.
    pub fn at(&self, key: Key) -> &Node {
        self.nodes.get(key).expect("keys are dropped with their nodes")
    }

    /// The node at `key`, which must be in the table.
    pub fn at_mut(&mut self, key: Key) -> &mut Node {
        self.nodes.get_mut(key).expect("keys are dropped with their nodes")
    }

    /// The node with this id; `None` if there is none.
    pub fn find(&self, id: NodeId) -> Option<Key> {
        self.by_id.get(&id).copied()
    }

    /// Whether there is still a node at `key`.
    pub fn contains(&self, key: Key) -> bool {
        self.nodes.get(key).is_some()
    }

    /// All nodes, this one too, in the order in which they became known.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Node)> {
        self.nodes.iter()
    }

    /// All nodes but this one.
    pub fn others(&self) -> impl Iterator<Item = (Key, &Node)> {
        self.iter().filter(|(key, _)| *key != self.me)
    }

    /// All nodes, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Node)> {
        self.nodes.iter_mut()
    }

    /// The places of all nodes, so that the table can be changed meanwhile.
    pub fn keys(&self) -> Vec<Key> {
        self.nodes.iter().map(|(key, _)| key).collect()
    }

    /// How many nodes there are, this one too.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node: never, since this one is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Whether no more nodes may become known.
    pub fn is_full(&self) -> bool {
        NODES_MAX <= self.nodes.len()
    }

    /// Adds a node. `None` if its id is there already.
    pub fn add(&mut self, node: Node) -> Option<Key> {
        if self.by_id.contains_key(&node.id) {
            return None;
        }
        let key = self.next;
        self.next = Key(key.0.checked_add(1).expect("nodes are fewer than four billion"));
        self.by_id.insert(node.id, key);
        self.nodes.push(key, node);
        Some(key)
    }

    /// Takes a node out that is not this one, with its slots, what it reported and what points to
    /// it.
    pub fn remove(&mut self, key: Key) {
        assert!(key != self.me, "a node does not remove itself");
        self.disown_all(key);
        let Some(node) = self.nodes.remove(key) else { return };
        self.by_id.remove(&node.id);
        for (_, other) in self.nodes.iter_mut() {
            other.reports.remove(&key);
            if other.role == Role::Replica(Some(key)) {
                other.role = Role::Replica(None);
            }
        }
        self.migrating.retain(|_, target| *target != key);
        self.importing.retain(|_, source| *source != key);
    }

    /// Gives a node an id, which no other node has.
    pub fn rename(&mut self, key: Key, id: NodeId) {
        assert!(self.find(id).is_none_or(|other| other == key), "ids are unique");
        let node = self.at_mut(key);
        let former = std::mem::replace(&mut node.id, id);
        self.by_id.remove(&former);
        self.by_id.insert(id, key);
    }

    /// The owner of `slot`; `None` if it has none.
    pub fn owner(&self, slot: Slot) -> Option<Key> {
        self.owners[usize::from(slot.number())]
    }

    /// Slots that have an owner.
    pub const fn owned(&self) -> &SlotSet {
        &self.owned
    }

    /// Gives `slot` to a node.
    pub fn own(&mut self, slot: Slot, key: Key) {
        self.disown(slot);
        self.owners[usize::from(slot.number())] = Some(key);
        self.owned.insert(slot);
        self.at_mut(key).give(slot);
    }

    /// The slots of which this node has keys: its own, and those whose keys are on their way to it.
    pub fn slots_with_keys(&self) -> SlotSet {
        self.me().slot_set().with(&self.importing.keys().copied().collect())
    }

    /// Gives `slots` to a node.
    pub fn own_all(&mut self, slots: &SlotSet, key: Key) {
        self.disown_slots(slots);
        self.own_unowned(slots, key);
    }

    /// Gives a node those of `slots` that have no owner.
    pub fn own_unowned(&mut self, slots: &SlotSet, key: Key) {
        let slots = slots.without(&self.owned);
        self.fill(&slots, Some(key));
        self.owned = self.owned.with(&slots);
        self.at_mut(key).give_all(&slots);
    }

    /// Takes `slot` from its owner, if it has one.
    pub fn disown(&mut self, slot: Slot) {
        self.unclaimed.remove(slot);
        if let Some(owner) = self.owners[usize::from(slot.number())].take() {
            self.owned.remove(slot);
            self.at_mut(owner).take(slot);
        }
    }

    /// Takes `slots` from their owners, as far as they have some.
    pub fn disown_slots(&mut self, slots: &SlotSet) {
        self.unbind(slots);
        self.nodes.iter_mut().for_each(|(_, node)| node.take_all(slots));
    }

    /// Takes all slots from a node.
    pub fn disown_all(&mut self, key: Key) {
        let Some(node) = self.nodes.get(key).filter(|node| 0 < node.slot_count()) else { return };
        let slots = node.slot_set().clone();
        self.unbind(&slots);
        self.at_mut(key).take_all(&slots);
    }

    /// Gives all slots of a node to another one, and says how many those were.
    pub fn move_slots(&mut self, from: Key, to: Key) -> usize {
        let slots = self.at(from).slot_set().clone();
        self.disown_all(from);
        self.own_unowned(&slots, to);
        slots.len()
    }

    /// Notes that `slots` have no owner, in all but the sets of the nodes.
    fn unbind(&mut self, slots: &SlotSet) {
        self.unclaimed = self.unclaimed.without(slots);
        self.owned = self.owned.without(slots);
        self.fill(slots, None);
    }

    fn fill(&mut self, slots: &SlotSet, owner: Option<Key>) {
        for range in slots.ranges() {
            self.owners[range.indices()].fill(owner);
        }
    }

    /// Notes which of its slots a node claims; it does not claim the others any more.
    pub fn mark_claims(&mut self, key: Key, claimed: &SlotSet) {
        let held = self.at(key).slot_set();
        self.unclaimed = self.unclaimed.without(held).with(&held.without(claimed));
    }

    /// Slots whose owners have stopped to claim them.
    pub const fn unclaimed(&self) -> &SlotSet {
        &self.unclaimed
    }

    /// The primary of this node's shard: this node itself, or the one that it replicates, or `None`
    /// if that one is not known.
    pub fn my_primary(&self) -> Option<Key> {
        self.primary_of(self.me)
    }

    /// The primary of a node's shard: the node itself if it is no replica.
    pub fn primary_of(&self, key: Key) -> Option<Key> {
        match self.at(key).role {
            Role::Replica(primary) => primary,
            Role::Primary | Role::Unknown => Some(key),
        }
    }

    /// The primary at the head of the chain of replicas that a node stands in. If the chain leads
    /// to none, or in a circle: the last node of it that is known.
    pub fn root_of(&self, key: Key) -> Key {
        let mut at = key;
        for _ in 0..self.nodes.len() {
            match self.at(at).role {
                Role::Replica(Some(primary)) => at = primary,
                Role::Replica(None) | Role::Primary | Role::Unknown => break,
            }
        }
        at
    }

    /// The replicas of a node.
    pub fn replicas_of(&self, key: Key) -> impl Iterator<Item = (Key, &Node)> {
        self.iter().filter(move |(_, node)| node.role == Role::Replica(Some(key)))
    }

    /// How many primaries have slots, whether they are alive or not.
    pub fn size(&self) -> usize {
        self.nodes.iter().filter(|(_, node)| node.is_voting()).count()
    }

    /// How many of them make a majority.
    pub fn quorum(&self) -> usize {
        self.size() / 2 + 1
    }

    /// The shard of a node.
    pub fn shard(&self, key: Key) -> Shard {
        let node = self.at(key);
        let primary = self.primary_of(key).map_or(node, |primary| self.at(primary));
        match node.shard.or(primary.shard) {
            Some(shard) => Shard::Named(shard),
            None => Shard::Of(primary.id),
        }
    }

    /// Whether two nodes are of one shard, as far as that is known.
    pub fn are_of_one_shard(&self, one: Key, other: Key) -> bool {
        self.shard(one) == self.shard(other)
    }

    /// Makes a node a primary. False if it is one already. That it failed as a replica is no reason
    /// to replace it: it was elected since. What came of votes for it is known with that.
    pub fn set_primary(&mut self, key: Key) -> bool {
        let is_me = key == self.me;
        let node = self.at_mut(key);
        if node.role == Role::Primary {
            return false;
        }
        if matches!(node.role, Role::Replica(_)) && !is_me {
            node.flags = node.flags.with(Flags::MIGRATE_TO);
            node.health = Health::Fit;
        }
        node.role = Role::Primary;
        node.flags = node.flags.without(Flags::PRIMARY_FAIL);
        let id = node.id;
        let voted = self.iter_mut().map(|(_, node)| &mut node.voted);
        voted
            .filter(|voted| voted.is_some_and(|(heir, _)| heir == id))
            .for_each(|voted| *voted = None);
        true
    }

    /// Makes a node a replica of another one. Its slots become unowned; it takes the shard of its
    /// primary, if that is known.
    pub fn set_replica(&mut self, key: Key, primary: Option<Key>) {
        assert!(primary != Some(key), "no node replicates itself");
        self.disown_all(key);
        let shard = primary.and_then(|primary| self.at(primary).shard);
        let node = self.at_mut(key);
        node.role = Role::Replica(primary);
        node.flags = node.flags.without(Flags::MIGRATE_TO).without(Flags::PRIMARY_FAIL);
        node.shard = shard.or(node.shard);
    }

    /// Gives a node its shard; a primary's replicas follow it. False if a replica names another
    /// shard than its primary has.
    pub fn set_shard(&mut self, key: Key, shard: ShardId) -> bool {
        let of_primary = match self.at(key).role {
            Role::Replica(Some(primary)) => self.at(primary).shard,
            Role::Replica(None) | Role::Primary | Role::Unknown => None,
        };
        if of_primary.is_some_and(|of_primary| of_primary != shard) {
            return false;
        }
        for (other, node) in self.iter_mut() {
            if other == key || node.role == Role::Replica(Some(key)) {
                node.shard = Some(shard);
            }
        }
        true
    }

    /// The greatest config epoch of any node.
    pub fn greatest_config_epoch(&self) -> Epoch {
        self.nodes.iter().map(|(_, node)| node.config_epoch).max().unwrap_or_default()
    }

    /// How a log names a node: its id, and in parentheses its name.
    pub fn shown(&self, key: Key) -> String {
        let node = self.at(key);
        format!("{} ({})", node.id, node.name())
    }

    /// How a log names a shard.
    pub fn shown_shard(&self, key: Key) -> String {
        match self.shard(key) {
            Shard::Named(shard) => shard.to_string(),
            Shard::Of(primary) => primary.to_string(),
        }
    }

    /// Drops reports about a node that are older than `millis`.
    pub fn drop_old_reports(&mut self, key: Key, now: Moment, millis: u64) {
        self.at_mut(key).reports.retain(|_, at| now.since(*at) <= millis);
    }
}

#[cfg(test)]
impl Nodes {
    /// Whether owners, sets and counts say the same.
    pub fn agree(&self) -> bool {
        let mut sum = 0;
        let are_owned = self.nodes.iter().all(|(key, node)| {
            sum += node.slot_count();
            let ranges = node.slot_set().ranges();
            let owners = |range: &SlotRange| &self.owners[range.indices()];
            let is_owned = ranges.iter().all(|r| owners(r).iter().all(|one| *one == Some(key)));
            is_owned && node.slot_set().len() == node.slot_count()
        });
        let count = self.owners.iter().flatten().count();
        let known = self.nodes.iter().map(|(_, node)| node.slot_set().common(&self.owned).len());
        are_owned && (sum, self.owned.len()) == (count, count) && known.sum::<usize>() == count
    }
}

#[cfg(test)]
mod tests;
