//! CLIENT INFO

use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::clients::line::line;
use crate::commands::connection::client::EACH;
use crate::commands::own::{Own, OwnRun};

pub(super) const INFO: Own = Own {
    spec: Spec {
        name: "client|info",
        since: "6.2.0",
        summary: "Returns what CLIENT LIST shows of this connection.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale]),
        tips: &["nondeterministic_output"],
        ..EACH
    },
    run: OwnRun::Client(info),
};

fn info(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    // It is noted as the last command only when it has run.
    ctx.client.figures.last_command = INFO.spec.name;
    let mut line = line(ctx.client, ctx.node);
    line.push('\n');
    ctx.replies.verbatim("txt", line.as_bytes());
    Ok(())
}
