//! BZPOPMIN and BZPOPMAX key [key ...] timeout,
//! BZMPOP timeout numkeys key [key ...] <MIN | MAX> \[COUNT count]

use alloc::vec::Vec;

use super::shown;
use super::zpop::{End, Request, pop};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::waiting::Timeout;
use crate::effects::Awaited;
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::sorted_set::Iter;

pub(super) const BZPOPMIN: Command = Command {
    spec: Spec {
        name: "bzpopmin",
        summary: "Removes the member with the lowest score of the first sorted set that is there, \
                  or waits for one.",
        ..POP
    },
    run: |ctx| pop_one(ctx, End::Min),
};

pub(super) const BZPOPMAX: Command = Command {
    spec: Spec {
        name: "bzpopmax",
        summary: "Removes the member with the highest score of the first sorted set that is \
                  there, or waits for one.",
        ..POP
    },
    run: |ctx| pop_one(ctx, End::Max),
};

const POP: Spec = Spec {
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)), N being the number of members.",
    syntax: "key [key ...] timeout",
    arity: Arity::AtLeast(3),
    flags: Flags::of(&[Flag::Write, Flag::Fast, Flag::Blocking]),
    keys: &[KeySpec {
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1, limit: 0 },
        flags: &["RW", "ACCESS", "DELETE"],
    }],
    ..Spec::EMPTY
};

pub(super) const BZMPOP: Command = Command {
    spec: Spec {
        name: "bzmpop",
        group: Group::SortedSet,
        since: "7.0.0",
        summary: "Removes members from the first sorted set that has some, or waits for one; \
                  returns them.",
        complexity: "O(K) + O(M*log(N)), K being the number of keys, N that of members and M that \
                     of those removed.",
        syntax: "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::Blocking, Flag::MovableKeys]),
        keys: &[KeySpec {
            begin: Begin::Index(2),
            find: Find::Number { at: 0, first: 1, step: 1 },
            flags: &["RW", "ACCESS", "DELETE"],
        }],
        ..Spec::EMPTY
    },
    run: bzmpop,
};

fn pop_one(ctx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let last = ctx.args.len() - 1;
    let timeout = Timeout::of_seconds(ctx.args[last], ctx.db.now())?;
    for at in 1..last {
        let key = ctx.key(at);
        let show = |replies: &mut Replies<'_>, _, members: Iter<'_>| {
            replies.array(3);
            replies.bulk(key.bytes);
            for (member, score) in members {
                shown::member(replies, member);
                replies.double(score);
            }
        };
        if pop(&mut ctx.db, &mut ctx.replies, key, (end, 1), show)?.is_some() {
            ctx.db.effects.log_instead(&[end.command(), key.bytes]);
            return Ok(());
        }
    }
    ctx.replies.null_array();
    let keys: Vec<_> = (1..last).map(|at| (ctx.key(at), Awaited::SortedSet)).collect();
    ctx.wait(timeout, keys);
    Ok(())
}

fn bzmpop(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let request = Request::parse(&ctx.args[2..])?;
    let timeout = Timeout::of_seconds(ctx.args[1], ctx.db.now())?;
    let keys: Vec<_> = (3..3 + request.keys).map(|at| ctx.key(at)).collect();
    for key in &keys {
        if request.serve(ctx, *key)? {
            return Ok(());
        }
    }
    ctx.replies.null_array();
    ctx.wait(timeout, keys.into_iter().map(|key| (key, Awaited::SortedSet)));
    Ok(())
}
