//! DEBUG LOG message

use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::log;

pub(super) const LOG: Own = Own {
    spec: Spec {
        name: "debug|log",
        summary: "Writes a line into the log.",
        syntax: "message",
        ..EACH
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let [_, _, message] = ctx.args else { return Err(usage_error(ctx.args[1])) };
    log::warning(&format!("DEBUG LOG: {}", String::from_utf8_lossy(message)));
    ctx.replies.ok();
    Ok(Outcome::Done)
}
