//! CLIENT NO-TOUCH ON | OFF

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::{EACH, on_or_off};
use crate::commands::own::{Own, OwnRun};

pub(super) const NO_TOUCH: Own = Own {
    spec: Spec {
        name: "client|no-touch",
        since: "7.2.0",
        summary: "Says whether commands of this connection count as use of their keys.",
        syntax: "<ON | OFF>",
        arity: Arity::Exactly(3),
        ..EACH
    },
    run: OwnRun::Client(no_touch),
};

fn no_touch(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.client.session.no_touch = on_or_off(ctx.args[2])?;
    ctx.replies.ok();
    Ok(())
}
