//! The list of generic commands.

use crate::commands::spec::Command;

/// Every generic command.
pub const COMMANDS: &[Command] = &[];
