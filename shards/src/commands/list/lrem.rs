//! LREM key count element

use super::{limits, parse_signed};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::encodings::quicklist::End;
use crate::resp::error::Error;

pub(super) const LREM: Command = Command {
    spec: Spec {
        name: "lrem",
        group: Group::List,
        since: "1.0.0",
        summary: "Removes the elements that are the same as the given one, or some of them.",
        complexity: "O(N), N being the number of elements.",
        syntax: "key count element",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write]),
        keys: &[KeySpec::first(&["RW", "DELETE"])],
        ..Spec::EMPTY
    },
    run: lrem,
};

fn lrem(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, limits) = (ctx.key(1), limits(&ctx.db));
    let count = parse_signed(ctx.args[2])?;
    let from = if count < 0 { End::Right } else { End::Left };
    let most = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(count) => count,
    };
    let Some(list) = ctx.db.write_list(key)? else {
        ctx.replies.integer(0);
        return Ok(());
    };
    let removed = list.remove(ctx.args[3], from, most, limits);
    if 0 < removed {
        ctx.db.effects.dirty += removed as u64 - 1;
        ctx.db.changed(key, Class::List, "lrem");
        ctx.db.remove_if_empty(key);
    }
    ctx.replies.integer(removed as i64);
    Ok(())
}
