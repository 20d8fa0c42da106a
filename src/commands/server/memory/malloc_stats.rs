//! MEMORY MALLOC-STATS

use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::memory::OF_ALLOCATOR;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::reactor::heap;

pub(super) const MALLOC_STATS: Own = Own {
    spec: Spec {
        name: "memory|malloc-stats",
        summary: "Returns what the allocator says of itself.",
        ..OF_ALLOCATOR
    },
    run: OwnRun::Control(malloc_stats),
};

fn malloc_stats(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    ctx.replies.verbatim("txt", heap::report().as_bytes());
    Ok(Outcome::Done)
}
