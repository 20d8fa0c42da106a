//! INCR key, DECR key, INCRBY key increment, DECRBY key decrement

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::encodings::entry::Value;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;

pub(super) const INCR: Command = Command {
    spec: Spec {
        name: "incr",
        summary: "Adds one to the integer value of a key; a missing key counts as 0.",
        ..SPEC
    },
    run: |ctx| add(ctx, 1),
};

pub(super) const DECR: Command = Command {
    spec: Spec {
        name: "decr",
        summary: "Takes one from the integer value of a key; a missing key counts as 0.",
        ..SPEC
    },
    run: |ctx| add(ctx, -1),
};

pub(super) const INCRBY: Command = Command {
    spec: Spec {
        name: "incrby",
        summary: "Adds a number to the integer value of a key; a missing key counts as 0.",
        syntax: "key increment",
        arity: Arity::Exactly(3),
        ..SPEC
    },
    run: |ctx| add(ctx, parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?),
};

pub(super) const DECRBY: Command = Command {
    spec: Spec {
        name: "decrby",
        summary: "Takes a number from the integer value of a key; a missing key counts as 0.",
        syntax: "key decrement",
        arity: Arity::Exactly(3),
        ..SPEC
    },
    run: |ctx| {
        let decrement = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
        add(ctx, decrement.checked_neg().ok_or(Error::DecrementOverflow)?)
    },
};

const SPEC: Spec = Spec {
    group: Group::String,
    since: "1.0.0",
    syntax: "key",
    arity: Arity::Exactly(2),
    flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
    keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
    ..Spec::EMPTY
};

fn add(ctx: &mut Ctx<'_>, increment: i64) -> Result<(), Error> {
    let key = ctx.key(1);
    let sum = match ctx.db.write(key) {
        Some(entry) => {
            let before = match entry.value() {
                Value::Int(number) => number,
                Value::Bytes(bytes) => parse_i64(bytes).ok_or(Error::NotInteger)?,
                Value::Object(_) => return Err(Error::WrongType),
            };
            let sum = before.checked_add(increment).ok_or(Error::Overflow)?;
            entry.set_int(sum);
            sum
        }
        None => {
            ctx.db.insert(key, Entry::int(key.bytes, increment));
            increment
        }
    };
    ctx.db.changed(key, Class::String, "incrby");
    ctx.replies.integer(sum);
    Ok(())
}
