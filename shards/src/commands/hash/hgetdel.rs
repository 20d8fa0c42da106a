//! HGETDEL key FIELDS numfields field \[field ...]

use alloc::vec::Vec;

use super::{fields, hget};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const HGETDEL: Command = Command {
    spec: Spec {
        name: "hgetdel",
        group: Group::Hash,
        since: "9.1.0",
        summary: "Returns the values of fields of a hash and removes them.",
        complexity: "O(N), N being the number of fields.",
        syntax: "key FIELDS numfields field [field ...]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "DELETE"])],
        ..Spec::EMPTY
    },
    run: hgetdel,
};

fn hgetdel(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let fields = fields::only(&ctx.args[2..], None)?;
    let (key, due_by) = (ctx.key(1), ctx.db.due_by());
    let mut hash = ctx.db.write_hash(key)?;
    ctx.replies.array(fields.len());
    let mut removed: Vec<&[u8]> = Vec::new();
    for field in fields {
        hget::write(&mut ctx.replies, hash.as_ref().and_then(|hash| hash.get(field, due_by)));
        if hash.as_mut().is_some_and(|hash| hash.remove(field, due_by)) {
            removed.push(field);
        }
    }
    if !removed.is_empty() {
        ctx.db.changed(key, Class::Hash, "hdel");
        ctx.db.effects.dirty += removed.len() as u64 - 1;
        ctx.db.remove_if_empty(key);
        fields::log_deleted(&mut ctx.db, key, &removed);
    }
    Ok(())
}
