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
use crate::effects::{Class, Effects};
use crate::keyspace::db::{Db, Entry, Keyspace};
use crate::keyspace::selected::Selected;
use crate::keyspace::settings::{Policy, Settings};

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
/// nothing that may go.
pub fn evict_one(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    locked: Locked<'_>,
) -> Option<usize> {
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
    Selected { keyspace, index: db, effects, no_touch: true }.touch(db, hash);
    effects.log_deleted(db, &key);
    effects.event(Class::Evicted, "evicted", db, &key);
    Some(entry.memory())
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
        let mut due = db.due().iter().filter(|due| {
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
