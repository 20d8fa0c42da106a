//! SLOWLOG GET [count] | LEN | RESET | HELP: the log of slow commands, under its older name

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::commandlog;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::stats::command_log::LogKind;

/// The container.
pub const SLOWLOG: Own = Own {
    spec: Spec {
        name: "slowlog",
        group: Group::Server,
        since: "2.2.12",
        summary: "Commands about the log of commands that took long.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&GET.spec],
        ..Spec::EMPTY
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] = &[GET, HELP, LEN, RESET];

const EACH: Spec = Spec {
    group: Group::Server,
    since: "2.2.12",
    arity: Arity::Exactly(2),
    flags: Flags::of(&[Flag::Admin, Flag::Loading, Flag::Stale]),
    ..Spec::EMPTY
};

const GET: Own = Own {
    spec: Spec {
        name: "slowlog|get",
        summary: "Returns the newest entries of the slow log.",
        complexity: "O(N), N being the number of entries returned.",
        syntax: "[count]",
        arity: Arity::AtLeast(2),
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        ..EACH
    },
    run: OwnRun::Control(get),
};

const LEN: Own = Own {
    spec: Spec {
        name: "slowlog|len",
        summary: "Returns how many entries the slow log has.",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        ..EACH
    },
    run: OwnRun::Control(len),
};

const RESET: Own = Own {
    spec: Spec {
        name: "slowlog|reset",
        summary: "Empties the slow log.",
        complexity: "O(N), N being the number of entries.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..EACH
    },
    run: OwnRun::Control(reset),
};

const HELP: Own = Own {
    spec: Spec { name: "slowlog|help", since: "6.2.0", ..help::HELP },
    run: OwnRun::Client(write_help),
};

/// Entries that are returned if nothing else is said.
const COUNT_DEFAULT: usize = 10;

const LINES: &[&str] = &[
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    The newest entries, at most <count> (10 if it is left out), or all for -1. An entry has a",
    "    number, the time in seconds, the microseconds it took, the arguments, and the client's",
    "    address and name.",
    "LEN",
    "    How many entries there are.",
    "RESET",
    "    Removes all entries.",
    "HELP",
    "    These lines.",
];

fn get(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let count = match &ctx.args[2..] {
        [] => COUNT_DEFAULT,
        [count] => commandlog::count(count)?,
        _ => {
            return Err(Error::Owned(format!(
                "ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP.",
                String::from_utf8_lossy(ctx.args[1])
            )));
        }
    };
    commandlog::write_entries(ctx, LogKind::Slow, count);
    Ok(Outcome::Done)
}

fn len(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    commandlog::write_len(ctx, LogKind::Slow);
    Ok(Outcome::Done)
}

fn reset(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    ctx.control.logs.reset(LogKind::Slow);
    ctx.replies.ok();
    Ok(Outcome::Done)
}

fn write_help(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    help::write(&mut ctx.replies, LINES);
    Ok(())
}
