//! ZPOPMIN key \[count], ZPOPMAX key \[count],
//! ZMPOP numkeys key [key ...] <MIN | MAX> \[COUNT count]

use super::shown;
use crate::base::number::{DIGITS_MAX, format_u64, parse_i64};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::keyspace::collections::WrongType;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::resp::reply::{Protocol, Replies};
use crate::types::sorted_set::{Iter, SortedSet};

pub(super) const ZPOPMIN: Command = Command {
    spec: Spec {
        name: "zpopmin",
        summary: "Removes the members of a sorted set with the lowest scores and returns them.",
        ..POP
    },
    run: |ctx| pop_some(ctx, End::Min),
};

pub(super) const ZPOPMAX: Command = Command {
    spec: Spec {
        name: "zpopmax",
        summary: "Removes the members of a sorted set with the highest scores and returns them.",
        ..POP
    },
    run: |ctx| pop_some(ctx, End::Max),
};

const POP: Spec = Spec {
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(M*log(N)), N being the number of members and M that of those removed.",
    syntax: "key [count]",
    arity: Arity::AtLeast(2),
    flags: Flags::of(&[Flag::Write, Flag::Fast]),
    keys: &[KeySpec::first(&["RW", "ACCESS", "DELETE"])],
    ..Spec::EMPTY
};

pub(super) const ZMPOP: Command = Command {
    spec: Spec {
        name: "zmpop",
        group: Group::SortedSet,
        since: "7.0.0",
        summary: "Removes members from the first sorted set that has some, and returns them.",
        complexity: "O(K) + O(M*log(N)), K being the number of keys, N that of members and M that \
                     of those removed.",
        syntax: "numkeys key [key ...] <MIN | MAX> [COUNT count]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::Write, Flag::MovableKeys]),
        keys: &[KeySpec {
            begin: Begin::Index(1),
            find: Find::Number { at: 0, first: 1, step: 1 },
            flags: &["RW", "ACCESS", "DELETE"],
        }],
        ..Spec::EMPTY
    },
    run: zmpop,
};

/// From which end members are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lowest score first.
    Min,
    /// The highest score first.
    Max,
}

impl End {
    /// The end that MIN or MAX stands for.
    pub fn parse(word: &[u8]) -> Option<Self> {
        let ends = [(b"MIN", Self::Min), (b"MAX", Self::Max)];
        ends.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(*name)).map(|(_, end)| end)
    }

    const fn event(self) -> &'static str {
        match self {
            Self::Min => "zpopmin",
            Self::Max => "zpopmax",
        }
    }

    /// The command that pops here, as a replica is told.
    pub const fn command(self) -> &'static [u8] {
        match self {
            Self::Min => b"ZPOPMIN",
            Self::Max => b"ZPOPMAX",
        }
    }
}

/// Takes up to `count` members out of the sorted set at `key` and has `show` write them, told how
/// many they are. Returns how many; if there is no such key, does not call `show`.
pub fn pop(
    db: &mut Selected<'_>,
    replies: &mut Replies<'_>,
    key: Key<'_>,
    (end, count): (End, usize),
    show: impl FnOnce(&mut Replies<'_>, usize, Iter<'_>),
) -> Result<Option<usize>, WrongType> {
    let Some(set) = db.write_as::<SortedSet>(key)? else { return Ok(None) };
    let (len, count) = (set.len(), count.min(set.len()));
    let ranks = match end {
        End::Min => 0..count,
        End::Max => len - count..len,
    };
    show(replies, count, set.iter(ranks.clone(), end == End::Max));
    set.remove_ranks(ranks);
    super::removed(db, key, count, count == len, end.event());
    Ok(Some(count))
}

fn pop_some(ctx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let (count, nested) = match &ctx.args[2..] {
        [] => (1, false),
        [count] => {
            let count = parse_i64(count).and_then(|count| usize::try_from(count).ok());
            (count.ok_or(Error::NotPositive)?, ctx.replies.protocol == Protocol::Resp3)
        }
        _ => return Err(Error::Syntax),
    };
    let key = ctx.key(1);
    let show = |replies: &mut Replies<'_>, len, members: Iter<'_>| match nested {
        true => shown::pairs(replies, len, members),
        false => shown::flat(replies, len, members),
    };
    if pop(&mut ctx.db, &mut ctx.replies, key, (end, count), show)?.is_none() {
        ctx.replies.array(0);
    }
    Ok(())
}

/// The arguments of ZMPOP, and those of BZMPOP behind its timeout.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// How many keys there are; they begin behind their number.
    pub keys: usize,
    /// From which end.
    pub end: End,
    /// How many members at most.
    pub count: usize,
}

impl Request {
    /// Reads `numkeys key [key ...] <MIN | MAX> [COUNT count]`.
    pub fn parse(args: &[&[u8]]) -> Result<Self, Error> {
        let positive = |text| parse_i64(text).filter(|it| 0 < *it);
        let keys = positive(args[0]).and_then(|keys| usize::try_from(keys).ok());
        let keys = keys.ok_or(Error::Text("ERR numkeys should be greater than 0"))?;
        let rest = args.get(1..).and_then(|rest| rest.get(keys..)).unwrap_or_default();
        let [end, options @ ..] = rest else { return Err(Error::Syntax) };
        let end = End::parse(end).ok_or(Error::Syntax)?;
        let count = match options {
            [] => 1,
            // Options are judged one by one, each before the next is looked at.
            [name, count, rest @ ..] if name.eq_ignore_ascii_case(b"COUNT") => {
                let count = positive(count).and_then(|count| usize::try_from(count).ok());
                let count = count.ok_or(Error::Text("ERR count should be greater than 0"))?;
                if !rest.is_empty() {
                    return Err(Error::Syntax);
                }
                count
            }
            _ => return Err(Error::Syntax),
        };
        Ok(Self { keys, end, count })
    }

    /// Serves the request from `key`; false if there is nothing to take.
    pub fn serve(self, ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<bool, Error> {
        let start = ctx.replies.out.len();
        ctx.replies.array(2);
        ctx.replies.bulk(key.bytes);
        let how = (self.end, self.count);
        let show = |replies: &mut Replies<'_>, len, members: Iter<'_>| {
            shown::pairs(replies, len, members);
        };
        let popped = pop(&mut ctx.db, &mut ctx.replies, key, how, show)?;
        match popped {
            Some(count) => {
                let mut digits = [0; DIGITS_MAX];
                let count = format_u64(&mut digits, count as u64);
                ctx.db.effects.log_instead(&[self.end.command(), key.bytes, count]);
            }
            None => ctx.replies.out.truncate(start),
        }
        Ok(popped.is_some())
    }
}

fn zmpop(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let request = Request::parse(&ctx.args[1..])?;
    for at in 2..2 + request.keys {
        let key = ctx.key(at);
        if request.serve(ctx, key)? {
            return Ok(());
        }
    }
    ctx.replies.null_array();
    Ok(())
}
