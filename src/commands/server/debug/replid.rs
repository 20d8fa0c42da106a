//! DEBUG CHANGE-REPL-ID

use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const CHANGE_REPL_ID: Own = Own {
    spec: Spec {
        name: "debug|change-repl-id",
        summary: "Gives the history of the dataset another name.",
        ..EACH
    },
    run: OwnRun::Control(change),
};

fn change(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    if ctx.args.len() != 2 {
        return Err(usage_error(ctx.args[1]));
    }
    // The stream of a replica is its primary's.
    if !ctx.control.is_replica() {
        ctx.control.change_replid();
    }
    ctx.replies.ok();
    Ok(Outcome::Done)
}
