//! SREM key member [member ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const SREM: Command = Command {
    spec: Spec {
        name: "srem",
        group: Group::Set,
        since: "1.0.0",
        summary: "Removes members of a set.",
        complexity: "O(N), N being the number of members to remove.",
        syntax: "key member [member ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "DELETE"])],
        ..Spec::EMPTY
    },
    run: srem,
};

fn srem(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, members) = (ctx.key(1), &ctx.args[2..]);
    let removed = match ctx.db.write_set(key)? {
        Some(set) => members.iter().filter(|member| set.remove(member)).count(),
        None => 0,
    };
    if let Some(more) = removed.checked_sub(1) {
        ctx.db.changed(key, Class::Set, "srem");
        ctx.db.effects.dirty += more as u64;
        ctx.db.remove_if_empty(key);
    }
    ctx.replies.integer(removed as i64);
    Ok(())
}
