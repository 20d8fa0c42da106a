//! MSET key value [key value ...], MSETNX key value [key value ...]

use alloc::string::ToString;
use core::ops::Range;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Merge, Spec, Spread};
use crate::effects::Class;
use crate::keyspace::selected::Expiry;
use crate::resp::error::Error;

pub(super) const MSET: Command = Command {
    spec: Spec {
        name: "mset",
        summary: "Sets the string values of several keys at one moment.",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        keys: &[KeySpec::from(1, 2, &["OW", "UPDATE"])],
        spread: Spread::Split(Merge::Same),
        ..SPEC
    },
    run: mset,
};

pub(super) const MSETNX: Command = Command {
    spec: Spec {
        name: "msetnx",
        summary: "Sets the string values of several keys at one moment if none of them exists.",
        keys: &[KeySpec::from(1, 2, &["OW", "INSERT"])],
        ..SPEC
    },
    run: msetnx,
};

const SPEC: Spec = Spec {
    group: Group::String,
    since: "1.0.1",
    complexity: "O(N), N being the number of keys.",
    syntax: "key value [key value ...]",
    arity: Arity::AtLeast(3),
    flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
    ..Spec::EMPTY
};

fn mset(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    check_pairs(ctx, "mset")?;
    set_pairs(ctx);
    ctx.replies.ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    check_pairs(ctx, "msetnx")?;
    for at in (1..ctx.args.len()).step_by(2) {
        let key = ctx.key(at);
        if ctx.db.write(key).is_some() {
            ctx.replies.integer(0);
            return Ok(());
        }
    }
    set_pairs(ctx);
    if ctx.db.effects.by_key {
        log_by_key(ctx, 1..ctx.args.len(), &[]);
    }
    ctx.replies.integer(1);
    Ok(())
}

fn check_pairs(ctx: &Ctx<'_>, command: &str) -> Result<(), Error> {
    if ctx.args.len() % 2 == 1 { Ok(()) } else { Err(Error::WrongArity(command.to_string())) }
}

/// Logs a SET for each of the pairs at these places, with these options.
pub(super) fn log_by_key(ctx: &mut Ctx<'_>, pairs: Range<usize>, options: &[&[u8]]) {
    for at in pairs.step_by(2) {
        let set = [b"SET".as_slice(), ctx.args[at], ctx.args[at + 1]];
        ctx.db.effects.log_instead(&[&set, options].concat());
    }
}

fn set_pairs(ctx: &mut Ctx<'_>) {
    for at in (1..ctx.args.len()).step_by(2) {
        let key = ctx.key(at);
        ctx.db.set_string(key, ctx.args[at + 1], Expiry::Clear);
        ctx.db.changed(key, Class::String, "set");
    }
}
