//! Declared first: the body follows.
use crate::base::random::Random;
use crate::base::time::UnixMs;
use crate::keyspace::db::Entry;
use crate::keyspace::settings::Settings;

/// Marks an entry as just used.
#[inline]
pub fn mark_used(_entry: &mut Entry, _settings: &Settings, _now: UnixMs, _random: &mut Random) { todo!() }

/// The access bits of an entry that was just made.
pub fn fresh(_settings: &Settings, _now: UnixMs) -> u32 { todo!() }

/// How long an entry was not used, under a policy that is not LFU.
pub fn idle_ms(_entry: &Entry, _now: UnixMs) -> u64 { todo!() }

/// The LFU counter of an entry, decayed up to now, under a policy that is LFU.
pub fn frequency(_entry: &Entry, _settings: &Settings, _now: UnixMs) -> u8 { todo!() }
