//! HGET key field, HMGET key field \[field ...], HEXISTS key field, HSTRLEN key field, HLEN key

use crate::base::number::DIGITS_MAX;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::listpack::Element;
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::hash::Hash;

const EACH: Spec = Spec {
    group: Group::Hash,
    since: "2.0.0",
    syntax: "key field",
    arity: Arity::Exactly(3),
    flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
    ..Spec::EMPTY
};

pub(super) const HGET: Command = Command {
    spec: Spec {
        name: "hget",
        summary: "Returns the value of a field of a hash.",
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..EACH
    },
    run: hget,
};

pub(super) const HMGET: Command = Command {
    spec: Spec {
        name: "hmget",
        summary: "Returns the values of fields of a hash.",
        complexity: "O(N), N being the number of fields.",
        syntax: "key field [field ...]",
        arity: Arity::AtLeast(3),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..EACH
    },
    run: hmget,
};

pub(super) const HEXISTS: Command = Command {
    spec: Spec {
        name: "hexists",
        summary: "Says whether a hash has a field.",
        keys: &[KeySpec::first(&["RO"])],
        ..EACH
    },
    run: hexists,
};

pub(super) const HSTRLEN: Command = Command {
    spec: Spec {
        name: "hstrlen",
        since: "3.2.0",
        summary: "Returns how many bytes the value of a field of a hash has.",
        keys: &[KeySpec::first(&["RO"])],
        ..EACH
    },
    run: hstrlen,
};

pub(super) const HLEN: Command = Command {
    spec: Spec {
        name: "hlen",
        summary: "Returns how many fields a hash has.",
        syntax: "key",
        arity: Arity::Exactly(2),
        keys: &[KeySpec::first(&["RO"])],
        ..EACH
    },
    run: hlen,
};

fn hget(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, due_by) = (ctx.key(1), ctx.db.due_by());
    let value = ctx.db.read_hash(key)?.and_then(|hash| hash.get(ctx.args[2], due_by));
    write(&mut ctx.replies, value);
    Ok(())
}

fn hmget(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, due_by) = (ctx.key(1), ctx.db.due_by());
    let hash = ctx.db.read_hash(key)?;
    ctx.replies.array(ctx.args.len() - 2);
    for field in &ctx.args[2..] {
        write(&mut ctx.replies, hash.and_then(|hash| hash.get(field, due_by)));
    }
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, due_by) = (ctx.key(1), ctx.db.due_by());
    let value = ctx.db.read_hash(key)?.and_then(|hash| hash.get(ctx.args[2], due_by));
    ctx.replies.integer(value.is_some().into());
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, due_by) = (ctx.key(1), ctx.db.due_by());
    let value = ctx.db.read_hash(key)?.and_then(|hash| hash.get(ctx.args[2], due_by));
    let length = value.map_or(0, Element::len);
    ctx.replies.integer(i64::try_from(length).expect("it lies in memory"));
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let length = ctx.db.read_hash(key)?.map_or(0, Hash::len);
    ctx.replies.integer(i64::try_from(length).expect("it lies in memory"));
    Ok(())
}

/// A value, or null.
#[inline]
pub(super) fn write(replies: &mut Replies<'_>, value: Option<Element<'_>>) {
    match value {
        Some(value) => replies.bulk(value.bytes(&mut [0; DIGITS_MAX])),
        None => replies.null(),
    }
}
