//! CLUSTER REPLICATE node-id | NO ONE

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::ids::ShardId;
use crate::cluster::machine::event::Command;
use crate::commands::cluster::{CHANGES, ask, clustering, id, wrong_words};
use crate::commands::own::{Own, OwnRun};
use crate::control::clustering::asking::{Counted, Request};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};
use crate::reactor::system;

pub(super) const REPLICATE: Own = Own {
    spec: Spec {
        name: "cluster|replicate",
        since: "3.0.0",
        summary: "Makes this server a replica of another one, in a cluster.",
        syntax: "<node-id | NO ONE>",
        arity: Arity::AtLeast(3),
        ..CHANGES
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    match ctx.args[2..] {
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => {
            ask(Command::ReplicateNoOne(ShardId::of_random(system::random())))
        }
        [node] => {
            let counted = Counted::Replicate(id(node)?);
            Ok(Outcome::Wait(Awaited::Cluster(Request::Counted(counted))))
        }
        _ => Err(wrong_words(ctx.args[1])),
    }
}
