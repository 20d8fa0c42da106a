//! Snapshots that are staged beside the keys, and take their place or come to nothing.

use alloc::collections::BTreeMap;
use alloc::vec;

use super::*;
use crate::base::time::UnixMs;
use crate::effects::Awaited;
use crate::keyspace::chores::Left;
use crate::keyspace::db::Entry;
use crate::keyspace::evict::evict_one;
use crate::keyspace::settings::Policy;
use crate::keyspace::staging::NotStaged;
use crate::keyspace::waiters::WaitId;
use crate::types::hash::Hash;
use crate::types::object::Collection;

const SEED: HashSeed = HashSeed(3);
const DATABASES: usize = 3;
const NOW: UnixMs = UnixMs(100);

fn shard() -> Shard {
    let mut shard = Shard::new(DATABASES, SEED, Random::new(1));
    shard.keyspace.now = NOW;
    shard
}

fn hash_of(name: &str) -> u64 {
    SEED.key_hash(name.as_bytes())
}

fn text(name: &str, expire: Option<u64>) -> Entry {
    let mut entry = Entry::string(name.as_bytes(), b"value");
    entry.set_expire(expire.map(UnixMs));
    entry
}

/// A hash with a field for each of these times.
fn fields(name: &str, times: &[u64]) -> Entry {
    let mut hash = Hash::default();
    for (number, at) in times.iter().enumerate() {
        let field = number.to_be_bytes();
        hash.become_table(SEED).set(&field, b"value", Some(UnixMs(*at)));
    }
    Entry::object(name.as_bytes(), hash.into_object())
}

fn put(shard: &mut Shard, db: usize, name: &str, expire: Option<u64>) {
    shard.keyspace.dbs[db].insert(hash_of(name), text(name, expire));
}

fn stage(shard: &mut Shard, db: usize, entry: Entry) {
    let hash = SEED.key_hash(entry.key());
    assert_eq!(shard.staging.as_mut().unwrap().insert(db, hash, entry), Ok(()));
}

fn has(shard: &Shard, db: usize, name: &str) -> bool {
    shard.keyspace.dbs[db].find(hash_of(name), name.as_bytes()).is_some()
}

/// Frees all garbage in slices of `budget`; how many there were.
fn free(shard: &mut Shard, budget: usize) -> usize {
    let slices = 1..100_000;
    let mut is_over =
        |_: &usize| shard.work(Chore::FreeGarbage, budget, &|_, _| false).left != Left::More;
    slices.into_iter().find(&mut is_over).expect("garbage is freed")
}

#[test]
fn what_is_staged_is_not_seen_until_it_takes_its_place() {
    let mut shard = shard();
    put(&mut shard, 0, "old", None);
    put(&mut shard, 2, "old", None);
    assert!(!shard.commit(), "nothing is staged");
    shard.stage();
    stage(&mut shard, 0, text("new", None));
    stage(&mut shard, 1, text("new", None));
    put(&mut shard, 1, "meanwhile", None);
    assert_eq!(shard.staging.as_ref().unwrap().len(), 2);
    assert_eq!(shard.keyspace.len(), 3);
    assert!(has(&shard, 0, "old") && !has(&shard, 0, "new"));
    assert!(shard.commit());
    assert!(shard.staging.is_none() && !shard.commit());
    let seen = |db| ["old", "new", "meanwhile"].map(|name| has(&shard, db, name));
    assert_eq!([0, 1, 2].map(seen), [[false, true, false], [false, true, false], [false; 3]]);
    assert_eq!((shard.keyspace.garbage.len(), shard.effects.dirty), (3, 0));
    free(&mut shard, 1);
    assert_eq!((shard.keyspace.len(), shard.keyspace.stats.lazyfreed), (2, 3));
}

#[test]
fn a_snapshot_that_is_wrong_is_refused() {
    let mut shard = shard();
    shard.stage();
    let staging = shard.staging.as_mut().unwrap();
    assert_eq!(staging.insert(1, hash_of("k"), text("k", None)), Ok(()));
    assert_eq!(staging.insert(1, hash_of("k"), text("k", Some(5))), Err(NotStaged::Duplicate));
    assert_eq!(staging.insert(0, hash_of("k"), text("k", None)), Ok(()));
    assert_eq!(staging.insert(DATABASES, hash_of("k"), text("k", None)), Err(NotStaged::Database));
    assert_eq!(staging.len(), 2);
}

#[test]
fn what_comes_to_nothing_is_freed_in_slices_and_leaves_the_keys() {
    let mut shard = shard();
    put(&mut shard, 0, "old", None);
    for round in ["given up", "begun anew"] {
        shard.stage();
        for number in 0..1000 {
            let entry = text(&alloc::format!("{number}"), Some(5));
            stage(&mut shard, number % DATABASES, entry);
        }
        match round {
            "given up" => shard.unstage(),
            _ => shard.stage(),
        }
        assert_eq!(shard.keyspace.garbage.len(), 1000, "{round}");
        let slices = free(&mut shard, 100);
        assert!((10..=40).contains(&slices), "{round}: {slices}");
        assert!(has(&shard, 0, "old") && shard.keyspace.len() == 1);
    }
    assert!(shard.staging.unwrap().is_empty());
}

#[test]
fn keys_and_fields_come_in_though_their_time_has_passed() {
    for expiry in [OnExpiry::Removes, OnExpiry::Hides] {
        let mut shard = shard();
        shard.keyspace.settings.expiry = expiry;
        shard.stage();
        stage(&mut shard, 0, text("due", Some(1)));
        stage(&mut shard, 0, fields("hash", &[1, 2, 300]));
        shard.commit();
        let db = &shard.keyspace.dbs[0];
        assert_eq!((db.len(), db.next_due(), db.next_field_due()), (2, UnixMs(1), UnixMs(1)));
        // From then on it is the keyspace's to say what becomes of them.
        for chore in Chore::ALL {
            shard.work(chore, 100, &|_, _| false);
        }
        let (keys, fields) = (shard.keyspace.stats.expired, shard.keyspace.stats.expired_fields);
        let expected = if expiry == OnExpiry::Removes { (1, 2) } else { (0, 0) };
        assert_eq!((keys, fields), expected, "{expiry:?}");
    }
}

#[test]
fn those_who_watch_and_wait_hear_of_what_came_and_went() {
    let cases = [
        ("in none", false, false),
        ("old only", true, false),
        ("new only", false, true),
        ("old and new", true, true),
    ];
    for (name, is_old, is_new) in cases {
        let mut shard = shard();
        shard.effects.keeps_notes = true;
        if is_old {
            put(&mut shard, 1, "k", None);
        }
        let (hash, id) = (hash_of("k"), WaitId { place: 0, number: 1 });
        let seen = shard.keyspace.watch(1, hash);
        shard.keyspace.waiters.add(id, (1, hash), Awaited::List);
        shard.stage();
        if is_new {
            stage(&mut shard, 1, text("k", None));
        }
        assert!(shard.keyspace.is_as_seen(1, hash, seen), "{name}");
        assert!(!shard.keyspace.waiters.has_ready(), "{name}");
        assert!(shard.effects.notes.is_empty());
        shard.commit();
        let is_touched = is_old || is_new;
        assert_eq!(shard.keyspace.is_as_seen(1, hash, seen), !is_touched, "{name}");
        let ready = if is_touched { vec![(1, hash)] } else { Vec::new() };
        assert_eq!(shard.keyspace.waiters.take_ready(), ready, "{name}");
        assert_eq!(shard.effects.notes, [Note::Emptied]);
    }
}

#[test]
fn candidates_for_eviction_are_those_of_the_new_databases() {
    for policy in [Policy::AllKeysLru, Policy::VolatileLru, Policy::VolatileTtl] {
        let mut shard = shard();
        shard.keyspace.settings.policy = policy;
        let mut effects = Effects::default();
        for name in ["a", "b", "c"] {
            put(&mut shard, 0, name, Some(1_000_000));
        }
        assert!(evict_one(&mut shard.keyspace, &mut effects, &|_, _| false).is_some());
        shard.stage();
        let mut entry = text("new", Some(1_000_000));
        entry.set_access(evict::fresh(&shard.keyspace.settings, NOW));
        stage(&mut shard, 2, entry);
        shard.commit();
        assert!(evict_one(&mut shard.keyspace, &mut effects, &|_, _| false).is_some());
        assert!(shard.keyspace.is_empty(), "{policy:?}");
        assert!(evict_one(&mut shard.keyspace, &mut effects, &|_, _| false).is_none());
    }
}

/// Keys of a database, with when they expire, by name.
type Keys = BTreeMap<(usize, u64), Option<u64>>;

fn check(keyspace: &Keyspace, keys: &Keys, seed: u64) {
    for (index, db) in keyspace.dbs.iter().enumerate() {
        let expected = keys.iter().filter(|key| key.0.0 == index);
        let due = expected
            .clone()
            .filter_map(|(key, at)| Some((UnixMs((*at)?), hash_of(&alloc::format!("{}", key.1)))));
        let mut due: Vec<_> = due.collect();
        due.sort_unstable();
        assert_eq!(db.len(), expected.clone().count(), "seed {seed}");
        assert!(db.due().iter().eq(&due), "seed {seed}");
        assert_eq!(db.volatile_len(), due.len(), "seed {seed}");
        for (key, at) in expected {
            let name = alloc::format!("{}", key.1);
            let entry = db.find(hash_of(&name), name.as_bytes());
            let entry = entry.unwrap_or_else(|| panic!("seed {seed}: {name} is there"));
            assert_eq!(entry.expire(), at.map(UnixMs), "seed {seed}");
        }
    }
}

#[test]
fn databases_agree_with_a_model_whenever_snapshots_come_and_go() {
    for seed in 0..30 {
        let (mut random, mut shard) = (Random::new(seed), shard());
        let (mut keys, mut staged) = (Keys::new(), None::<Keys>);
        for _ in 0..2_000 {
            let db = usize::try_from(random.below(DATABASES as u64)).unwrap();
            let number = random.below(300);
            let name = alloc::format!("{number}");
            let at = (random.below(2) == 0).then(|| random.below(500) + 1);
            match random.below(100) {
                0 => {
                    shard.stage();
                    staged = Some(Keys::new());
                }
                1 => {
                    shard.unstage();
                    staged = None;
                }
                2 => {
                    assert_eq!(shard.commit(), staged.is_some(), "seed {seed}");
                    keys = staged.take().unwrap_or(keys);
                }
                3..60 => {
                    let (Some(staging), Some(staged)) = (&mut shard.staging, &mut staged) else {
                        continue;
                    };
                    let expected = match staged.contains_key(&(db, number)) {
                        true => Err(NotStaged::Duplicate),
                        false => Ok(()),
                    };
                    let inserted = staging.insert(db, hash_of(&name), text(&name, at));
                    assert_eq!(inserted, expected, "seed {seed}");
                    staged.entry((db, number)).or_insert(at);
                    assert_eq!(staging.len(), staged.len(), "seed {seed}");
                }
                60..80 => {
                    shard.keyspace.dbs[db].remove(hash_of(&name), name.as_bytes());
                    put(&mut shard, db, &name, at);
                    keys.insert((db, number), at);
                }
                80..90 => {
                    shard.keyspace.dbs[db].remove(hash_of(&name), name.as_bytes());
                    keys.remove(&(db, number));
                }
                _ => {
                    shard.work(Chore::FreeGarbage, 50, &|_, _| false);
                }
            }
            assert_eq!(shard.keyspace.len(), keys.len(), "seed {seed}");
        }
        check(&shard.keyspace, &keys, seed);
        free(&mut shard, 50);
        check(&shard.keyspace, &keys, seed);
    }
}
