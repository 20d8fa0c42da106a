//! LLEN key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::list::List;

pub(super) const LLEN: Command = Command {
    spec: Spec {
        name: "llen",
        group: Group::List,
        since: "1.0.0",
        summary: "Returns how many elements a list has.",
        complexity: "O(1)",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO"])],
        ..Spec::EMPTY
    },
    run: llen,
};

fn llen(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let len = ctx.db.read_list(key)?.map_or(0, List::len);
    ctx.replies.integer(len as i64);
    Ok(())
}
