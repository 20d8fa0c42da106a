//! CLIENT IMPORT-SOURCE ON | OFF

use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::{EACH, on_or_off};
use crate::commands::own::{Own, OwnRun};

pub(super) const IMPORT_SOURCE: Own = Own {
    spec: Spec {
        name: "client|import-source",
        since: "8.1.0",
        summary: "Says whether the connection brings keys in import mode, and sees what is due.",
        syntax: "<ON | OFF>",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale]),
        ..EACH
    },
    run: OwnRun::Client(import_source),
};

const NO_IMPORT: Error = Error::Text("ERR Server is not in import mode");

fn import_source(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let is_end = ctx.args[2].eq_ignore_ascii_case(b"OFF");
    if !is_end && !ctx.node.config.import_mode {
        return Err(NO_IMPORT);
    }
    ctx.client.session.import_source = on_or_off(ctx.args[2])?;
    ctx.replies.ok();
    Ok(())
}
