//! XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...], and XREADGROUP
//! GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id
//! [id ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::stream::reading::{By, Reading};
use crate::resp::error::Error;

pub(super) const XREAD: Command = Command {
    spec: Spec {
        name: "xread",
        summary: "Returns the entries of streams that lie behind IDs, and may wait for some.",
        syntax: "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Blocking, Flag::MovableKeys]),
        keys: &[keys_from(1)],
        ..EACH
    },
    run: xread,
};

pub(super) const XREADGROUP: Command = Command {
    spec: Spec {
        name: "xreadgroup",
        summary: "Returns entries of streams to a consumer of a group, and may wait for some.",
        syntax: "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] \
                 STREAMS key [key ...] id [id ...]",
        arity: Arity::AtLeast(7),
        flags: Flags::of(&[Flag::Write, Flag::Blocking, Flag::MovableKeys]),
        keys: &[keys_from(4)],
        ..EACH
    },
    run: xreadgroup,
};

const EACH: Spec = Spec {
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) for each stream, N being the number of entries returned.",
    ..Spec::EMPTY
};

/// Behind STREAMS, half of the arguments.
const fn keys_from(argument: i64) -> KeySpec {
    KeySpec {
        begin: Begin::Option("STREAMS", argument, streams_place),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        flags: &["RO", "ACCESS"],
    }
}

/// Where the keys begin: a group may be called STREAMS.
fn streams_place(args: &[&[u8]]) -> Option<usize> {
    let mut at = 1;
    while let Some(option) = args.get(at) {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        at += 1;
        if is("STREAMS") {
            return Some(at);
        }
        if is("GROUP") {
            at += 2;
        } else if is("BLOCK") || is("COUNT") {
            at += 1;
        }
    }
    None
}

fn xread(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let reading = Reading::parse(ctx, By::Xread)?;
    answer(ctx, &reading)
}

fn xreadgroup(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    // A replica is told of what was delivered, not of the command.
    ctx.db.effects.log_nothing();
    let reading = Reading::parse(ctx, By::Xreadgroup)?;
    answer(ctx, &reading)
}

fn answer(ctx: &mut Ctx<'_>, reading: &Reading<'_>) -> Result<(), Error> {
    if !reading.serve(ctx)? {
        ctx.replies.null_array();
        if let Some(timeout) = reading.timeout {
            let (keys, rewritten) = (reading.awaited(ctx), reading.rewritten(ctx.args));
            ctx.wait_rewritten(timeout, keys, rewritten);
        }
    }
    Ok(())
}
