//! TTL, PTTL, EXPIRETIME, PEXPIRETIME key

use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::expiry::seconds;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

const EACH: Spec = Spec {
    group: Group::Generic,
    syntax: "key",
    arity: Arity::Exactly(2),
    flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
    categories: &["keyspace"],
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

pub(super) const TTL: Command = Command {
    spec: Spec {
        name: "ttl",
        since: "1.0.0",
        summary: "Returns in how many seconds a key expires.",
        tips: &["nondeterministic_output"],
        ..EACH
    },
    run: |ctx| reply(ctx, |at, now| seconds(at.0.saturating_sub(now.0))),
};

pub(super) const PTTL: Command = Command {
    spec: Spec {
        name: "pttl",
        since: "2.6.0",
        summary: "Returns in how many milliseconds a key expires.",
        tips: &["nondeterministic_output"],
        ..EACH
    },
    run: |ctx| reply(ctx, |at, now| at.0.saturating_sub(now.0)),
};

pub(super) const EXPIRETIME: Command = Command {
    spec: Spec {
        name: "expiretime",
        since: "7.0.0",
        summary: "Returns when a key expires, as Unix time in seconds.",
        ..EACH
    },
    run: |ctx| reply(ctx, |at, _| seconds(at.0)),
};

pub(super) const PEXPIRETIME: Command = Command {
    spec: Spec {
        name: "pexpiretime",
        since: "7.0.0",
        summary: "Returns when a key expires, as Unix time in milliseconds.",
        ..EACH
    },
    run: |ctx| reply(ctx, |at, _| at.0),
};

/// No such key, and no expiry, as these commands tell them.
const NO_KEY: i64 = -2;
const NO_EXPIRY: i64 = -1;

fn reply(ctx: &mut Ctx<'_>, number: fn(UnixMs, UnixMs) -> u64) -> Result<(), Error> {
    let key = ctx.key(1);
    let now = ctx.db.now();
    let answer = match ctx.db.look(key).map(|entry| entry.expire()) {
        None => NO_KEY,
        Some(None) => NO_EXPIRY,
        Some(Some(at)) => i64::try_from(number(at, now)).unwrap_or(i64::MAX),
    };
    ctx.replies.integer(answer);
    Ok(())
}
