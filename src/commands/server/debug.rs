//! DEBUG: the container. Its subcommands that work on keys are the engine's.

use shards::commands::server::DEBUG_SUBCOMMANDS;
use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::commands::table::Own;
use crate::coordination::call::Run;
use crate::coordination::client_ctx::ClientCtx;

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
    run: Run::Client(unknown),
};

/// A subcommand that nobody knows, for which DEBUG has words of its own.
fn unknown(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    Err(usage_error(ctx.args[1]))
}
