//! ZRANGE with all its forms, and ZRANGESTORE

use core::ops::Range;

use super::range::{By, Form, Request};
use super::{shown, store};
use crate::base::number::{DIGITS_MAX, format_u64};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;

pub(super) const ZRANGE: Command = Command {
    spec: Spec {
        name: "zrange",
        since: "1.2.0",
        summary: "Returns the members of a sorted set within a range of ranks, scores or names.",
        syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
        ..SPEC
    },
    run: |ctx| show(ctx, Form::default()),
};

pub(super) const ZRANGEBYSCORE: Command = Command {
    spec: Spec {
        name: "zrangebyscore",
        since: "1.0.5",
        summary: "Returns the members of a sorted set with scores within a range.",
        syntax: "key min max [WITHSCORES] [LIMIT offset count]",
        ..SPEC
    },
    run: |ctx| show(ctx, form(By::Score, false)),
};

pub(super) const ZREVRANGEBYSCORE: Command = Command {
    spec: Spec {
        name: "zrevrangebyscore",
        since: "2.2.0",
        summary: "Returns the members of a sorted set with scores within a range, highest first.",
        syntax: "key max min [WITHSCORES] [LIMIT offset count]",
        ..SPEC
    },
    run: |ctx| show(ctx, form(By::Score, true)),
};

pub(super) const ZRANGEBYLEX: Command = Command {
    spec: Spec {
        name: "zrangebylex",
        since: "2.8.9",
        summary: "Returns the members of a sorted set of equal scores within a range.",
        syntax: "key min max [LIMIT offset count]",
        ..SPEC
    },
    run: |ctx| show(ctx, form(By::Lex, false)),
};

pub(super) const ZREVRANGEBYLEX: Command = Command {
    spec: Spec {
        name: "zrevrangebylex",
        since: "2.8.9",
        summary: "Returns the members of a sorted set of equal scores within a range, last first.",
        syntax: "key max min [LIMIT offset count]",
        ..SPEC
    },
    run: |ctx| show(ctx, form(By::Lex, true)),
};

pub(super) const ZREVRANGE: Command = Command {
    spec: Spec {
        name: "zrevrange",
        since: "1.2.0",
        summary: "Returns the members of a sorted set within a range of ranks, highest first.",
        syntax: "key start stop [WITHSCORES]",
        ..SPEC
    },
    run: |ctx| show(ctx, form(By::Rank, true)),
};

pub(super) const ZRANGESTORE: Command = Command {
    spec: Spec {
        name: "zrangestore",
        since: "6.2.0",
        summary: "Stores the members of a sorted set within a range in another key.",
        complexity: "O(log(N) + M*log(M)), N being the number of members and M that of those \
                     stored.",
        syntax: "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::nth(1, &["OW", "UPDATE"]), KeySpec::nth(2, &["RO", "ACCESS"])],
        ..SPEC
    },
    run: zrangestore,
};

const SPEC: Spec = Spec {
    group: Group::SortedSet,
    complexity: "O(log(N)+M), N being the number of members and M that of those returned.",
    arity: Arity::AtLeast(4),
    flags: Flags::of(&[Flag::ReadOnly]),
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

const fn form(by: By, reverse: bool) -> Form {
    Form { by: Some(by), reverse: Some(reverse), stores: false }
}

fn show(ctx: &mut Ctx<'_>, form: Form) -> Result<(), Error> {
    let spelling = ctx.db.keyspace.settings.spelling();
    let request = Request::parse(&ctx.args[2..], form, spelling)?;
    let key = ctx.key(1);
    match ctx.db.read_sorted_set(key)? {
        Some(set) => {
            let ranks = request.ranks(set);
            let (len, members) = (ranks.len(), set.iter(ranks, request.reverse));
            shown::members(&mut ctx.replies, len, request.with_scores, members);
        }
        None => ctx.replies.array(0),
    }
    Ok(())
}

fn zrangestore(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (form, spelling) =
        (Form { stores: true, ..Form::default() }, ctx.db.keyspace.settings.spelling());
    let request = Request::parse(&ctx.args[3..], form, spelling)?;
    let (to, from, rules) = (ctx.key(1), ctx.key(2), ctx.db.sorted_set_rules());
    let mut stored = SortedSet::default();
    let mut by_rank = None;
    if let Some(set) = ctx.db.read_sorted_set(from)? {
        let (ranks, mut scratch) = (request.ranks(set), [0; DIGITS_MAX]);
        if request.depends_on_encoding() {
            by_rank = Some(ranks_asked_for(&ranks, set.len(), request.reverse));
        }
        stored.prepare(ranks.len(), 0, &rules);
        // In which order they come decides whether a zero keeps its sign.
        for (member, score) in set.iter(ranks, request.reverse) {
            stored.set(member.bytes(&mut scratch), score, &rules);
        }
    }
    store(ctx, to, stored, "zrangestore");
    if let Some([start, stop]) = by_rank {
        let [mut one, mut other] = [[0; DIGITS_MAX]; 2];
        let (start, stop) = (format_u64(&mut one, start), format_u64(&mut other, stop));
        let words: [&[u8]; 6] = [b"ZRANGESTORE", ctx.args[1], ctx.args[2], start, stop, b"REV"];
        let count = if request.reverse { words.len() } else { words.len() - 1 };
        ctx.db.effects.log_instead(&words[..count]);
    }
    Ok(())
}

/// What `ZRANGESTORE to from start stop [REV]` says of these ranks of a set with so many members.
fn ranks_asked_for(ranks: &Range<usize>, len: usize, reverse: bool) -> [u64; 2] {
    if ranks.is_empty() {
        return [1, 0];
    }
    let (first, last) = (ranks.start, ranks.end - 1);
    let (start, stop) = if reverse { (len - 1 - last, len - 1 - first) } else { (first, last) };
    [start as u64, stop as u64]
}
