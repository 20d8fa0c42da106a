//! MODULE: the container, LIST and HELP. There are no modules, and none can be loaded.

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};

/// The container.
pub const MODULE: Own = Own {
    spec: Spec {
        name: "module",
        group: Group::Server,
        since: "4.0.0",
        summary: "Commands about modules; there are none.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&LIST.spec],
        ..Spec::EMPTY
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] = &[HELP, LIST];

const HELP: Own =
    Own { spec: Spec { name: "module|help", ..help::HELP }, run: OwnRun::Client(write_help) };

const LIST: Own = Own {
    spec: Spec {
        name: "module|list",
        group: Group::Server,
        since: "4.0.0",
        summary: "Returns a list of all modules: an empty one.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript]),
        tips: &["nondeterministic_output_order"],
        ..Spec::EMPTY
    },
    run: OwnRun::Client(list),
};

const LINES: &[&str] = &[
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    All modules: there are none.",
    "HELP",
    "    These lines.",
];

fn write_help(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    help::write(&mut ctx.replies, LINES);
    Ok(())
}

fn list(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.array(0);
    Ok(())
}
