//! SMOVE source destination member

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const SMOVE: Command = Command {
    spec: Spec {
        name: "smove",
        group: Group::Set,
        since: "1.0.0",
        summary: "Moves a member from one set to another.",
        syntax: "source destination member",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::nth(1, &["RW", "ACCESS", "DELETE"]), KeySpec::nth(2, &["RW", "INSERT"])],
        ..Spec::EMPTY
    },
    run: smove,
};

fn smove(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to, member) = (ctx.key(1), ctx.key(2), ctx.args[3]);
    let rules = ctx.db.set_rules();
    let Some(source) = ctx.db.write_set(from)? else {
        ctx.replies.integer(0);
        return Ok(());
    };
    if from.bytes == to.bytes {
        let is_member = source.contains(member);
        ctx.replies.integer(is_member.into());
        return Ok(());
    }
    // The types of both are checked before anything changes.
    ctx.db.write_set(to)?;
    if !ctx.db.write_set(from)?.is_some_and(|source| source.remove(member)) {
        ctx.replies.integer(0);
        return Ok(());
    }
    ctx.db.changed(from, Class::Set, "srem");
    ctx.db.remove_if_empty(from);
    let destination = ctx.db.set_or_new(to)?;
    destination.prepare(&[member], rules);
    if destination.add(member, rules) {
        ctx.db.changed(to, Class::Set, "sadd");
    }
    if ctx.db.effects.by_key {
        ctx.db.effects.log_instead(&[b"SREM", from.bytes, member]);
        ctx.db.effects.log_instead(&[b"SADD", to.bytes, member]);
    }
    ctx.replies.integer(1);
    Ok(())
}
