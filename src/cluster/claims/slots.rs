//! T-C, rows 5 to 10: slots that another primary claims, and those that it does not claim any more.

use std::collections::BTreeSet;

use shards::base::slot::Slot;

use crate::cluster::ids::Epoch;
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::{Action, Sync};
use crate::cluster::nodes::Key;
use crate::cluster::slot_set::SlotSet;
use crate::config::choices::LogLevel;

/// Milliseconds for which no claim gets slots that were deleted by hand.
const DELETED_MS: u64 = 500;

impl Machine {
    /// Compares the claim of a primary with what this node holds of all slots.
    pub(super) fn take_slots(&mut self, sender: Key, epoch: Epoch, claimed: &SlotSet) {
        // What comes behind a newer claim, by the other link, is over. A node that comes back with
        // an old file means what it says: by then it was silent for a while.
        let node = self.nodes.at(sender);
        let is_recent = |at| self.since(at) < self.settings.node_timeout_ms;
        let has_just_claimed = node.claimed_at.is_some_and(is_recent);
        if epoch < node.config_epoch && has_just_claimed {
            return;
        }
        if !self.given.is_empty() || !self.nodes.importing.is_empty() {
            self.confirm_given(sender, claimed);
        }
        // What changes nothing is most of what comes.
        if self.nodes.at(sender).slot_set() == claimed && !self.has_unclaimed(sender) {
            return;
        }
        let me = self.nodes.myself();
        let mine = self.nodes.my_primary();
        let had = mine.map_or(0, |mine| self.nodes.at(mine).slot_count());
        self.keep_given(sender, epoch, claimed);
        let (taken, lost) = self.taken(sender, epoch, claimed);
        self.nodes.mark_claims(sender, claimed);
        let open = self.nodes.migrating.keys().chain(self.nodes.importing.keys());
        for slot in open.copied().collect::<BTreeSet<Slot>>() {
            if taken.contains(slot) {
                self.close_taken(slot, sender);
            } else if !claimed.contains(slot) {
                self.open_not_claimed(slot, sender, epoch);
            }
        }
        if !taken.is_empty() {
            self.nodes.own_all(&taken, sender);
            self.todo.owners_changed();
        }
        let Some(mine) = mine.filter(|_| !lost.is_empty()) else { return };
        self.log_lost(sender, mine, &lost);
        let is_empty = self.nodes.at(mine).slot_count() == 0;
        if 0 < had && is_empty && self.follow_taker(sender) {
            return;
        }
        if mine == me {
            let ranges = lost.ranges();
            for range in &ranges {
                let text = crate::cluster::report::nodes::shown(*range);
                self.log(LogLevel::Notice, format!("Deleting keys in dirty slots {text}."));
            }
            self.act(Action::DeleteKeys(lost));
        }
    }

    /// Row 6: which of the claimed slots the sender gets, and which of these from the primary of
    /// this node's shard. One that its owner does not claim any more is free, whatever its epoch: a
    /// node that was away for a move of it and a failover of its source gave it to the successor.
    fn taken(&self, sender: Key, epoch: Epoch, claimed: &SlotSet) -> (SlotSet, SlotSet) {
        let others = claimed.without(self.nodes.at(sender).slot_set());
        let others = others.without(&self.withheld(sender));
        let others = match self.recently_deleted() {
            Some(deleted) => others.without(deleted),
            None => others,
        };
        let marked = others.common(self.nodes.unclaimed());
        let marked = marked.with(&others.common(&self.arrived(sender, epoch)));
        let mut taken = others.without(self.nodes.owned());
        let mut lost = SlotSet::default();
        for (owner, node) in self.nodes.iter() {
            let is_older = node.config_epoch < epoch;
            let of_owner = node.slot_set().common(if is_older { &others } else { &marked });
            taken = taken.with(&of_owner);
            if Some(owner) == self.nodes.my_primary() {
                lost = of_owner;
            }
        }
        (taken, lost)
    }

    /// What was just deleted by hand gets an owner by hand: `valkey-cli --cluster fix` sends
    /// DELSLOTS and ADDSLOTS in one EXEC, and the former owner's heartbeat may come in between.
    pub(in crate::cluster) fn recently_deleted(&self) -> Option<&SlotSet> {
        let (at, slots) = self.deleted.as_ref()?;
        (self.since(*at) < DELETED_MS).then_some(slots)
    }

    /// Slots that are on their way to a node. If it claims them by a newer epoch than it had when
    /// that began, they were assigned to it since; the own epoch may be newer still for other
    /// reasons.
    fn arrived(&self, target: Key, epoch: Epoch) -> SlotSet {
        let is_target = |slot: &&Slot| self.nodes.migrating.get(slot) == Some(&target);
        let opened = self.opened.iter().filter(|(_, known)| **known < epoch);
        opened.map(|(slot, _)| slot).filter(is_target).copied().collect()
    }

    /// A slot is on its way to a node from now on.
    pub(in crate::cluster) fn begin_migrating(&mut self, slot: Slot, target: Key) {
        self.nodes.migrating.insert(slot, target);
        let migrating = &self.nodes.migrating;
        self.opened.retain(|slot, _| migrating.contains_key(slot));
        self.opened.insert(slot, self.nodes.at(target).config_epoch);
    }

    /// Whether some slot of a node is marked, so that a claim that seems the same is not.
    fn has_unclaimed(&self, key: Key) -> bool {
        let marked = self.nodes.unclaimed().first_common(self.nodes.at(key).slot_set());
        marked.is_some() || !self.nodes.migrating.is_empty() || !self.nodes.importing.is_empty()
    }

    /// Rows 7 and 8, of an open slot. A target that is gone does not say that it was replaced.
    fn open_not_claimed(&mut self, slot: Slot, sender: Key, epoch: Epoch) {
        let is_owner = self.nodes.owner(slot) == Some(sender);
        if let Some(target) = self.nodes.migrating.get(&slot).copied()
            && target != sender
            && (self.nodes.at(target).is_replica() || self.nodes.at(target).config_epoch < epoch)
            && self.nodes.are_of_one_shard(target, sender)
        {
            let shown = self.shown(sender);
            let text = format!(
                "A failover occurred in migration target. Slot {} is now being migrated to {shown}",
                slot.number()
            );
            self.log(LogLevel::Notice, text);
            self.begin_migrating(slot, sender);
            self.todo.owners_changed();
        }
        let is_mine = self.nodes.importing.get(&slot) == Some(&sender) && self.is_primary();
        // A node that has just come back may have been replaced by its heir, which has the slot.
        let is_sure = self.state().is_ok() && self.may_raise_epoch().is_ok();
        if is_mine && is_owner && is_sure {
            // The source has given it, and its word to this node was lost.
            self.nodes.importing.remove(&slot);
            self.nodes.own(slot, self.nodes.myself());
            self.raise_epoch();
            let (shown, epoch) = (self.shown(sender), self.nodes.me().config_epoch);
            let text = format!(
                "Node {shown} has given up slot {}, which was imported from it: it is this node's. \
                 New configEpoch set to {epoch}",
                slot.number()
            );
            self.log(LogLevel::Notice, text);
            self.todo.owners_changed();
            self.todo.pong_all = true;
        }
    }

    /// Row 6: what an open slot means now that it has another owner.
    fn close_taken(&mut self, slot: Slot, sender: Key) {
        if let Some(target) = self.nodes.migrating.get(&slot).copied()
            && !self.nodes.are_of_one_shard(self.nodes.myself(), sender)
        {
            let shown = self.shown(target);
            let text =
                format!("Slot {} is no longer being migrated to node {shown}", slot.number());
            self.log(LogLevel::Notice, text);
            self.nodes.migrating.remove(&slot);
        }
        let Some(source) = self.nodes.importing.get(&slot).copied() else { return };
        if source == sender {
            return;
        }
        if self.nodes.are_of_one_shard(source, sender) {
            let shown = self.shown(sender);
            let text = format!(
                "A failover occurred in migration source. Slot {} is now being imported from node \
                 {shown}",
                slot.number()
            );
            self.log(LogLevel::Notice, text);
            self.nodes.importing.insert(slot, sender);
        } else {
            self.nodes.importing.remove(&slot);
        }
    }

    fn log_lost(&mut self, sender: Key, from: Key, lost: &SlotSet) {
        let (from, to) = (self.shown(from), self.shown(sender));
        for range in lost.ranges() {
            let (first, last) = (range.first.number(), range.last.number());
            let text =
                format!("Slot range [{first}, {last}] is migrated from node {from} to node {to}");
            self.log(LogLevel::Notice, text);
        }
    }

    /// Row 9: this shard has no slot left. False if this node stays an empty primary.
    fn follow_taker(&mut self, sender: Key) -> bool {
        let shown = self.shown(sender);
        let sync = self.sync_from(sender);
        if sync == Sync::Full && !self.settings.allows_migration {
            if self.is_primary() {
                let text = format!(
                    "My last slot was migrated to node {shown} in shard {}. I am now an empty \
                     primary.",
                    self.nodes.shown_shard(sender)
                );
                self.log(LogLevel::Notice, text);
            }
            return false;
        }
        let text = format!(
            "Configuration change detected. Reconfiguring myself as a replica of node {shown} in \
             shard {}",
            self.nodes.shown_shard(sender)
        );
        self.log(LogLevel::Notice, text);
        self.replicate(sender, sync);
        true
    }

    /// Keys are loaded, of slots that no node or another one owns.
    pub(in crate::cluster) fn claim_loaded(&mut self, slots: &SlotSet) {
        let me = self.nodes.myself();
        let mut foreign = SlotSet::default();
        for slot in slots.iter() {
            let number = slot.number();
            match self.nodes.owner(slot) {
                Some(owner) if owner == me => {}
                _ if self.nodes.importing.contains_key(&slot) => {}
                None => {
                    let text = format!(
                        "I have keys for unassigned slot {number}. Taking responsibility for it."
                    );
                    self.log(LogLevel::Notice, text);
                    self.nodes.own(slot, me);
                    self.todo.owners_changed();
                }
                Some(_) => {
                    let text = format!(
                        "I have keys for slot {number}, but the slot is assigned to another node. \
                         Deleting keys in the slot."
                    );
                    self.log(LogLevel::Notice, text);
                    foreign.insert(slot);
                }
            }
        }
        if !foreign.is_empty() {
            self.act(Action::DeleteKeys(foreign));
        }
    }
}
