//! CONFIG RESETSTAT

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::config::{EACH, ON_ALL_NODES};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::Query;

pub(super) const RESETSTAT: Own = Own {
    spec: Spec {
        name: "config|resetstat",
        summary: "Makes the counters of INFO begin anew.",
        arity: Arity::Exactly(2),
        tips: ON_ALL_NODES,
        ..EACH
    },
    run: OwnRun::Control(resetstat),
};

fn resetstat(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    // What came before is not to be counted behind it.
    ctx.control.note_traffic();
    ctx.control.counters.reset();
    ctx.control.exceeded.reset(ctx.control.node.now);
    if let Some(clustering) = &mut ctx.control.clustering {
        clustering.reset_counts();
    }
    Ok(Outcome::Ask(Query::ResetStats, |ctx, _| {
        ctx.replies.ok();
        Ok(())
    }))
}
