//! CLIENT NO-EVICT ON | OFF

use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::{EACH, on_or_off};
use crate::commands::own::{Own, OwnRun};

pub(super) const NO_EVICT: Own = Own {
    spec: Spec {
        name: "client|no-evict",
        since: "7.0.0",
        summary: "Says whether the connection stays open when clients take too much memory.",
        syntax: "<ON | OFF>",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[
            Flag::Admin,
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::AllowBusy,
        ]),
        ..EACH
    },
    run: OwnRun::Client(no_evict),
};

fn no_evict(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.client.session.no_evict = on_or_off(ctx.args[2])?;
    ctx.replies.ok();
    Ok(())
}
