//! Background expiry: removes keys whose time has come, the earliest first, some at a time.

use alloc::vec::Vec;

use crate::base::time::UnixMs;
use crate::effects::Effects;
use crate::keyspace::db::Keyspace;
use crate::keyspace::evict::Locked;
use crate::keyspace::selected::{Key, Selected};

/// Removes up to `budget` keys that are due, of all databases, in the order in which they are
/// due; returns whether more are left that could be removed now. Locked keys are left for later.
pub fn slice(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    budget: usize,
    locked: Locked<'_>,
) -> bool {
    if !keyspace.settings.active_expire {
        return false;
    }
    let mut due = first_due(keyspace, budget.saturating_add(1), locked);
    let more = budget < due.len();
    due.truncate(budget);
    let mut bytes = Vec::new();
    for (at, index, hash) in due {
        let db = &mut keyspace.dbs[index];
        match db.table().find_hash(hash) {
            Some(entry) if entry.expire().is_some_and(|at| at <= keyspace.now) => {
                bytes.clear();
                bytes.extend_from_slice(entry.key());
                let mut selected =
                    Selected { keyspace, index, effects: &mut *effects, no_touch: true };
                selected.expire(Key { bytes: &bytes, hash });
            }
            // Another key of the same hash hides it: it expires when it is looked up.
            Some(_) | None => db.forget_due((at, hash)),
        }
    }
    if more {
        keyspace.stats.expire_slices_cut += 1;
    }
    more
}

/// The first `count` keys due in all databases: when, which database, which hash.
fn first_due(keyspace: &Keyspace, count: usize, locked: Locked<'_>) -> Vec<(UnixMs, usize, u64)> {
    let mut first = Vec::new();
    let mut databases = 0;
    for (index, db) in keyspace.dbs.iter().enumerate() {
        let due = db.due().iter().take_while(|due| due.0 <= keyspace.now);
        let free = due.filter(|due| !locked(index, due.1)).take(count);
        let before = first.len();
        first.extend(free.map(|due| (due.0, index, due.1)));
        databases += usize::from(before < first.len());
    }
    if 1 < databases {
        first.sort_unstable();
        first.truncate(count);
    }
    first
}
