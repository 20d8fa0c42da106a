//! CLUSTER INFO

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::report::info;
use crate::commands::cluster::{TELLS, VARIES, formed};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const INFO: Own = Own {
    spec: Spec {
        name: "cluster|info",
        since: "3.0.0",
        summary: "Tells about the state of the cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..TELLS
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let clustering = formed(ctx.control)?;
    let mut text = info::text(&clustering.machine, clustering.links.bytes());
    let fields = clustering.shown().fields().into_iter();
    text.extend(fields.map(|(name, value)| format!("{name}:{value}\r\n")));
    ctx.replies.verbatim("txt", text.as_bytes());
    Ok(Outcome::Done)
}
