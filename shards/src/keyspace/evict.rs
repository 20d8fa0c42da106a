//! Declared first: the body follows.
use crate::base::random::Random;
use crate::base::time::UnixMs;
use crate::keyspace::db::Entry;
use crate::keyspace::settings::Settings;

/// Marks an entry as just used.
#[inline]
pub fn mark_used(_entry: &mut Entry, _settings: &Settings, _now: UnixMs, _random: &mut Random) {}

/// The access bits of an entry that was just made.
pub fn fresh(_settings: &Settings, _now: UnixMs) -> u32 { 0 }

/// How long an entry was not used, under a policy that is not LFU.
pub fn idle_ms(_entry: &Entry, _now: UnixMs) -> u64 { 0 }

/// The LFU counter of an entry, decayed up to now, under a policy that is LFU.
pub fn frequency(_entry: &Entry, _settings: &Settings, _now: UnixMs) -> u8 { 0 }

/// Placeholder until the body lands.
pub fn evict_one(_k: &mut crate::keyspace::db::Keyspace, _e: &mut crate::effects::Effects, _l: &dyn Fn(usize, u64) -> bool) -> Option<usize> { None }
