//! HDEL key field \[field ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const HDEL: Command = Command {
    spec: Spec {
        name: "hdel",
        group: Group::Hash,
        since: "2.0.0",
        summary: "Removes fields of a hash, and the hash with its last field.",
        complexity: "O(N), N being the number of fields.",
        syntax: "key field [field ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "DELETE"])],
        ..Spec::EMPTY
    },
    run: hdel,
};

fn hdel(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, due_by) = (ctx.key(1), ctx.db.due_by());
    let mut removed = 0u32;
    if let Some(hash) = ctx.db.write_hash(key)? {
        for field in &ctx.args[2..] {
            removed += u32::from(hash.remove(field, due_by));
        }
    }
    if 0 < removed {
        ctx.db.changed(key, Class::Hash, "hdel");
        ctx.db.effects.dirty += u64::from(removed) - 1;
        ctx.db.remove_if_empty(key);
    }
    ctx.replies.integer(removed.into());
    Ok(())
}
