//! SELECT index

use shards::commands::database;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};

pub(super) const SELECT: Own = Own {
    spec: Spec {
        name: "select",
        group: Group::Connection,
        summary: "Picks the database for the commands that follow.",
        syntax: "index",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy]),
        ..Spec::EMPTY
    },
    run: OwnRun::Client(select),
};

fn select(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let databases = usize::try_from(ctx.node.config.database_count()).unwrap_or(usize::MAX);
    ctx.client.session.db = database::parse(ctx.args[1], databases)?;
    ctx.replies.ok();
    Ok(())
}
