//! CLIENT ID

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::EACH;
use crate::commands::own::{Own, OwnRun};

pub(super) const ID: Own = Own {
    spec: Spec {
        name: "client|id",
        since: "5.0.0",
        summary: "Returns the number of the connection, which no other will ever have.",
        arity: Arity::Exactly(2),
        ..EACH
    },
    run: OwnRun::Client(id),
};

fn id(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.integer(i64::try_from(ctx.client.id).expect("ids count connections"));
    Ok(())
}
