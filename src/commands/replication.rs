//! The list of commands about replication.

mod failover;
mod keylane;
mod psync;
mod replconf;
mod role;
mod sync;

use crate::commands::own::Own;

/// Every command about replication.
pub const COMMANDS: &[Own] = &[
    failover::FAILOVER,
    keylane::KEYLANE,
    psync::PSYNC,
    replconf::REPLCONF,
    role::ROLE,
    sync::SYNC,
];
