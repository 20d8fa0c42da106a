//! All commands of the engine.

use crate::commands::spec::Command;
use crate::commands::{bitmap, generic, server, string};

/// The groups' lists.
pub const GROUPS: &[&[Command]] =
    &[string::COMMANDS, bitmap::COMMANDS, generic::COMMANDS, server::COMMANDS];
