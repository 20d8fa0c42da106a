//! CLUSTER NODES, CLUSTER REPLICAS node-id, CLUSTER SLAVES node-id

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::report::nodes::{self as report, Reader};
use crate::commands::cluster::{ASKS, TELLS, VARIES, formed, known, viewer};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const NODES: Own = Own {
    spec: Spec {
        name: "cluster|nodes",
        since: "3.0.0",
        summary: "Lists all servers of the cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    },
    run: OwnRun::Control(nodes),
};

pub(super) const REPLICAS: Own = Own {
    spec: Spec {
        name: "cluster|replicas",
        since: "5.0.0",
        summary: "Lists the replicas of a primary, in a cluster.",
        syntax: "node-id",
        arity: Arity::Exactly(3),
        tips: VARIES,
        ..ASKS
    },
    run: OwnRun::Control(replicas),
};

pub(super) const SLAVES: Own = Own {
    spec: Spec {
        name: "cluster|slaves",
        since: "3.0.0",
        summary: "Lists the replicas of a primary, in a cluster.",
        syntax: "node-id",
        arity: Arity::Exactly(3),
        tips: VARIES,
        ..ASKS
    },
    run: OwnRun::Control(replicas),
};

fn nodes(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let reader = Reader::Client(viewer(ctx)?);
    let machine = &formed(ctx.control)?.machine;
    let text = report::nodes(machine.nodes(), machine.now(), reader);
    ctx.replies.verbatim("txt", text.as_bytes());
    Ok(Outcome::Done)
}

fn replicas(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let reader = Reader::Client(viewer(ctx)?);
    let machine = &formed(ctx.control)?.machine;
    let primary = known(machine, ctx.args[2])?;
    if machine.nodes().at(primary).is_replica() {
        return Err(Error::Text("ERR The specified node is not a master"));
    }
    let lines = report::replicas(machine.nodes(), primary, machine.now(), reader);
    ctx.replies.array(lines.len());
    lines.iter().for_each(|line| ctx.replies.bulk(line.as_bytes()));
    Ok(Outcome::Done)
}
