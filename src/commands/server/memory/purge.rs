//! MEMORY PURGE

use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::memory::OF_ALLOCATOR;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::reactor::heap;

pub(super) const PURGE: Own = Own {
    spec: Spec {
        name: "memory|purge",
        summary: "Gives memory that is not in use back to the system.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..OF_ALLOCATOR
    },
    run: OwnRun::Control(purge),
};

fn purge(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    if !heap::purge() {
        return Err(Error::Text("ERR Error purging dirty pages"));
    }
    ctx.replies.ok();
    Ok(Outcome::Done)
}
