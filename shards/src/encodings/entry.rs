//! Declared first: the body follows.
use crate::base::hash::HashSeed;
use crate::base::time::UnixMs;
use crate::encodings::table::Record;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A key and its value in one allocation.
#[derive(Debug)]
#[repr(transparent)]
pub struct Entry<O>(NonNull<u64>, PhantomData<O>);

/// What an entry holds.
#[derive(Debug)]
pub enum Value<'a, O> {
    /// A string that is a number: encoding `int`.
    Int(i64),
    /// Any other string, inline (`embstr`) or in an allocation of its own (`raw`).
    Bytes(&'a [u8]),
    /// A collection.
    Object(&'a O),
}

impl<O> Entry<O> {
    /// A string entry. Bytes that are the shortest decimal form of an i64 are kept as integer.
    pub fn string(key: &[u8], bytes: &[u8]) -> Self { todo!() }
    /// An entry holding an integer.
    pub fn int(key: &[u8], value: i64) -> Self { todo!() }
    /// An entry holding a collection.
    pub fn object(key: &[u8], object: O) -> Self { todo!() }
    /// What it holds.
    pub fn value(&self) -> Value<'_, O> { todo!() }
    /// The string's bytes if it is a string: the integer is formatted into `scratch`.
    pub fn bytes<'a>(&'a self, scratch: &'a mut [u8; 20]) -> Option<&'a [u8]> { todo!() }
    /// Becomes this string; key, expiry and access stay. In place when it fits.
    pub fn set_string(&mut self, bytes: &[u8]) { todo!() }
    /// Becomes this integer; key, expiry and access stay.
    pub fn set_int(&mut self, value: i64) { todo!() }
    /// The string as a growable buffer of its own (encoding `raw` from then on). `None` if it is a collection.
    pub fn bytes_mut(&mut self) -> Option<&mut Vec<u8>> { todo!() }
    /// The collection, to change it.
    pub fn object_mut(&mut self) -> Option<&mut O> { todo!() }
    /// When it expires.
    pub fn expire(&self) -> Option<UnixMs> { todo!() }
    /// Sets when it expires. For `keyspace` only, which keeps the index of expiry times.
    pub fn set_expire(&mut self, at: Option<UnixMs>) { todo!() }
    /// The 24 bits of LRU time or LFU counter.
    pub fn access(&self) -> u32 { todo!() }
    /// Sets the 24 bits of LRU time or LFU counter.
    pub fn set_access(&mut self, bits: u32) { todo!() }
    /// The same value under another key, with expiry and access (RENAME).
    pub fn renamed(self, key: &[u8]) -> Self { todo!() }
    /// Valkey's name of its encoding: `int`, `embstr`, `raw`; `None` for a collection, which names its own.
    pub fn string_encoding(&self) -> Option<&'static str> { todo!() }
    /// Bytes of its allocations, by allocator size where known; collections not counted.
    pub fn memory(&self) -> usize { todo!() }
}

// SAFETY: stub.
unsafe impl<O> Record for Entry<O> {
    fn key(&self) -> &[u8] { todo!() }
    fn hash(&self, seed: HashSeed) -> u64 { seed.key_hash(self.key()) }
}
