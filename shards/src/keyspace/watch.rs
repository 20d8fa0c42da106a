//! WATCH: which keys are watched here, and whether they are still as their watchers saw them.
//!
//! A key that has expired and still lies there is no key to a watcher. So it makes no difference to
//! the watcher that it goes; but a key that was one when the watch began, and expires, has changed.

use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::effects::{Change, Touched};
use crate::keyspace::db::{Db, Keyspace};

/// Keys that are watched, by (database, key hash). Two keys with one hash are not told apart; a
/// false alarm only makes an EXEC fail that could have run.
#[derive(Debug, Default)]
pub struct Watches {
    keys: HashMap<(usize, u64), Watched>,
    /// Grows with everything that happens to a watched key, and numbers it.
    events: u64,
}

#[derive(Debug)]
struct Watched {
    watchers: usize,
    /// The last event by which the key became another, or none, or one.
    changed: u64,
    /// The last event by which an expired key went.
    expired: u64,
    /// The last event by which an expired key came where there was none.
    came_expired: u64,
}

/// What a watcher saw of a key when its watch began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last event before.
    events: u64,
    /// It had expired and still lay there.
    was_expired: bool,
}

impl Watches {
    fn watch(&mut self, db: usize, hash: u64, was_expired: bool) -> Seen {
        let new = Watched { watchers: 0, changed: 0, expired: 0, came_expired: 0 };
        self.keys.entry((db, hash)).or_insert(new).watchers += 1;
        Seen { events: self.events, was_expired }
    }

    /// Ends a watch begun with [`Keyspace::watch`].
    pub fn unwatch(&mut self, db: usize, hash: u64) {
        let watched = self.keys.get_mut(&(db, hash)).expect("every unwatch follows a watch");
        watched.watchers -= 1;
        if watched.watchers == 0 {
            self.keys.remove(&(db, hash));
        }
    }

    fn unchanged(&self, db: usize, hash: u64, seen: Seen, is_expired: bool) -> bool {
        let Some(watched) = self.keys.get(&(db, hash)) else { return false };
        let was_gone = seen.was_expired || seen.events < watched.came_expired;
        let has_expired = is_expired || seen.events < watched.expired;
        watched.changed <= seen.events && (was_gone || !has_expired)
    }

    /// Says what happened to a key.
    #[inline]
    pub fn touch(&mut self, db: usize, hash: u64, change: Change) {
        if self.keys.is_empty() {
            return;
        }
        if let Some(watched) = self.keys.get_mut(&(db, hash)) {
            self.events += 1;
            match change {
                Change::Changed => watched.changed = self.events,
                Change::Expired => watched.expired = self.events,
                Change::CameExpired => watched.came_expired = self.events,
            }
        }
    }

    /// Watched keys of database `db`, for FLUSHDB and SWAPDB.
    pub fn of_db(&self, db: usize) -> impl Iterator<Item = u64> {
        self.keys.keys().filter(move |key| key.0 == db).map(|key| key.1)
    }

    /// Whether no key is watched.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Keyspace {
    /// Begins a watch; what it returns is to be compared at EXEC.
    pub fn watch(&mut self, db: usize, hash: u64) -> Seen {
        let was_expired = self.has_expired(&self.dbs[db], hash) == Some(true);
        self.watches.watch(db, hash, was_expired)
    }

    /// Whether a watched key is to its watcher as it was.
    pub fn is_as_seen(&self, db: usize, hash: u64, seen: Seen) -> bool {
        let is_expired = self.has_expired(&self.dbs[db], hash) == Some(true);
        self.watches.unchanged(db, hash, seen, is_expired)
    }

    /// What happens to the watched and awaited keys of database `db` if `coming` takes its place,
    /// or none does and it is emptied.
    pub(super) fn touched_by_coming(&self, db: usize, coming: Option<&Db>) -> Vec<Touched> {
        let touched = |hash: u64| {
            let before = self.has_expired(&self.dbs[db], hash);
            let after = coming.and_then(|coming| self.has_expired(coming, hash));
            let change = match (before, after) {
                (Some(false), _) | (_, Some(false)) => Change::Changed,
                (Some(true), None | Some(true)) => Change::Expired,
                (None, Some(true)) => Change::CameExpired,
                (None, None) => return None,
            };
            Some(Touched { db, hash, change })
        };
        self.heeded(db).filter_map(touched).collect()
    }

    /// Whether the time of a key has come, whatever becomes of such keys; `None` if there is none.
    fn has_expired(&self, db: &Db, hash: u64) -> Option<bool> {
        let entry = db.table().find_hash(hash)?;
        Some(entry.expire().is_some_and(|at| at <= self.now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::base::random::Random;
    use crate::base::time::UnixMs;
    use crate::keyspace::db::Entry;
    use Change::*;

    const SEED: HashSeed = HashSeed(1);

    #[test]
    fn a_change_is_seen_by_those_who_watched_before_it() {
        let mut watches = Watches::default();
        let before = watches.watch(0, 9, false);
        assert!(watches.unchanged(0, 9, before, false));
        watches.touch(0, 9, Changed);
        let after = watches.watch(0, 9, false);
        assert!(!watches.unchanged(0, 9, before, false));
        assert!(watches.unchanged(0, 9, after, false));
        watches.unwatch(0, 9);
        watches.unwatch(0, 9);
        assert!(watches.is_empty());
    }

    #[test]
    fn a_watch_that_has_ended_tells_nothing_of_the_next() {
        let mut watches = Watches::default();
        let first = watches.watch(0, 1, false);
        watches.watch(0, 2, false);
        watches.touch(0, 1, Changed);
        watches.touch(0, 2, Changed);
        watches.unwatch(0, 1);
        let second = watches.watch(0, 1, false);
        assert!(watches.unchanged(0, 1, second, false) && first != second);
    }

    /// What Valkey does with the flag that it keeps of each watch, as its source has it.
    #[test]
    fn an_expired_key_is_no_key_to_those_who_began_to_watch_it_then() {
        // Whether it had expired, what happened, whether it has expired now, whether EXEC runs.
        let cases: [(bool, &[Change], bool, bool); 12] = [
            (false, &[], false, true),
            (false, &[], true, false),
            (false, &[Expired], false, false),
            (false, &[Changed], false, false),
            (false, &[CameExpired], true, true),
            (false, &[CameExpired, Expired], false, true),
            (false, &[Changed, CameExpired], true, false),
            (true, &[], true, true),
            (true, &[Expired], false, true),
            (true, &[Expired, Changed], false, false),
            (true, &[Expired, CameExpired], true, true),
            (true, &[Changed], true, false),
        ];
        for (was_expired, events, is_expired, runs) in cases {
            let mut watches = Watches::default();
            watches.watch(0, 1, false);
            watches.touch(0, 1, Changed);
            let seen = watches.watch(0, 1, was_expired);
            events.iter().for_each(|event| watches.touch(0, 1, *event));
            let same = watches.unchanged(0, 1, seen, is_expired);
            assert_eq!(same, runs, "{was_expired} {events:?} {is_expired}");
        }
    }

    #[test]
    fn a_keyspace_knows_what_has_expired_by_its_clock() {
        let mut keyspace = Keyspace::new(1, SEED, Random::new(1));
        let hash = SEED.key_hash(b"k");
        keyspace.dbs[0].insert(hash, Entry::string_until(b"k", b"v", UnixMs(5)));
        keyspace.now = UnixMs(4);
        let early = keyspace.watch(0, hash);
        assert!(keyspace.is_as_seen(0, hash, early));
        keyspace.now = UnixMs(5);
        let late = keyspace.watch(0, hash);
        assert!(!keyspace.is_as_seen(0, hash, early) && keyspace.is_as_seen(0, hash, late));
    }
}
