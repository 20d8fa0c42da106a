//! SMEMBERS key

use super::combining::write_members;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const SMEMBERS: Command = Command {
    spec: Spec {
        name: "smembers",
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns all members of a set.",
        complexity: "O(N), N being the number of members.",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output_order"],
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: smembers,
};

fn smembers(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    match ctx.db.read_set(key)? {
        Some(set) => write_members(&mut ctx.replies, set),
        None => ctx.replies.set(0),
    }
    Ok(())
}
