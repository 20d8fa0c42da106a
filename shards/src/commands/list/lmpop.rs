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

fn lmpop(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = parse_positive(ctx.args[1]).ok_or(NO_KEYS)?;
    let Some([end, options @ ..]) = ctx.args[2..].get(keys..) else { return Err(Error::Syntax) };
    let (end, count) = (parse_end(end)?, parse_count(options)?);
    for at in 2..2 + keys {
        let key = ctx.key(at);
        if pop_with_key(&mut ctx.db, &mut ctx.replies, key, end, count)? {
            return Ok(());
        }
    }
    ctx.replies.null_array();
    Ok(())
}

/// Pops up to `count` elements and appends the key and them to the reply. If there is no list,
/// it says so and appends nothing.
pub fn pop_with_key(
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
