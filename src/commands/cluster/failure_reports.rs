//! CLUSTER COUNT-FAILURE-REPORTS node-id

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::cluster::{ASKS, VARIES, clustering, known};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const COUNT_FAILURE_REPORTS: Own = Own {
    spec: Spec {
        name: "cluster|count-failure-reports",
        since: "3.0.0",
        summary: "Returns how many servers say that one of them has failed, in a cluster.",
        syntax: "node-id",
        arity: Arity::Exactly(3),
        tips: VARIES,
        ..ASKS
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let machine = &clustering(ctx.control)?.machine;
    let node = known(machine, ctx.args[2])?;
    let (now, lasts) = (machine.now().at, machine.settings().report_ms());
    let reports = machine.nodes().at(node).reports.values();
    let fresh = reports.filter(|at| now.since(**at) <= lasts).count();
    ctx.replies.integer(i64::try_from(fresh).unwrap_or(i64::MAX));
    Ok(Outcome::Done)
}
