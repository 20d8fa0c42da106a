//! One thread's copy of what all of the process shares: replaced whole by mail, never locked.

use std::sync::Arc;

use shards::base::hash::HashSeed;

use crate::cluster::ownership::Ownership;
use crate::config::table::Config;
use crate::reactor::clock::{CycleRate, Monotonic};
use crate::routing::admission::Guards;
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
    /// Who owns which slot, if this is a node of a cluster.
    pub cluster: Option<Arc<Ownership>>,
    /// The secret of all key hashes.
    pub seed: HashSeed,
    /// How cycles relate to time.
    pub cycle_rate: CycleRate,
    /// What stands between requests and their run.
    pub condition: Condition,
    /// When the process started.
    pub started: Monotonic,
    /// The time of this turn of the loop.
    pub now: Monotonic,
}

/// What stands between requests and their run, whichever client sends them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The keys of the last run are still being read.
    pub loading: bool,
    /// The last snapshot could not be written.
    pub save_failed: bool,
    /// What is held back.
    pub holds: Holds,
    /// What the node is among others.
    pub role: Role,
    /// It follows a primary, and what it has may be old.
    pub is_stale: bool,
    /// It follows a primary, and has given up its keys for those that come.
    pub is_emptied: bool,
    /// Replicas that have acknowledged something within `min-replicas-max-lag` seconds.
    pub good_replicas: usize,
}

/// What a node is among others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Its clients write.
    #[default]
    Primary,
    /// It follows a primary, which says what its keys are.
    Replica,
}

/// Which requests are held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// None.
    #[default]
    Nothing,
    /// Those that may change keys.
    Writes,
    /// All.
    All,
}

impl Node {
    /// The node's reasons to look closer at a request.
    pub fn guards(&self) -> Guards {
        let Condition { loading, holds, role, is_stale, is_emptied, .. } = self.condition;
        let hides_stale = is_stale && !self.config.replica_serve_stale_data;
        [
            Guards::LOADING.when(loading),
            Guards::MISCONF.when(self.refuses_writes()),
            Guards::READONLY.when(role == Role::Replica),
            Guards::FEW_REPLICAS.when(role == Role::Primary && self.lacks_replicas()),
            Guards::STALE.when(role == Role::Replica && hides_stale),
            Guards::EMPTIED.when(role == Role::Replica && is_emptied),
            Guards::WRITES_PAUSED.when(holds == Holds::Writes),
            Guards::ALL_PAUSED.when(holds == Holds::All),
        ]
        .into_iter()
        .fold(Guards::NONE, Guards::and)
    }

    /// Whether writes are refused, because too few replicas keep up.
    fn lacks_replicas(&self) -> bool {
        let needed = usize::try_from(self.config.min_replicas_to_write).unwrap_or(usize::MAX);
        self.needs_replicas() && self.condition.good_replicas < needed
    }

    /// Whether writes need replicas that keep up: as in Valkey, a setting of 0 asks for nothing.
    pub fn needs_replicas(&self) -> bool {
        let Config { min_replicas_to_write, min_replicas_max_lag, .. } = &*self.config;
        *min_replicas_to_write != 0 && *min_replicas_max_lag != 0
    }

    /// Whether writes are refused, because what is written cannot be saved.
    fn refuses_writes(&self) -> bool {
        let Config { stop_writes_on_bgsave_error, save, .. } = &*self.config;
        self.condition.save_failed && *stop_writes_on_bgsave_error && !save.is_empty()
    }
}
