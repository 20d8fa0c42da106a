//! A keyspace: numbered databases of entries, each with its index of expiry times.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

use crate::base::hash::HashSeed;
use crate::base::random::Random;
use crate::base::slot::SLOTS;
use crate::base::time::UnixMs;
use crate::encodings;
use crate::encodings::table::{Position, Record, Table};
use crate::keyspace::evict::Pool;
use crate::keyspace::settings::Settings;
use crate::keyspace::watch::Watches;
use crate::types::object::Object;

/// A key with its value.
pub type Entry = encodings::entry::Entry<Object>;

/// All that one shard keeps.
#[derive(Debug)]
pub struct Keyspace {
    /// The databases, by number.
    pub dbs: Vec<Db>,
    /// The hash's secret, the same in all shards.
    pub seed: HashSeed,
    /// The time of this turn of the loop: expiry is judged by it.
    pub now: UnixMs,
    /// What of the configuration matters here.
    pub settings: Settings,
    /// What happened so far.
    pub stats: Stats,
    /// Who watches which key.
    pub watches: Watches,
    /// Chance, from a seed.
    pub random: Random,
    /// The slots whose keys live here: where a SCAN of this shard begins and ends.
    pub slots: Range<u16>,
    /// Databases that were flushed and are still to be freed, slice by slice, between commands.
    pub garbage: Vec<Db>,
    /// Candidates for eviction.
    pub eviction: Pool,
}

/// Counters of a keyspace; INFO adds them up over shards.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Lookups for reading that found a key.
    pub hits: u64,
    /// Lookups for reading that found none.
    pub misses: u64,
    /// Keys that expired.
    pub expired: u64,
    /// Keys evicted.
    pub evicted: u64,
    /// Slices of background expiry that ran out of time.
    pub expire_slices_cut: u64,
}

impl Stats {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.expired += other.expired;
        self.evicted += other.evicted;
        self.expire_slices_cut += other.expire_slices_cut;
    }
}

impl Keyspace {
    /// An empty keyspace of `databases` databases.
    pub fn new(databases: usize, seed: HashSeed, random: Random) -> Self {
        Self {
            dbs: (0..databases).map(|_| Db::new(seed)).collect(),
            seed,
            now: UnixMs(0),
            settings: Settings::default(),
            stats: Stats::default(),
            watches: Watches::default(),
            random,
            slots: 0..SLOTS,
            garbage: Vec::new(),
            eviction: Pool::default(),
        }
    }

    /// Keys in all databases.
    pub fn len(&self) -> usize {
        self.dbs.iter().map(Db::len).sum()
    }

    /// Whether no database has a key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One database of one shard. The table and the index of expiry times always agree: change them
/// through these methods only.
#[derive(Debug)]
pub struct Db {
    table: Table<Entry>,
    seed: HashSeed,
    /// (when, hash) of every entry that expires: exact, in the order in which they are due. Two
    /// keys with the same hash and time share an element; the second then expires when looked up.
    due: BTreeSet<(UnixMs, u64)>,
    /// No entry is due before this. Kept beside the index because every lookup asks for it.
    next_due: UnixMs,
}

/// Later than every expiry time that is ever due.
const NEVER: UnixMs = UnixMs(u64::MAX);

impl Db {
    /// An empty database; allocates nothing.
    pub const fn new(seed: HashSeed) -> Self {
        Self { table: Table::new(seed), seed, due: BTreeSet::new(), next_due: NEVER }
    }

    /// Keys, expired ones that are still there included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Keys that will expire.
    pub fn volatile_len(&self) -> usize {
        self.due.len()
    }

    /// The table, to read.
    #[inline]
    pub fn table(&self) -> &Table<Entry> {
        &self.table
    }

    /// The entry of `key`, expired or not.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.table.find(hash, key)
    }

    /// The entry of `key`, to change its value: not its key, not its expiry.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        self.table.find_mut(hash, key)
    }

    /// Adds an entry whose key is not there; its expiry comes along.
    #[inline]
    pub fn insert(&mut self, hash: u64, entry: Entry) {
        if let Some(at) = entry.expire() {
            self.note_due(at, hash);
        }
        self.table.insert(hash, entry);
    }

    /// Takes an entry out.
    #[inline]
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let entry = self.table.remove(hash, key)?;
        if let Some(at) = entry.expire() {
            self.forget_due((at, hash));
        }
        Some(entry)
    }

    /// Takes any entry with this hash out.
    pub fn take_hash(&mut self, hash: u64) -> Option<Entry> {
        if self.table.is_empty() {
            return None;
        }
        let key = self.table.find_hash(hash)?.key().to_vec();
        self.remove(hash, &key)
    }

    /// Sets or clears when `key` expires; false if there is no such key.
    pub fn set_expire(&mut self, hash: u64, key: &[u8], at: Option<UnixMs>) -> bool {
        let Some(entry) = self.table.find_mut(hash, key) else { return false };
        let before = entry.expire();
        if before == at {
            return true;
        }
        entry.set_expire(at);
        if let Some(before) = before {
            self.forget_due((before, hash));
        }
        if let Some(at) = at {
            self.note_due(at, hash);
        }
        true
    }

    /// The first (time, hash) that is due not after `now`.
    #[inline]
    pub fn first_due(&self, now: UnixMs) -> Option<(UnixMs, u64)> {
        self.due.first().copied().filter(|due| due.0 <= now)
    }

    /// The earliest expiry time; later than any clock if nothing expires.
    #[inline]
    pub fn next_due(&self) -> UnixMs {
        self.next_due
    }

    /// Expiry times in order, for volatile-ttl, averages and sampling.
    pub fn due(&self) -> &BTreeSet<(UnixMs, u64)> {
        &self.due
    }

    /// Drops an element of the index that no entry stands behind (see `due`).
    pub fn forget_due(&mut self, due: (UnixMs, u64)) {
        self.due.remove(&due);
        if due.0 == self.next_due {
            self.next_due = self.due.first().map_or(NEVER, |first| first.0);
        }
    }

    fn note_due(&mut self, at: UnixMs, hash: u64) {
        self.due.insert((at, hash));
        self.next_due = self.next_due.min(at);
    }

    /// Frees about `entries_max` entries of a database that nobody uses any more, so that no slice
    /// takes long; true when nothing is left.
    pub fn free_slice(&mut self, entries_max: usize) -> bool {
        let mut index_left = entries_max;
        while 0 < index_left && self.due.pop_first().is_some() {
            index_left -= 1;
        }
        let mut hashes = Vec::new();
        let mut from = Some(Position::default());
        while let Some(position) = from.filter(|_| hashes.len() < entries_max) {
            let seed = self.seed;
            from = self.table.scan(position, &mut |entry| hashes.push(entry.hash(seed)));
        }
        let mut key = Vec::new();
        for hash in hashes {
            // The table shrinks as it empties, so that the next slice finds the rest at once.
            let Some(entry) = self.table.find_hash(hash) else { continue };
            key.clear();
            key.extend_from_slice(entry.key());
            self.table.remove(hash, &key);
        }
        self.table.is_empty() && self.due.is_empty()
    }

    /// Bytes of the tables, entries not counted.
    pub fn memory(&self) -> usize {
        // A B-tree of 16-byte elements takes about 25 bytes each at its usual fill.
        self.table.memory() + self.due.len() * 25
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::number::write_u64;

    #[test]
    fn a_database_is_freed_slice_by_slice() {
        const ENTRIES: usize = 10_000;
        let seed = HashSeed(5);
        let mut db = Db::new(seed);
        for number in 0..ENTRIES {
            let mut key = Vec::new();
            write_u64(&mut key, number as u64);
            let mut entry = Entry::string(&key, b"value");
            entry.set_expire((number % 2 == 0).then_some(UnixMs(number as u64)));
            db.insert(seed.key_hash(&key), entry);
        }
        let mut slices = 0;
        let mut left = db.len();
        while !db.free_slice(1_000) {
            slices += 1;
            assert!(db.len() < left && left - db.len() < 1_100, "a slice frees about as asked");
            left = db.len();
        }
        assert!((8..=12).contains(&slices), "{slices} slices");
        assert_eq!((db.len(), db.due().len()), (0, 0));
    }
}
