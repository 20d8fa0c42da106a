//! REPLCONF [option value ...]

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::replication::greeting::{Answer, Cluster};

pub(super) const REPLCONF: Own = Own {
    spec: Spec {
        name: "replconf",
        group: Group::Server,
        since: "3.0.0",
        summary: "Tells a primary what a replica is and what it can take, before PSYNC.",
        arity: Arity::AtLeast(1),
        flags: Flags::of(&[
            Flag::Admin,
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::AllowBusy,
        ]),
        ..Spec::EMPTY
    },
    run: OwnRun::Client(replconf),
};

/// Notes it with the client until PSYNC. What a replica acknowledges comes behind PSYNC, where no
/// shard reads it: here it means nothing, and is not answered, as in Valkey.
fn replconf(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let greeting = ctx.client.greeting.get_or_insert_default();
    let ownership = ctx.node.cluster.as_deref();
    let knows = |id: &[u8]| ownership.is_some_and(|ownership| ownership.knows(id));
    let cluster = if ownership.is_some() { Cluster::On(&knows) } else { Cluster::Off };
    match greeting.apply(&ctx.args[1..], cluster)? {
        Answer::Ok => ctx.replies.ok(),
        Answer::Silence => {}
    }
    Ok(())
}
