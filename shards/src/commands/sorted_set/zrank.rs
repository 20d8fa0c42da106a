//! ZRANK key member \[WITHSCORE], ZREVRANK key member \[WITHSCORE]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const ZRANK: Command = Command {
    spec: Spec {
        name: "zrank",
        summary: "Returns how many members of a sorted set stand before one.",
        ..SPEC
    },
    run: zrank,
};

pub(super) const ZREVRANK: Command = Command {
    spec: Spec {
        name: "zrevrank",
        summary: "Returns how many members of a sorted set stand behind one.",
        ..SPEC
    },
    run: zrevrank,
};

const SPEC: Spec = Spec {
    group: Group::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N)), N being the number of members.",
    syntax: "key member [WITHSCORE]",
    arity: Arity::AtLeast(3),
    flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

fn zrank(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    rank(ctx, "zrank", |rank, _| rank)
}

fn zrevrank(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    rank(ctx, "zrevrank", |rank, len| len - 1 - rank)
}

fn rank(ctx: &mut Ctx<'_>, name: &str, number: fn(usize, usize) -> usize) -> Result<(), Error> {
    let with_score = match &ctx.args[3..] {
        [] => false,
        [option] if option.eq_ignore_ascii_case(b"WITHSCORE") => true,
        [_] => return Err(Error::Syntax),
        _ => return Err(Error::WrongArity(name.into())),
    };
    let key = ctx.key(1);
    let set = ctx.db.read_sorted_set(key)?;
    let found = set.and_then(|set| Some((set.rank(ctx.args[2])?, set.len())));
    match found {
        Some(((rank, score), len)) => {
            if with_score {
                ctx.replies.array(2);
            }
            ctx.replies.integer(number(rank, len) as i64);
            if with_score {
                ctx.replies.double(score);
            }
        }
        None if with_score => ctx.replies.null_array(),
        None => ctx.replies.null(),
    }
    Ok(())
}
