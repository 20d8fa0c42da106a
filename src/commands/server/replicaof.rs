//! REPLICAOF host port | NO ONE, SLAVEOF host port | NO ONE

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};

pub(super) const REPLICAOF: Own = Own {
    spec: Spec { name: "replicaof", since: "5.0.0", ..EACH },
    run: OwnRun::Client(replicaof),
};

pub(super) const SLAVEOF: Own =
    Own { spec: Spec { name: "slaveof", ..EACH }, run: OwnRun::Client(replicaof) };

const EACH: Spec = Spec {
    group: Group::Server,
    summary: "Makes the server a primary, which it is; there are no replicas yet.",
    syntax: "<host port | NO ONE>",
    arity: Arity::Exactly(3),
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Stale, Flag::NoAsyncLoading]),
    ..Spec::EMPTY
};

const PORT: Error = Error::Text("ERR Invalid master port");
const NO_REPLICATION: Error =
    Error::Text("ERR REPLICAOF is not supported: there is no replication yet");

fn replicaof(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let [_, host, port] = ctx.args else { return Err(Error::Syntax) };
    if host.eq_ignore_ascii_case(b"NO") && port.eq_ignore_ascii_case(b"ONE") {
        ctx.replies.ok();
        return Ok(());
    }
    let port = parse_i64(port).and_then(|port| u16::try_from(port).ok());
    Err(if port.is_some() { NO_REPLICATION } else { PORT })
}
