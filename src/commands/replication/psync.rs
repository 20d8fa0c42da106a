//! PSYNC replicationid offset

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::clients::leaving::Errand;
use crate::commands::own::{Own, OwnRun};
use crate::replication::greeting::Asked;
use crate::replication::psync::Request;

pub(super) const PSYNC: Own = Own {
    spec: Spec {
        name: "psync",
        since: "2.8.0",
        summary: "Asks for the stream of all changes from an offset on; what replicas do.",
        syntax: "replicationid offset",
        arity: Arity::AtLeast(3),
        ..EACH
    },
    run: OwnRun::Client(psync),
};

/// What PSYNC and SYNC have in common.
pub(super) const EACH: Spec = Spec {
    group: Group::Server,
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading, Flag::NoMulti]),
    ..Spec::EMPTY
};

fn psync(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let request = Request::parse_psync(&ctx.args[1..])?;
    leave(ctx, request, Asked::Psync)
}

/// Has the client's socket leave for the stream. What it is answered is decided there, and whether
/// it wants replies (CLIENT REPLY) does not matter for that, as in Valkey.
///
/// CLIENT PAUSE does to it what it does in Valkey. While writes are held back replicas come as
/// ever: PSYNC writes nothing. While all is held back PSYNC waits like any other request; a replica
/// that has come by then is no client of a shard, and no pause holds it.
pub(super) fn leave(ctx: &mut ClientCtx<'_>, request: Request, asked: Asked) -> Result<(), Error> {
    // MONITOR makes half a replica of a client in Valkey, which then ignores this without a word.
    if ctx.client.monitors {
        return Ok(());
    }
    // A client that asks for what it cannot get stays one.
    ctx.client.greeting.get_or_insert_default().terms(asked)?;
    ctx.client.leave(Errand::Stream(request));
    Ok(())
}
