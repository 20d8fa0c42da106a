//! LPOP and RPOP key \[count]; and popping for all who pop.

use alloc::string::ToString;

use super::{limits, reply_element};
use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::encodings::quicklist::End;
use crate::keyspace::collections::WrongType;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::list::List;

pub(super) const LPOP: Command = Command {
    spec: Spec {
        name: "lpop",
        summary: "Removes the first element of a list, or the first ones, and returns them.",
        ..SPEC
    },
    run: |ctx| pop(ctx, End::Left),
};

pub(super) const RPOP: Command = Command {
    spec: Spec {
        name: "rpop",
        summary: "Removes the last element of a list, or the last ones, and returns them.",
        ..SPEC
    },
    run: |ctx| pop(ctx, End::Right),
};

const SPEC: Spec = Spec {
    group: Group::List,
    since: "1.0.0",
    complexity: "O(N), N being the number of elements returned.",
    syntax: "key [count]",
    arity: Arity::AtLeast(2),
    flags: Flags::of(&[Flag::Write, Flag::Fast]),
    keys: &[KeySpec::first(&["RW", "ACCESS", "DELETE"])],
    ..Spec::EMPTY
};

fn pop(ctx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let key = ctx.key(1);
    match ctx.args[2..] {
        [] => {
            if !pop_one(&mut ctx.db, &mut ctx.replies, key, end)? {
                ctx.replies.null();
            }
        }
        [count] => {
            let count = parse_i64(count).and_then(|count| usize::try_from(count).ok());
            let count = count.ok_or(Error::NotPositive)?;
            if pop_some(&mut ctx.db, &mut ctx.replies, key, end, count)?.is_none() {
                ctx.replies.null_array();
            }
        }
        _ => {
            let name = if end == End::Left { "lpop" } else { "rpop" };
            return Err(Error::WrongArity(name.to_string()));
        }
    }
    Ok(())
}

/// Pops the element at one end of the list at `key` and appends it to the reply. If there is no
/// list, it says so and appends nothing.
#[inline]
pub fn pop_one(
    db: &mut Selected<'_>,
    replies: &mut Replies<'_>,
    key: Key<'_>,
    end: End,
) -> Result<bool, WrongType> {
    let limits = limits(db);
    let Some(list) = db.write_list(key)? else { return Ok(false) };
    reply_element(replies, list.end(end).expect("no list is empty"));
    list.pop(end);
    list.shrink(limits);
    let is_empty = list.is_empty();
    db.changed(key, Class::List, event(end));
    if is_empty {
        db.remove_if_empty(key);
    }
    Ok(true)
}

/// Pops up to `count` elements at one end of the list at `key`, appends them to the reply as an
/// array and says how many they were. If there is no list, it appends nothing.
pub fn pop_some(
    db: &mut Selected<'_>,
    replies: &mut Replies<'_>,
    key: Key<'_>,
    end: End,
    count: usize,
) -> Result<Option<usize>, WrongType> {
    let limits = limits(db);
    let Some(list) = db.write_list(key)? else { return Ok(None) };
    let count = count.min(list.len());
    replies.array(count);
    let elements = match end {
        End::Left => list.forward(0),
        End::Right => list.backward(),
    };
    elements.take(count).for_each(|element| reply_element(replies, element));
    if 0 < count {
        let gone = list.cut(end, count, limits);
        let is_empty = list.is_empty();
        discard(db, key, gone);
        db.effects.dirty += count as u64 - 1;
        db.changed(key, Class::List, event(end));
        if is_empty {
            db.remove_if_empty(key);
        }
    }
    Ok(Some(count))
}

/// Frees what was cut off the list at `key`, later if it is much.
pub(super) fn discard(db: &mut Selected<'_>, key: Key<'_>, gone: Option<List>) {
    if let Some(gone) = gone {
        db.discard_object(key, gone, Removal::Replaced);
    }
}

/// What a pop at this end is called.
pub(super) const fn event(end: End) -> &'static str {
    match end {
        End::Left => "lpop",
        End::Right => "rpop",
    }
}
