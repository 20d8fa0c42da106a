//! CLUSTER SLOTS

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::report::slots;
use crate::commands::cluster::{TELLS, VARIES, formed, viewer};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const SLOTS: Own = Own {
    spec: Spec {
        name: "cluster|slots",
        since: "3.0.0",
        summary: "Lists slots with the servers that have them, in a cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let viewer = viewer(ctx)?;
    slots::write(formed(ctx.control)?.machine.nodes(), viewer, &mut ctx.replies);
    Ok(Outcome::Done)
}
