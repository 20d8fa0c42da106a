//! Background expiry: removes keys and fields of hashes whose time has come, some at a time.

use alloc::vec::Vec;

use crate::base::time::UnixMs;
use crate::effects::Effects;
use crate::encodings::field::Field;
use crate::keyspace::chores::{Left, Progress};
use crate::keyspace::db::{Db, Keyspace};
use crate::keyspace::due::Look;
use crate::keyspace::evict::Locked;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Key, Selected};
use crate::keyspace::settings::{OnExpiry, Settings};

/// Keys that are waited for at a time while they come from memory to the processor.
pub(super) const BATCH: usize = 32;

/// Whether anything expires without being looked up.
pub fn is_active(settings: &Settings) -> bool {
    settings.active_expire && settings.expiry == OnExpiry::Removes
}

/// Removes keys that are due, those of each database in the order in which they are due, until
/// `budget` is used up. Locked keys are left for later.
pub fn expire_keys(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    budget: usize,
    locked: Locked<'_>,
) -> Progress {
    let mut taken = Vec::new();
    in_overdue(keyspace, Db::next_due, budget, |keyspace, index, budget| {
        let (db, now) = (&mut keyspace.dbs[index], keyspace.now);
        let most = BATCH.min(budget);
        let look = db.take_due(now, &|hash| locked(index, hash), most, &mut taken);
        let mut effort = 0;
        for (hash, entry) in taken.drain(..) {
            let mut selected = Selected { keyspace, index, effects: &mut *effects, no_touch: true };
            selected.note_expired(Key { bytes: entry.key(), hash });
            effort += keyspace.discard(entry, Removal::Expired);
        }
        (effort, look)
    })
}

/// Removes fields of hashes that are due, and hashes that have none but these, until `budget` is
/// used up. Hashes whose keys are locked are left for later.
pub fn expire_fields(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    budget: usize,
    locked: Locked<'_>,
) -> Progress {
    let (mut bytes, mut loaded) = (Vec::new(), 0);
    in_overdue(keyspace, Db::next_field_due, budget, |keyspace, index, budget| {
        let (db, now) = (&mut keyspace.dbs[index], keyspace.now);
        if loaded == 0 {
            loaded = BATCH.min(budget);
            db.load_due_fields(loaded);
        }
        loaded -= 1;
        let claimed = |hash| locked(index, hash);
        let time = match db.look_for_fields(now, &claimed) {
            Look::Free(time) => time,
            look @ (Look::Nothing | Look::Claimed) => return (0, look),
        };
        let fields = db.take_due_fields(time, now, budget, &mut bytes);
        if !fields.is_empty() {
            let names: Vec<&[u8]> = fields.iter().map(Field::name).collect();
            let mut selected = Selected { keyspace, index, effects: &mut *effects, no_touch: true };
            selected.fields_expired(Key { bytes: &bytes, hash: time.1 }, &names);
        }
        (fields.len().max(1), keyspace.dbs[index].look_for_fields(now, &claimed))
    })
}

/// Has `step` work on each database in which something is due, by what `next` says, until nothing
/// is to be found there or `budget` is used up; that which has waited the longest is the first.
/// `step` is told its database and what is left of the budget; it says what effort it took, and
/// what there is to do next.
fn in_overdue(
    keyspace: &mut Keyspace,
    next: impl Fn(&Db) -> UnixMs,
    budget: usize,
    mut step: impl FnMut(&mut Keyspace, usize, usize) -> (usize, Look),
) -> Progress {
    let mut progress = Progress::default();
    if !is_active(&keyspace.settings) {
        return progress;
    }
    let dbs = keyspace.dbs.iter().enumerate().map(|(index, db)| (next(db), index));
    let mut overdue: Vec<_> = dbs.filter(|(next, _)| *next <= keyspace.now).collect();
    overdue.sort_unstable();
    for (_, index) in overdue {
        loop {
            if budget <= progress.effort {
                return Progress { left: Left::More, ..progress };
            }
            let (effort, look) = step(keyspace, index, budget - progress.effort);
            progress.effort += effort;
            match look {
                Look::Free(_) => {}
                Look::Nothing => break,
                Look::Claimed => {
                    progress.left = Left::Claimed;
                    break;
                }
            }
        }
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::base::random::Random;
    use crate::effects::Class;
    use crate::keyspace::chores::Backlog;
    use crate::keyspace::db::Entry;
    use crate::types::hash::Hash;
    use crate::types::object::Collection;
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

    const FREE: Locked<'static> = &|_, _| false;

    #[test]
    fn keys_of_a_database_go_in_the_order_in_which_they_are_due() {
        let mut keyspace = keyspace(10);
        let mut effects = effects();
        keyspace.now = UnixMs(6);
        let progress = expire_keys(&mut keyspace, &mut effects, 5, FREE);
        assert_eq!((progress.effort, progress.left), (5, Left::More));
        assert_eq!(expired(&effects), ["0", "2", "4", "6", "1"]);
        let progress = expire_keys(&mut keyspace, &mut effects, 2, FREE);
        assert_eq!((progress.effort, progress.left), (2, Left::Nothing));
        assert_eq!(expired(&effects), ["0", "2", "4", "6", "1", "3", "5"]);
        assert_eq!(expire_keys(&mut keyspace, &mut effects, 2, FREE), Progress::default());
        assert_eq!((keyspace.len(), keyspace.stats.expired), (5, 7));
        let log = effects.log_text();
        assert_eq!((log.len(), &*log[4]), (7, "1: DEL 1"));
    }

    #[test]
    fn locked_keys_wait_and_hold_up_no_others() {
        let mut keyspace = keyspace(6);
        let mut effects = effects();
        keyspace.now = UnixMs(100);
        let held = SEED.key_hash(b"0");
        let locked: Locked<'_> = &|db, hash| (db, hash) == (0, held);
        let progress = expire_keys(&mut keyspace, &mut effects, 50, locked);
        assert_eq!((progress.effort, progress.left), (5, Left::Claimed));
        assert_eq!(expired(&effects), ["2", "4", "1", "3", "5"]);
        let progress = expire_keys(&mut keyspace, &mut effects, 5, FREE);
        assert_eq!((progress.effort, progress.left), (1, Left::Nothing));
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
            assert_eq!(keyspace.backlog().keys_late_ms, 100);
            keyspace.settings.active_expire = active_expire;
            keyspace.settings.expiry = expiry;
            assert_eq!(keyspace.backlog(), Backlog::default());
            let progress = expire_keys(&mut keyspace, &mut effects(), 5, FREE);
            assert_eq!((progress, keyspace.len()), (Progress::default(), 6));
        }
    }

    #[test]
    fn a_large_value_that_is_freed_at_once_uses_the_budget_up() {
        for (lazy, effort) in [(false, 1000), (true, 3)] {
            let mut keyspace = keyspace(2);
            let mut hash = Hash::default();
            (0..1000u32).for_each(|number| {
                hash.become_table(SEED).set(&number.to_be_bytes(), b"value", None);
            });
            let mut entry = Entry::object(b"h", hash.into_object());
            entry.set_expire(Some(UnixMs(0)));
            keyspace.dbs[0].insert(SEED.key_hash(b"h"), entry);
            keyspace.now = UnixMs(100);
            keyspace.settings.lazy_expire = lazy;
            let progress = expire_keys(&mut keyspace, &mut effects(), 100, FREE);
            assert!((effort..effort + 3).contains(&progress.effort), "{progress:?}");
            assert_eq!(keyspace.garbage.len(), usize::from(lazy));
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
        let mut step = |now, budget, locked| {
            keyspace.now = UnixMs(now);
            let left = expire_fields(&mut keyspace, &mut effects, budget, locked).left;
            let events = effects.events.drain(..).map(|event| event.name).collect::<Vec<_>>();
            let log = effects.log_text().concat();
            effects.log.clear();
            (left, events.join(" "), log)
        };
        assert_eq!(step(4, 5, FREE), (Left::Nothing, String::new(), String::new()));
        assert_eq!(step(6, 5, &|_, _| true), (Left::Claimed, String::new(), String::new()));
        let (left, events, log) = step(6, 1, FREE);
        assert_eq!((left, &*events, log.len()), (Left::More, "hexpired", "1: HDEL h a".len()));
        let (left, events, log) = step(6, 1, FREE);
        assert_eq!((left, &*events, log.len()), (Left::Nothing, "hexpired", "1: HDEL h b".len()));
        assert_eq!(step(6, 5, FREE), (Left::Nothing, String::new(), String::new()));
        let (left, events, log) = step(8, 5, FREE);
        assert_eq!(
            (left, &*events, log.len()),
            (Left::Nothing, "hexpired del", "1: HDEL h c d".len())
        );
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
        let progress = expire_keys(&mut keyspace, &mut effects, 5, FREE);
        assert_eq!((progress.left, keyspace.dbs[0].volatile_len()), (Left::Nothing, 0));
        assert!(keyspace.dbs[0].find(hash, key).is_some());
        assert!(expired(&effects).is_empty());
    }
}
