//! Replication in the simulated world: offsets that follow one another.

use super::super::Machine;
use super::super::event::{Event, Replicated};
use super::world::{Node, World};
use crate::cluster::ids::NodeId;
use crate::cluster::moment::Moment;

impl World {
    /// Primaries that write get on; replicas that can reach theirs have what it has, some of them
    /// a bit later.
    pub(super) fn replicate(&mut self) {
        for node in 0..self.nodes.len() {
            if accepts_writes(&self.nodes[node], self.at) {
                self.nodes[node].offset += 10;
            }
            let by_id = |wanted: NodeId| {
                (0..self.nodes.len()).find(|other| {
                    let machine = self.nodes[*other].machine.as_ref();
                    machine.is_some_and(|machine| machine.nodes().me().id == wanted)
                })
            };
            let primary = self.nodes[node].follows.and_then(by_id);
            let reached = primary
                .filter(|primary| !self.nodes[*primary].is_stopped && !self.is_cut(node, *primary))
                .filter(|primary| {
                    let machine = self.nodes[*primary].machine.as_ref();
                    machine.is_some_and(|machine| !machine.lacks_data())
                });
            let now = Moment(self.at);
            let refused = reached.filter(|primary| self.refuses(node, *primary));
            let reached = reached.filter(|_| refused.is_none());
            if let Some(primary) = reached {
                if self.random.below(2) == 0 {
                    let Node { offset, history, .. } = self.nodes[primary];
                    (self.nodes[node].offset, self.nodes[node].history) = (offset, history);
                    self.copy_keys(primary, node);
                }
                (self.nodes[node].heard, self.nodes[node].has_followed) = (Some(now), true);
            }
            let one = &mut self.nodes[node];
            let replicated = Replicated {
                offset: one.offset,
                is_linked: reached.is_some(),
                heard: one.heard,
                lacks_keys: false,
                has_keys: one.offset != 0,
            };
            if one.machine.is_none() || one.is_stopped {
                continue;
            }
            if one.told.replace(replicated) != Some(replicated) {
                self.event(node, Event::Replicated(replicated));
            }
            if refused.is_some() {
                self.event(node, Event::Refused);
            }
        }
    }

    /// Whether a replica does not take what its primary has.
    fn refuses(&self, node: usize, primary: usize) -> bool {
        let (one, primary) = (&self.nodes[node], &self.nodes[primary]);
        let keeps = one.machine.as_ref().is_some_and(Machine::keeps_data);
        keeps && one.has_followed && one.history != primary.history && primary.offset < one.offset
    }
}

/// Whether a node would take a write for its slots now.
pub fn accepts_writes(node: &Node, at: u64) -> bool {
    let Some(machine) = node.machine.as_ref().filter(|_| !node.is_stopped) else { return false };
    let acts = at < machine.now().at.0 + 200;
    // Shards are told until when, and look at the time themselves.
    let is_fenced = machine.writes_until().is_none_or(|until| until.0 < at);
    let serves = machine.state().is_ok() && !is_fenced && !node.is_paused;
    acts && machine.nodes().me().is_voting() && serves
}
