//! The list of commands about replication.

mod failover;
mod psync;
mod replconf;
mod role;
mod sync;

use crate::commands::own::Own;

/// Every command about replication.
pub const COMMANDS: &[Own] =
    &[failover::FAILOVER, psync::PSYNC, replconf::REPLCONF, role::ROLE, sync::SYNC];
