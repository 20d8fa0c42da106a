//! EXISTS key [key ...], TOUCH key [key ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Merge, Spec, Spread};
use crate::resp::error::Error;

pub(super) const EXISTS: Command = Command {
    spec: Spec {
        name: "exists",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Counts how many of the keys exist; one named twice counts twice.",
        complexity: "O(N), N being the number of keys.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &["keyspace"],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        keys: &[KeySpec::from(1, 1, &["RO"])],
        spread: Spread::Split(Merge::Sum),
        ..Spec::EMPTY
    },
    run: exists,
};

pub(super) const TOUCH: Command = Command {
    spec: Spec {
        name: "touch",
        group: Group::Generic,
        since: "3.2.1",
        summary: "Marks keys as just used; returns how many of them exist.",
        complexity: "O(N), N being the number of keys.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &["keyspace"],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        keys: &[KeySpec::from(1, 1, &["RO"])],
        spread: Spread::Split(Merge::Sum),
        ..Spec::EMPTY
    },
    run: touch,
};

fn exists(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut found = 0;
    for at in 1..ctx.args.len() {
        let key = ctx.key(at);
        found += i64::from(ctx.db.look(key).is_some());
    }
    ctx.replies.integer(found);
    Ok(())
}

fn touch(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    // To mark keys is what the command is for: CLIENT NO-TOUCH does not hold it back.
    ctx.db.no_touch = false;
    let mut found = 0;
    for at in 1..ctx.args.len() {
        let key = ctx.key(at);
        found += i64::from(ctx.db.read(key).is_some());
    }
    ctx.replies.integer(found);
    Ok(())
}
