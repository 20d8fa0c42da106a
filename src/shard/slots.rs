//! Keys by their slots, for the cluster: counted, listed, deleted.

use shards::base::slot::Slot;
use shards::commands::spec::Command;
use shards::commands::table::GROUPS;
use shards::encodings::table::Position;
use shards::keyspace::db::Db;
use shards::shard::Request;

use crate::cluster::ownership::{Ownership, Place};
use crate::cluster::slot_set::SlotSet;
use crate::mail::query::Answer;
use crate::shard::core::Core;
use crate::stats::slot_stats::SlotCounters;

impl Core {
    /// How many keys there are, those on their way to another server included: they may come back.
    /// All shards together count each once.
    pub(crate) fn key_count(&self) -> u64 {
        let here = self.shard.keyspace.dbs.iter().map(|db| db.len() as u64);
        here.sum::<u64>() + self.keys_on_their_way(None, None)
    }

    /// The same of the keys of a slot, in all databases or in one.
    pub(crate) fn slot_key_count(&self, slot: Slot, db: Option<usize>) -> u64 {
        let dbs = self.shard.keyspace.dbs.iter().enumerate();
        let wanted = dbs.filter(|(number, _)| db.is_none_or(|db| db == *number));
        let here = wanted.map(|(_, db)| db.slot_len(slot) as u64);
        here.sum::<u64>() + self.keys_on_their_way(Some(slot), db)
    }

    /// What these slots have here, and what their commands have cost here, if that is not nothing.
    pub(crate) fn slot_figures(&self, slots: &SlotSet) -> Answer {
        let here = &self.shard.keyspace.slots;
        let figures = slots.iter().map(|slot| {
            let keys = match here.contains(&slot.number()) {
                true => self.slot_key_count(slot, None),
                false => 0,
            };
            (slot, keys, self.observers.slot_stats.of(slot))
        });
        let is_some = |(_, keys, cost): &(Slot, u64, SlotCounters)| {
            *keys != 0 || *cost != SlotCounters::default()
        };
        Answer::SlotFigures(figures.filter(is_some).collect())
    }

    /// So many keys of a slot, or all that there are.
    pub(crate) fn keys_in_slot(&self, slot: Slot, db: usize, count: usize) -> Vec<Vec<u8>> {
        let db = self.shard.keyspace.dbs.get(db);
        db.map_or_else(Vec::new, |db| keys_of(db, slot, count))
    }

    /// In which slots there are keys.
    pub(crate) fn used_slots(&self) -> Vec<Slot> {
        let slots = self.shard.keyspace.slots.clone().filter_map(Slot::new);
        let dbs = &self.shard.keyspace.dbs;
        slots.filter(|slot| dbs.iter().any(|db| has_keys(db, *slot))).collect()
    }

    /// Another node owns these slots: their keys are deleted, little by little, as long as this one
    /// is a primary. A replica deletes none by itself: its primary tells it of each.
    pub(crate) fn lose_slots(&mut self, slots: &SlotSet) {
        let here = self.shard.keyspace.slots.clone().filter_map(Slot::new);
        self.lost.extend(here.filter(|slot| slots.contains(*slot)));
    }

    /// Deletes what is left of slots that are served here again, or whose keys come: it is of a
    /// time before.
    pub(crate) fn clear_regained_slots(&mut self, ownership: &Ownership) {
        let is_back =
            |slot: &mut Slot| ownership.serves(*slot) || ownership.place(*slot) == Place::Importing;
        let regained: Vec<Slot> = self.lost.extract_if(.., is_back).collect();
        if self.is_primary() {
            for slot in regained {
                while self.delete_some(slot, usize::MAX) {}
            }
        }
    }

    /// This node is a replica from now on: what it has lost is for its primary to say.
    pub(crate) fn forget_lost_slots(&mut self) {
        self.lost.clear();
    }

    /// Deletes so many keys of lost slots. Replicas are told of each. True if there is more to do
    /// at once.
    pub(crate) fn delete_lost(&mut self, count: usize) -> bool {
        let Some(&slot) = self.lost.last().filter(|_| self.is_primary()) else { return false };
        let has_deleted = self.delete_some(slot, count);
        if self.shard.keyspace.dbs.iter().any(|db| has_keys(db, slot)) {
            return has_deleted;
        }
        self.lost.pop();
        !self.lost.is_empty()
    }

    /// Deletes so many keys of a slot in each database, but for those that a command has claimed.
    /// True if there were some.
    fn delete_some(&mut self, slot: Slot, count: usize) -> bool {
        let unlink = GROUPS.iter().copied().flatten().find(|it| it.spec.name == "unlink");
        let unlink: &'static Command = unlink.expect("it is a command");
        let (mut reply, mut deleted) = (Vec::new(), false);
        for db in 0..self.shard.keyspace.dbs.len() {
            for key in keys_of(&self.shard.keyspace.dbs[db], slot, count) {
                if self.claims.claimed(self.shard.keyspace.seed.key_hash(&key)) {
                    continue;
                }
                let args: [&[u8]; 2] = [b"unlink", &key];
                let request = Request { db, ..Request::of(&args) };
                // It cannot fail: its arguments are right.
                let _ = self.shard.execute(unlink, request, &mut reply);
                reply.clear();
                deleted = true;
            }
        }
        deleted
    }
}

fn has_keys(db: &Db, slot: Slot) -> bool {
    let until = Slot::new(slot.number() + 1).map(Position::of_slot);
    let (mut at, mut found) = (Some(Position::of_slot(slot)), false);
    while let Some(from) = at.filter(|_| !found) {
        at = db.table().scan_until(from, until, &mut |_| found = true);
    }
    found
}

fn keys_of(db: &Db, slot: Slot, count: usize) -> Vec<Vec<u8>> {
    let until = Slot::new(slot.number() + 1).map(Position::of_slot);
    let (mut at, mut keys) = (Some(Position::of_slot(slot)), Vec::new());
    while let Some(from) = at.filter(|_| keys.len() < count) {
        at = db.table().scan_until(from, until, &mut |entry| keys.push(entry.key().to_vec()));
    }
    keys.truncate(count);
    keys
}
