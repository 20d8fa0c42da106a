//! When a key was used last or how often, and which key goes when memory is short.
//!
//! The 24 access bits of an entry are, by policy, the time of its last use in seconds (LRU), or
//! 16 bits of minutes and an 8-bit logarithmic counter of uses that loses one every
//! `lfu-decay-time` minutes (LFU), with Valkey's constants.
//!
//! LRU and LFU are approximate: a few keys are sampled, and the best candidates seen are kept in
//! a pool over calls. What is soonest to expire is known exactly.

use alloc::vec::Vec;
use core::ops::Bound;

use crate::base::random::Random;
use crate::base::time::UnixMs;
use crate::effects::{Change, Class, Effects};
use crate::keyspace::db::{Db, Entry, Keyspace};
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Key, Selected};
use crate::keyspace::settings::{OnExpiry, Policy, Settings};

/// The LFU counter of a new key: it should not be the first to go before it had a chance.
const LFU_START: u8 = 5;
const LRU_MASK: u64 = (1 << 24) - 1;
const LFU_MINUTES_MASK: u64 = (1 << 16) - 1;
/// A last use up to this far ahead means that the clock was set back, not that 194 days went by.
const CLOCK_SET_BACK_SECONDS: u64 = 3600;
/// Candidates kept over calls.
const CANDIDATES: usize = 16;
/// How often a key that expires is looked for among all keys before the index of expiry times is
/// asked, whose order is a worse sample.
const VOLATILE_TRIES: usize = 8;
/// How often sampling starts anew when it found nothing to evict.
const ROUNDS: usize = 4;

/// Locked keys that are passed over on the way to the soonest to expire.
const LOCKED_MAX: usize = 256;

/// Which keys may be touched now, by (database, hash): a transaction may hold some.
pub type Locked<'a> = &'a dyn Fn(usize, u64) -> bool;

/// The best candidates for eviction that sampling has seen so far.
#[derive(Debug, Default)]
pub struct Pool {
    /// The best last.
    candidates: Vec<Candidate>,
    /// The database a random eviction takes from next.
    next_db: usize,
    /// Where in the index of expiry times sampling stopped.
    cursor: (UnixMs, u64),
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// How much it ought to go: seconds unused, or how far its counter is below the highest.
    score: u64,
    db: usize,
    hash: u64,
}

/// Which keys a policy may evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Volatile,
}

/// Marks an entry as just used.
#[inline]
pub fn mark_used(entry: &mut Entry, settings: &Settings, now: UnixMs, random: &mut Random) {
    if settings.policy.is_lfu() {
        let counter = frequency(entry, settings, now);
        let counter = counted(counter, settings.lfu_log_factor, random);
        entry.set_access(lfu_bits(now, counter));
    } else {
        entry.set_access(lru_bits(now));
    }
}

/// The access bits of an entry that was just made.
#[inline]
pub fn fresh(settings: &Settings, now: UnixMs) -> u32 {
    if settings.policy.is_lfu() { lfu_bits(now, LFU_START) } else { lru_bits(now) }
}

/// What is known of how an entry was used elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// For so many seconds it was not.
    Idle(u64),
    /// Its LFU counter.
    Frequency(u8),
}

/// The access bits of an entry that was used elsewhere; as if it was just made where the policy
/// asks for something else than what is known.
pub fn imported(settings: &Settings, now: UnixMs, usage: Usage) -> u32 {
    match usage {
        Usage::Idle(seconds) if !settings.policy.is_lfu() => {
            let used = now.seconds().wrapping_sub(seconds);
            lru_bits(UnixMs((used & LRU_MASK) * 1000))
        }
        Usage::Frequency(counter) if settings.policy.is_lfu() => lfu_bits(now, counter),
        Usage::Idle(_) | Usage::Frequency(_) => fresh(settings, now),
    }
}

/// Seconds since the entry was used last; of use with an LRU policy only.
pub fn idle_seconds(entry: &Entry, now: UnixMs) -> u64 {
    let idle = now.seconds().wrapping_sub(entry.access().into()) & LRU_MASK;
    if LRU_MASK - CLOCK_SET_BACK_SECONDS < idle { 0 } else { idle }
}

/// The LFU counter as time has worn it down; of use with an LFU policy only.
pub fn frequency(entry: &Entry, settings: &Settings, now: UnixMs) -> u8 {
    let [_, minutes @ .., counter] = entry.access().to_be_bytes();
    let minutes = u64::from(u16::from_be_bytes(minutes));
    let passed = (now.seconds() / 60).wrapping_sub(minutes) & LFU_MINUTES_MASK;
    let lost = passed.checked_div(settings.lfu_decay_minutes.into()).unwrap_or(0);
    counter.saturating_sub(u8::try_from(lost).unwrap_or(u8::MAX))
}

/// Evicts one key as the policy says; returns about how many bytes that freed, `None` if there is
/// nothing that may go: nothing at all where keys that are due have to stay, too.
pub fn evict_one(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    locked: Locked<'_>,
) -> Option<usize> {
    if keyspace.settings.expiry != OnExpiry::Removes {
        return None;
    }
    let mut pool = core::mem::take(&mut keyspace.eviction);
    let chosen = match keyspace.settings.policy {
        Policy::NoEviction => None,
        Policy::AllKeysLru | Policy::AllKeysLfu => pool.best(keyspace, Scope::All, locked),
        Policy::VolatileLru | Policy::VolatileLfu => pool.best(keyspace, Scope::Volatile, locked),
        Policy::AllKeysRandom => pool.any(keyspace, Scope::All, locked),
        Policy::VolatileRandom => pool.any(keyspace, Scope::Volatile, locked),
        Policy::VolatileTtl => soonest(keyspace, locked),
    };
    keyspace.eviction = pool;
    let (db, hash) = chosen?;
    let key = keyspace.dbs[db].table().find_hash(hash)?.key().to_vec();
    let entry = keyspace.dbs[db].remove(hash, &key)?;
    keyspace.stats.evicted += 1;
    let mut selected = Selected { keyspace, index: db, effects, no_touch: true };
    selected.touch_unasked(Key { bytes: &key, hash }, Change::Changed);
    effects.log_deleted(db, &key);
    effects.event(Class::Evicted, "evicted", db, &key);
    let freed = entry.whole_memory();
    keyspace.discard(entry, Removal::Evicted);
    Some(freed)
}

impl Pool {
    /// The best of the candidates, after sampling some more.
    fn best(
        &mut self,
        keyspace: &mut Keyspace,
        scope: Scope,
        locked: Locked<'_>,
    ) -> Option<(usize, u64)> {
        for _ in 0..ROUNDS {
            self.sample(keyspace, scope, locked);
            while let Some(candidate) = self.candidates.pop() {
                let Candidate { score, db, hash } = candidate;
                // Since it was sampled, the key may have gone, been used, or been locked.
                let still = keyspace.dbs.get(db).and_then(|db| db.table().find_hash(hash));
                let good = still.is_some_and(|entry| {
                    in_scope(entry, scope)
                        && score <= score_of(entry, &keyspace.settings, keyspace.now)
                });
                if good && !locked(db, hash) {
                    return Some((db, hash));
                }
            }
        }
        None
    }

    /// Looks at some keys of every database and keeps the best.
    fn sample(&mut self, keyspace: &mut Keyspace, scope: Scope, locked: Locked<'_>) {
        for db in 0..keyspace.dbs.len() {
            for _ in 0..keyspace.settings.samples {
                let Keyspace { dbs, seed, settings, now, random, .. } = &mut *keyspace;
                let Some(entry) = self.pick(&dbs[db], scope, random) else { break };
                let hash = seed.key_hash(entry.key());
                let score = score_of(entry, settings, *now);
                if !locked(db, hash) {
                    self.keep(Candidate { score, db, hash });
                }
            }
        }
    }

    /// Puts a candidate in its place if it is among the best.
    fn keep(&mut self, new: Candidate) {
        let is_new = |old: &Candidate| (old.db, old.hash) != (new.db, new.hash);
        if !self.candidates.iter().all(is_new) {
            return;
        }
        if self.candidates.len() == CANDIDATES {
            if new.score <= self.candidates[0].score {
                return;
            }
            self.candidates.remove(0);
        }
        let place = self.candidates.partition_point(|old| old.score <= new.score);
        self.candidates.insert(place, new);
    }

    /// A key by chance, of the databases in turn.
    fn any(
        &mut self,
        keyspace: &mut Keyspace,
        scope: Scope,
        locked: Locked<'_>,
    ) -> Option<(usize, u64)> {
        let databases = keyspace.dbs.len();
        for _ in 0..ROUNDS * databases {
            let db = self.next_db % databases;
            self.next_db = db + 1;
            let Keyspace { dbs, seed, random, .. } = &mut *keyspace;
            let Some(entry) = self.pick(&dbs[db], scope, random) else { continue };
            let hash = seed.key_hash(entry.key());
            if !locked(db, hash) {
                return Some((db, hash));
            }
        }
        None
    }

    /// A key of `db` by chance.
    fn pick<'d>(&mut self, db: &'d Db, scope: Scope, random: &mut Random) -> Option<&'d Entry> {
        if scope == Scope::All {
            return db.table().sample(random.bits());
        }
        if db.volatile_len() == 0 {
            return None;
        }
        for _ in 0..VOLATILE_TRIES {
            let entry = db.table().sample(random.bits())?;
            if in_scope(entry, scope) {
                return Some(entry);
            }
        }
        // Keys that expire are rare here: go through their index, round and round.
        let behind = (Bound::Excluded(self.cursor), Bound::Unbounded);
        self.cursor = *db.due().range(behind).next().or(db.due().first())?;
        db.table().find_hash(self.cursor.1).filter(|entry| in_scope(entry, scope))
    }
}

/// The key that expires first.
fn soonest(keyspace: &Keyspace, locked: Locked<'_>) -> Option<(usize, u64)> {
    let first = |(index, db): (usize, &Db)| {
        let mut due = db.due().iter().take(LOCKED_MAX).filter(|due| {
            let entry = db.table().find_hash(due.1);
            !locked(index, due.1) && entry.is_some_and(|entry| in_scope(entry, Scope::Volatile))
        });
        due.next().map(|due| (due.0, index, due.1))
    };
    let (_, db, hash) = keyspace.dbs.iter().enumerate().filter_map(first).min()?;
    Some((db, hash))
}

fn in_scope(entry: &Entry, scope: Scope) -> bool {
    scope == Scope::All || entry.expire().is_some()
}

fn score_of(entry: &Entry, settings: &Settings, now: UnixMs) -> u64 {
    if settings.policy.is_lfu() {
        u64::from(u8::MAX - frequency(entry, settings, now))
    } else {
        idle_seconds(entry, now)
    }
}

#[inline]
fn lru_bits(now: UnixMs) -> u32 {
    u32::try_from(now.seconds() & LRU_MASK).expect("24 bits are left")
}

#[inline]
fn lfu_bits(now: UnixMs, counter: u8) -> u32 {
    let minutes = (now.seconds() / 60) & LFU_MINUTES_MASK;
    let minutes = u32::try_from(minutes).expect("16 bits are left");
    minutes << 8 | u32::from(counter)
}

/// The counter after one more use: the higher it is, the less likely it grows.
fn counted(counter: u8, log_factor: u32, random: &mut Random) -> u8 {
    let above_start = u64::from(counter.saturating_sub(LFU_START));
    let grows = random.below(above_start * u64::from(log_factor) + 1) == 0;
    if grows { counter.saturating_add(1) } else { counter }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use alloc::format;

    const SEED: HashSeed = HashSeed(3);
    const FREE: Locked<'static> = &|_, _| false;

    /// `keys` keys, each made and used at its own number of seconds; every second one expires,
    /// the later the lower its number.
    fn keyspace(policy: Policy, keys: u64) -> Keyspace {
        let mut keyspace = Keyspace::new(3, SEED, Random::new(1));
        keyspace.settings.policy = policy;
        for number in 0..keys {
            let key = format!("{number}");
            let now = UnixMs(number * 1000);
            let mut entry = match number % 2 {
                0 => Entry::string(key.as_bytes(), b"value"),
                _ => Entry::string_until(key.as_bytes(), b"value", UnixMs(u64::MAX - number)),
            };
            entry.set_access(fresh(&keyspace.settings, now));
            keyspace.dbs[1].insert(SEED.key_hash(key.as_bytes()), entry);
            keyspace.now = now;
        }
        keyspace
    }

    fn effects() -> Effects {
        Effects { keeps_log: true, classes: Class::Evicted as u32, ..Effects::default() }
    }

    /// Evicts `count` keys and returns their numbers.
    fn evict(keyspace: &mut Keyspace, count: usize, locked: Locked<'_>) -> Vec<u64> {
        let mut effects = effects();
        for _ in 0..count {
            let before = keyspace.len();
            let freed = evict_one(keyspace, &mut effects, locked);
            assert_eq!(before - keyspace.len(), usize::from(freed.is_some()));
        }
        assert_eq!(effects.events.len(), effects.log_text().len());
        let number = |key: &[u8]| str::from_utf8(key).unwrap().parse().unwrap();
        effects.events.iter().map(|event| number(&event.key)).collect()
    }

    #[test]
    fn an_eviction_is_counted_logged_and_told() {
        let mut keyspace = keyspace(Policy::AllKeysRandom, 1);
        let hash = SEED.key_hash(b"0");
        let seen = keyspace.watch(1, hash);
        let mut effects = effects();
        assert_eq!(evict_one(&mut keyspace, &mut effects, FREE), Some(32));
        assert!(!keyspace.is_as_seen(1, hash, seen));
        assert_eq!(keyspace.stats.evicted, 1);
        assert_eq!(effects.log_text(), ["1: DEL 0"]);
        assert_eq!((effects.events[0].name, effects.events[0].db), ("evicted", 1));
        assert_eq!(evict_one(&mut keyspace, &mut effects, FREE), None);
    }

    #[test]
    fn policies_evict_what_they_may_and_all_of_it() {
        use Policy::*;
        let cases = [
            (NoEviction, 0),
            (AllKeysLru, 200),
            (AllKeysLfu, 200),
            (AllKeysRandom, 200),
            (VolatileLru, 100),
            (VolatileLfu, 100),
            (VolatileRandom, 100),
            (VolatileTtl, 100),
        ];
        for (policy, expected) in cases {
            let mut keyspace = keyspace(policy, 200);
            let evicted = evict(&mut keyspace, 300, FREE);
            assert_eq!(evicted.len(), expected, "{policy:?}");
            let only_volatile = evicted.iter().all(|number| number % 2 == 1);
            assert_eq!(only_volatile, expected <= 100, "{policy:?}");
        }
    }

    #[test]
    fn nothing_is_evicted_where_what_is_due_stays() {
        for expiry in [OnExpiry::Hides, OnExpiry::Ignores] {
            let mut keyspace = keyspace(Policy::AllKeysRandom, 5);
            keyspace.settings.expiry = expiry;
            assert_eq!(evict_one(&mut keyspace, &mut effects(), FREE), None);
            assert_eq!(keyspace.len(), 5);
        }
    }

    #[test]
    fn the_soonest_to_expire_goes_first() {
        let mut keyspace = keyspace(Policy::VolatileTtl, 20);
        let held = SEED.key_hash(b"17");
        let evicted = evict(&mut keyspace, 3, &|db, hash| (db, hash) == (1, held));
        assert_eq!(evicted, [19, 15, 13]);
    }

    #[test]
    fn long_unused_keys_go_first_by_and_large() {
        for (policy, keys) in [(Policy::AllKeysLru, 2000), (Policy::VolatileLru, 2000)] {
            let mut keyspace = keyspace(policy, keys);
            let evicted = evict(&mut keyspace, 400, FREE);
            let old = evicted.iter().filter(|number| **number < keys / 2).count();
            assert!(380 <= old, "{policy:?}: {old} of 400");
        }
    }

    #[test]
    fn rare_volatile_keys_are_found() {
        let mut keyspace = keyspace(Policy::VolatileLru, 1);
        for number in 10..20_000 {
            let key = format!("{number}");
            let entry = match number % 2000 {
                0 => Entry::string_until(key.as_bytes(), b"x", UnixMs(number)),
                _ => Entry::string(key.as_bytes(), b"x"),
            };
            keyspace.dbs[2].insert(SEED.key_hash(key.as_bytes()), entry);
        }
        let mut evicted = evict(&mut keyspace, 20, FREE);
        evicted.sort_unstable();
        assert!(evicted.iter().copied().eq((1..10).map(|number| number * 2000)));
    }

    #[test]
    fn locked_keys_stay() {
        use Policy::*;
        let held = |_, hash| hash == SEED.key_hash(b"1") || hash == SEED.key_hash(b"2");
        for policy in [AllKeysLru, AllKeysLfu, AllKeysRandom, VolatileRandom, VolatileTtl] {
            let mut keyspace = keyspace(policy, 4);
            let evicted = evict(&mut keyspace, 50, &held);
            assert!(!evicted.contains(&1) && !evicted.contains(&2), "{policy:?}");
            assert!(!evicted.is_empty(), "{policy:?}");
        }
    }

    #[test]
    fn keys_used_often_stay_longer() {
        let mut keyspace = keyspace(Policy::AllKeysLfu, 100);
        let Keyspace { dbs, settings, now, random, .. } = &mut keyspace;
        for number in 0..50 {
            let key = format!("{number}");
            let hash = SEED.key_hash(key.as_bytes());
            for _ in 0..200 {
                let entry = dbs[1].find_mut(hash, key.as_bytes()).unwrap();
                mark_used(entry, settings, *now, random);
            }
        }
        let evicted = evict(&mut keyspace, 50, FREE);
        assert!(45 <= evicted.iter().filter(|number| 50 <= **number).count(), "{evicted:?}");
    }

    #[test]
    fn idle_time_survives_the_wrap_and_a_clock_set_back() {
        let mut entry = Entry::string(b"k", b"v");
        let settings = Settings::default();
        let cases = [
            (0, 0, 0),
            (100, 160, 60),
            ((1 << 24) - 10, (1 << 24) + 5, 15),
            (3 << 24, (3 << 24) + 7, 7),
            (1000, 990, 0),
            (0, 100 * 86_400, 100 * 86_400),
        ];
        for (used, now, idle) in cases {
            entry.set_access(fresh(&settings, UnixMs(used * 1000)));
            assert_eq!(idle_seconds(&entry, UnixMs(now * 1000)), idle, "{used} {now}");
        }
    }

    /// The figures follow from Valkey's rule: with factor 10, about 100 uses make 10, about 1000
    /// make 18; and one is lost per minute.
    #[test]
    fn the_counter_grows_slowly_and_wears_down() {
        let settings = Settings { policy: Policy::AllKeysLfu, ..Settings::default() };
        let mut random = Random::new(1);
        let mut entry = Entry::string(b"k", b"v");
        for (uses, low, high) in [(0, 5, 5), (100, 8, 13), (1000, 15, 23), (100_000, 110, 180)] {
            let now = UnixMs(60_000);
            entry.set_access(fresh(&settings, now));
            (0..uses).for_each(|_| mark_used(&mut entry, &settings, now, &mut random));
            let count = frequency(&entry, &settings, now);
            assert!((low..=high).contains(&count), "{count} after {uses}");
            let later = |minutes: u64| frequency(&entry, &settings, UnixMs((1 + minutes) * 60_000));
            assert_eq!(later(3), count - 3);
            assert_eq!(later(300), 0);
        }
        let never = Settings { lfu_decay_minutes: 0, ..settings };
        assert_eq!(
            frequency(&entry, &never, UnixMs(1 << 30)),
            frequency(&entry, &never, UnixMs(0))
        );
    }
}
