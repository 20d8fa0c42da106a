//! What must hold after each event, whatever happens.

use std::collections::BTreeMap;

use shards::base::slot::Slot;

use super::world::{Node, World, accepts_writes};
use crate::cluster::frame::extensions::Extension;
use crate::cluster::frame::header::Flags;
use crate::cluster::frame::{Body, Packet};
use crate::cluster::ids::{Epoch, NodeId};
use crate::cluster::machine::Machine;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::node::{Health, Role};
use crate::cluster::slot_set::all_slots;

/// Slots that only failovers give to another node: one of each shard.
pub const WATCHED: [u16; 3] = [0, 5461, 10923];
/// Milliseconds for which nothing else may have gone wrong when replicas are compared.
const CALM_MS: u64 = 2500;
/// Milliseconds by which a replica may know of a failure later than the one that is elected.
const NEWS_MS: u64 = 5;
/// Events between two looks at everything that a table says.
const TABLE_EACH: u64 = 2000;
/// Milliseconds between two looks at who writes.
const WRITERS_MS: u64 = 5;

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
    /// The epochs of the claims by which nodes know the owners of the watched slots.
    owned: Vec<[Epoch; WATCHED.len()]>,
    /// When it was last looked who writes.
    looked_at: u64,
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
        let owned = vec![Default::default(); nodes];
        Self { disks, current, owned, ..Self::default() }
    }

    pub fn started(&mut self, node: usize, disk: &str) {
        (self.current[node], self.owned[node]) = (Epoch(0), Default::default());
        self.on_disk(node, disk);
    }

    /// A node has forgotten all that it knew: its epochs may begin anew.
    pub fn reset(&mut self, node: usize) {
        (self.current[node], self.owned[node]) = (Epoch(0), Default::default());
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
        if !self.took_over && self.looked_at + WRITERS_MS <= at {
            self.looked_at = at;
            one_writer(at, nodes);
        }
    }

    /// S8: what a node knows of a slot's owner is never older than what it knew.
    fn owners_are_newer(&mut self, node: usize, machine: &Machine) {
        let table = machine.nodes();
        for (number, known) in WATCHED.into_iter().zip(&mut self.owned[node]) {
            let slot = Slot::new(number).expect("a slot");
            // Row 4 of T-C leaves slots without an owner for a moment.
            let Some(key) = table.owner(slot) else { continue };
            let epoch = table.at(key).config_epoch;
            assert!(*known <= epoch, "S8: at {node}, the owner of {number} is older than before");
            *known = epoch;
        }
    }
}

/// S7: owners and sets of a table say the same.
fn tables_agree(node: usize, nodes: &[Node]) {
    let Some(machine) = &nodes[node].machine else { return };
    let table = machine.nodes();
    let counted: usize = table.iter().map(|(_, node)| node.slot_count()).sum();
    let mut count = 0;
    for (owner, known) in table.iter() {
        for slot in known.slots() {
            assert_eq!(table.owner(slot), Some(owner), "S7: {slot:?} at {node}");
            count += 1;
        }
    }
    let owned = all_slots().filter(|slot| table.owner(*slot).is_some()).count();
    assert_eq!((counted, owned), (count, count), "S7: at {node}");
}

/// No two nodes take writes for one slot: a fence stands before a successor is elected. While a
/// slot is moved by hand each of its keys is at one node.
fn one_writer(at: u64, nodes: &[Node]) {
    let writers = nodes.iter().enumerate().filter(|(_, node)| accepts_writes(node, at));
    let writers = writers.filter_map(|(number, node)| Some((number, node.machine.as_ref()?)));
    let writers: Vec<(usize, &Machine)> = writers.collect();
    for (place, (node, mine)) in writers.iter().enumerate() {
        for (other, theirs) in &writers[..place] {
            let (mine, theirs) = (mine.nodes(), theirs.nodes());
            let (ours, others) = (mine.me().slot_set(), theirs.me().slot_set());
            if ours.first_common(others).is_none() {
                continue;
            }
            let moving = mine.migrating.keys().chain(theirs.migrating.keys()).copied().collect();
            let both = ours.without(&moving).first_common(others);
            assert_eq!(both, None, "7.4: {node} and {other} both write at {at}");
        }
    }
}

/// T-E: a replica is not elected while another one of its primary, which knows as long as it that
/// the primary failed and has more of its data, waits to ask.
pub fn best_is_elected(winner: usize, primary: NodeId, since: Moment, world: &World) {
    if !world.blocked.is_empty() || world.at < world.disturbed_at + CALM_MS {
        return;
    }
    let nodes = &world.nodes;
    for (other, node) in nodes.iter().enumerate() {
        let Some(machine) = node.machine.as_ref().filter(|_| other != winner && !node.is_stopped)
        else {
            continue;
        };
        let table = machine.nodes();
        let follows =
            table.find(primary).filter(|key| table.me().role == Role::Replica(Some(*key)));
        let Some(failed) = follows.map(|key| table.at(key).health) else { continue };
        let knows = matches!(failed, Health::Failed(at) if at <= since.after(NEWS_MS));
        let is_only =
            table.iter().filter(|(_, node)| node.is_failed() && node.is_voting()).count() == 1;
        let waits = machine.election.deadline().is_some_and(|due| world.at < due.0);
        let has_more = nodes[winner].offset < node.offset;
        assert!(
            !(knows && is_only && waits && has_more),
            "T-E: {winner} is elected, and {other} has more"
        );
    }
}
