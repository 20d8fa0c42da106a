//! FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};
use crate::replication::failover::request::Command;
use crate::routing::node::Role;

pub(super) const FAILOVER: Own = Own {
    spec: Spec {
        name: "failover",
        group: Group::Server,
        since: "6.2.0",
        summary: "Hands the role of the primary over to a replica that has all writes.",
        syntax: "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
        complexity: "O(1)",
        arity: Arity::AtLeast(1),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Stale]),
        ..Spec::EMPTY
    },
    run: OwnRun::Control(failover),
};

fn failover(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    if ctx.control.clustering.is_some() {
        return Err(Error::Text(
            "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.",
        ));
    }
    match Command::parse(&ctx.args[1..])? {
        Command::Start(request) => ctx.control.begin_failover(&request)?,
        Command::Abort => ctx.control.abort_failover()?,
    }
    if !ctx.control.is_replica() && ctx.control.node.condition.role == Role::Replica {
        // It is a primary again, and says so when its shards take writes.
        return Ok(Outcome::Wait(Awaited::Promotion));
    }
    ctx.replies.ok();
    Ok(Outcome::Done)
}
