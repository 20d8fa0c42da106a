//! LPUSH, RPUSH, LPUSHX and RPUSHX key element [element ...]

use super::limits;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::encodings::quicklist::End;
use crate::resp::error::Error;

pub(super) const LPUSH: Command = Command {
    spec: Spec {
        name: "lpush",
        since: "1.0.0",
        summary: "Adds elements before the first one of a list, which is made if there is none.",
        ..SPEC
    },
    run: |ctx| push_or_new(ctx, End::Left),
};

pub(super) const RPUSH: Command = Command {
    spec: Spec {
        name: "rpush",
        since: "1.0.0",
        summary: "Adds elements behind the last one of a list, which is made if there is none.",
        ..SPEC
    },
    run: |ctx| push_or_new(ctx, End::Right),
};

pub(super) const LPUSHX: Command = Command {
    spec: Spec {
        name: "lpushx",
        since: "2.2.0",
        summary: "Adds elements before the first one of a list, if there is such a list.",
        ..SPEC
    },
    run: |ctx| push_if_there(ctx, End::Left),
};

pub(super) const RPUSHX: Command = Command {
    spec: Spec {
        name: "rpushx",
        since: "2.2.0",
        summary: "Adds elements behind the last one of a list, if there is such a list.",
        ..SPEC
    },
    run: |ctx| push_if_there(ctx, End::Right),
};

const SPEC: Spec = Spec {
    group: Group::List,
    complexity: "O(N), N being the number of elements added.",
    syntax: "key element [element ...]",
    arity: Arity::AtLeast(3),
    flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
    keys: &[KeySpec::first(&["RW", "INSERT"])],
    ..Spec::EMPTY
};

fn push_or_new(ctx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let (key, limits) = (ctx.key(1), limits(&ctx.db));
    let list = ctx.db.list_or_new(key)?;
    let len = list.push_all(end, &ctx.args[2..], limits);
    pushed(ctx, end, len);
    Ok(())
}

fn push_if_there(ctx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let (key, limits) = (ctx.key(1), limits(&ctx.db));
    match ctx.db.write_list(key)? {
        Some(list) => {
            let len = list.push_all(end, &ctx.args[2..], limits);
            pushed(ctx, end, len);
        }
        None => ctx.replies.integer(0),
    }
    Ok(())
}

#[inline]
fn pushed(ctx: &mut Ctx<'_>, end: End, len: usize) {
    ctx.db.effects.dirty += ctx.args.len() as u64 - 3;
    ctx.db.changed(ctx.key(1), Class::List, event(end));
    ctx.replies.integer(len as i64);
}

/// What a push at this end is called.
pub(super) const fn event(end: End) -> &'static str {
    match end {
        End::Left => "lpush",
        End::Right => "rpush",
    }
}
