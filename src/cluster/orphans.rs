//! Replica migration: a primary without a live replica gets one from a shard that has several.

use crate::cluster::frame::header::Flags;
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::Sync;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::{Node, Role};
use crate::config::choices::LogLevel;

/// Milliseconds for which a primary has to be without a replica.
const ORPHAN_MS: u64 = 5000;
/// Live replicas of the shard that gives one.
const REPLICAS_MIN: usize = 2;

impl Machine {
    /// Notes which primaries have no live replica, and goes to one if this node is the one to go.
    pub(super) fn look_at_orphans(&mut self) {
        let now = self.now.at;
        for key in self.nodes.keys() {
            let node = self.nodes.at(key);
            let may_get = node.flags.has(Flags::MIGRATE_TO) || key == self.nodes.myself();
            let is_orphan =
                node.is_voting() && !node.is_failed() && may_get && self.live_replicas(key) == 0;
            let since = if is_orphan { node.orphaned.or(Some(now)) } else { None };
            self.nodes.at_mut(key).orphaned = since;
        }
        if let Some(target) = self.migration_target() {
            let shown = self.shown(target);
            let text = format!("Migrating to orphaned primary {shown}");
            self.log(LogLevel::Notice, text);
            self.replicate(target, Sync::Full);
            self.todo.pong_all = true;
        }
    }

    fn live_replicas(&self, primary: Key) -> usize {
        self.nodes.replicas_of(primary).filter(|(_, node)| !node.is_failed()).count()
    }

    /// The primary that this node is to go to; `None` if it stays.
    fn migration_target(&self) -> Option<Key> {
        let Role::Replica(Some(mine)) = self.nodes.me().role else { return None };
        let ours = self.live_replicas(mine);
        let may_leave = self.settings.allows_migration
            && self.state.is_ok()
            && REPLICAS_MIN <= ours
            && self.settings.migration_barrier < ours
            && !self.manual.is_under_way();
        if !may_leave {
            return None;
        }
        let is_due = |node: &Node| node.orphaned.is_some_and(|since| ORPHAN_MS < self.since(since));
        let target = self.nodes.iter().find(|(_, node)| is_due(node)).map(|(key, _)| key)?;
        // Of all replicas of all shards with the most replicas, the one with the smallest id goes.
        let primaries = self.nodes.iter().filter(|(_, node)| node.is_primary());
        let counts = primaries.map(|(key, _)| (key, self.live_replicas(key)));
        let counts: Vec<(Key, usize)> = counts.collect();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let richest = |key: Key| counts.contains(&(key, most));
        let of_richest = self.nodes.iter().filter(|(_, node)| match node.role {
            Role::Replica(Some(primary)) => richest(primary) && !node.is_failed(),
            Role::Replica(None) | Role::Primary | Role::Unknown => false,
        });
        let first = of_richest.map(|(_, node)| node.id).min();
        (ours == most && first == Some(self.nodes.me().id)).then_some(target)
    }
}

#[cfg(test)]
mod tests;
