//! Slots that a tool moves: in one moment, or step after step while other things go wrong, up to
//! the repair of what was left open. Of each slot that is moved so there are two keys.

use std::collections::BTreeMap;

use shards::base::slot::Slot;

use super::super::Machine;
use super::super::event::{Command, Event, SetSlot};
use super::super::orders::Order;
use super::replicating::accepts_writes;
use super::world::{Node, World, id};
use crate::cluster::ids::NodeId;
use crate::cluster::nodes::Key;
use crate::cluster::slot_set::{SlotSet, all_slots};

/// Milliseconds between two steps of a tool: fewer than this.
const STEP_MS: u64 = 200;
/// Milliseconds between two looks whether what is open can be repaired.
const REPAIR_MS: u64 = 500;

/// The keys that a node has in a slot: a bit each.
type Keys = u8;
const ALL_KEYS: Keys = 0b11;

/// The keys of a node in slots that are moved step after step.
pub type KeysBySlot = BTreeMap<Slot, Keys>;

/// A slot that is moved.
#[derive(Clone, Copy)]
pub struct Move {
    slot: Slot,
    source: usize,
    target: usize,
    /// How many steps were taken.
    taken: usize,
}

/// Whence keys of a slot come to a node, and where they go from there.
struct Open {
    source: Option<NodeId>,
    target: Option<NodeId>,
    is_replica: bool,
}

impl Open {
    fn is_open(&self) -> bool {
        self.source.is_some() || self.target.is_some()
    }
}

/// What a tool does to move a slot, in its order.
#[derive(Clone, Copy)]
enum Step {
    Importing,
    Migrating,
    MoveKey(Keys),
    GiveAtTarget,
    GiveAtSource,
}

const STEPS: [Step; 6] = [
    Step::Importing,
    Step::Migrating,
    Step::MoveKey(0b01),
    Step::MoveKey(0b10),
    Step::GiveAtTarget,
    Step::GiveAtSource,
];

/// The slots of which a node that starts has keys: its own, unless it has no data, and those that
/// came by moves.
pub fn slots_with_keys(node: &Node, own: &SlotSet) -> SlotSet {
    if node.offset == 0 {
        return SlotSet::default();
    }
    let came = node.keys.iter().filter(|(_, keys)| **keys != 0).map(|(slot, _)| *slot);
    own.with(&came.collect())
}

impl World {
    /// What valkey-cli does to move a slot, if both nodes answer, serve and agree whose it is.
    pub fn move_slot(&mut self, number: usize, target: usize) {
        let Some(slot) = all_slots().nth(number) else { return };
        let owner = |node: usize| {
            let one = &self.nodes[node];
            let serves = |machine: &&Machine| {
                !one.is_stopped && machine.state().is_ok() && !machine.state().is_fenced()
            };
            let nodes = one.machine.as_ref().filter(serves)?.nodes();
            Some(nodes.at(nodes.owner(slot)?).id)
        };
        let Some(theirs) = owner(target) else { return };
        let source =
            (0..self.nodes.len()).find(|node| id(*node) == theirs && owner(*node) == Some(theirs));
        let Some(source) = source.filter(|source| *source != target) else { return };
        let one = Move { slot, source, target, taken: 0 };
        if self.moves_take_time {
            self.begin_to_move(one);
            return;
        }
        let mut steps = STEPS.into_iter().filter(|step| !matches!(step, Step::MoveKey(_)));
        // Each step is taken if the one before it was not refused.
        if steps.all(|step| self.take(one, step)) {
            return;
        }
        // What is left open if one of them could not, until it is done.
        for node in [target, source] {
            self.tell(node, Order::SetSlot(slot, SetSlot::Stable));
            self.ask(node, Command::SetSlot(slot, SetSlot::Stable));
        }
    }

    /// All nodes of the source's shard have the keys: one may have been elected just now.
    fn begin_to_move(&mut self, one: Move) {
        let Some(machine) = &self.nodes[one.source].machine else { return };
        let nodes = machine.nodes();
        let of_shard = nodes.iter().filter(|(key, _)| nodes.are_of_one_shard(*key, nodes.myself()));
        let of_shard: Vec<usize> = of_shard.filter_map(|(_, node)| number(node.id)).collect();
        for node in of_shard {
            self.nodes[node].keys.entry(one.slot).or_insert(ALL_KEYS);
        }
        self.moves.push(one);
        self.go_on_moving(self.moves.len() - 1);
    }

    /// The next step of a move; behind the last one, or one that failed, it is repaired.
    pub fn go_on_moving(&mut self, number: usize) {
        let one = self.moves[number];
        let Some(step) = STEPS.get(one.taken) else {
            if !self.repair(one.slot) {
                self.move_later(REPAIR_MS, number);
            }
            return;
        };
        let is_taken = self.take(one, *step);
        self.moves[number].taken = if is_taken { one.taken + 1 } else { STEPS.len() };
        let millis = self.tool.below(STEP_MS);
        self.move_later(millis, number);
    }

    /// Takes a step. False if it was refused.
    fn take(&mut self, one: Move, step: Step) -> bool {
        let Move { slot, source, target, .. } = one;
        let keys_of = |node: usize| self.nodes[node].keys.get(&slot).map_or(0, |keys| *keys);
        let give = |node: usize| SetSlot::Node {
            owner: id(target),
            keys: keys_of(node).count_ones() as usize,
        };
        let (node, request) = match step {
            Step::Importing => (target, SetSlot::Importing(id(source))),
            Step::Migrating => (source, SetSlot::Migrating(id(target))),
            Step::GiveAtTarget => (target, give(target)),
            Step::GiveAtSource => (source, give(source)),
            Step::MoveKey(key) => return self.move_keys(slot, source, target, key),
        };
        self.set_slot(node, slot, request)
    }

    /// Sends CLUSTER SETSLOT, which its replicas hear first. False if it was refused.
    fn set_slot(&mut self, node: usize, slot: Slot, request: SetSlot) -> bool {
        // If it has died since the tool knew it alive, it did so just between the two.
        if !self.tell_replicas(node, Order::SetSlot(slot, request)) {
            return false;
        }
        self.ask(node, Command::SetSlot(slot, request));
        let one = &self.nodes[node];
        let is_done = |machine: &Machine| match request {
            SetSlot::Importing(_) => machine.nodes().importing.contains_key(&slot),
            SetSlot::Migrating(_) => machine.nodes().migrating.contains_key(&slot),
            SetSlot::Stable => {
                let nodes = machine.nodes();
                !nodes.importing.contains_key(&slot) && !nodes.migrating.contains_key(&slot)
            }
            SetSlot::Node { owner, .. } => {
                machine.nodes().owner(slot) == machine.nodes().find(owner)
            }
        };
        // What cannot be saved is answered with an error.
        !one.disk_fails && one.machine.as_ref().is_some_and(is_done)
    }

    /// Moves keys as MIGRATE does: they are there before they are deleted here.
    fn move_keys(&mut self, slot: Slot, from: usize, to: usize, keys: Keys) -> bool {
        let answers = |node: usize| accepts_writes(&self.nodes[node], self.at);
        if !answers(from) || !answers(to) || self.is_cut(from, to) {
            return false;
        }
        let has = self.nodes[from].keys.get(&slot).map_or(0, |has| *has);
        *self.nodes[to].keys.entry(slot).or_default() |= has & keys;
        *self.nodes[from].keys.entry(slot).or_default() &= !keys;
        self.replicate_keys(from);
        self.replicate_keys(to);
        true
    }

    /// Has the replicas of a node get its keys, as WAIT would. Else they may be lost with it.
    fn replicate_keys(&mut self, primary: usize) {
        for node in 0..self.nodes.len() {
            let one = &self.nodes[node];
            if one.follows != Some(id(primary)) {
                continue;
            }
            if one.machine.is_some() && one.has_followed && !self.is_cut(node, primary) {
                self.nodes[node].keys = self.nodes[primary].keys.clone();
            } else {
                self.may_lose_keys = true;
            }
        }
    }

    /// What the fix of valkey-cli does, as soon as all nodes answer and agree on the owner. True if
    /// nothing is open any more.
    fn repair(&mut self, slot: Slot) -> bool {
        let Some(owner) = self.agreed_owner(slot) else { return false };
        for node in 0..self.nodes.len() {
            let (Some(ours), Some(theirs)) = (self.open_at(owner, slot), self.open_at(node, slot))
            else {
                return false;
            };
            if theirs.is_replica || !theirs.is_open() {
                continue;
            }
            let target = ours.target.and_then(number);
            let imports = |target| self.open_at(target, slot).is_some_and(|at| at.source.is_some());
            if node == owner && target.is_some_and(imports) {
                continue;
            }
            if node != owner && theirs.source.is_some() {
                self.close_import(slot, owner, node, target == Some(node));
            } else {
                self.set_slot(node, slot, SetSlot::Stable);
            }
            // Who owns it is to be looked at again.
            return false;
        }
        let is_closed = |node| self.open_at(node, slot).is_some_and(|open| !open.is_open());
        (0..self.nodes.len()).all(is_closed)
    }

    /// Brings the keys of a slot that a node imports to it, if the owner means to give the slot
    /// away; or back.
    fn close_import(&mut self, slot: Slot, owner: usize, node: usize, goes_on: bool) {
        if !goes_on {
            let is_back = self.move_keys(slot, node, owner, ALL_KEYS);
            is_back.then(|| self.set_slot(node, slot, SetSlot::Stable));
            return;
        }
        let one = Move { slot, source: owner, target: node, taken: 0 };
        let steps = [Step::MoveKey(ALL_KEYS), Step::GiveAtTarget, Step::GiveAtSource];
        let _ = steps.into_iter().all(|step| self.take(one, step));
    }

    /// Whose a slot is, if all nodes answer and say the same.
    fn agreed_owner(&self, slot: Slot) -> Option<usize> {
        let says = |node: &Node| -> Option<NodeId> {
            let nodes = node.machine.as_ref().filter(|_| !node.is_stopped)?.nodes();
            Some(nodes.at(nodes.owner(slot)?).id)
        };
        let first = says(self.nodes.first()?)?;
        let agree =
            self.blocked.is_empty() && self.nodes.iter().all(|node| says(node) == Some(first));
        let owner = number(first).filter(|_| agree)?;
        accepts_writes(&self.nodes[owner], self.at).then_some(owner)
    }

    /// Has the replicas of a node hear what it is about to do. False if one does not: then it does
    /// nothing.
    fn tell_replicas(&mut self, primary: usize, order: Order) -> bool {
        let mut replicas = (0..self.nodes.len()).filter(|node| self.replicates(*node, primary));
        let hears = |node: usize| !self.nodes[node].is_stopped && !self.is_cut(node, primary);
        let do_hear = replicas.all(hears);
        if do_hear {
            self.tell(primary, order);
        }
        do_hear
    }

    fn tell(&mut self, primary: usize, order: Order) {
        let replicas = (0..self.nodes.len()).filter(|node| self.replicates(*node, primary));
        let replicas: Vec<usize> = replicas.collect();
        replicas.into_iter().for_each(|node| self.event(node, Event::Ordered(order)));
    }

    /// A replica has what its primary has: keys, and what it was told of slots on their way.
    pub fn copy_keys(&mut self, primary: usize, replica: usize) {
        if !self.moves.is_empty() {
            let keys = self.nodes[primary].keys.clone();
            self.keep_keys(replica, keys);
        }
        let open = |node: usize| self.nodes[node].machine.as_ref().map(Machine::open_slots);
        let [Some(ours), Some(theirs)] = [primary, replica].map(open) else { return };
        if ours != theirs {
            self.event(replica, Event::Copied);
            for (slot, request) in ours {
                self.event(replica, Event::Ordered(Order::SetSlot(slot, request)));
            }
        }
    }

    /// What a node that is alive holds of a slot.
    fn open_at(&self, node: usize, slot: Slot) -> Option<Open> {
        let nodes = self.nodes[node].machine.as_ref()?.nodes();
        let named = |key: &Key| nodes.at(*key).id;
        let source = nodes.importing.get(&slot).map(named);
        let target = nodes.migrating.get(&slot).map(named);
        Some(Open { source, target, is_replica: nodes.me().is_replica() })
    }

    /// A node deletes its keys in some slots.
    pub fn delete_keys(&mut self, node: usize, slots: &SlotSet) {
        let mut left = self.nodes[node].keys.clone();
        left.retain(|slot, _| !slots.contains(*slot));
        self.keep_keys(node, left);
    }

    /// K1: the keys of a node are these from now on, and those that it does not keep are at another
    /// one, dead or alive.
    fn keep_keys(&mut self, node: usize, keys: KeysBySlot) {
        let before = std::mem::replace(&mut self.nodes[node].keys, keys);
        for (slot, keys) in before {
            let here = self.nodes.iter().filter_map(|one| one.keys.get(&slot));
            let lost = keys & !here.fold(0, |all, keys| all | keys);
            assert!(
                self.may_lose_keys || lost == 0,
                "K1: {node} had the only keys {lost:#b} of slot {} at {}",
                slot.number(),
                self.at
            );
        }
    }
}

/// The number of a node that was never reset.
fn number(wanted: NodeId) -> Option<usize> {
    (0..26).find(|node| id(*node) == wanted)
}
