//! LRANGE key start stop

use super::{reply_element, span};
use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const LRANGE: Command = Command {
    spec: Spec {
        name: "lrange",
        group: Group::List,
        since: "1.0.0",
        summary: "Returns the elements of a list from one to another.",
        complexity: "O(log(S)+N), S being the distance from the nearer end, N the number returned.",
        syntax: "key start stop",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: lrange,
};

fn lrange(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let start = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let stop = parse_i64(ctx.args[3]).ok_or(Error::NotInteger)?;
    let Some(list) = ctx.db.read_list(key)? else {
        ctx.replies.array(0);
        return Ok(());
    };
    let (start, end) = span(start, stop, list.len());
    ctx.replies.array(end - start);
    let elements = list.forward(start).take(end - start);
    elements.for_each(|element| reply_element(&mut ctx.replies, element));
    Ok(())
}
