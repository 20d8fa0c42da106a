//! Databases that a snapshot fills while commands use others, and that take their place at once.
//!
//! Until then the keyspace is as it was, and nothing is lost if the snapshot breaks off. The old
//! databases, or those of a snapshot that came to nothing, are garbage, which is freed between
//! commands. Nothing here is logged: a snapshot begins a history.

use alloc::vec::Vec;

use crate::base::hash::HashSeed;
use crate::keyspace::db::{Db, Entry, Keyspace};
use crate::keyspace::evict::Pool;

/// Databases that no command sees yet.
///
/// A key comes in though its time has passed, with all of its fields: a replica has no clock, so
/// its primary says what goes.
#[derive(Debug)]
pub struct Staging {
    dbs: Vec<Db>,
    seed: HashSeed,
}

/// Why an entry is not staged: the snapshot is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStaged {
    /// There is no database of this number.
    Database,
    /// The database has an entry with this key.
    Duplicate,
}

impl Staging {
    /// Empty databases that can take the place of those of `keyspace`.
    pub fn of(keyspace: &Keyspace) -> Self {
        let seed = keyspace.seed;
        Self { dbs: keyspace.dbs.iter().map(|_| Db::new(seed)).collect(), seed }
    }

    /// Adds an entry, whose key has this hash, to a database.
    ///
    /// # Errors
    /// What is wrong with the snapshot, which is then of no use.
    #[inline]
    pub fn insert(&mut self, db: usize, hash: u64, entry: Entry) -> Result<(), NotStaged> {
        let db = self.dbs.get_mut(db).ok_or(NotStaged::Database)?;
        debug_assert!(hash == self.seed.key_hash(entry.key()), "an entry comes with its hash");
        if db.find(hash, entry.key()).is_some() {
            return Err(NotStaged::Duplicate);
        }
        db.insert(hash, entry);
        Ok(())
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

impl Keyspace {
    /// Puts `staging` in the place of its databases. Keys that are watched have changed, unless
    /// they were neither here nor there, and those who wait for keys look again. What is counted
    /// goes on. It takes the time of a few swaps and of a lookup for each watched or awaited key.
    ///
    /// # Panics
    /// If a command runs that uses databases of other shards, or `staging` is of a keyspace with
    /// another number of databases or another seed.
    pub fn commit(&mut self, staging: Staging) {
        let Staging { dbs, seed } = staging;
        assert!(self.elsewhere.is_empty(), "a snapshot takes its place between commands");
        let own = (self.dbs.len(), self.seed.0);
        assert_eq!((dbs.len(), seed.0), own, "databases are staged for this keyspace");
        for (index, coming) in dbs.into_iter().enumerate() {
            let touched = self.touched_by_coming(index, Some(&coming));
            touched.into_iter().for_each(|touched| self.touched(touched));
            let old = core::mem::replace(&mut self.dbs[index], coming);
            self.garbage.add_db(old);
        }
        self.eviction = Pool::default();
    }

    /// Frees what was staged, in slices: the snapshot came to nothing.
    pub fn discard_staging(&mut self, staging: Staging) {
        staging.dbs.into_iter().for_each(|db| self.garbage.add_db(db));
    }
}
