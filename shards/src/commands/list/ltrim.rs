//! LTRIM key start stop

use super::pop::discard;
use super::{limits, span};
use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::encodings::quicklist::End;
use crate::resp::error::Error;

pub(super) const LTRIM: Command = Command {
    spec: Spec {
        name: "ltrim",
        group: Group::List,
        since: "1.0.0",
        summary: "Keeps the elements of a list from one to another and removes all others.",
        complexity: "O(N), N being the number of elements removed; most are freed later.",
        syntax: "key start stop",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write]),
        keys: &[KeySpec::first(&["RW", "DELETE"])],
        ..Spec::EMPTY
    },
    run: ltrim,
};

fn ltrim(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, limits) = (ctx.key(1), limits(&ctx.db));
    let start = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let stop = parse_i64(ctx.args[3]).ok_or(Error::NotInteger)?;
    if let Some(list) = ctx.db.write_list(key)? {
        let len = list.len();
        let (start, end) = span(start, stop, len);
        // What is not to stay is cut off at both ends; if nothing stays, at one.
        let left = if start == end { len } else { start };
        let right = if start == end { 0 } else { len - end };
        let first = list.cut(End::Left, left, limits);
        let last = list.cut(End::Right, right, limits);
        discard(&mut ctx.db, key, first);
        discard(&mut ctx.db, key, last);
        // The event comes even when everything stays, but then nothing else does.
        ctx.db.effects.dirty += (left + right) as u64;
        if 0 < left + right {
            ctx.db.touch(ctx.db.index, key);
        }
        ctx.db.event(key, Class::List, "ltrim");
        ctx.db.remove_if_empty(key);
    }
    ctx.replies.ok();
    Ok(())
}
