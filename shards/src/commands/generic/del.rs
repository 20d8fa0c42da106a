//! DEL key [key ...], UNLINK key [key ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Merge, Spec, Spread};
use crate::effects::Class;
use crate::keyspace::garbage::Removal;
use crate::resp::error::Error;

pub(super) const DEL: Command = Command {
    spec: Spec {
        name: "del",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Removes keys.",
        complexity: "O(N), N being the number of keys; O(M) for a collection of M elements.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Write]),
        categories: &["keyspace"],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        keys: &[KeySpec::from(1, 1, &["RM", "DELETE"])],
        spread: Spread::Split(Merge::Sum),
        ..Spec::EMPTY
    },
    run: |ctx| remove(ctx, Removal::Deleted),
};

pub(super) const UNLINK: Command = Command {
    spec: Spec {
        name: "unlink",
        group: Group::Generic,
        since: "4.0.0",
        summary: "Removes keys; what is large is freed later.",
        complexity: "O(1) per key; its memory is freed apart from that.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        categories: &["keyspace"],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        keys: &[KeySpec::from(1, 1, &["RM", "DELETE"])],
        spread: Spread::Split(Merge::Sum),
        ..Spec::EMPTY
    },
    run: |ctx| remove(ctx, Removal::Unlinked),
};

fn remove(ctx: &mut Ctx<'_>, removal: Removal) -> Result<(), Error> {
    let mut removed = 0;
    for at in 1..ctx.args.len() {
        let key = ctx.key(at);
        if ctx.db.discard(key, removal) {
            ctx.db.changed(key, Class::Generic, "del");
            removed += 1;
        }
    }
    ctx.replies.integer(removed);
    Ok(())
}
