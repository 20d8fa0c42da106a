//! ZREMRANGEBYRANK key start stop, ZREMRANGEBYSCORE key min max, ZREMRANGEBYLEX key min max

use core::ops::Range;

use super::bounds::{lex_range, score_range};
use super::range::by_rank;
use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;

pub(super) const ZREMRANGEBYRANK: Command = Command {
    spec: Spec {
        name: "zremrangebyrank",
        since: "2.0.0",
        summary: "Removes the members of a sorted set within a range of ranks.",
        syntax: "key start stop",
        ..SPEC
    },
    run: zremrangebyrank,
};

pub(super) const ZREMRANGEBYSCORE: Command = Command {
    spec: Spec {
        name: "zremrangebyscore",
        since: "1.2.0",
        summary: "Removes the members of a sorted set with scores within a range.",
        syntax: "key min max",
        ..SPEC
    },
    run: zremrangebyscore,
};

pub(super) const ZREMRANGEBYLEX: Command = Command {
    spec: Spec {
        name: "zremrangebylex",
        since: "2.8.9",
        summary: "Removes the members of a sorted set of equal scores within a range.",
        syntax: "key min max",
        ..SPEC
    },
    run: zremrangebylex,
};

const SPEC: Spec = Spec {
    group: Group::SortedSet,
    complexity: "O(log(N)+M), N being the number of members and M that of those removed.",
    arity: Arity::Exactly(4),
    flags: Flags::of(&[Flag::Write]),
    keys: &[KeySpec::first(&["RW", "DELETE"])],
    ..Spec::EMPTY
};

fn zremrangebyrank(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let start = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let stop = parse_i64(ctx.args[3]).ok_or(Error::NotInteger)?;
    remove(ctx, "zremrangebyrank", |set| by_rank(start, stop, set.len()))
}

fn zremrangebyscore(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = score_range(ctx.args[2], ctx.args[3], ctx.db.keyspace.settings.spelling())?;
    remove(ctx, "zremrangebyscore", |set| set.ranks(&range))
}

fn zremrangebylex(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = lex_range(ctx.args[2], ctx.args[3])?;
    remove(ctx, "zremrangebylex", |set| set.ranks(&range))
}

fn remove(
    ctx: &mut Ctx<'_>,
    event: &'static str,
    ranks: impl FnOnce(&SortedSet) -> Range<usize>,
) -> Result<(), Error> {
    let key = ctx.key(1);
    let mut removed = 0;
    if let Some(set) = ctx.db.write_as::<SortedSet>(key)? {
        let ranks = ranks(set);
        removed = ranks.len();
        set.remove_ranks(ranks);
        let is_empty = set.is_empty();
        super::removed(&mut ctx.db, key, removed, is_empty, event);
    }
    ctx.replies.integer(removed as i64);
    Ok(())
}
