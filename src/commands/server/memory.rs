//! MEMORY: the container, and the list of its subcommands. MEMORY USAGE is the engine's.

mod doctor;
mod help;
mod malloc_stats;
mod purge;
mod stats;

use shards::commands::server::MEMORY_SUBCOMMANDS;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};

use crate::commands::own::{Own, OwnRun};

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
    run: OwnRun::Container,
};

/// Its subcommands that do not work on keys.
pub const SUBCOMMANDS: &[Own] =
    &[doctor::DOCTOR, help::HELP, malloc_stats::MALLOC_STATS, purge::PURGE, stats::STATS];

/// What they have in common.
const EACH: Spec = Spec {
    group: Group::Server,
    since: "4.0.0",
    arity: Arity::Exactly(2),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    ..Spec::EMPTY
};

/// What those have in common that ask the allocator.
const OF_ALLOCATOR: Spec = Spec {
    complexity: "Depends on how much memory is allocated; may be slow.",
    flags: Flags::of(&[Flag::Loading]),
    ..EACH
};
