//! CLUSTER SHARDS

use ::shards::commands::spec::{Arity, Spec};
use ::shards::resp::error::Error;

use crate::cluster::report::shards as report;
use crate::commands::cluster::{TELLS, VARIES, formed, viewer};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const SHARDS: Own = Own {
    spec: Spec {
        name: "cluster|shards",
        since: "7.0.0",
        summary: "Lists primaries with their replicas and slots, in a cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let viewer = viewer(ctx)?;
    report::write(formed(ctx.control)?.machine.nodes(), viewer, &mut ctx.replies);
    Ok(Outcome::Done)
}
