//! SISMEMBER key member, SMISMEMBER key member [member ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const SISMEMBER: Command = Command {
    spec: Spec {
        name: "sismember",
        group: Group::Set,
        since: "1.0.0",
        summary: "Tells whether a set has a member.",
        syntax: "key member",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO"])],
        ..Spec::EMPTY
    },
    run: sismember,
};

pub(super) const SMISMEMBER: Command = Command {
    spec: Spec {
        name: "smismember",
        group: Group::Set,
        since: "6.2.0",
        summary: "Tells of each of several members whether a set has it.",
        complexity: "O(N), N being the number of members asked for.",
        syntax: "key member [member ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: smismember,
};

fn sismember(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let is_member = ctx.db.read_set(key)?.is_some_and(|set| set.contains(ctx.args[2]));
    ctx.replies.integer(is_member.into());
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, members) = (ctx.key(1), &ctx.args[2..]);
    let set = ctx.db.read_set(key)?;
    ctx.replies.array(members.len());
    for member in members {
        let is_member = set.is_some_and(|set| set.contains(member));
        ctx.replies.integer(is_member.into());
    }
    Ok(())
}
