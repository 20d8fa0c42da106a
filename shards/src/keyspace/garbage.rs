//! What was removed and is freed later, some at a time, between commands.

use crate::keyspace::db::{Db, Entry, Keyspace};
use crate::keyspace::settings::Settings;
use crate::types::object::FREE_EFFORT_MAX;

/// Something that nobody uses any more.
#[derive(Debug)]
pub enum Garbage {
    /// A database that was flushed.
    Db(Db),
    /// A large value.
    Entry(Entry),
}

impl Garbage {
    /// Values in it.
    pub fn len(&self) -> usize {
        match self {
            Self::Db(db) => db.len(),
            Self::Entry(_) => 1,
        }
    }

    /// Whether it is an empty database.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn free_slice(&mut self, budget: usize) -> bool {
        match self {
            Self::Db(db) => db.free_slice(budget),
            Self::Entry(entry) => entry.free_slice(budget),
        }
    }
}

/// Why a value goes, which decides whether a large one is freed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// DEL and the like.
    Deleted,
    /// UNLINK.
    Unlinked,
    /// Its time has come.
    Expired,
    /// Memory is short.
    Evicted,
    /// Another value takes its place, or nothing is left in it.
    Replaced,
}

impl Removal {
    fn is_lazy(self, settings: &Settings) -> bool {
        match self {
            Self::Deleted => settings.lazy_user_del,
            Self::Unlinked => true,
            Self::Expired => settings.lazy_expire,
            Self::Evicted => settings.lazy_eviction,
            Self::Replaced => settings.lazy_server_del,
        }
    }
}

impl Keyspace {
    /// Frees a value that was removed: now, or if it is large and the settings say so, later.
    #[inline]
    pub fn discard(&mut self, entry: Entry, removal: Removal) {
        if FREE_EFFORT_MAX < entry.free_effort() && removal.is_lazy(&self.settings) {
            self.garbage.push(Garbage::Entry(entry));
        }
    }

    /// Frees up to `budget` values or elements of what was removed; true if more is left.
    pub fn free_garbage(&mut self, budget: usize) -> bool {
        if let Some(last) = self.garbage.last_mut()
            && last.free_slice(budget)
        {
            self.garbage.pop();
        }
        !self.garbage.is_empty()
    }
}
