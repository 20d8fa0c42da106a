//! CLUSTER MYID, CLUSTER MYSHARDID

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::cluster::{TELLS, VARIES, clustering};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const MYID: Own = Own {
    spec: Spec {
        name: "cluster|myid",
        since: "3.0.0",
        summary: "Returns the id of this server, in a cluster.",
        arity: Arity::Exactly(2),
        ..TELLS
    },
    run: OwnRun::Control(id),
};

pub(super) const MYSHARDID: Own = Own {
    spec: Spec {
        name: "cluster|myshardid",
        since: "7.2.0",
        summary: "Returns the id that a primary and its replicas have in common, in a cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    },
    run: OwnRun::Control(shard_id),
};

fn id(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let id = clustering(ctx.control)?.machine.nodes().me().id;
    ctx.replies.bulk(id.as_bytes());
    Ok(Outcome::Done)
}

fn shard_id(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let nodes = clustering(ctx.control)?.machine.nodes();
    let shard = nodes.shown_shard(nodes.myself());
    ctx.replies.bulk(shard.as_bytes());
    Ok(Outcome::Done)
}
