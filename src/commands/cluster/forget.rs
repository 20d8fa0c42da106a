//! CLUSTER FORGET node-id

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::machine::event::Command;
use crate::commands::cluster::{CHANGES, ask, clustering, id};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const FORGET: Own = Own {
    spec: Spec {
        name: "cluster|forget",
        since: "3.0.0",
        summary: "Takes a server out of the cluster.",
        syntax: "node-id",
        arity: Arity::Exactly(3),
        ..CHANGES
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    ask(Command::Forget(id(ctx.args[2])?))
}
