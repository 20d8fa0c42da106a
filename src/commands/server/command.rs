//! COMMAND: the container, COMMAND COUNT and COMMAND HELP. All of it is read off the table.

mod docs;
mod getkeys;
mod info;
mod list;
mod syntax;

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::routing::call::{Call, Table};

/// The container, which is a command of its own as well: `COMMAND INFO` of all commands.
pub const COMMAND: Own = Own {
    spec: Spec {
        name: "command",
        since: "2.8.13",
        summary: "Tells about all commands.",
        complexity: "O(N), N being the number of commands.",
        arity: Arity::AtLeast(1),
        tips: &["nondeterministic_output_order"],
        subcommands: &[&HELP.spec],
        ..EACH
    },
    run: OwnRun::Client(command),
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] =
    &[COUNT, docs::DOCS, getkeys::GETKEYS, getkeys::GETKEYSANDFLAGS, HELP, info::INFO, list::LIST];

/// What all of them have in common.
const EACH: Spec = Spec {
    group: Group::Server,
    flags: Flags::of(&[Flag::Loading, Flag::Stale]),
    categories: &["connection"],
    ..Spec::EMPTY
};

const COUNT: Own = Own {
    spec: Spec {
        name: "command|count",
        since: "2.8.13",
        summary: "Returns how many commands there are.",
        arity: Arity::Exactly(2),
        ..EACH
    },
    run: OwnRun::Client(count),
};

const HELP: Own = Own {
    spec: Spec {
        name: "command|help",
        since: "5.0.0",
        summary: "Tells about the subcommands.",
        arity: Arity::Exactly(2),
        ..EACH
    },
    run: OwnRun::Client(help),
};

const HELP_LINES: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    How to call each command: as COMMAND INFO.",
    "COUNT",
    "    How many commands there are.",
    "DOCS [<name> ...]",
    "    What these commands are for, or all.",
    "GETKEYS <command> [<arg> ...]",
    "    The keys among the arguments of a command.",
    "GETKEYSANDFLAGS <command> [<arg> ...]",
    "    The same, and how each key is used.",
    "INFO [<name> ...]",
    "    How to call these commands, or all.",
    "LIST [FILTERBY (MODULE <module>|ACLCAT <category>|PATTERN <pattern>)]",
    "    Names of commands.",
    "HELP",
    "    These lines.",
];

fn command(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    if let Some(subcommand) = ctx.args.get(1) {
        return Err(Error::unknown_subcommand("COMMAND", subcommand));
    }
    info::all(ctx);
    Ok(())
}

fn count(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.integer(i64::try_from(ctx.node.table.len()).expect("commands are few"));
    Ok(())
}

fn help(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.array(HELP_LINES.len());
    for line in HELP_LINES {
        ctx.replies.simple(line);
    }
    Ok(())
}

/// The command of this name; a subcommand is named with its container: `client|id`.
pub(super) fn named(table: &'static Table, name: &[u8]) -> Option<&'static Call> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let call = table.command(parts.next()?)?;
    match parts.next() {
        None => Some(call),
        Some(subcommand) => call.subcommand(subcommand),
    }
}
