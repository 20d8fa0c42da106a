//! CONFIG: the container, and the list of its subcommands.

mod get;
mod help;
mod resetstat;
mod rewrite;
mod set;

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};

use crate::commands::own::{Own, OwnRun};

/// The container.
pub const CONFIG: Own = Own {
    spec: Spec {
        name: "config",
        group: Group::Server,
        since: "2.0.0",
        summary: "Commands about the configuration.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&get::GET.spec],
        ..Spec::EMPTY
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] =
    &[get::GET, help::HELP, resetstat::RESETSTAT, rewrite::REWRITE, set::SET];

/// What most of them have in common.
const EACH: Spec = Spec {
    group: Group::Server,
    since: "2.0.0",
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
    ..Spec::EMPTY
};

/// Tips of those that change a node.
const ON_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
