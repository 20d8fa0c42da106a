//! PFCOUNT key [key ...]

use super::{read, write};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::hyperloglog::{Union, cached, estimate, keep};

pub(super) const PFCOUNT: Command = Command {
    spec: Spec {
        name: "pfcount",
        group: Group::HyperLogLog,
        since: "2.8.9",
        summary: "Estimates how many different elements were noted in HyperLogLogs.",
        complexity: "O(N), N being the number of keys; for one key often O(1).",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        // What one key gives is kept with it, so this writes, after all.
        flags: Flags::of(&[Flag::ReadOnly, Flag::MayReplicate]),
        keys: &[KeySpec::from(1, 1, &["RW", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: pfcount,
};

fn pfcount(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let count = if ctx.args.len() == 2 { count_one(ctx)? } else { count_all(ctx)? };
    ctx.replies.integer(count.cast_signed());
    Ok(())
}

fn count_one(ctx: &mut Ctx<'_>) -> Result<u64, Error> {
    let key = ctx.key(1);
    let Some(entry) = ctx.db.read_mut(key) else { return Ok(0) };
    // As in Valkey, it is raw from now on, whether the count is known or not.
    let bytes = write(entry)?;
    if let Some(count) = cached(bytes) {
        return Ok(count);
    }
    let count = estimate(bytes)?;
    keep(bytes, count);
    ctx.db.effects.dirty += 1;
    ctx.db.touch(ctx.db.index, key);
    ctx.db.effects.log_instead(&[b"PFCOUNT", key.bytes]);
    Ok(count)
}

fn count_all(ctx: &mut Ctx<'_>) -> Result<u64, Error> {
    let mut union = Union::default();
    for at in 1..ctx.args.len() {
        let key = ctx.key(at);
        if let Some(entry) = ctx.db.read(key) {
            union.add(read(entry)?)?;
        }
    }
    Ok(union.estimate())
}
