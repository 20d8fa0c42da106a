//! SADD key member [member ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const SADD: Command = Command {
    spec: Spec {
        name: "sadd",
        group: Group::Set,
        since: "1.0.0",
        summary: "Adds members to a set, making the set if needed.",
        complexity: "O(N), N being the number of members to add.",
        syntax: "key member [member ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "INSERT"])],
        ..Spec::EMPTY
    },
    run: sadd,
};

fn sadd(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, members, rules) = (ctx.key(1), &ctx.args[2..], ctx.db.set_rules());
    let set = ctx.db.set_or_new(key)?;
    set.prepare(members, rules);
    let added = members.iter().filter(|member| set.add(member, rules)).count();
    if let Some(more) = added.checked_sub(1) {
        ctx.db.changed(key, Class::Set, "sadd");
        ctx.db.effects.dirty += more as u64;
    }
    ctx.replies.integer(added as i64);
    Ok(())
}
