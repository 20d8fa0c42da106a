//! LINDEX key index

use super::reply_element;
use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const LINDEX: Command = Command {
    spec: Spec {
        name: "lindex",
        group: Group::List,
        since: "1.0.0",
        summary: "Returns the element of a list that has this number.",
        complexity: "O(N), N being the number of blocks of nodes up to it: hardly any.",
        syntax: "key index",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: lindex,
};

fn lindex(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let element = match ctx.db.read_list(key)? {
        Some(list) => list.get(parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?),
        None => None,
    };
    match element {
        Some(element) => reply_element(&mut ctx.replies, element),
        None => ctx.replies.null(),
    }
    Ok(())
}
