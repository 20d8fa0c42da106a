//! CLIENT CAPA capability [capability ...]

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::EACH;
use crate::commands::own::{Own, OwnRun};

pub(super) const CAPA: Own = Own {
    spec: Spec {
        name: "client|capa",
        since: "8.0.0",
        summary: "Tells what the client is capable of.",
        syntax: "capability [capability ...]",
        arity: Arity::AtLeast(3),
        ..EACH
    },
    run: OwnRun::Client(capa),
};

fn capa(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    // Capabilities that are not known come from newer clients; they are no error.
    if ctx.args[2..].iter().any(|name| name.eq_ignore_ascii_case(b"REDIRECT")) {
        ctx.client.session.capa_redirect = true;
    }
    ctx.replies.ok();
    Ok(())
}
