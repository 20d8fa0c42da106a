//! What was removed and is freed later, some at a time, between commands.

use alloc::vec::Vec;

use crate::keyspace::chores::{Left, Progress};
use crate::keyspace::db::{Db, Entry, Keyspace};
use crate::keyspace::settings::Settings;
use crate::types::object::FREE_EFFORT_MAX;

/// Values that no command sees any more and that wait to be freed.
#[derive(Debug, Default)]
pub struct Garbage {
    pieces: Vec<Piece>,
    /// Values in them.
    values: usize,
}

#[derive(Debug)]
enum Piece {
    /// A database that was flushed.
    Db(Db),
    /// A large value.
    Value(Entry),
}

impl Garbage {
    /// Values that wait.
    pub fn len(&self) -> usize {
        self.values
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.values == 0
    }

    /// Adds all values of a database.
    pub fn add_db(&mut self, db: Db) {
        if !db.is_empty() {
            self.values += db.len();
            self.pieces.push(Piece::Db(db));
        }
    }

    /// Takes over what another has.
    pub fn append(&mut self, other: &mut Self) {
        self.values += core::mem::take(&mut other.values);
        self.pieces.append(&mut other.pieces);
    }

    fn add_value(&mut self, entry: Entry) {
        self.values += 1;
        self.pieces.push(Piece::Value(entry));
    }

    fn free(&mut self, budget: usize) -> Progress {
        let mut effort = 0;
        while effort < budget
            && let Some(piece) = self.pieces.last_mut()
        {
            let (took, freed, is_over) = piece.free(budget - effort);
            effort += took;
            self.values -= freed;
            if is_over {
                self.pieces.pop();
            }
        }
        let left = if self.pieces.is_empty() { Left::Nothing } else { Left::More };
        Progress { effort, left }
    }
}

impl Piece {
    /// Frees some; what effort that took, how many values are gone, and whether all are.
    fn free(&mut self, budget: usize) -> (usize, usize, bool) {
        match self {
            Self::Db(db) => {
                let before = db.len();
                let (effort, is_over) = db.free_slice(budget);
                (effort, before - db.len(), is_over)
            }
            Self::Value(entry) => {
                let effort = entry.free_effort().clamp(1, budget);
                let is_over = entry.free_slice(budget);
                (effort, usize::from(is_over), is_over)
            }
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
    /// Frees a value that was removed: now, or if it is large and the settings say so, later. What
    /// effort that takes now.
    #[inline]
    pub fn discard(&mut self, entry: Entry, removal: Removal) -> usize {
        let effort = entry.free_effort();
        if FREE_EFFORT_MAX < effort && removal.is_lazy(&self.settings) {
            self.garbage.add_value(entry);
            return 1;
        }
        effort
    }

    /// Frees values or elements of what was removed until `budget` is used up.
    pub fn free_garbage(&mut self, budget: usize) -> Progress {
        let before = self.garbage.len();
        let progress = self.garbage.free(budget);
        self.stats.lazyfreed += (before - self.garbage.len()) as u64;
        progress
    }
}
