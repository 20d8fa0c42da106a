//! DEBUG: the container. Its subcommands that work on keys are the engine's.

use shards::commands::server::DEBUG_SUBCOMMANDS;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};

use crate::commands::table::Own;
use crate::coordination::call::Run;

/// The container.
pub const DEBUG: Own = Own {
    spec: Spec {
        name: "debug",
        group: Group::Server,
        summary: "Commands for those who look into the server.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
        subcommands: &[&DEBUG_SUBCOMMANDS[0].spec],
        ..Spec::EMPTY
    },
    run: Run::Container,
};
