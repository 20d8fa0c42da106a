//! ZREM key member [member ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;

pub(super) const ZREM: Command = Command {
    spec: Spec {
        name: "zrem",
        group: Group::SortedSet,
        since: "1.2.0",
        summary: "Removes members from a sorted set, and the key with the last one.",
        complexity: "O(M*log(N)), N being the number of members and M that of those removed.",
        syntax: "key member [member ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "DELETE"])],
        ..Spec::EMPTY
    },
    run: zrem,
};

fn zrem(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let mut removed = 0;
    if let Some(set) = ctx.db.write_as::<SortedSet>(key)? {
        removed = ctx.args[2..].iter().filter(|member| set.remove(member)).count();
        let is_empty = set.is_empty();
        super::removed(&mut ctx.db, key, removed, is_empty, "zrem");
    }
    ctx.replies.integer(removed as i64);
    Ok(())
}
