//! The list of connection commands that any shard can answer, because they need no client and no
//! key. The others are the server's.

mod echo;
mod ping;

use crate::commands::spec::Command;

/// Every connection command of the engine.
pub const COMMANDS: &[Command] = &[echo::ECHO, ping::PING];
