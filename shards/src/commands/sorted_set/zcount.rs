//! ZCOUNT key min max, ZLEXCOUNT key min max

use super::bounds::{lex_range, score_range};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::sorted_set::bounds::Bounds;

pub(super) const ZCOUNT: Command = Command {
    spec: Spec {
        name: "zcount",
        since: "2.0.0",
        summary: "Returns how many members of a sorted set have scores within a range.",
        ..SPEC
    },
    run: zcount,
};

pub(super) const ZLEXCOUNT: Command = Command {
    spec: Spec {
        name: "zlexcount",
        since: "2.8.9",
        summary: "Returns how many members of a sorted set of equal scores are within a range.",
        ..SPEC
    },
    run: zlexcount,
};

const SPEC: Spec = Spec {
    group: Group::SortedSet,
    complexity: "O(log(N)), N being the number of members.",
    syntax: "key min max",
    arity: Arity::Exactly(4),
    flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

fn zcount(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = score_range(ctx.args[2], ctx.args[3], ctx.db.keyspace.settings.spelling())?;
    count(ctx, &range)
}

fn zlexcount(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = lex_range(ctx.args[2], ctx.args[3])?;
    count(ctx, &range)
}

fn count(ctx: &mut Ctx<'_>, bounds: &impl Bounds) -> Result<(), Error> {
    let key = ctx.key(1);
    let count = ctx.db.read_sorted_set(key)?.map_or(0, |set| set.ranks(bounds).len());
    ctx.replies.integer(count as i64);
    Ok(())
}
