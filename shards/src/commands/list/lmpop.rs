//! LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]

use super::parse_end;
use super::pop::pop_some;
use crate::base::number::{DIGITS_MAX, format_u64, parse_i64};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::quicklist::End;
use crate::keyspace::collections::WrongType;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::resp::reply::Replies;

pub(super) const LMPOP: Command = Command {
    spec: Spec {
        name: "lmpop",
        group: Group::List,
        since: "7.0.0",
        summary: "Removes elements from the first of several lists that is there; returns them.",
        complexity: "O(N+M), N being the number of keys, M that of the elements returned.",
        syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::Write, Flag::MovableKeys]),
        keys: &[KeySpec {
            begin: Begin::Index(1),
            find: Find::Number { at: 0, first: 1, step: 1 },
            flags: &["RW", "ACCESS", "DELETE"],
        }],
        ..Spec::EMPTY
    },
    run: lmpop,
};

const NO_KEYS: Error = Error::Text("ERR numkeys should be greater than 0");
const NO_COUNT: Error = Error::Text("ERR count should be greater than 0");

/// The arguments of LMPOP, and those of BLMPOP behind its timeout.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// How many keys there are; they begin behind their number.
    pub keys: usize,
    /// From which end.
    end: End,
    /// How many elements at most.
    count: usize,
}

impl Request {
    /// Reads `numkeys key [key ...] <LEFT | RIGHT> [COUNT count]`.
    pub fn parse(args: &[&[u8]]) -> Result<Self, Error> {
        let keys = parse_positive(args[0]).ok_or(NO_KEYS)?;
        let Some([end, options @ ..]) = args[1..].get(keys..) else { return Err(Error::Syntax) };
        Ok(Self { keys, end: parse_end(end)?, count: parse_count(options)? })
    }

    /// Answers from the first list that is there; the keys begin at argument `first`. False if
    /// there is none, and says so.
    pub fn serve(self, ctx: &mut Ctx<'_>, first: usize) -> Result<bool, Error> {
        for at in first..first + self.keys {
            let key = ctx.key(at);
            if pop_with_key(&mut ctx.db, &mut ctx.replies, key, self.end, self.count)? {
                return Ok(true);
            }
        }
        ctx.replies.null_array();
        Ok(false)
    }
}

fn lmpop(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    Request::parse(&ctx.args[1..])?.serve(ctx, 2).map(drop)
}

/// Pops up to `count` elements and appends the key and them to the reply. If there is no list,
/// it says so and appends nothing.
fn pop_with_key(
    db: &mut Selected<'_>,
    replies: &mut Replies<'_>,
    key: Key<'_>,
    end: End,
    count: usize,
) -> Result<bool, WrongType> {
    let written = replies.out.len();
    replies.array(2);
    replies.bulk(key.bytes);
    let Some(popped) = pop_some(db, replies, key, end, count)? else {
        replies.out.truncate(written);
        return Ok(false);
    };
    let name: &[u8] = if end == End::Left { b"LPOP" } else { b"RPOP" };
    let mut digits = [0; DIGITS_MAX];
    db.effects.log_instead(&[name, key.bytes, format_u64(&mut digits, popped as u64)]);
    Ok(true)
}

/// COUNT, once; 1 without it. Options are judged one by one, each before the next is looked at.
fn parse_count(options: &[&[u8]]) -> Result<usize, Error> {
    let [word, count, rest @ ..] = options else {
        return if options.is_empty() { Ok(1) } else { Err(Error::Syntax) };
    };
    if !word.eq_ignore_ascii_case(b"COUNT") {
        return Err(Error::Syntax);
    }
    let count = parse_positive(count).ok_or(NO_COUNT)?;
    if rest.is_empty() { Ok(count) } else { Err(Error::Syntax) }
}

fn parse_positive(text: &[u8]) -> Option<usize> {
    usize::try_from(parse_i64(text)?).ok().filter(|number| 0 < *number)
}
