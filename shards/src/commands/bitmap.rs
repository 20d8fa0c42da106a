//! The list of bitmap commands.

use crate::commands::spec::Command;

/// Every bitmap command.
pub const COMMANDS: &[Command] = &[];
