//! The list of server commands that run on a client's home or on the control thread.

pub mod acl;
pub mod command;
pub mod commandlog;
pub mod debug;
pub mod gathered;
mod info;
pub mod latency;
mod lolwut;
pub mod memory;
pub mod module;
mod monitor;
mod replicaof;
mod save;
mod shutdown;
pub mod slowlog;
mod time;

use crate::commands::own::Own;

/// Every server command of the server without subcommands.
pub const COMMANDS: &[Own] = &[
    save::BGSAVE,
    info::INFO,
    save::LASTSAVE,
    lolwut::LOLWUT,
    monitor::MONITOR,
    replicaof::REPLICAOF,
    save::SAVE,
    shutdown::SHUTDOWN,
    replicaof::SLAVEOF,
    time::TIME,
];
