//! The list of string commands.

mod get;

use crate::commands::spec::Command;

/// Every string command.
pub const COMMANDS: &[Command] = &[get::GET];
