//! DEBUG SLEEP seconds

use std::time::Duration;

use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::Query;

pub(super) const SLEEP: Own = Own {
    spec: Spec {
        name: "debug|sleep",
        summary: "Makes all shards busy for a while.",
        syntax: "seconds",
        ..EACH
    },
    run: OwnRun::Control(sleep),
};

fn sleep(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let [_, _, seconds] = ctx.args else { return Err(usage_error(ctx.args[1])) };
    // What is no number is none, and so is what lies in the past.
    let seconds = str::from_utf8(seconds).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Ok(Outcome::Ask(Query::Stall(micros), |ctx, _| {
        ctx.replies.ok();
        Ok(())
    }))
}
