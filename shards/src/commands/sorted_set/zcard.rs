//! ZCARD key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const ZCARD: Command = Command {
    spec: Spec {
        name: "zcard",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Returns the number of members of a sorted set.",
        complexity: "O(1)",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO"])],
        ..Spec::EMPTY
    },
    run: zcard,
};

fn zcard(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let len = ctx.db.read_sorted_set(key)?.map_or(0, |set| set.len());
    ctx.replies.integer(len as i64);
    Ok(())
}
