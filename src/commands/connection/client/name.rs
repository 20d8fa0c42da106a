//! CLIENT GETNAME, CLIENT SETNAME connection-name

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::{EACH, is_showable};
use crate::commands::own::{Own, OwnRun};

pub(super) const GETNAME: Own = Own {
    spec: Spec {
        name: "client|getname",
        since: "2.6.9",
        summary: "Returns the name of the connection.",
        arity: Arity::Exactly(2),
        ..EACH
    },
    run: OwnRun::Client(getname),
};

pub(super) const SETNAME: Own = Own {
    spec: Spec {
        name: "client|setname",
        since: "2.6.9",
        summary: "Names the connection; an empty name takes its name away.",
        syntax: "connection-name",
        arity: Arity::Exactly(3),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..EACH
    },
    run: OwnRun::Client(setname),
};

/// A name that a connection may have.
///
/// # Errors
/// It would break the line in which CLIENT LIST shows it.
pub(in crate::commands::connection) fn checked(name: &[u8]) -> Result<&[u8], Error> {
    const BAD: Error =
        Error::Text("ERR Client names cannot contain spaces, newlines or special characters.");
    if is_showable(name) { Ok(name) } else { Err(BAD) }
}

fn getname(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    match ctx.client.session.name.as_slice() {
        [] => ctx.replies.null(),
        name => ctx.replies.bulk(name),
    }
    Ok(())
}

fn setname(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.client.session.name = checked(ctx.args[2])?.to_vec();
    ctx.replies.ok();
    Ok(())
}
