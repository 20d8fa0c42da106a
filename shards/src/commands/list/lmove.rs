//! LMOVE source destination LEFT|RIGHT LEFT|RIGHT, RPOPLPUSH source destination; and moving for
//! all who move.

use super::{limits, parse_end, pop, push, reply_element};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::encodings::listpack::Element;
use crate::encodings::quicklist::End;
use crate::keyspace::collections::WrongType;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::resp::reply::Replies;

pub(super) const LMOVE: Command = Command {
    spec: Spec {
        name: "lmove",
        since: "6.2.0",
        summary: "Moves an element from one end of a list to one end of another, and returns it.",
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        arity: Arity::Exactly(5),
        ..SPEC
    },
    run: lmove,
};

pub(super) const RPOPLPUSH: Command = Command {
    spec: Spec {
        name: "rpoplpush",
        since: "1.2.0",
        summary: "Moves the last element of a list before the first of another, and returns it.",
        syntax: "source destination",
        arity: Arity::Exactly(3),
        ..SPEC
    },
    run: rpoplpush,
};

const SPEC: Spec = Spec {
    group: Group::List,
    complexity: "O(1)",
    flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
    keys: &[KeySpec::nth(1, &["RW", "ACCESS", "DELETE"]), KeySpec::nth(2, &["RW", "INSERT"])],
    ..Spec::EMPTY
};

fn lmove(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to) = (parse_end(ctx.args[3])?, parse_end(ctx.args[4])?);
    run(ctx, from, to)
}

fn rpoplpush(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    run(ctx, End::Right, End::Left)
}

fn run(ctx: &mut Ctx<'_>, from: End, to: End) -> Result<(), Error> {
    let (source, destination) = (ctx.key(1), ctx.key(2));
    if !move_one(&mut ctx.db, &mut ctx.replies, (source, from), (destination, to))? {
        ctx.replies.null();
    }
    Ok(())
}

/// Moves an element from one end of a list to one end of a list, and appends it to the reply. If
/// there is no list to take it from, it says so and appends nothing.
pub fn move_one(
    db: &mut Selected<'_>,
    replies: &mut Replies<'_>,
    from: (Key<'_>, End),
    to: (Key<'_>, End),
) -> Result<bool, WrongType> {
    let limits = limits(db);
    let Some(source) = db.write_list(from.0)? else { return Ok(false) };
    let element = source.end(from.1).expect("no list is empty");
    // Valkey reckons with no bytes for numbers that it has as such.
    let bytes_len = match element {
        Element::Int(_) => 0,
        Element::Bytes(bytes) => bytes.len(),
    };
    reply_element(replies, element);
    // The handler takes it from the reply, as it never holds both lists at once.
    let start = replies.out.len() - 2 - element.len();
    let is_same = from.0.bytes == to.0.bytes;
    if is_same {
        source.pop(from.1);
    }
    let destination = db.list_or_new(to.0)?;
    destination.prepare(1, bytes_len, limits);
    destination.push(to.1, &replies.out[start..replies.out.len() - 2]);
    db.touch(db.index, to.0);
    db.event(to.0, Class::List, push::event(to.1));

    let source = db.write_list(from.0)?.expect("it was there just now");
    if !is_same {
        source.pop(from.1);
    }
    source.shrink(limits);
    let is_empty = source.is_empty();
    if db.effects.by_key && !is_same {
        let element = &replies.out[start..replies.out.len() - 2];
        db.effects.log_instead(&[pop::event(from.1).as_bytes(), from.0.bytes]);
        db.effects.log_instead(&[push::event(to.1).as_bytes(), to.0.bytes, element]);
    }
    db.changed(from.0, Class::List, pop::event(from.1));
    if is_empty {
        db.remove_if_empty(from.0);
    }
    Ok(true)
}
