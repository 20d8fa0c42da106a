//! COMMANDLOG GET count type | LEN type | RESET type | HELP

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::stats::command_log::LogKind;

/// The container.
pub const COMMANDLOG: Own = Own {
    spec: Spec {
        name: "commandlog",
        group: Group::Server,
        since: "8.1.0",
        summary: "Commands about the logs of commands that took long or were large.",
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
    since: "8.1.0",
    flags: Flags::of(&[Flag::Admin, Flag::Loading, Flag::Stale]),
    ..Spec::EMPTY
};

const GET: Own = Own {
    spec: Spec {
        name: "commandlog|get",
        summary: "Returns the newest entries of a log.",
        complexity: "O(N), N being the number of entries returned.",
        syntax: "count SLOW | LARGE-REQUEST | LARGE-REPLY",
        arity: Arity::Exactly(4),
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        ..EACH
    },
    run: OwnRun::Control(get),
};

const LEN: Own = Own {
    spec: Spec {
        name: "commandlog|len",
        summary: "Returns how many entries a log has.",
        syntax: "SLOW | LARGE-REQUEST | LARGE-REPLY",
        arity: Arity::Exactly(3),
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        ..EACH
    },
    run: OwnRun::Control(len),
};

const RESET: Own = Own {
    spec: Spec {
        name: "commandlog|reset",
        summary: "Empties a log.",
        complexity: "O(N), N being the number of entries.",
        syntax: "SLOW | LARGE-REQUEST | LARGE-REPLY",
        arity: Arity::Exactly(3),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..EACH
    },
    run: OwnRun::Control(reset),
};

const HELP: Own = Own {
    spec: Spec { name: "commandlog|help", since: "8.1.0", ..help::HELP },
    run: OwnRun::Client(write_help),
};

const LINES: &[&str] = &[
    "COMMANDLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <count> <type>",
    "    The newest entries of a log, at most <count>, or all for -1. An entry has a number, the",
    "    time in seconds, the microseconds (slow) or bytes (large-request, large-reply), the",
    "    arguments, and the client's address and name.",
    "LEN <type>",
    "    How many entries a log has.",
    "RESET <type>",
    "    Empties a log.",
    "HELP",
    "    These lines.",
];

fn get(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let count = count(ctx.args[2])?;
    let kind = kind(ctx.args[3])?;
    write_entries(ctx, kind, count);
    Ok(Outcome::Done)
}

fn len(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let kind = kind(ctx.args[2])?;
    write_len(ctx, kind);
    Ok(Outcome::Done)
}

fn reset(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let kind = kind(ctx.args[2])?;
    ctx.control.logs.reset(kind);
    ctx.replies.ok();
    Ok(Outcome::Done)
}

fn write_help(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    help::write(&mut ctx.replies, LINES);
    Ok(())
}

fn kind(word: &[u8]) -> Result<LogKind, Error> {
    match word.to_ascii_lowercase().as_slice() {
        b"slow" => Ok(LogKind::Slow),
        b"large-request" => Ok(LogKind::LargeRequest),
        b"large-reply" => Ok(LogKind::LargeReply),
        _ => Err(Error::Text(
            "ERR type should be one of the following: slow, large-request, large-reply",
        )),
    }
}

/// Reads how many entries are wanted: -1 for all.
pub(super) fn count(word: &[u8]) -> Result<usize, Error> {
    let count = match parse_i64(word) {
        Some(-1) => Some(usize::MAX),
        Some(number) => usize::try_from(number).ok(),
        None => None,
    };
    count.ok_or(Error::Text("ERR count should be greater than or equal to -1"))
}

/// Answers the newest entries of a log.
pub(super) fn write_entries(ctx: &mut ControlCtx<'_>, kind: LogKind, count: usize) {
    let entries = ctx.control.logs.newest(kind, count);
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    ctx.replies.array(entries.len());
    for (number, entry) in entries {
        ctx.replies.array(6);
        ctx.replies.integer(signed(*number));
        ctx.replies.integer(signed(entry.time));
        ctx.replies.integer(signed(entry.amount));
        ctx.replies.array(entry.args.len());
        for arg in &entry.args {
            ctx.replies.bulk(arg);
        }
        ctx.replies.bulk(entry.addr.as_bytes());
        ctx.replies.bulk(&entry.name);
    }
}

/// Answers how many entries a log has.
pub(super) fn write_len(ctx: &mut ControlCtx<'_>, kind: LogKind) {
    let len = ctx.control.logs.len(kind);
    ctx.replies.integer(i64::try_from(len).expect("entries fit into memory"));
}
