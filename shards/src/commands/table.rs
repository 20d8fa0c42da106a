//! All commands of the engine.

use crate::commands::spec::{Command, Spec};
use crate::commands::{bitmap, generic, server, string};

/// The groups' lists.
pub const GROUPS: &[&[Command]] =
    &[string::COMMANDS, bitmap::COMMANDS, generic::COMMANDS, server::COMMANDS];

/// Containers and their subcommands. What is not here of DEBUG and MEMORY is the server's: see
/// `server::DEBUG_SUBCOMMANDS` and `server::MEMORY_SUBCOMMANDS`.
pub const CONTAINERS: &[(&Spec, &[Command])] =
    &[(&generic::object::OBJECT, generic::object::SUBCOMMANDS)];
