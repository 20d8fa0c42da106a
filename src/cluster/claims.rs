//! T-C: what a node claims to be and to own, against what this node holds. The greater config epoch
//! decides.

mod slots;

use shards::resp::error::Error;

use crate::cluster::frame::bodies::Update;
use crate::cluster::frame::header::{Flags, Header};
use crate::cluster::ids::Epoch;
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::{Action, Follow, Sync};
use crate::cluster::machine::requests::{CANNOT_SAVE, MAY_BE_REPLACED};
use crate::cluster::manual::Manual;
use crate::cluster::nodes::Key;
use crate::cluster::nodes::node::Role;
use crate::config::choices::LogLevel;

/// Whether a frame is to be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is.
    Taken,
    /// Its sender did not know the present when it was written.
    Stale,
}

impl Machine {
    /// Takes the epochs of a frame that are greater than the known ones.
    pub(super) fn learn_epochs(&mut self, sender: Key, header: &Header) {
        // It is saved with the next thing that has to be: an epoch that was only seen may be
        // forgotten.
        self.current_epoch = self.current_epoch.max(header.current_epoch);
        let claims_primary = header.flags.has(Flags::PRIMARY) && header.primary.is_none();
        if !claims_primary {
            return;
        }
        if self.nodes.at(sender).config_epoch < header.config_epoch {
            self.nodes.at_mut(sender).config_epoch = header.config_epoch;
            (self.todo.save, self.todo.state) = (true, true);
        }
        let now = self.now.at;
        let node = self.nodes.at_mut(sender);
        node.claimed_epoch = node.claimed_epoch.max(header.config_epoch);
        if node.config_epoch == header.config_epoch {
            node.claimed_at = Some(now);
        }
        self.current_epoch = self.current_epoch.max(header.config_epoch);
        self.election_outrun(sender, header.config_epoch);
    }

    /// Compares what the sender of a heartbeat says of itself with what this node holds.
    pub(super) fn claim(&mut self, sender: Key, header: &Header) -> Claim {
        match header.primary {
            None if header.flags.has(Flags::PRIMARY) => self.claims_primary(sender),
            None => {}
            Some(id) => {
                let primary = self.nodes.find(id);
                if self.claims_replica(sender, primary, header) == Claim::Stale {
                    return Claim::Stale;
                }
            }
        }
        // What a replica says are the slots and the epoch of its primary, also if it is held for a
        // primary here.
        if header.primary.is_none() && self.nodes.at(sender).is_primary() {
            self.take_slots(sender, header.config_epoch, &header.slots);
            self.follow_emptier(sender, header);
        }
        if let Some((_, owner)) = self.newer_owner(header).filter(|(_, owner)| *owner != sender) {
            self.tell_update(sender, owner);
        }
        self.avoid_collision(sender, header);
        Claim::Taken
    }

    /// Row 2.
    fn claims_primary(&mut self, sender: Key) {
        let was_unknown = self.nodes.at(sender).role == Role::Unknown;
        if !self.nodes.set_primary(sender) {
            return;
        }
        self.todo.nodes_changed();
        if !was_unknown {
            let (shown, shard) = (self.shown(sender), self.nodes.shown_shard(sender));
            let text = format!("Reconfiguring node {shown} as primary for shard {shard}");
            self.log(LogLevel::Notice, text);
        }
    }

    /// Rows 3, 4, 4a and 4b.
    fn claims_replica(&mut self, sender: Key, primary: Option<Key>, header: &Header) -> Claim {
        let me = self.nodes.myself();
        if primary == Some(sender) {
            return Claim::Stale;
        }
        if self.nodes.at(sender).is_primary()
            && let Some(primary) = primary
            && self.nodes.are_of_one_shard(sender, primary)
        {
            let known = self.nodes.at(sender).config_epoch;
            let of_primary = self.nodes.at(primary).config_epoch;
            if header.config_epoch < known.max(of_primary) {
                let shown = self.shown(sender);
                let text = format!(
                    "Ignore stale message from {shown}; gossip config epoch: {}, current config \
                     epoch: {known}",
                    header.config_epoch
                );
                self.log(LogLevel::Notice, text);
                return Claim::Stale;
            }
            // Also if this node missed that it was replaced and took over again: else any old claim
            // would have its slots for a moment.
            let is_news = self.nodes.at(primary).is_replica() || of_primary < header.config_epoch;
            if is_news && primary != me {
                self.failed_over(sender, primary, header);
            }
        }
        if primary.is_some_and(|primary| self.is_dead_end(sender, primary)) {
            return Claim::Taken;
        }
        // Of a replica whose new primary is not known yet, the known one is kept.
        let node = self.nodes.at(sender);
        let is_news = node.role != Role::Replica(primary);
        if is_news && (primary.is_some() || !node.is_replica()) {
            self.became_replica(sender, primary);
        }
        self.follow_primarys_primary(sender);
        Claim::Taken
    }

    /// Row 3: the sender's slots are of the node that took over from it. Those that the sender does
    /// not say of it had been given to others before, and this node has missed that.
    fn failed_over(&mut self, sender: Key, primary: Key, header: &Header) {
        let epoch = header.config_epoch;
        self.nodes.set_primary(primary);
        let count = self.nodes.move_slots(sender, primary);
        self.nodes.mark_claims(primary, &header.slots);
        self.nodes.at_mut(primary).config_epoch = epoch;
        for open in [&mut self.nodes.migrating, &mut self.nodes.importing] {
            open.values_mut().filter(|node| **node == sender).for_each(|node| *node = primary);
        }
        let (from, to) = (self.shown(sender), self.shown(primary));
        let shard = self.nodes.shown_shard(primary);
        self.log(
            LogLevel::Notice,
            format!(
                "A failover occurred in shard {shard}; node {from} lost {count} slot(s) and failed \
                 over to node {to} with a config epoch of {epoch}"
            ),
        );
    }

    /// Row 4a: whether a node says that it follows one that is FAIL here, while a newer primary of
    /// its shard lives: it does not know that one yet.
    fn is_dead_end(&self, sender: Key, primary: Key) -> bool {
        let node = self.nodes.at(primary);
        let newer = |(key, other): (Key, &super::nodes::node::Node)| {
            let is_newer = node.config_epoch < other.config_epoch && other.is_voting();
            let is_there = key != sender && !other.is_failed();
            is_newer && is_there && self.nodes.are_of_one_shard(key, primary)
        };
        node.is_failed() && self.nodes.iter().any(newer)
    }

    /// Rows 3 and 4: what the sender still has becomes unowned.
    fn became_replica(&mut self, sender: Key, primary: Option<Key>) {
        self.nodes.set_replica(sender, primary);
        self.todo.nodes_changed();
        let shown = self.shown(sender);
        if let Some(primary) = primary {
            let (of, shard) = (self.shown(primary), self.nodes.shown_shard(primary));
            let text = format!("Node {shown} is now a replica of node {of} in shard {shard}");
            self.log(LogLevel::Notice, text);
        }
        // If others hold this node for FAIL, they may elect it.
        self.look_at_lease();
    }

    /// Row 4b: replicas of replicas have old data, and never take over.
    fn follow_primarys_primary(&mut self, sender: Key) {
        let me = self.nodes.myself();
        if self.nodes.me().role != Role::Replica(Some(sender)) {
            return;
        }
        let Role::Replica(Some(next)) = self.nodes.at(sender).role else { return };
        if next == me || self.nodes.at(next).is_failed() {
            return;
        }
        let (from, to) = (self.shown(sender), self.shown(next));
        let sync = self.sync_from(next);
        let text = format!("I'm a sub-replica! Reconfiguring myself from {from} to {to}");
        self.log(LogLevel::Notice, text);
        self.replicate(next, sync);
    }

    /// How this node gets the data of another one.
    pub(super) fn sync_from(&self, primary: Key) -> Sync {
        let is_alike = self.nodes.are_of_one_shard(self.nodes.myself(), primary);
        if is_alike { Sync::Partial } else { Sync::Full }
    }

    /// Makes this node the replica of another one.
    pub(super) fn replicate(&mut self, primary: Key, sync: Sync) {
        let me = self.nodes.myself();
        if self.nodes.me().role != Role::Replica(Some(primary)) {
            let was_primary = self.is_primary() && sync == Sync::Partial;
            self.stepped_down = was_primary.then_some(self.now.at);
            self.nodes.set_replica(me, Some(primary));
            self.nodes.me_mut().config_epoch = Epoch(0);
            // Who takes over has just told all nodes. Until they hear of this one, too, it has no
            // vote of theirs, and its primary no ear for its CLUSTER FAILOVER.
            self.todo.pong_all |=
                matches!(self.manual, Manual::Gives { replica, .. } if replica == primary);
            self.reset_manual();
            self.drop_election();
            self.state.forget_rise();
            self.given.clear();
            // Up to a full sync nothing of the new history is here. A primary of this shard has the
            // slots that were on their way to and from its predecessor, and does not tell of them
            // again.
            if sync == Sync::Full {
                self.mine.offset = 0;
                self.nodes.migrating.clear();
                self.nodes.importing.clear();
            }
        }
        self.todo.owners_changed();
        let node = self.nodes.at(primary);
        if let Some(ip) = node.ip {
            let follow = Follow { primary: node.id, ip, port: node.ports.client, sync };
            self.act(Action::Follow(follow));
        }
    }

    /// Row 13: two primaries with one epoch. The smaller id takes a new one, unless one
    /// is fenced and was replaced by the other one.
    fn avoid_collision(&mut self, sender: Key, header: &Header) {
        let (me, node) = (self.nodes.me(), self.nodes.at(sender));
        let collides =
            me.is_primary() && node.is_primary() && header.config_epoch == me.config_epoch;
        // Fenced, and this epoch is none by which it took over itself: a primary of the same shard
        // that has the slots took over from this node. So it did if this node has just started.
        let has_taken = self.state.has_taken_over_by(header.config_epoch);
        let may_be_replaced = self.state.is_fenced() && !has_taken;
        let is_smaller = me.id < node.id;
        if !collides || !(is_smaller || may_be_replaced) {
            return;
        }
        let may_be_replaced = may_be_replaced || !self.is_safe_to_join();
        let claimed = me.slot_set().common(&header.slots);
        let is_all = me.slot_count() == claimed.len();
        let of_one_shard = self.nodes.are_of_one_shard(self.nodes.myself(), sender);
        if !claimed.is_empty() && of_one_shard && may_be_replaced {
            self.nodes.own_all(&claimed, sender);
            if is_all {
                return self.replicate(sender, self.sync_from(sender));
            }
            // What came when this node could not save its claim stays: no other node has it.
            self.todo.owners_changed();
            self.act(Action::DeleteKeys(claimed));
        }
        if !is_smaller || self.may_raise_epoch().is_err() {
            return;
        }
        let shown = self.shown(sender);
        self.raise_epoch();
        let epoch = self.nodes.me().config_epoch;
        self.todo.pong_all = true;
        let text =
            format!("WARNING: configEpoch collision with node {shown}. configEpoch set to {epoch}");
        self.log(LogLevel::Warning, text);
    }

    /// Whether this node may take a newer epoch that no one has asked for by hand.
    ///
    /// # Errors
    /// It cannot be saved, or writes are refused here: a successor may have been elected, which a
    /// newer epoch would take the slots from, with all that was written there.
    pub(super) fn may_raise_epoch(&self) -> Result<(), Error> {
        match (self.cannot_save, self.state.is_fenced()) {
            (true, _) => Err(CANNOT_SAVE),
            (false, true) => Err(MAY_BE_REPLACED),
            (false, false) => Ok(()),
        }
    }

    /// Takes an epoch that is greater than all known ones, without a vote.
    pub(super) fn raise_epoch(&mut self) {
        self.current_epoch = self.current_epoch.max(self.nodes.greatest_config_epoch()).next();
        self.nodes.me_mut().config_epoch = self.current_epoch;
        self.todo.save = true;
    }

    /// Row 14: another node tells of a newer owner.
    pub(super) fn update_came(&mut self, sender: Key, update: &Update) {
        let Some(subject) = self.nodes.find(update.node) else { return };
        let (by, shown) = (self.shown(sender), self.shown(subject));
        let (epoch, node) = (update.config_epoch, self.nodes.at(subject));
        // Its epoch may be known by a replica of it, and not which slots it took from this node. If
        // it has told of these itself, others know nothing better.
        let is_untold = node.claimed_epoch < epoch && node.config_epoch == epoch;
        let takes_mine = self.nodes.me().slot_set().first_common(&update.slots).is_some();
        let is_news = node.config_epoch < epoch || (is_untold && takes_mine);
        if subject == self.nodes.myself() || !is_news {
            return;
        }
        let text = format!("Processing UPDATE message received from {by} about {shown}");
        self.log(LogLevel::Debug, text);
        self.nodes.set_primary(subject);
        self.nodes.at_mut(subject).config_epoch = update.config_epoch;
        self.current_epoch = self.current_epoch.max(update.config_epoch);
        self.todo.owners_changed();
        self.take_slots(subject, update.config_epoch, &update.slots);
        self.election_outrun(subject, update.config_epoch);
    }

    /// Row 11: of two primaries of a shard without slots, the one with the greater epoch is
    /// followed.
    fn follow_emptier(&mut self, sender: Key, header: &Header) {
        let (me, node) = (self.nodes.me(), self.nodes.at(sender));
        let are_empty = me.is_primary() && me.slot_count() == 0 && node.slot_count() == 0;
        let is_newer = me.config_epoch < header.config_epoch;
        if are_empty && is_newer && self.nodes.are_of_one_shard(self.nodes.myself(), sender) {
            let shown = self.shown(sender);
            let text = format!(
                "Configuration change detected. Reconfiguring myself as a replica of node {shown}"
            );
            self.log(LogLevel::Notice, text);
            self.replicate(sender, Sync::Partial);
        }
    }
}

#[cfg(test)]
mod tests;
