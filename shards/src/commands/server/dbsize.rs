//! DBSIZE

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Merge, Spec, Spread};
use crate::resp::error::Error;

pub(super) const DBSIZE: Command = Command {
    spec: Spec {
        name: "dbsize",
        group: Group::Server,
        since: "1.0.0",
        summary: "Returns how many keys the database has.",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &["keyspace"],
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        spread: Spread::Everywhere(Merge::Sum),
        ..Spec::EMPTY
    },
    run: dbsize,
};

fn dbsize(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = ctx.db.db().len();
    ctx.replies.integer(i64::try_from(keys).unwrap_or(i64::MAX));
    Ok(())
}
