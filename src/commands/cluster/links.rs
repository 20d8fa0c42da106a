//! CLUSTER LINKS

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::report::links;
use crate::commands::cluster::{LOOKS, VARIES, clustering};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const LINKS: Own = Own {
    spec: Spec {
        name: "cluster|links",
        since: "7.0.0",
        summary: "Lists the connections between this server and the others, in a cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..LOOKS
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let clustering = clustering(ctx.control)?;
    let buffer = |link| clustering.links.buffer(link);
    links::write(&clustering.machine, buffer, &mut ctx.replies);
    Ok(Outcome::Done)
}
