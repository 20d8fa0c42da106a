//! The members of a large set.

use crate::base::hash::HashSeed;
use crate::base::random::Random;
use crate::encodings::member::Member;
use crate::encodings::table::{Position, Table};

/// Members in a table.
#[derive(Clone, Debug)]
pub struct Members {
    table: Table<Member>,
    seed: HashSeed,
    /// Bytes of all records.
    bytes: usize,
}

impl Members {
    /// None.
    pub const fn new(seed: HashSeed) -> Self {
        Self { table: Table::new(seed), seed, bytes: 0 }
    }

    /// The table, to read.
    #[inline]
    pub fn table(&self) -> &Table<Member> {
        &self.table
    }

    /// Whether `member` is there.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        self.table.find(self.seed.member_hash(member), member).is_some()
    }

    /// Adds a member; false if it was there.
    #[inline]
    pub fn add(&mut self, member: &[u8]) -> bool {
        let hash = self.seed.member_hash(member);
        let (record, is_new) = self.table.find_or_insert(hash, member, || Member::new(member));
        if is_new {
            self.bytes += record.memory();
        }
        is_new
    }

    /// Removes a member; false if it was not there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let removed = self.table.remove(self.seed.member_hash(member), member);
        self.bytes -= removed.as_ref().map_or(0, Member::memory);
        removed.is_some()
    }

    /// Takes a member out that is picked by chance, each as likely as any other.
    pub fn take_any(&mut self, chance: &mut Random) -> Option<Member> {
        let taken = self.table.take_any(chance)?;
        self.bytes -= taken.memory();
        Some(taken)
    }

    /// Shows all members to `see`. While it sees those of one bucket, those of others load.
    pub fn for_each(&self, mut see: impl FnMut(&Member)) {
        let mut from = Some(Position::default());
        while let Some(at) = from {
            from = self.table.scan(at, &mut see);
        }
    }

    /// Frees about `budget` members; true when none is left.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        self.table.free_slice(budget)
    }

    /// Bytes of all its allocations.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.table.memory() + self.bytes
    }
}
