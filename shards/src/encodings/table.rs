//! Declared first: the body follows.
use crate::base::hash::HashSeed;
use core::marker::PhantomData;

/// A handle of eight bytes that owns one allocation a [`Table`] can keep.
///
/// # Safety
/// The type is `repr(transparent)` over a `NonNull<_>` that is at least 8-byte aligned.
pub unsafe trait Record: Sized {
    /// The bytes it is found by.
    fn key(&self) -> &[u8];
    /// Its hash under `seed`: the same as callers pass to `find`.
    fn hash(&self, seed: HashSeed) -> u64;
}

/// A position in hash order: where a scan goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    /// The first position of a slot.
    pub fn of_slot(slot: crate::base::slot::Slot) -> Self { todo!("{slot:?}") }
    /// The slot it lies in.
    pub fn slot(self) -> crate::base::slot::Slot { todo!() }
}

/// Extendible hash table.
#[derive(Debug)]
pub struct Table<R: Record> {
    seed: HashSeed,
    marker: PhantomData<R>,
}

impl<R: Record> Table<R> {
    /// An empty table; allocates nothing.
    pub const fn new(seed: HashSeed) -> Self { Self { seed, marker: PhantomData } }
    /// Records in it.
    pub fn len(&self) -> usize { todo!() }
    /// Whether it holds none.
    pub fn is_empty(&self) -> bool { todo!() }
    /// Looks a record up.
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&R> { todo!() }
    /// Looks a record up to change it. Its key must stay as it is.
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut R> { todo!() }
    /// Any record with exactly this hash.
    pub fn find_hash(&self, hash: u64) -> Option<&R> { todo!() }
    /// Puts in a record whose key is not there yet.
    pub fn insert(&mut self, hash: u64, record: R) -> &mut R { todo!() }
    /// Takes a record out.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<R> { todo!() }
    /// Pass 1 of a batch: starts loading the bucket.
    pub fn prefetch_bucket(&self, hash: u64) { todo!() }
    /// Pass 2 of a batch: starts loading the records whose tag matches.
    pub fn prefetch_record(&self, hash: u64) { todo!() }
    /// Visits the home bucket at `from`; returns where to go on, `None` at the end.
    pub fn scan(&self, from: Position, visit: &mut dyn FnMut(&R)) -> Option<Position> { todo!() }
    /// All records in hash order.
    pub fn iter(&self) -> impl Iterator<Item = &R> { core::iter::empty() }
    /// A record picked with `random` (uniform over buckets, then within).
    pub fn sample(&self, random: u64) -> Option<&R> { todo!() }
    /// Bytes of its own structure, records not counted.
    pub fn memory(&self) -> usize { todo!() }
}
