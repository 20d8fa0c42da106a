//! MEMORY: the container. MEMORY USAGE is the engine's.

use shards::commands::server::MEMORY_SUBCOMMANDS;
use shards::commands::spec::{Arity, Group, Spec};

use crate::commands::table::Own;
use crate::coordination::call::Run;

/// The container.
pub const MEMORY: Own = Own {
    spec: Spec {
        name: "memory",
        group: Group::Server,
        since: "4.0.0",
        summary: "Commands about the use of memory.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&MEMORY_SUBCOMMANDS[0].spec],
        ..Spec::EMPTY
    },
    run: Run::Container,
};
