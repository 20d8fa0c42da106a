//! SCARD key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::set::Set;

pub(super) const SCARD: Command = Command {
    spec: Spec {
        name: "scard",
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns how many members a set has.",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO"])],
        ..Spec::EMPTY
    },
    run: scard,
};

fn scard(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let members = ctx.db.read_set(key)?.map_or(0, Set::len);
    ctx.replies.integer(members as i64);
    Ok(())
}
