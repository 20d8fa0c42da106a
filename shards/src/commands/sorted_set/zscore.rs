//! ZSCORE key member, ZMSCORE key member [member ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::resp::reply::Replies;

pub(super) const ZSCORE: Command = Command {
    spec: Spec {
        name: "zscore",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Returns the score of a member of a sorted set.",
        complexity: "O(1)",
        syntax: "key member",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: zscore,
};

pub(super) const ZMSCORE: Command = Command {
    spec: Spec {
        name: "zmscore",
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Returns the scores of members of a sorted set.",
        complexity: "O(N), N being the number of members asked for.",
        syntax: "key member [member ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: zmscore,
};

fn zscore(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let score = ctx.db.read_sorted_set(key)?.and_then(|set| set.score(ctx.args[2]));
    write(&mut ctx.replies, score);
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, members) = (ctx.key(1), &ctx.args[2..]);
    let set = ctx.db.read_sorted_set(key)?;
    ctx.replies.array(members.len());
    for member in members {
        write(&mut ctx.replies, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn write(replies: &mut Replies<'_>, score: Option<f64>) {
    match score {
        Some(score) => replies.double(score),
        None => replies.null(),
    }
}
