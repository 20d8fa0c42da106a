//! Access to a client's selected database: expiry on the way in, effects on the way out.

use core::mem;

use crate::base::hash::slot_of_hash;
use crate::base::time::UnixMs;
use crate::effects::{Change, Class, Effects, Note, Touched};
use crate::keyspace::db::{Db, Entry, Keyspace};
use crate::keyspace::evict::{self, Usage};
use crate::keyspace::garbage::Removal;
use crate::keyspace::settings::OnExpiry;

/// A key with its hash.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// The key's bytes.
    pub bytes: &'k [u8],
    /// `HashSeed::key_hash` of them.
    pub hash: u64,
}

/// A client's view of a keyspace: its database, and what an access leaves behind.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The whole keyspace, for commands about several databases.
    pub keyspace: &'a mut Keyspace,
    /// The number of the selected database.
    pub index: usize,
    /// What the running command did.
    pub effects: &'a mut Effects,
    /// Whether lookups leave LRU and LFU as they are (`CLIENT NO-TOUCH`).
    pub no_touch: bool,
}

/// What becomes of a key's expiry when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It is forgotten.
    Clear,
    /// It stays.
    Keep,
    /// It becomes this.
    At(UnixMs),
}

impl Selected<'_> {
    /// The same view of another database.
    pub fn in_db(&mut self, index: usize) -> Selected<'_> {
        Selected {
            keyspace: &mut *self.keyspace,
            index,
            effects: &mut *self.effects,
            no_touch: self.no_touch,
        }
    }

    /// Has `work` done where `key` is: here, or in the databases of other slots that are at hand.
    pub fn with_part_of(&mut self, key: Key<'_>, work: impl FnOnce(&mut Self)) {
        let slot = slot_of_hash(key.hash).number();
        let part = self.keyspace.elsewhere.iter().position(|part| part.0.contains(&slot));
        match part {
            // What a command names is brought here, whatever its slot is.
            Some(part) if self.db().find(key.hash, key.bytes).is_none() => {
                let Keyspace { dbs, elsewhere, .. } = &mut *self.keyspace;
                mem::swap(dbs, &mut elsewhere[part].1);
                work(self);
                let Keyspace { dbs, elsewhere, .. } = &mut *self.keyspace;
                mem::swap(dbs, &mut elsewhere[part].1);
            }
            Some(_) | None => work(self),
        }
    }

    /// Hashes a key.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.keyspace.seed.key_hash(bytes) }
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> UnixMs {
        self.keyspace.now
    }

    /// By when what expires is due: see [`Keyspace::due_by`].
    #[inline]
    pub fn due_by(&self) -> UnixMs {
        self.keyspace.due_by()
    }

    /// Up to which time what is given this time goes at once: see [`Keyspace::gone_by`].
    #[inline]
    pub fn gone_by(&self) -> UnixMs {
        self.keyspace.gone_by()
    }

    /// The selected database.
    #[inline]
    pub fn db(&mut self) -> &mut Db {
        &mut self.keyspace.dbs[self.index]
    }

    /// Looks `key` up for reading: counts hit or miss, marks it as used.
    #[inline]
    pub fn read(&mut self, key: Key<'_>) -> Option<&Entry> {
        self.read_mut(key).map(|entry| &*entry)
    }

    /// As [`Self::read`], for commands that read a value and change something beside it.
    #[inline]
    pub fn read_mut(&mut self, key: Key<'_>) -> Option<&mut Entry> {
        let hidden = self.expire_if_due(key);
        let Keyspace { dbs, stats, settings, now, random, .. } = &mut *self.keyspace;
        match dbs[self.index].find_mut(key.hash, key.bytes) {
            Some(entry) if !hidden => {
                stats.hits += 1;
                if !self.no_touch {
                    evict::mark_used(entry, settings, *now, random);
                }
                Some(entry)
            }
            Some(_) | None => {
                stats.misses += 1;
                self.effects.event(Class::KeyMiss, "keymiss", self.index, key.bytes);
                None
            }
        }
    }

    /// Looks `key` up for reading, but does not mark it as used (EXISTS, TTL, TYPE).
    #[inline]
    pub fn look(&mut self, key: Key<'_>) -> Option<&Entry> {
        let hidden = self.expire_if_due(key);
        let Keyspace { dbs, stats, .. } = &mut *self.keyspace;
        let entry = dbs[self.index].find(key.hash, key.bytes).filter(|_| !hidden);
        match entry {
            Some(_) => stats.hits += 1,
            None => {
                stats.misses += 1;
                self.effects.event(Class::KeyMiss, "keymiss", self.index, key.bytes);
            }
        }
        entry
    }

    /// Looks `key` up without a trace: neither counted nor marked.
    #[inline]
    pub fn peek(&mut self, key: Key<'_>) -> Option<&Entry> {
        let hidden = self.expire_if_due(key);
        self.keyspace.dbs[self.index].find(key.hash, key.bytes).filter(|_| !hidden)
    }

    /// Looks up once more what this command has read or looked up before, to borrow several values
    /// at a time.
    #[inline]
    pub fn find(&self, key: Key<'_>) -> Option<&Entry> {
        let entry = self.keyspace.dbs[self.index].find(key.hash, key.bytes);
        entry.filter(|entry| self.keyspace.shows(entry))
    }

    /// Looks `key` up to change its value (not its expiry: see [`Self::set_expire`]).
    #[inline]
    pub fn write(&mut self, key: Key<'_>) -> Option<&mut Entry> {
        self.clear_if_due(key);
        let Keyspace { dbs, settings, now, random, .. } = &mut *self.keyspace;
        let entry = dbs[self.index].find_mut(key.hash, key.bytes)?;
        if !self.no_touch {
            evict::mark_used(entry, settings, *now, random);
        }
        Some(entry)
    }

    /// Adds `entry`, whose key is not there (or is hidden because it is due).
    pub fn insert(&mut self, key: Key<'_>, mut entry: Entry) {
        self.clear_if_due(key);
        let Keyspace { dbs, settings, now, .. } = &mut *self.keyspace;
        entry.set_access(evict::fresh(settings, *now));
        dbs[self.index].insert(key.hash, entry);
        self.effects.event(Class::New, "new", self.index, key.bytes);
    }

    /// Says how `key` was used before it came here.
    pub fn set_usage(&mut self, key: Key<'_>, usage: Usage) {
        let Keyspace { dbs, settings, now, .. } = &mut *self.keyspace;
        if let Some(entry) = dbs[self.index].find_mut(key.hash, key.bytes) {
            entry.set_access(evict::imported(settings, *now, usage));
        }
    }

    /// Makes `key` this string, whatever it was. A key that is there and does not expire costs
    /// one lookup.
    #[inline]
    pub fn set_string(&mut self, key: Key<'_>, bytes: &[u8], expiry: Expiry) {
        let Some(entry) = self.write(key) else {
            let entry = match expiry {
                Expiry::At(at) => Entry::string_until(key.bytes, bytes, at),
                Expiry::Clear | Expiry::Keep => Entry::string(key.bytes, bytes),
            };
            return self.insert(key, entry);
        };
        let before = entry.expire();
        if entry.string_encoding().is_some() {
            entry.set_string(bytes);
        } else {
            // A collection does not become a string in place: its entry makes way.
            let mut fresh = Entry::string(key.bytes, bytes);
            fresh.set_access(entry.access());
            fresh.set_expire(before);
            let old = self.db().remove(key.hash, key.bytes).expect("it was found just now");
            self.keyspace.discard(old, Removal::Replaced);
            self.db().insert(key.hash, fresh);
        }
        match expiry {
            Expiry::Keep => {}
            Expiry::Clear if before.is_none() => {}
            Expiry::Clear => self.set_expire(key, None),
            Expiry::At(at) => self.set_expire(key, Some(at)),
        }
    }

    /// Takes `key` out; `None` if it was not there (or had expired).
    pub fn remove(&mut self, key: Key<'_>) -> Option<Entry> {
        self.clear_if_due(key);
        self.db().remove(key.hash, key.bytes)
    }

    /// Removes `key` and frees its value, perhaps later; false if it was not there (or had
    /// expired).
    pub fn discard(&mut self, key: Key<'_>, removal: Removal) -> bool {
        let Some(entry) = self.remove(key) else { return false };
        self.keyspace.discard(entry, removal);
        true
    }

    /// Sets or clears when an existing `key` expires.
    pub fn set_expire(&mut self, key: Key<'_>, at: Option<UnixMs>) {
        self.db().set_expire(key.hash, key.bytes, at);
    }

    /// Says that `key` changed: one more for the dirty count, its watchers' EXEC fails, and
    /// clients that asked for such events hear of it.
    #[inline]
    pub fn changed(&mut self, key: Key<'_>, class: Class, event: &'static str) {
        self.effects.dirty += 1;
        self.touch(self.index, key);
        self.event(key, class, event);
    }

    /// Tells clients that asked for such events one more thing about `key`, which changed already.
    #[inline]
    pub fn event(&mut self, key: Key<'_>, class: Class, event: &'static str) {
        self.effects.event(class, event, self.index, key.bytes);
    }

    /// Says that a key of database `db` is no longer what its watchers saw, nor what any
    /// client has a copy of.
    #[inline]
    pub fn touch(&mut self, db: usize, key: Key<'_>) {
        self.touch_hash(db, key.hash, Change::Changed);
        if self.effects.keeps_notes {
            let by = self.effects.author;
            self.effects.notes.push(Note::Changed { by, key: key.bytes.to_vec() });
        }
    }

    /// The same for a key to which something happened by itself, whatever command is at work.
    pub fn touch_unasked(&mut self, key: Key<'_>, change: Change) {
        self.touch_hash(self.index, key.hash, change);
        if self.effects.keeps_notes {
            self.effects.notes.push(Note::Changed { by: 0, key: key.bytes.to_vec() });
        }
    }

    /// Says that a key is no longer what its waiters see, though its watchers do not mind. (A
    /// transaction over several shards stirs all of its keys as it ends.)
    pub fn stir(&mut self, key: Key<'_>) {
        self.keyspace.waiters.touch(self.index, key.hash);
    }

    #[inline]
    fn touch_hash(&mut self, db: usize, hash: u64, change: Change) {
        let touched = Touched { db, hash, change };
        self.keyspace.touched(touched);
        if self.effects.keeps_touched {
            self.effects.touched.push(touched);
        }
    }

    /// Says that database `db` is emptied or gives way to database `coming`, to those who watch or
    /// wait for keys of it.
    pub fn touch_watched(&mut self, db: usize, coming: Option<usize>) {
        let keyspace = &*self.keyspace;
        let coming = coming.map(|coming| &keyspace.dbs[coming]);
        for Touched { db, hash, change } in keyspace.touched_by_coming(db, coming) {
            self.touch_hash(db, hash, change);
        }
    }

    /// What a lookup to read asks first. If the time of `key` has come it is removed or, where it
    /// has to stay, the answer is that the lookup must not see it.
    #[inline]
    fn expire_if_due(&mut self, key: Key<'_>) -> bool {
        // Background expiry keeps up, so that as a rule nothing is due and no lookup is needed.
        if self.keyspace.now < self.keyspace.dbs[self.index].next_due() {
            return false;
        }
        self.expire_or_hide(key)
    }

    /// What every access to write asks first: a key whose time has come makes way, unless such
    /// times are ignored.
    #[inline]
    pub(super) fn clear_if_due(&mut self, key: Key<'_>) {
        if self.keyspace.dbs[self.index].next_due() <= self.keyspace.now && self.is_due(key) {
            self.expire(key);
        }
    }

    #[cold]
    fn expire_or_hide(&mut self, key: Key<'_>) -> bool {
        match self.keyspace.settings.expiry {
            OnExpiry::Removes => {
                self.clear_if_due(key);
                false
            }
            OnExpiry::Hides => self.is_due(key),
            OnExpiry::Ignores => false,
        }
    }

    #[cold]
    fn is_due(&self, key: Key<'_>) -> bool {
        let entry = self.keyspace.dbs[self.index].find(key.hash, key.bytes);
        entry.is_some_and(|entry| !self.keyspace.shows(entry))
    }

    /// Removes `key` because its time has come, and says so.
    #[cold]
    pub fn expire(&mut self, key: Key<'_>) {
        if let Some(entry) = self.db().remove(key.hash, key.bytes) {
            self.keyspace.discard(entry, Removal::Expired);
        }
        self.note_expired(key);
    }

    /// Says that `key` was removed because its time had come.
    pub(super) fn note_expired(&mut self, key: Key<'_>) {
        self.keyspace.stats.expired += 1;
        self.touch_unasked(key, Change::Expired);
        self.effects.log_deleted(self.index, key.bytes);
        self.effects.event(Class::Expired, "expired", self.index, key.bytes);
    }
}
