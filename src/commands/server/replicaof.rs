//! REPLICAOF host port | NO ONE, SLAVEOF host port | NO ONE

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::config::primary::{Primary, is_no_one};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};
use crate::log;
use crate::mail::query::Query;
use crate::replication::failover::REPLICAOF_REFUSED;
use crate::replication::link::events::By;
use crate::routing::node::Role;

pub(super) const REPLICAOF: Own = Own {
    spec: Spec { name: "replicaof", since: "5.0.0", ..EACH },
    run: OwnRun::Control(replicaof),
};

pub(super) const SLAVEOF: Own =
    Own { spec: Spec { name: "slaveof", ..EACH }, run: OwnRun::Control(replicaof) };

const EACH: Spec = Spec {
    group: Group::Server,
    summary: "Configures a server as replica of another, or promotes it to a primary.",
    syntax: "<host port | NO ONE>",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Stale, Flag::NoAsyncLoading]),
    ..Spec::EMPTY
};

const PORT: Error = Error::Text("ERR Invalid master port");

fn replicaof(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let [_, host, port] = ctx.args else { return Err(Error::Syntax) };
    if ctx.control.clustering.is_some() {
        return Err(Error::Text("ERR REPLICAOF not allowed in cluster mode."));
    }
    if ctx.control.handing_over.machine.is_under_way() {
        return Err(REPLICAOF_REFUSED);
    }
    if is_no_one(host, port) {
        return Ok(no_one(ctx));
    }
    let primary = Primary::read(host, port).ok_or(PORT)?;
    if ctx.control.node.config.replicaof.as_ref().is_some_and(|other| other.is_same(&primary)) {
        log::notice(
            "REPLICAOF would result into synchronization with the primary we are already \
             connected with. No operation performed.",
        );
        ctx.replies.simple("OK Already connected to specified master");
        return Ok(Outcome::Done);
    }
    let Primary { host, port } = &primary;
    let client = ctx.client;
    log::notice(&format!("REPLICAOF {host}:{port} enabled (user request from 'id={client}')"));
    ctx.control.follow(primary, By::Replicaof);
    Ok(Outcome::Ask(Query::Role(Role::Replica), |ctx, _| {
        ctx.replies.ok();
        Ok(())
    }))
}

fn no_one(ctx: &mut ControlCtx<'_>) -> Outcome {
    if ctx.control.is_replica() {
        let client = ctx.client;
        log::notice(&format!("PRIMARY MODE enabled (user request from 'id={client}')"));
        ctx.control.unfollow(By::Replicaof);
    } else if ctx.control.node.condition.role == Role::Primary {
        ctx.replies.ok();
        return Outcome::Done;
    }
    Outcome::Wait(Awaited::Promotion)
}
