//! CLIENT GETREDIR, CLIENT TRACKINGINFO: nothing is tracked, because there is no CLIENT TRACKING.

use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::commands::connection::client::EACH;
use crate::commands::table::Own;
use crate::coordination::call::Run;
use crate::coordination::client_ctx::ClientCtx;

pub(super) const GETREDIR: Own = Own {
    spec: Spec {
        name: "client|getredir",
        since: "6.0.0",
        summary: "Returns the connection that is told of changed keys in place of this one.",
        arity: Arity::Exactly(2),
        ..EACH
    },
    run: Run::Client(getredir),
};

pub(super) const TRACKINGINFO: Own = Own {
    spec: Spec {
        name: "client|trackinginfo",
        since: "6.2.0",
        summary: "Returns of which changed keys the connection is told.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale]),
        ..EACH
    },
    run: Run::Client(trackinginfo),
};

/// What stands in place of a connection's number if nothing is tracked.
const NOT_TRACKING: i64 = -1;

fn getredir(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.integer(NOT_TRACKING);
    Ok(())
}

fn trackinginfo(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.map(3);
    ctx.replies.bulk(b"flags");
    ctx.replies.set(1);
    ctx.replies.bulk(b"off");
    ctx.replies.bulk(b"redirect");
    ctx.replies.integer(NOT_TRACKING);
    ctx.replies.bulk(b"prefixes");
    ctx.replies.array(0);
    Ok(())
}
