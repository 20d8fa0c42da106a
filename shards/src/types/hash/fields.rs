//! The fields of a large hash, or of one whose fields may expire.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::base::hash::HashSeed;
use crate::base::time::UnixMs;
use crate::encodings::field::Field;
use crate::encodings::table::{Record, Table};

/// Bytes that a B-tree of 16-byte elements takes for each, at its usual fill.
const DUE_BYTES: usize = 25;

/// Fields that are waited for at a time while they come from memory to the processor.
const BATCH: usize = 32;

/// Fields with values, found by name, and those that expire in the order in which they are due.
#[derive(Clone, Debug)]
pub struct Fields {
    table: Table<Field>,
    seed: HashSeed,
    /// (when, hash) of every field that expires. Two fields with the same hash and time share an
    /// element; the second is then invisible once it is due, but goes with the hash only.
    due: BTreeSet<(UnixMs, u64)>,
    /// Bytes of all records.
    bytes: usize,
    /// Under which time the database's index of hashes with fields that expire has this one: for
    /// `keyspace` only.
    pub filed: Option<UnixMs>,
}

impl Fields {
    /// None.
    pub const fn new(seed: HashSeed) -> Self {
        Self { table: Table::new(seed), seed, due: BTreeSet::new(), bytes: 0, filed: None }
    }

    /// The table, to read. It holds fields that are due until the shard removes them.
    #[inline]
    pub fn table(&self) -> &Table<Field> {
        &self.table
    }

    /// The field of this name, due or not.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Field> {
        self.table.find(self.seed.member_hash(name), name)
    }

    /// Sets a field's value and time, be it there or not.
    pub fn set(&mut self, name: &[u8], value: &[u8], expire: Option<UnixMs>) {
        let hash = self.seed.member_hash(name);
        let make = || Field::new(name, value, expire);
        let (field, is_new) = self.table.find_or_insert(hash, name, make);
        let (mut before, mut bytes) = (None, 0);
        if !is_new {
            (before, bytes) = (field.expire(), field.memory());
            field.set(value, expire);
        }
        self.bytes = self.bytes + field.memory() - bytes;
        self.note(hash, before, expire);
    }

    /// Sets when a field expires; false if there is none of this name.
    pub fn set_expire(&mut self, name: &[u8], expire: Option<UnixMs>) -> bool {
        let hash = self.seed.member_hash(name);
        let Some(field) = self.table.find_mut(hash, name) else { return false };
        let (before, bytes) = (field.expire(), field.memory());
        if before != expire {
            field.set_expire(expire);
            self.bytes = self.bytes + field.memory() - bytes;
            self.note(hash, before, expire);
        }
        true
    }

    /// Takes a field out, due or not.
    pub fn remove(&mut self, name: &[u8]) -> Option<Field> {
        let hash = self.seed.member_hash(name);
        let field = self.table.remove(hash, name)?;
        self.bytes -= field.memory();
        self.note(hash, field.expire(), None);
        Some(field)
    }

    /// The earliest time at which a field expires.
    #[inline]
    pub fn next_due(&self) -> Option<UnixMs> {
        self.due.first().map(|due| due.0)
    }

    /// How many fields expire.
    pub fn volatile_len(&self) -> usize {
        self.due.len()
    }

    /// Takes out up to `budget` fields that are due, the earliest first.
    pub fn take_due(&mut self, now: UnixMs, budget: usize) -> Vec<Field> {
        let (mut taken, mut hashes) = (Vec::new(), Vec::new());
        while taken.len() < budget && self.due.first().is_some_and(|due| due.0 <= now) {
            let most = BATCH.min(budget - taken.len());
            while hashes.len() < most && self.due.first().is_some_and(|due| due.0 <= now) {
                hashes.extend(self.due.pop_first().map(|due| due.1));
            }
            // Of a large hash, few are in the processor's caches: they are waited for together.
            hashes.iter().for_each(|hash| self.table.prefetch_bucket(*hash));
            hashes.iter().for_each(|hash| self.table.prefetch_record(*hash));
            for hash in hashes.drain(..) {
                match self.table.remove_hash(hash) {
                    Some(field) if field.is_due(now) => {
                        self.bytes -= field.memory();
                        taken.push(field);
                    }
                    // Another field of the same hash hides it.
                    Some(other) => {
                        self.table.insert(hash, other);
                    }
                    None => {}
                }
            }
        }
        taken
    }

    /// Frees about `budget` fields; true when none is left.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while 0 < left && self.due.pop_first().is_some() {
            left -= 1;
        }
        self.table.free_slice(budget) && self.due.is_empty()
    }

    /// Bytes of all its allocations.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.table.memory() + self.bytes + self.due.len() * DUE_BYTES
    }

    /// The hash under which a field is filed.
    pub fn hash_of(&self, field: &Field) -> u64 {
        field.hash(self.seed)
    }

    fn note(&mut self, hash: u64, before: Option<UnixMs>, after: Option<UnixMs>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, hash));
        }
        if let Some(after) = after {
            self.due.insert((after, hash));
        }
    }
}
