//! XRANGE key start end [COUNT count], XREVRANGE key end start [COUNT count]

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::stream::entries::write_entries;
use crate::commands::stream::ids::{parse_end, parse_start};
use crate::resp::error::Error;

pub(super) const XRANGE: Command = Command {
    spec: Spec {
        name: "xrange",
        summary: "Returns the entries between two IDs.",
        syntax: "key start end [COUNT count]",
        ..EACH
    },
    run: xrange,
};

pub(super) const XREVRANGE: Command = Command {
    spec: Spec {
        name: "xrevrange",
        summary: "Returns the entries between two IDs, the last one first.",
        syntax: "key end start [COUNT count]",
        ..EACH
    },
    run: xrevrange,
};

const EACH: Spec = Spec {
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N), N being the number of entries returned.",
    arity: Arity::AtLeast(4),
    flags: Flags::of(&[Flag::ReadOnly]),
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

fn xrange(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(1), ctx.args);
    let (start, end) = (parse_start(args[2])?, parse_end(args[3])?);
    let count = parse_count(&args[4..])?;
    let log = ctx.db.read_stream(key)?.map(|stream| stream.log());
    match log {
        None => ctx.replies.array(0),
        Some(_) if count == Some(0) => ctx.replies.null_array(),
        Some(log) => write_entries(&mut ctx.replies, log.range(start, end), count),
    }
    Ok(())
}

fn xrevrange(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(1), ctx.args);
    let (start, end) = (parse_start(args[3])?, parse_end(args[2])?);
    let count = parse_count(&args[4..])?;
    let log = ctx.db.read_stream(key)?.map(|stream| stream.log());
    match log {
        None => ctx.replies.array(0),
        Some(_) if count == Some(0) => ctx.replies.null_array(),
        Some(log) => write_entries(&mut ctx.replies, log.range_back(start, end), count),
    }
    Ok(())
}

/// The last COUNT that is given; a negative one is none at all.
fn parse_count(mut options: &[&[u8]]) -> Result<Option<usize>, Error> {
    let mut count = None;
    while let [name, rest @ ..] = options {
        let [number, rest @ ..] = rest else { return Err(Error::Syntax) };
        if !name.eq_ignore_ascii_case(b"COUNT") {
            return Err(Error::Syntax);
        }
        let number = parse_i64(number).ok_or(Error::NotInteger)?;
        count = Some(usize::try_from(number).unwrap_or(0));
        options = rest;
    }
    Ok(count)
}
