//! HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME key FIELDS numfields field \[field ...]

use super::fields;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::expiry::seconds;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

const EACH: Spec = Spec {
    group: Group::Hash,
    since: "9.0.0",
    complexity: "O(N), N being the number of fields.",
    syntax: "key FIELDS numfields field [field ...]",
    arity: Arity::AtLeast(5),
    flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

pub(super) const HTTL: Command = Command {
    spec: Spec { name: "httl", summary: "Returns in how many seconds fields expire.", ..EACH },
    run: |ctx| reply(ctx, |at, now| seconds(at.0.saturating_sub(now.0))),
};

pub(super) const HPTTL: Command = Command {
    spec: Spec {
        name: "hpttl",
        summary: "Returns in how many milliseconds fields expire.",
        ..EACH
    },
    run: |ctx| reply(ctx, |at, now| at.0.saturating_sub(now.0)),
};

pub(super) const HEXPIRETIME: Command = Command {
    spec: Spec {
        name: "hexpiretime",
        summary: "Returns when fields expire, as Unix time in seconds.",
        ..EACH
    },
    run: |ctx| reply(ctx, |at, _| seconds(at.0)),
};

pub(super) const HPEXPIRETIME: Command = Command {
    spec: Spec {
        name: "hpexpiretime",
        summary: "Returns when fields expire, as Unix time in milliseconds.",
        ..EACH
    },
    run: |ctx| reply(ctx, |at, _| at.0),
};

/// No such field, and no expiry, as these commands tell them.
const NO_FIELD: i64 = -2;
const NO_EXPIRY: i64 = -1;

fn reply(ctx: &mut Ctx<'_>, number: fn(UnixMs, UnixMs) -> u64) -> Result<(), Error> {
    let fields = fields::only(&ctx.args[2..], Some(Error::Syntax))?;
    let (key, now, due_by) = (ctx.key(1), ctx.db.now(), ctx.db.due_by());
    let hash = ctx.db.read_hash(key)?;
    ctx.replies.array(fields.len());
    for field in fields {
        ctx.replies.integer(match hash.and_then(|hash| hash.expiry(field, due_by)) {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            Some(Some(at)) => i64::try_from(number(at, now)).unwrap_or(i64::MAX),
        });
    }
    Ok(())
}
