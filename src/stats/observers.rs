//! What is told of commands that ended, besides their count: to the command logs, to LATENCY, and
//! to the counters of slots and of hot keys.

use crate::stats::command_log::SlowEntry;
use crate::stats::hot_keys::HotKeys;
use crate::stats::notable::Notable;
use crate::stats::slot_stats::SlotStats;

/// What is told, and to which of them.
#[derive(Debug, Default)]
pub struct Observers {
    /// Of which commands any of them wants to know.
    pub notable: Notable,
    /// Of which commands the command logs and LATENCY want to know.
    pub loggable: Notable,
    /// Cycles of a command after which the shard looks whether it may still write.
    pub late: u64,
    /// What each slot costs, if that is wanted.
    pub slot_stats: SlotStats,
    /// The keys that are asked for most, if that is wanted.
    pub hot_keys: HotKeys,
    /// Entries for the command logs whose client is being worked on.
    pub unsigned: Vec<Box<SlowEntry>>,
}
