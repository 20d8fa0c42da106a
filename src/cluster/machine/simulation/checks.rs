//! What must hold after each event, whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use shards::base::slot::Slot;

use super::replicating::accepts_writes;
use super::world::{Node, World};
use crate::cluster::frame::extensions::Extension;
use crate::cluster::frame::header::Flags;
use crate::cluster::frame::{Body, Packet};
use crate::cluster::ids::{Epoch, NodeId};
use crate::cluster::machine::Machine;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::Nodes;
use crate::cluster::nodes::node::Health;
use crate::cluster::slot_set::SlotSet;

/// Slots that only failovers give to another node: one of each shard.
pub const WATCHED: [u16; 3] = [0, 5461, 10923];
/// Milliseconds for which nothing else may have gone wrong when replicas are compared.
const CALM_MS: u64 = 2500;
/// Milliseconds by which a replica may know of a failure later than the one that is elected.
const NEWS_MS: u64 = 5;
/// Events between two looks at everything that a table says.
const TABLE_EACH: u64 = 2000;

/// What was seen.
#[derive(Default)]
pub struct Checks {
    /// By voter and epoch.
    votes: BTreeMap<(NodeId, Epoch), usize>,
    /// By epoch and shard.
    pub winners: BTreeMap<(Epoch, String), usize>,
    /// The epoch of the election that was won last.
    won: Epoch,
    /// Who claims slots by an epoch.
    claimed: BTreeMap<Epoch, NodeId>,
    /// Epochs by which two do: one was elected in it, and the other had taken it by itself for a
    /// slot that was moved to it.
    shared: BTreeSet<Epoch>,
    disks: Vec<OnDisk>,
    /// The greatest epochs of each node since it started.
    current: Vec<Epoch>,
    /// By which claims nodes know the owners of the watched slots, and who these are.
    owned: Vec<[(Epoch, Option<NodeId>); WATCHED.len()]>,
    /// The slots for which nodes were compared with all other writers, if they went on to write.
    writing: Vec<Option<SlotSet>>,
    /// An operator took the decision away from the voters.
    pub took_over: bool,
    events: u64,
    pub lines: Vec<String>,
}

/// Epochs that a disk keeps.
#[derive(Clone, Copy, Default)]
struct OnDisk {
    current: Epoch,
    vote: Epoch,
    mine: Epoch,
}

impl OnDisk {
    fn of(text: &str) -> Self {
        let number = |word: &str| Epoch(word.parse().expect("a machine wrote it"));
        let (mut epochs, mut is_replica) = (Self::default(), false);
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if words[0] == "vars" {
                (epochs.current, epochs.vote) = (number(words[2]), number(words[4]));
            } else if words[2].contains("myself,master") {
                epochs.mine = number(words[6]);
            } else if words[2].contains("myself") {
                is_replica = true;
            }
        }
        // It has given up its claim, which none of its own can repeat.
        if is_replica {
            epochs.mine = epochs.current;
        }
        epochs
    }
}

impl Checks {
    pub fn new(nodes: usize) -> Self {
        let (disks, current) = (vec![OnDisk::default(); nodes], vec![Epoch(0); nodes]);
        let (owned, writing) = (vec![Default::default(); nodes], vec![None; nodes]);
        Self { disks, current, owned, writing, ..Self::default() }
    }

    pub fn started(&mut self, node: usize, disk: &str) {
        (self.current[node], self.owned[node]) = (Epoch(0), Default::default());
        self.writing[node] = None;
        self.on_disk(node, disk);
    }

    /// A node has forgotten all that it knew: its epochs may begin anew.
    pub fn reset(&mut self, node: usize) {
        (self.current[node], self.owned[node]) = (Epoch(0), Default::default());
    }

    /// A node that was stopped goes on: others may have begun to write meanwhile.
    pub fn went_on(&mut self, node: usize) {
        self.writing[node] = None;
    }

    pub fn on_disk(&mut self, node: usize, text: &str) {
        let (before, now) = (self.disks[node], OnDisk::of(text));
        // A frame of a primary may leave after a file that says that it follows another one.
        self.disks[node] = OnDisk { mine: before.mine.max(now.mine), ..now };
    }

    /// The epoch of the last vote that a disk keeps.
    pub fn vote_on_disk(&self, node: usize) -> Epoch {
        self.disks[node].vote
    }

    pub fn logged(&mut self, node: usize, at: u64, text: &str) {
        self.lines.push(format!("{at} {node} {text}"));
        let won = text.strip_prefix("configEpoch set to ");
        let won = won.and_then(|rest| rest.strip_suffix(" after successful failover"));
        if let Some(epoch) = won {
            self.won = Epoch(epoch.parse().expect("an epoch"));
        }
        // Two shards may elect in one epoch: a replaced primary that has not heard of it yet votes
        // beside its successor, and of so many voters two majorities may have none in common.
        let shard = text.strip_prefix("Setting myself to primary in shard ");
        if let Some((shard, _)) = shard.and_then(|rest| rest.split_once(' ')) {
            let epoch = self.won;
            let other = self.winners.insert((epoch, shard.to_string()), node);
            assert_eq!(other, None, "S2: two winners of epoch {epoch} in one shard");
        }
    }

    pub fn sent(&mut self, node: usize, packet: &Packet, at: u64) {
        let Packet::Full(frame) = packet else { return };
        let (header, disk) = (&frame.header, self.disks[node]);
        match &frame.body {
            Body::AuthAck => {
                let key = (header.sender, header.current_epoch);
                let votes = self.votes.entry(key).or_default();
                *votes += 1;
                assert_eq!(*votes, 1, "S1: {node} votes twice in epoch {}", key.1);
                assert!(header.current_epoch <= disk.vote, "S5: {node} votes before it is saved");
            }
            Body::AuthRequest => {
                assert!(
                    header.current_epoch <= disk.current,
                    "S5: {node} asks in {} at {at}, unsaved",
                    header.current_epoch
                );
            }
            Body::Heartbeat(_, heartbeat) => {
                let about = |extension: &Extension| match extension {
                    Extension::Forgotten(about, _) => *about == header.sender,
                    _ => false,
                };
                let about = heartbeat.extensions.iter().any(about);
                assert!(!about, "R15: {node} has itself forgotten");
            }
            _ => {}
        }
        if header.flags.has(Flags::PRIMARY) {
            let epoch = header.config_epoch;
            assert!(epoch <= disk.mine, "S5: {node} claims epoch {epoch} at {at}, unsaved");
            if *self.claimed.entry(epoch).or_insert(header.sender) != header.sender {
                self.shared.insert(epoch);
            }
        }
    }

    pub fn after(&mut self, node: usize, at: u64, nodes: &[Node]) {
        self.events += 1;
        if let Some(machine) = &nodes[node].machine {
            let epoch = machine.current_epoch();
            assert!(self.current[node] <= epoch, "S4: the epoch of {node} falls");
            self.current[node] = epoch;
            self.owners_are_newer(node, machine);
        }
        if self.events.is_multiple_of(TABLE_EACH) {
            tables_agree(node, nodes);
        }
        if !self.took_over {
            self.one_writer(node, at, nodes);
        }
    }

    /// 7.4: no two nodes take writes for one slot: a fence stands before a successor is elected.
    /// While a slot is moved by hand each of its keys is at one node. A node is compared with the
    /// others when it begins to write, or writes for other slots than it did.
    fn one_writer(&mut self, node: usize, at: u64, nodes: &[Node]) {
        let before = self.writing[node].take();
        let Some(mine) = writer(&nodes[node], at) else { return };
        let ours = mine.me().slot_set();
        if before.as_ref() != Some(ours) {
            for (other, theirs) in nodes.iter().enumerate().filter(|(other, _)| *other != node) {
                let Some(theirs) = writer(theirs, at) else { continue };
                let others = theirs.me().slot_set();
                if ours.first_common(others).is_none() {
                    continue;
                }
                let moving = mine.migrating.keys().chain(theirs.migrating.keys());
                let both = ours.without(&moving.copied().collect()).first_common(others);
                assert_eq!(both, None, "7.4: {node} and {other} both write at {at}");
            }
        }
        // What is being moved from here is looked at as long as it is.
        self.writing[node] = Some(ours.clone()).filter(|_| mine.migrating.is_empty());
    }

    /// S8: what a node knows of a slot's owner is never older than what it knew, and newer if it is
    /// another one. A node that has just started gives up its claim to one of the same epoch, and
    /// so does one of two that claim by the same; a node that was elected may give up what it could
    /// not save, and has told to no node.
    fn owners_are_newer(&mut self, node: usize, machine: &Machine) {
        let table = machine.nodes();
        for (number, known) in WATCHED.into_iter().zip(&mut self.owned[node]) {
            let slot = Slot::new(number).expect("a slot");
            // Row 4 of T-C leaves slots without an owner for a moment.
            let Some(key) = table.owner(slot) else { continue };
            // Its owner has given it up (row 7): any other one is newer.
            if table.unclaimed().contains(slot) {
                *known = (Epoch(0), None);
                continue;
            }
            let owner = table.at(key);
            let ((epoch, before), now) = (*known, owner.config_epoch);
            let may_equal = [None, Some(owner.id), Some(table.me().id)].contains(&before);
            let may_equal = may_equal || self.shared.contains(&now);
            let me = table.me().id;
            let is_void = before == Some(me) && self.claimed.get(&epoch) != Some(&me);
            let is_newer = epoch < now || (may_equal && epoch == now) || is_void;
            let id = owner.id;
            assert!(is_newer, "S8: at {node}, {number} goes from {known:?} to {now} of {id}");
            *known = (now, Some(owner.id));
        }
    }
}

/// S7: owners and sets of a table say the same.
fn tables_agree(node: usize, nodes: &[Node]) {
    let table = nodes[node].machine.as_ref().map(Machine::nodes);
    assert!(table.is_none_or(Nodes::agree), "S7: at {node}");
}

/// What a node holds that would take a write for its slots now.
fn writer(node: &Node, at: u64) -> Option<&Nodes> {
    node.machine.as_ref().filter(|_| accepts_writes(node, at)).map(Machine::nodes)
}

/// Of which primary a replica wants to have the slots, and since when it holds that one for failed.
fn wants(machine: &Machine) -> Option<(NodeId, Moment)> {
    let nodes = machine.nodes();
    let primary = nodes.my_primary().filter(|primary| *primary != nodes.myself())?;
    match nodes.at(primary).health {
        Health::Failed(since) if !machine.manual.is_taking() => Some((nodes.at(primary).id, since)),
        Health::Failed(_) | Health::Fit | Health::Suspected => None,
    }
}

/// T-E: a replica does not ask for votes while another one of its primary waits to ask, which knows
/// as long as it that the primary failed and has more of its data.
pub fn best_asks_first(asker: usize, world: &World) {
    // A frame that takes longer than an election says too late who has more.
    if world.is_uneven || !world.blocked.is_empty() || world.at < world.disturbed_at + CALM_MS {
        return;
    }
    let nodes = &world.nodes;
    let Some((primary, since)) = nodes[asker].machine.as_ref().and_then(wants) else { return };
    for (other, node) in nodes.iter().enumerate() {
        let Some(machine) = node.machine.as_ref().filter(|_| other != asker && !node.is_stopped)
        else {
            continue;
        };
        let knows = wants(machine)
            .is_some_and(|(theirs, at)| theirs == primary && at <= since.after(NEWS_MS));
        let failed =
            machine.nodes().iter().filter(|(_, node)| node.is_failed() && node.is_voting());
        let waits = machine.election.deadline().is_some_and(|due| world.at < due.0);
        let has_more = nodes[asker].offset < node.offset;
        assert!(
            !(knows && failed.count() == 1 && waits && has_more),
            "T-E: {asker} asks, and {other} has more"
        );
    }
}
