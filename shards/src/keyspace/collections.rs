//! Access to collections by type: what is there of another type is [`WrongType`].

use alloc::vec::Vec;

use crate::base::number::{DIGITS_MAX, format_u64};
use crate::effects::{Change, Class};
use crate::keyspace::db::{Entry, Keyspace};
use crate::keyspace::evict;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Key, Selected};
use crate::types::hash::{Hash, Rules};
use crate::types::list::List;
use crate::types::object::{Collection, Object};
use crate::types::set::{Rules as SetRules, Set};
use crate::types::sorted_set::{self, SortedSet};
use crate::types::stream::Stream;

/// The key holds a value of another type than the command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

impl Selected<'_> {
    /// The hash at `key`, to read: counts and marks as [`Self::read`] does.
    #[inline]
    pub fn read_hash(&mut self, key: Key<'_>) -> Result<Option<&Hash>, WrongType> {
        self.read_as(key)
    }

    /// The hash at `key`, to change it.
    #[inline]
    pub fn write_hash(&mut self, key: Key<'_>) -> Result<Option<&mut Hash>, WrongType> {
        self.write_as(key)
    }

    /// The hash at `key`, to change it; an empty one is made if there is none.
    #[inline]
    pub fn hash_or_new(&mut self, key: Key<'_>) -> Result<&mut Hash, WrongType> {
        self.as_or_new(key)
    }

    /// By what hashes are changed.
    #[inline]
    pub fn hash_rules(&self) -> Rules {
        let Keyspace { settings, seed, .. } = &*self.keyspace;
        Rules { limits: settings.limits.hash, seed: *seed, due_by: self.due_by() }
    }

    /// The list at `key`, to read.
    #[inline]
    pub fn read_list(&mut self, key: Key<'_>) -> Result<Option<&List>, WrongType> {
        self.read_as(key)
    }

    /// The list at `key`, to change it.
    #[inline]
    pub fn write_list(&mut self, key: Key<'_>) -> Result<Option<&mut List>, WrongType> {
        self.write_as(key)
    }

    /// The list at `key`, to change it; an empty one is made if there is none.
    #[inline]
    pub fn list_or_new(&mut self, key: Key<'_>) -> Result<&mut List, WrongType> {
        self.as_or_new(key)
    }

    /// The set at `key`, to read.
    #[inline]
    pub fn read_set(&mut self, key: Key<'_>) -> Result<Option<&Set>, WrongType> {
        self.read_as(key)
    }

    /// The set at `key`, to change it.
    #[inline]
    pub fn write_set(&mut self, key: Key<'_>) -> Result<Option<&mut Set>, WrongType> {
        self.write_as(key)
    }

    /// The set at `key`, to change it; an empty one is made if there is none.
    #[inline]
    pub fn set_or_new(&mut self, key: Key<'_>) -> Result<&mut Set, WrongType> {
        self.as_or_new(key)
    }

    /// By what sets are changed.
    #[inline]
    pub fn set_rules(&self) -> SetRules {
        let Keyspace { settings, seed, .. } = &*self.keyspace;
        SetRules { limits: settings.limits.set, seed: *seed }
    }

    /// The sorted set at `key`, to read: counts and marks as [`Self::read`] does.
    #[inline]
    pub fn read_sorted_set(&mut self, key: Key<'_>) -> Result<Option<&SortedSet>, WrongType> {
        self.read_as(key)
    }

    /// By what sorted sets are changed.
    #[inline]
    pub fn sorted_set_rules(&self) -> sorted_set::Rules {
        let Keyspace { settings, seed, .. } = &*self.keyspace;
        sorted_set::Rules { limits: settings.limits.sorted_set, seed: *seed }
    }

    /// The stream at `key`, to read: counts and marks as [`Self::read`] does.
    #[inline]
    pub fn read_stream(&mut self, key: Key<'_>) -> Result<Option<&Stream>, WrongType> {
        self.read_as(key)
    }

    /// The stream at `key`, to change its groups: counts and marks as [`Self::read`] does.
    #[inline]
    pub fn read_stream_mut(&mut self, key: Key<'_>) -> Result<Option<&mut Stream>, WrongType> {
        let entry = self.read_mut(key);
        entry.map(|entry| entry.object_mut().and_then(Stream::of_mut).ok_or(WrongType)).transpose()
    }

    /// The stream at `key`, to change it.
    #[inline]
    pub fn write_stream(&mut self, key: Key<'_>) -> Result<Option<&mut Stream>, WrongType> {
        self.write_as(key)
    }

    /// The stream at `key`, to change it; an empty one is made if there is none.
    #[inline]
    pub fn stream_or_new(&mut self, key: Key<'_>) -> Result<&mut Stream, WrongType> {
        self.as_or_new(key)
    }

    /// The collection at `key`, to read.
    #[inline]
    pub fn read_as<C: Collection>(&mut self, key: Key<'_>) -> Result<Option<&C>, WrongType> {
        self.read(key).map(|entry| entry.as_object().and_then(C::of).ok_or(WrongType)).transpose()
    }

    /// The collection at `key`, to change it.
    #[inline]
    pub fn write_as<C: Collection>(&mut self, key: Key<'_>) -> Result<Option<&mut C>, WrongType> {
        let entry = self.write(key);
        entry.map(|entry| entry.object_mut().and_then(C::of_mut).ok_or(WrongType)).transpose()
    }

    /// The collection at `key`, to change it; an empty one is made if there is none. If
    /// the caller then puts nothing in, it removes it again with [`Self::remove_if_empty`].
    #[inline]
    pub fn as_or_new<C: Collection>(&mut self, key: Key<'_>) -> Result<&mut C, WrongType> {
        self.clear_if_due(key);
        let Keyspace { dbs, settings, now, random, .. } = &mut *self.keyspace;
        let make = || Entry::object(key.bytes, C::default().into_object());
        let (entry, is_new) = dbs[self.index].find_or_insert(key.hash, key.bytes, make);
        if is_new {
            entry.set_access(evict::fresh(settings, *now));
            self.effects.event(Class::New, "new", self.index, key.bytes);
        } else if !self.no_touch {
            evict::mark_used(entry, settings, *now, random);
        }
        entry.object_mut().and_then(C::of_mut).ok_or(WrongType)
    }

    /// Makes `key` this collection, whatever it was; it does not expire.
    pub fn set_object(&mut self, key: Key<'_>, collection: impl Collection) {
        let was_there = self.discard(key, Removal::Replaced);
        let Keyspace { dbs, settings, now, .. } = &mut *self.keyspace;
        let mut entry = Entry::object(key.bytes, collection.into_object());
        entry.set_access(evict::fresh(settings, *now));
        dbs[self.index].insert(key.hash, entry);
        if !was_there {
            self.effects.event(Class::New, "new", self.index, key.bytes);
        }
    }

    /// Frees a collection that was part of the one at `key`, later if it is large.
    pub fn discard_object(&mut self, key: Key<'_>, collection: impl Collection, removal: Removal) {
        self.keyspace.discard(Entry::object(key.bytes, collection.into_object()), removal);
    }

    /// What a command asks after it took something out of a collection: removes `key` if there is
    /// nothing left in it, and says so; true if it did.
    pub fn remove_if_empty(&mut self, key: Key<'_>) -> bool {
        let entry = self.keyspace.dbs[self.index].find(key.hash, key.bytes);
        let object = entry.and_then(Entry::as_object);
        let is_empty = object.is_some_and(Object::is_empty);
        if object.and_then(Hash::of).is_some_and(Hash::is_filed_in_vain) {
            self.refile_fields(key);
        }
        if is_empty {
            // Its allocations are few, now that it is empty.
            self.db().remove(key.hash, key.bytes);
            self.event(key, Class::Generic, "del");
        }
        is_empty
    }

    /// What a command asks before it sets `fields` of `key`: those whose time has come are removed,
    /// unless such times are ignored, so that the log tells of it before it tells of the command.
    #[inline]
    pub fn clear_due_fields<'f>(
        &mut self,
        key: Key<'_>,
        mut fields: impl Iterator<Item = &'f [u8]>,
    ) {
        if self.db().next_field_due() <= self.due_by() {
            self.expire_fields(key, &mut fields);
        }
    }

    #[cold]
    fn expire_fields(&mut self, key: Key<'_>, fields: &mut dyn Iterator<Item = &[u8]>) {
        let due_by = self.due_by();
        let Ok(Some(Hash::Table(table))) = self.write_hash(key) else { return };
        let is_due = |field: &&[u8]| table.find(field).is_some_and(|found| found.is_due(due_by));
        let due: Vec<&[u8]> = fields.filter(is_due).collect();
        let due: Vec<&[u8]> = due.into_iter().filter(|it| table.remove(it).is_some()).collect();
        if !due.is_empty() {
            self.refile_fields(key);
            self.note_fields_expired(key, &due);
        }
        // What is logged of that removes the hash, which here lives on with its time.
        if let Some(entry) = self.find(key)
            && let Some(at) = entry.expire()
            && entry.as_object().is_some_and(Object::is_empty)
        {
            let mut text = [0; DIGITS_MAX];
            self.effects.log_behind(&[b"PEXPIREAT", key.bytes, format_u64(&mut text, at.0)]);
        }
    }

    /// Says that fields of `key`, which are removed already, went because their time had come, and
    /// removes the hash if they were its last ones.
    pub fn fields_expired(&mut self, key: Key<'_>, fields: &[&[u8]]) {
        self.note_fields_expired(key, fields);
        self.remove_if_empty(key);
    }

    fn note_fields_expired(&mut self, key: Key<'_>, fields: &[&[u8]]) {
        self.keyspace.stats.expired_fields += fields.len() as u64;
        self.touch_unasked(key, Change::Changed);
        self.effects.log_fields_deleted(self.index, key.bytes, fields);
        self.event(key, Class::Hash, "hexpired");
    }

    /// Files `key` anew in the index of hashes whose fields expire, after fields of it were given
    /// other times.
    pub fn refile_fields(&mut self, key: Key<'_>) {
        self.db().refile_fields(key.hash, key.bytes);
    }
}
