//! One thread's copy of what all of the process shares: replaced whole by mail, never locked.

use std::sync::Arc;

use shards::base::hash::HashSeed;

use crate::config::table::Config;
use crate::reactor::clock::{Monotonic, TickRate};
use crate::routing::call::Table;
use crate::routing::slots::SlotMap;

/// What every thread knows of the node.
#[derive(Clone, Debug)]
pub struct Node {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// All commands.
    pub table: &'static Table,
    /// Which shard owns which slot.
    pub slots: SlotMap,
    /// The secret of all key hashes.
    pub seed: HashSeed,
    /// How ticks relate to time.
    pub tick_rate: TickRate,
    /// The keys of the last run are still being read.
    pub loading: bool,
    /// The last snapshot could not be written.
    pub save_failed: bool,
    /// When the process started.
    pub started: Monotonic,
    /// The time of this turn of the loop.
    pub now: Monotonic,
}

impl Node {
    /// Whether writes are refused, because what is written cannot be saved.
    pub fn refuses_writes(&self) -> bool {
        let Config { stop_writes_on_bgsave_error, save, .. } = &*self.config;
        self.save_failed && *stop_writes_on_bgsave_error && !save.is_empty()
    }
}
