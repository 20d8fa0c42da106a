//! Background expiry: removes keys whose time has come, the earliest first, some at a time.

use alloc::vec::Vec;

use crate::base::time::UnixMs;
use crate::effects::Effects;
use crate::encodings::field::Field;
use crate::keyspace::db::{Entry, Keyspace};
use crate::keyspace::evict::Locked;
use crate::keyspace::selected::{Key, Selected};
use crate::keyspace::settings::{OnExpiry, Settings};
use crate::types::hash::Hash;
use crate::types::object::Collection;

/// Removes up to `budget` keys that are due, of all databases, in the order in which they are
/// due; returns whether more are left that could be removed now. Locked keys are left for later.
pub fn slice(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    budget: usize,
    locked: Locked<'_>,
) -> bool {
    let Settings { active_expire, expiry, .. } = keyspace.settings;
    if !active_expire || expiry != OnExpiry::Removes {
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
    let more = fields_slice(keyspace, effects, budget, locked) || more;
    if more {
        keyspace.stats.expire_slices_cut += 1;
    }
    more
}

/// Removes up to `budget` fields of hashes that are due, of all databases; returns whether more
/// are left.
fn fields_slice(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    budget: usize,
    locked: Locked<'_>,
) -> bool {
    let mut left = budget;
    for index in 0..keyspace.dbs.len() {
        let due = keyspace.dbs[index].fields_due().iter();
        let due = due.take_while(|due| due.0 <= keyspace.now && 0 < left);
        let due: Vec<_> = due.filter(|due| !locked(index, due.1)).take(left).copied().collect();
        for due in due {
            left -= expire_fields(keyspace, effects, (index, due), left);
            if left == 0 {
                return true;
            }
        }
    }
    false
}

/// Removes up to `budget` fields that are due of the hash that is filed under `due`, and the hash
/// if that leaves nothing of it; returns how many.
fn expire_fields(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    (index, due): (usize, (UnixMs, u64)),
    budget: usize,
) -> usize {
    let now = keyspace.now;
    let Some(entry) = keyspace.dbs[index].table().find_hash(due.1) else {
        keyspace.dbs[index].forget_fields_due(due);
        return 0;
    };
    let bytes = entry.key().to_vec();
    let mut selected = Selected { keyspace, index, effects, no_touch: true };
    let key = Key { bytes: &bytes, hash: due.1 };
    let hash = selected.db().find_mut(key.hash, key.bytes).and_then(Entry::object_mut);
    let fields = hash.and_then(Hash::of_mut).map_or(Vec::new(), |hash| hash.take_due(now, budget));
    selected.refile_fields(key);
    if fields.is_empty() {
        // The index was early, or another key of the same hash hides this one.
        selected.db().forget_fields_due(due);
    } else {
        let names: Vec<&[u8]> = fields.iter().map(Field::name).collect();
        selected.fields_expired(key, &names);
    }
    fields.len()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::base::random::Random;
    use crate::effects::Class;
    use alloc::format;
    use alloc::string::String;

    const SEED: HashSeed = HashSeed(3);

    /// Two databases; key `n` of database `n % 2` expires at `n`; one key of each never does.
    fn keyspace(keys: u64) -> Keyspace {
        let mut keyspace = Keyspace::new(2, SEED, Random::new(1));
        for db in &mut keyspace.dbs {
            db.insert(SEED.key_hash(b"stays"), Entry::string(b"stays", b"x"));
        }
        for number in 0..keys {
            let key = format!("{number}");
            let entry = Entry::string_until(key.as_bytes(), b"x", UnixMs(number));
            let db = usize::try_from(number % 2).unwrap();
            keyspace.dbs[db].insert(SEED.key_hash(key.as_bytes()), entry);
        }
        keyspace
    }

    fn expired(effects: &Effects) -> Vec<String> {
        let text = |key: &Vec<u8>| String::from_utf8(key.clone()).unwrap();
        effects.events.iter().map(|event| text(&event.key)).collect()
    }

    fn effects() -> Effects {
        Effects { keeps_log: true, classes: Class::Expired as u32, ..Effects::default() }
    }

    #[test]
    fn keys_go_in_the_order_in_which_they_are_due() {
        let mut keyspace = keyspace(10);
        let mut effects = effects();
        keyspace.now = UnixMs(6);
        assert!(slice(&mut keyspace, &mut effects, 4, &|_, _| false));
        assert_eq!(expired(&effects), ["0", "1", "2", "3"]);
        assert!(!slice(&mut keyspace, &mut effects, 4, &|_, _| false));
        assert_eq!(expired(&effects), ["0", "1", "2", "3", "4", "5", "6"]);
        assert_eq!((keyspace.len(), keyspace.stats.expired), (5, 7));
        assert_eq!(keyspace.stats.expire_slices_cut, 1);
        assert_eq!(effects.log.len(), 7);
        assert_eq!(effects.log[1].args, [b"DEL".to_vec(), b"1".to_vec()]);
        assert_eq!(effects.log[1].db, 1);
    }

    #[test]
    fn locked_keys_wait_and_hold_up_no_others() {
        let mut keyspace = keyspace(6);
        let mut effects = effects();
        keyspace.now = UnixMs(100);
        let held = SEED.key_hash(b"0");
        assert!(!slice(&mut keyspace, &mut effects, 5, &|db, hash| (db, hash) == (0, held)));
        assert_eq!(expired(&effects), ["1", "2", "3", "4", "5"]);
        assert!(!slice(&mut keyspace, &mut effects, 5, &|_, _| false));
        assert_eq!(expired(&effects).last(), Some(&String::from("0")));
        assert_eq!(keyspace.dbs[0].volatile_len() + keyspace.dbs[1].volatile_len(), 0);
    }

    #[test]
    fn nothing_expires_while_it_is_switched_off_or_has_to_stay() {
        for (active_expire, expiry) in
            [(false, OnExpiry::Removes), (true, OnExpiry::Hides), (true, OnExpiry::Ignores)]
        {
            let mut keyspace = keyspace(4);
            keyspace.now = UnixMs(100);
            keyspace.settings.active_expire = active_expire;
            keyspace.settings.expiry = expiry;
            assert!(!slice(&mut keyspace, &mut effects(), 5, &|_, _| false));
            assert_eq!(keyspace.len(), 6);
        }
    }

    #[test]
    fn fields_go_when_they_are_due_and_the_hash_with_the_last_of_them() {
        let mut keyspace = keyspace(0);
        let hash_of_key = SEED.key_hash(b"h");
        let mut hash = Hash::default();
        for (field, at) in [(b"a", 5), (b"b", 5), (b"c", 7), (b"d", 7)] {
            hash.become_table(SEED).set(field, b"x", Some(UnixMs(at)));
        }
        keyspace.dbs[1].insert(hash_of_key, Entry::object(b"h", hash.into_object()));
        let wanted = Class::Hash as u32 | Class::Generic as u32;
        let mut effects = Effects { classes: wanted, ..effects() };
        let mut step = |now, budget| {
            keyspace.now = UnixMs(now);
            let more = slice(&mut keyspace, &mut effects, budget, &|_, _| false);
            let events = effects.events.drain(..).map(|event| event.name).collect::<Vec<_>>();
            let log = effects.log.drain(..).map(|entry| entry.args.concat()).collect::<Vec<_>>();
            (more, events.join(" "), String::from_utf8(log.concat()).unwrap())
        };
        assert_eq!(step(4, 5), (false, String::new(), String::new()));
        let (more, events, log) = step(6, 1);
        assert_eq!((more, &*events, log.len()), (true, "hexpired", 6));
        let (more, events, log) = step(6, 5);
        assert_eq!((more, &*events, log.len()), (false, "hexpired", 6));
        assert_eq!(step(6, 5), (false, String::new(), String::new()));
        let (more, events, log) = step(8, 5);
        assert_eq!((more, &*events, log.len()), (false, "hexpired del", 7));
        assert_eq!((keyspace.len(), keyspace.stats.expired_fields), (2, 4));
        assert!(keyspace.dbs[1].fields_due().is_empty());
    }

    #[test]
    fn an_element_of_the_index_without_a_key_is_forgotten() {
        let mut keyspace = keyspace(0);
        let key = b"key";
        let hash = SEED.key_hash(key);
        keyspace.dbs[0].insert(hash, Entry::string_until(key, b"x", UnixMs(5)));
        // What a second key of the same hash leaves when it goes.
        let entry = keyspace.dbs[0].find_mut(hash, key).unwrap();
        entry.set_expire(Some(UnixMs(500)));
        keyspace.now = UnixMs(100);
        let mut effects = effects();
        assert!(!slice(&mut keyspace, &mut effects, 5, &|_, _| false));
        assert_eq!(keyspace.dbs[0].volatile_len(), 0);
        assert!(expired(&effects).is_empty());
    }
}
