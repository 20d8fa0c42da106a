//! WATCH: which keys somebody watches here, and whether they changed since.

use hashbrown::HashMap;

/// Keys that are watched, by (database, key hash). Two keys with one hash would be told apart by
/// nobody; a false alarm only makes an EXEC fail that could have run.
#[derive(Debug, Default)]
pub struct Watches {
    keys: HashMap<(usize, u64), Watched>,
    /// Grows with every change of a watched key, so that a version never comes twice.
    next: u64,
}

#[derive(Debug)]
struct Watched {
    watchers: usize,
    version: u64,
}

impl Watches {
    /// Starts a watch; returns the version to compare with at EXEC.
    pub fn watch(&mut self, db: usize, hash: u64) -> u64 {
        let version = self.next;
        let watched = self.keys.entry((db, hash)).or_insert(Watched { watchers: 0, version });
        watched.watchers += 1;
        watched.version
    }

    /// Ends a watch begun with [`Self::watch`].
    pub fn unwatch(&mut self, db: usize, hash: u64) {
        let watched = self.keys.get_mut(&(db, hash)).expect("every unwatch follows a watch");
        watched.watchers -= 1;
        if watched.watchers == 0 {
            self.keys.remove(&(db, hash));
        }
    }

    /// Whether the key is unchanged since its version was `version`.
    pub fn unchanged(&self, db: usize, hash: u64, version: u64) -> bool {
        self.keys.get(&(db, hash)).is_some_and(|watched| watched.version == version)
    }

    /// Says that a key changed.
    #[inline]
    pub fn touch(&mut self, db: usize, hash: u64) {
        if self.keys.is_empty() {
            return;
        }
        if let Some(watched) = self.keys.get_mut(&(db, hash)) {
            self.next += 1;
            watched.version = self.next;
        }
    }

    /// Watched keys of database `db`, for FLUSHDB and SWAPDB.
    pub fn of_db(&self, db: usize) -> impl Iterator<Item = u64> {
        self.keys.keys().filter(move |key| key.0 == db).map(|key| key.1)
    }

    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_by_those_who_watched_before_it() {
        let mut watches = Watches::default();
        let before = watches.watch(0, 9);
        assert!(watches.unchanged(0, 9, before));
        watches.touch(0, 9);
        let after = watches.watch(0, 9);
        assert!(!watches.unchanged(0, 9, before));
        assert!(watches.unchanged(0, 9, after));
        watches.unwatch(0, 9);
        watches.unwatch(0, 9);
        assert!(watches.is_empty());
    }

    #[test]
    fn a_version_is_not_given_out_twice() {
        let mut watches = Watches::default();
        let first = watches.watch(0, 1);
        watches.touch(0, 1);
        watches.unwatch(0, 1);
        assert_ne!(watches.watch(0, 1), first);
    }
}
