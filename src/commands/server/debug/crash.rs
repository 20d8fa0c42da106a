//! DEBUG SEGFAULT, DEBUG PANIC, DEBUG ASSERT: what a crash looks like.

use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;
use crate::reactor::crash;

pub(super) const SEGFAULT: Own = Own {
    spec: Spec {
        name: "debug|segfault",
        summary: "Crashes the server by a wrong access to memory.",
        ..EACH
    },
    run: OwnRun::Client(|ctx| {
        alone(ctx)?;
        crash::fault();
        Ok(())
    }),
};

pub(super) const PANIC: Own = Own {
    spec: Spec { name: "debug|panic", summary: "Crashes the server by a panic.", ..EACH },
    run: OwnRun::Client(|ctx| {
        alone(ctx)?;
        panic!("DEBUG PANIC called")
    }),
};

pub(super) const ASSERT: Own = Own {
    spec: Spec {
        name: "debug|assert",
        summary: "Crashes the server by an assertion that does not hold.",
        ..EACH
    },
    run: OwnRun::Client(|ctx| {
        alone(ctx)?;
        assert!(ctx.args.is_empty(), "DEBUG ASSERT called");
        Ok(())
    }),
};

/// Refuses further arguments.
fn alone(ctx: &ClientCtx<'_>) -> Result<(), Error> {
    if ctx.args.len() == 2 { Ok(()) } else { Err(usage_error(ctx.args[1])) }
}
