//! A keyspace: numbered databases of entries, each with its index of expiry times.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::hint::black_box;
use core::ops::Range;

use crate::base::hash::HashSeed;
use crate::base::random::Random;
use crate::base::slot::{SLOTS, Slot};
use crate::base::time::UnixMs;
use crate::effects::{Change, Touched};
use crate::encodings;
use crate::encodings::field::Field;
use crate::encodings::table::{Position, Table};
use crate::keyspace::due::{Due, Look, Time};
use crate::keyspace::evict::Pool;
use crate::keyspace::garbage::Garbage;
use crate::keyspace::settings::{OnExpiry, Settings};
use crate::keyspace::waiters::Waiters;
use crate::keyspace::watch::Watches;
use crate::types::hash::Hash;
use crate::types::hash::fields::Fields;
use crate::types::object::{Collection, Object};

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
    /// Who waits for which key.
    pub waiters: Waiters,
    /// Chance, from a seed.
    pub random: Random,
    /// The slots whose keys live here: where a SCAN of this shard begins and ends.
    pub slots: Range<u16>,
    /// What was removed and is still to be freed, slice by slice, between commands.
    pub garbage: Garbage,
    /// Candidates for eviction.
    pub eviction: Pool,
    /// The databases of other slots, while a command runs that may look at any key.
    pub elsewhere: Vec<(Range<u16>, Vec<Db>)>,
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
    /// Fields of hashes that expired.
    pub expired_fields: u64,
    /// Keys evicted.
    pub evicted: u64,
    /// Values freed after the commands that had removed them.
    pub lazyfreed: u64,
    /// Pieces of background expiry that ran out of time.
    pub expire_slices_cut: u64,
}

impl Stats {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.expired += other.expired;
        self.expired_fields += other.expired_fields;
        self.evicted += other.evicted;
        self.lazyfreed += other.lazyfreed;
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
            waiters: Waiters::default(),
            random,
            slots: 0..SLOTS,
            garbage: Garbage::default(),
            eviction: Pool::default(),
            elsewhere: Vec::new(),
        }
    }

    /// By when what expires is due: at this time or before.
    #[inline]
    pub fn due_by(&self) -> UnixMs {
        match self.settings.expiry {
            OnExpiry::Removes | OnExpiry::Hides => self.now,
            // No command stores a time of 0: so early, it removes at once.
            OnExpiry::Ignores => UnixMs(0),
        }
    }

    /// Up to which time something that is given this time to expire goes at once. Where what is due
    /// stays, so does this.
    #[inline]
    pub fn gone_by(&self) -> UnixMs {
        match self.settings.expiry {
            OnExpiry::Removes => self.now,
            // No command stores a time of 0.
            OnExpiry::Hides | OnExpiry::Ignores => UnixMs(0),
        }
    }

    /// Whether commands see an entry that is in a table: not if it is due.
    #[inline]
    pub fn shows(&self, entry: &Entry) -> bool {
        entry.expire().is_none_or(|at| self.due_by() < at)
    }

    /// Says that a key changed, to those who watch it or wait for it.
    #[inline]
    pub fn touch(&mut self, db: usize, hash: u64) {
        self.touched(Touched { db, hash, change: Change::Changed });
    }

    /// Says what happened to a key, to those who watch it or wait for it.
    #[inline]
    pub fn touched(&mut self, Touched { db, hash, change }: Touched) {
        self.watches.touch(db, hash, change);
        self.waiters.touch(db, hash);
    }

    /// Keys of a database that have watchers or waiters.
    pub fn heeded(&self, db: usize) -> impl Iterator<Item = u64> {
        self.watches.of_db(db).chain(self.waiters.of_db(db))
    }

    /// Gives back the memory that empty databases have kept since they were full.
    pub fn drop_room(&mut self) {
        let seed = self.seed;
        self.dbs.iter_mut().filter(|db| db.is_empty()).for_each(|db| *db = Db::new(seed));
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
    /// (when, hash) of every entry that expires: exact, in the order in which they are due. Two
    /// keys with the same hash and time share an element; the second then expires when looked up.
    due: Due,
    /// (when, hash) of every hash with fields that expire: not after the first of them is due. An
    /// element may be earlier than that, when that field was set anew or removed.
    fields_due: Due,
}

impl Db {
    /// An empty database; allocates nothing.
    pub const fn new(seed: HashSeed) -> Self {
        Self { table: Table::new(seed), due: Due::new(), fields_due: Due::new() }
    }

    /// Keys, expired ones that are still there included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Keys of a slot. Looks at all of them.
    pub fn slot_len(&self, slot: Slot) -> usize {
        let mut len = 0;
        let until = Slot::new(slot.number() + 1).map(Position::of_slot);
        let mut at = Some(Position::of_slot(slot));
        while let Some(from) = at {
            at = self.table.scan_until(from, until, &mut |_| len += 1);
        }
        len
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
    pub fn insert(&mut self, hash: u64, mut entry: Entry) {
        if let Some(at) = entry.expire() {
            self.due.insert((at, hash));
        }
        if let Some(fields) = fields_of(&mut entry) {
            fields.filed = None;
            file_fields(&mut self.fields_due, hash, fields);
        }
        self.table.insert(hash, entry);
    }

    /// The entry of `key`, to change its value; it is what `make` says if it was not there, and
    /// does not expire.
    #[inline]
    pub fn find_or_insert(
        &mut self,
        hash: u64,
        key: &[u8],
        make: impl FnOnce() -> Entry,
    ) -> (&mut Entry, bool) {
        self.table.find_or_insert(hash, key, make)
    }

    /// Takes an entry out.
    #[inline]
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let entry = self.table.remove(hash, key)?;
        Some(self.forget(hash, entry))
    }

    /// Takes any entry with this hash out.
    pub fn take_hash(&mut self, hash: u64) -> Option<Entry> {
        let entry = self.table.remove_hash(hash)?;
        Some(self.forget(hash, entry))
    }

    /// Takes an entry that is no longer in the table out of the indexes.
    #[inline]
    fn forget(&mut self, hash: u64, entry: Entry) -> Entry {
        if let Some(at) = entry.expire() {
            self.due.remove((at, hash));
        }
        self.forget_fields(hash, entry)
    }

    fn forget_fields(&mut self, hash: u64, mut entry: Entry) -> Entry {
        if let Some(fields) = fields_of(&mut entry)
            && let Some(filed) = fields.filed.take()
        {
            self.fields_due.remove((filed, hash));
        }
        entry
    }

    /// Before this, no field of any hash is due.
    #[inline]
    pub fn next_field_due(&self) -> UnixMs {
        self.fields_due.next()
    }

    /// Files `key` anew in the index of hashes with fields that expire.
    pub fn refile_fields(&mut self, hash: u64, key: &[u8]) {
        let Self { table, fields_due, .. } = self;
        if let Some(fields) = table.find_mut(hash, key).and_then(fields_of) {
            file_fields(fields_due, hash, fields);
        }
    }

    /// Hashes with fields that expire: what INFO calls `keys_with_volatile_items`.
    pub fn keys_with_volatile_items(&self) -> usize {
        self.fields_due.len()
    }

    /// Hashes with fields that expire, by the time at which to look at them.
    pub fn fields_due(&self) -> &BTreeSet<Time> {
        self.fields_due.times()
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
            self.due.remove((before, hash));
        }
        if let Some(at) = at {
            self.due.insert((at, hash));
        }
        true
    }

    /// The earliest expiry time; later than any clock if nothing expires.
    #[inline]
    pub fn next_due(&self) -> UnixMs {
        self.due.next()
    }

    /// Expiry times in order, for volatile-ttl, averages and sampling.
    pub fn due(&self) -> &BTreeSet<Time> {
        self.due.times()
    }

    /// Moves up to `most` entries to `taken`, with their hashes, the earliest first: those that
    /// are due and whose keys no batch claims. Returns what is to be found then.
    pub fn take_due(
        &mut self,
        by: UnixMs,
        claimed: &dyn Fn(u64) -> bool,
        most: usize,
        taken: &mut Vec<(u64, Entry)>,
    ) -> Look {
        let mut hashes = Vec::with_capacity(most);
        let look = self.due.take(by, claimed, most, &mut hashes);
        // Few of them are in the processor's caches: together they are waited for once.
        hashes.iter().for_each(|hash| self.table.prefetch_bucket(*hash));
        hashes.iter().for_each(|hash| self.table.prefetch_record(*hash));
        for hash in hashes {
            match self.table.remove_hash(hash) {
                Some(entry) if entry.expire().is_some_and(|at| at <= by) => {
                    taken.push((hash, self.forget_fields(hash, entry)));
                }
                // Another key of the same hash hides it: it expires when it is looked up.
                Some(other) => {
                    self.table.insert(hash, other);
                }
                None => {}
            }
        }
        look
    }

    /// The hash with the earliest fields that are due and whose key no batch claims.
    pub fn look_for_fields(&mut self, by: UnixMs, claimed: &dyn Fn(u64) -> bool) -> Look {
        self.fields_due.look(by, claimed)
    }

    /// Loads the first `count` hashes with fields that expire into the processor's caches, where
    /// they are waited for together: 1.3 microseconds instead of 1.6 for a hash of one field.
    pub fn load_due_fields(&self, count: usize) {
        let coming = || self.fields_due.coming().take(count).map(|time| time.1);
        coming().for_each(|hash| self.table.prefetch_bucket(hash));
        coming().for_each(|hash| self.table.prefetch_record(hash));
        for entry in coming().filter_map(|hash| self.table.find_hash(hash)) {
            if let Some(Object::Hash(hash)) = entry.as_object() {
                black_box(hash.next_due());
            }
        }
    }

    /// Takes up to `most` fields that are due out of the hash that is filed under `time`, and files
    /// it anew; its key goes to `key`.
    pub fn take_due_fields(
        &mut self,
        time: Time,
        by: UnixMs,
        most: usize,
        key: &mut Vec<u8>,
    ) -> Vec<Field> {
        key.clear();
        let Self { table, fields_due, .. } = self;
        let entry = table.find_hash(time.1).map(Entry::key);
        entry.into_iter().for_each(|bytes| key.extend_from_slice(bytes));
        let fields = table.find_mut(time.1, key).and_then(fields_of);
        let taken = fields.map(|fields| {
            let taken = fields.take_due(by, most);
            file_fields(fields_due, time.1, fields);
            taken
        });
        let taken = taken.unwrap_or_default();
        if taken.is_empty() {
            // The index was early, or another key of the same hash hides this one.
            fields_due.remove(time);
        }
        taken
    }

    /// How many milliseconds ago keys, and fields, began to be due that the shard has not removed
    /// yet.
    pub fn late_ms(&self, now: UnixMs) -> (u64, u64) {
        (self.due.late_ms(now), self.fields_due.late_ms(now))
    }

    /// Frees about `budget` entries and elements of a database that no command uses any more, so
    /// that no slice takes long. Returns what effort that took, and whether nothing is left.
    pub fn free_slice(&mut self, budget: usize) -> (usize, bool) {
        let mut index_left = budget;
        while 0 < index_left && (self.due.pop() || self.fields_due.pop()) {
            index_left -= 1;
        }
        let mut left = budget;
        for hash in self.table.some_hashes(budget) {
            // The table shrinks as it empties, so that the next slice finds the rest at once.
            let Some(mut entry) = self.table.remove_hash(hash) else { continue };
            let effort = entry.free_effort();
            if left < effort && !entry.free_slice(left) {
                self.table.insert(hash, entry);
                left = 0;
                break;
            }
            left = left.saturating_sub(effort);
            if left == 0 {
                break;
            }
        }
        let is_over = self.table.is_empty() && self.due.is_empty() && self.fields_due.is_empty();
        // What is left of the index is worth a slice of its own, though a cheap one.
        ((budget - left).max(1), is_over)
    }

    /// Bytes of the tables, entries not counted.
    pub fn memory(&self) -> usize {
        self.table.memory() + self.due.memory() + self.fields_due.memory()
    }
}

/// The fields of an entry that is a hash in a table: no other hash has fields that expire.
#[inline]
fn fields_of(entry: &mut Entry) -> Option<&mut Fields> {
    match Hash::of_mut(entry.object_mut()?)? {
        Hash::Table(fields) => Some(&mut **fields),
        Hash::Listpack(_) => None,
    }
}

/// Sees to it that a hash is in the index not after its first field is due.
fn file_fields(index: &mut Due, hash: u64, fields: &mut Fields) {
    let next = fields.next_due();
    if fields.filed == next {
        return;
    }
    if let Some(filed) = fields.filed {
        index.remove((filed, hash));
    }
    if let Some(next) = next {
        index.insert((next, hash));
    }
    fields.filed = next;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::number::write_u64;

    #[test]
    fn keys_are_counted_by_slot() {
        let seed = HashSeed(5);
        let mut db = Db::new(seed);
        for number in 0..5_000 {
            let mut key = if number % 3 == 0 { b"{tag}".to_vec() } else { Vec::new() };
            write_u64(&mut key, number);
            db.insert(seed.key_hash(&key), Entry::string(&key, b""));
        }
        let len = |number| db.slot_len(Slot::new(number).unwrap());
        let tagged = Slot::of(b"{tag}").number();
        assert!((1667..1680).contains(&len(tagged)), "{}", len(tagged));
        assert_eq!((0..SLOTS).map(len).sum::<usize>(), 5_000);
    }

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
        while !db.free_slice(1_000).1 {
            slices += 1;
            assert!(db.len() < left && left - db.len() < 1_100, "a slice frees about as asked");
            left = db.len();
        }
        assert!((8..=12).contains(&slices), "{slices} slices");
        assert_eq!((db.len(), db.due().len()), (0, 0));
    }

    #[test]
    fn a_large_value_is_freed_in_as_many_slices_as_it_needs() {
        let seed = HashSeed(5);
        let mut db = Db::new(seed);
        for name in [b"a", b"b", b"c"] {
            let mut hash = Hash::default();
            for number in 0..5000u32 {
                hash.become_table(seed).set(&number.to_be_bytes(), b"value", Some(UnixMs(9)));
            }
            db.insert(seed.key_hash(name), Entry::object(name, hash.into_object()));
            db.insert(seed.key_hash(&[name[0], 1]), Entry::string(&[name[0], 1], b"small"));
        }
        assert_eq!(db.fields_due().len(), 3);
        let slices = (1..).find(|_| db.free_slice(1000).1).unwrap();
        assert!((15..=25).contains(&slices), "{slices}");
    }

    #[test]
    fn hashes_are_filed_by_the_first_of_their_fields_that_is_due() {
        let seed = HashSeed(5);
        let mut db = Db::new(seed);
        let mut hash = Hash::default();
        hash.become_table(seed).set(b"f", b"v", Some(UnixMs(20)));
        hash.become_table(seed).set(b"g", b"v", Some(UnixMs(30)));
        let at = seed.key_hash(b"k");
        db.insert(at, Entry::object(b"k", hash.into_object()));
        assert_eq!(db.fields_due().first(), Some(&(UnixMs(20), at)));
        let entry = db.find_mut(at, b"k").unwrap();
        fields_of(entry).unwrap().set(b"f", b"v", Some(UnixMs(40)));
        db.refile_fields(at, b"k");
        assert!(db.fields_due().iter().eq(&[(UnixMs(30), at)]));
        let entry = db.take_hash(at).unwrap();
        assert!(db.fields_due().is_empty());
        db.insert(at, entry.renamed(b"k"));
        assert_eq!(db.fields_due().len(), 1);
        drop(db.remove(at, b"k"));
        assert!(db.fields_due().is_empty() && db.is_empty());
    }
}
