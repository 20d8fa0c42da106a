//! What must hold after each event, whatever happens.

use std::collections::BTreeMap;

use super::world::{Node, accepts_writes};
use crate::cluster::frame::header::Flags;
use crate::cluster::frame::{Body, Packet};
use crate::cluster::ids::{Epoch, NodeId};
use crate::cluster::slot_set::all_slots;

/// Events between two looks at everything that a table says.
const TABLE_EACH: u64 = 200;

/// What was seen.
#[derive(Default)]
pub struct Checks {
    /// By voter and epoch.
    votes: BTreeMap<(NodeId, Epoch), usize>,
    /// By epoch.
    pub winners: BTreeMap<Epoch, usize>,
    disks: Vec<OnDisk>,
    /// The greatest epochs of each node since it started.
    current: Vec<Epoch>,
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
        let mut epochs = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if words[0] == "vars" {
                (epochs.current, epochs.vote) = (number(words[2]), number(words[4]));
            } else if words[2].contains("myself,master") {
                epochs.mine = number(words[6]);
            }
        }
        epochs
    }
}

impl Checks {
    pub fn new(nodes: usize) -> Self {
        let (disks, current) = (vec![OnDisk::default(); nodes], vec![Epoch(0); nodes]);
        Self { disks, current, ..Self::default() }
    }

    pub fn started(&mut self, node: usize, disk: &str) {
        self.current[node] = Epoch(0);
        self.on_disk(node, disk);
    }

    pub fn on_disk(&mut self, node: usize, text: &str) {
        let (before, now) = (self.disks[node], OnDisk::of(text));
        // A frame of a primary may leave after a file that says that it follows another one.
        self.disks[node] = OnDisk { mine: before.mine.max(now.mine), ..now };
    }

    pub fn logged(&mut self, node: usize, at: u64, text: &str) {
        self.lines.push(format!("{at} {node} {text}"));
        let won = text.strip_prefix("configEpoch set to ");
        let won = won.and_then(|rest| rest.strip_suffix(" after successful failover"));
        if let Some(epoch) = won {
            let epoch = Epoch(epoch.parse().expect("an epoch"));
            let other = self.winners.insert(epoch, node);
            assert_eq!(other, None, "S2: two winners of epoch {epoch}");
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
                assert!(header.current_epoch <= disk.current, "S5: {node} asks before it is saved");
            }
            _ => {}
        }
        if header.flags.has(Flags::PRIMARY) {
            let epoch = header.config_epoch;
            assert!(epoch <= disk.mine, "S5: {node} claims epoch {epoch} at {at}, unsaved");
        }
    }

    pub fn after(&mut self, node: usize, at: u64, nodes: &[Node]) {
        self.events += 1;
        if let Some(machine) = &nodes[node].machine {
            let epoch = machine.current_epoch();
            assert!(self.current[node] <= epoch, "S4: the epoch of {node} falls");
            self.current[node] = epoch;
        }
        if self.events.is_multiple_of(TABLE_EACH) {
            tables_agree(node, nodes);
        }
        if !self.took_over && accepts_writes(&nodes[node], at) {
            one_writer(node, at, nodes);
        }
    }
}

/// S7: owners and sets of a table say the same.
fn tables_agree(node: usize, nodes: &[Node]) {
    let Some(machine) = &nodes[node].machine else { return };
    let table = machine.nodes();
    let counted: usize = table.iter().map(|(_, node)| node.slot_count()).sum();
    let owned = all_slots().filter_map(|slot| Some((slot, table.owner(slot)?)));
    let mut count = 0;
    for (slot, owner) in owned {
        count += 1;
        assert!(table.at(owner).slot_set().contains(slot), "S7: {slot:?} at {node}");
    }
    assert_eq!(counted, count, "S7: at {node}");
}

/// No two nodes take writes for one slot: a fence stands before a successor is elected. While a
/// slot is moved by hand each of its keys is at one node.
fn one_writer(node: usize, at: u64, nodes: &[Node]) {
    let Some(mine) = &nodes[node].machine else { return };
    for (other, one) in nodes.iter().enumerate() {
        let Some(theirs) = one.machine.as_ref().filter(|_| other != node) else { continue };
        if !accepts_writes(one, at) {
            continue;
        }
        let (mine, theirs) = (mine.nodes(), theirs.nodes());
        let moving = mine.migrating.keys().chain(theirs.migrating.keys()).copied().collect();
        let slots = mine.me().slot_set().without(&moving);
        let both = slots.first_common(theirs.me().slot_set());
        assert_eq!(both, None, "7.4: {node} and {other} both write at {at}");
    }
}
