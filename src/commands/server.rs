//! The list of server commands that run on a client's home or on the control thread.

pub mod command;
pub mod debug;
mod gathered;
mod info;
pub mod memory;
mod time;

use crate::commands::table::Own;

/// Every server command of the server without subcommands.
pub const COMMANDS: &[Own] = &[info::INFO, time::TIME];
