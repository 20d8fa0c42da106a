//! RANDOMKEY

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Merge, Spec, Spread};
use crate::resp::error::Error;

pub(super) const RANDOMKEY: Command = Command {
    spec: Spec {
        name: "randomkey",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Returns the name of a key picked by chance.",
        complexity: "O(1)",
        syntax: "",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &["keyspace"],
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        spread: Spread::Everywhere(Merge::Pick),
        ..Spec::EMPTY
    },
    run: randomkey,
};

/// Answers `[key or null, number of keys]` for its shard; the merge picks among shards.
fn randomkey(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    ctx.replies.array(2);
    let now = ctx.db.now();
    // Each turn that finds a key whose time has come leaves one key less, so the loop ends.
    loop {
        let chance = ctx.db.keyspace.random.bits();
        let Some(entry) = ctx.db.keyspace.dbs[ctx.db.index].table().sample(chance) else {
            ctx.replies.null();
            break;
        };
        if entry.expire().is_none_or(|at| now < at) {
            ctx.replies.bulk(entry.key());
            break;
        }
        let bytes = entry.key().to_vec();
        let key = ctx.db.key(&bytes);
        ctx.db.expire(key);
    }
    let keys = ctx.db.db().len();
    ctx.replies.integer(i64::try_from(keys).unwrap_or(i64::MAX));
    Ok(())
}
