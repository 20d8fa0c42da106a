//! The list of server commands that work on keys. The others are the server's.

mod dbsize;
pub mod debug_digest;
pub mod debug_object;
mod debug_populate;
mod flush;
mod flush_slot;
mod memory_usage;
mod swapdb;

use crate::commands::spec::{Command, Flag, Flags};

/// Every server command of the engine.
pub const COMMANDS: &[Command] = &[dbsize::DBSIZE, flush::FLUSHALL, flush::FLUSHDB, swapdb::SWAPDB];

/// Flags of all that DEBUG does.
const DEBUG_FLAGS: Flags =
    Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Protected]);

/// Subcommands of DEBUG that work on keys. The others, and the container, are the server's.
pub const DEBUG_SUBCOMMANDS: &[Command] = &[
    debug_digest::DIGEST,
    debug_digest::DIGEST_VALUE,
    debug_object::OBJECT,
    debug_populate::POPULATE,
];

/// Subcommands of CLUSTER that work on keys. The others, and the container, are the server's.
pub const CLUSTER_SUBCOMMANDS: &[Command] = &[flush_slot::FLUSHSLOT];

/// Subcommands of MEMORY that work on keys. The others, and the container, are the server's.
pub const MEMORY_SUBCOMMANDS: &[Command] = &[memory_usage::USAGE];
