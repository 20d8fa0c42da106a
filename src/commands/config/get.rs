//! CONFIG GET pattern [pattern ...]

use shards::base::glob;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::config::EACH;
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const GET: Own = Own {
    spec: Spec {
        name: "config|get",
        summary: "Returns settings whose names match, and their values.",
        complexity: "O(N), N being the number of settings.",
        syntax: "parameter [parameter ...]",
        arity: Arity::AtLeast(3),
        ..EACH
    },
    run: OwnRun::Control(get),
};

fn get(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let found = ctx.control.node.config.get(&ctx.args[2..], glob::matches);
    ctx.replies.map(found.len());
    for (name, value) in found {
        ctx.replies.bulk(&name);
        ctx.replies.bulk(&value);
    }
    Ok(Outcome::Done)
}
