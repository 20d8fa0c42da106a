//! The list of server commands that work on keys. The others are the server's.

mod dbsize;
pub mod debug_digest;
pub mod debug_object;
mod debug_populate;
mod flush;
mod memory_usage;
mod swapdb;

use crate::commands::spec::Command;

/// Every server command of the engine.
pub const COMMANDS: &[Command] = &[dbsize::DBSIZE, flush::FLUSHALL, flush::FLUSHDB, swapdb::SWAPDB];

/// Subcommands of DEBUG that work on keys. The others, and the container, are the server's.
pub const DEBUG_SUBCOMMANDS: &[Command] = &[
    debug_digest::DIGEST,
    debug_digest::DIGEST_VALUE,
    debug_object::OBJECT,
    debug_populate::POPULATE,
];

/// Subcommands of MEMORY that work on keys. The others, and the container, are the server's.
pub const MEMORY_SUBCOMMANDS: &[Command] = &[memory_usage::USAGE];
