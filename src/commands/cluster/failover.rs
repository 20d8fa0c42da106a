//! CLUSTER FAILOVER [FORCE | TAKEOVER]

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::machine::event::{Command, Failover};
use crate::commands::cluster::{CHANGES, ask, clustering};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const FAILOVER: Own = Own {
    spec: Spec {
        name: "cluster|failover",
        since: "3.0.0",
        summary: "Makes a replica of a cluster the primary of its slots.",
        syntax: "[FORCE | TAKEOVER]",
        arity: Arity::AtLeast(2),
        ..CHANGES
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    let how = match ctx.args[2..] {
        [] => Failover::Plain,
        [word] if word.eq_ignore_ascii_case(b"force") => Failover::Force,
        [word] if word.eq_ignore_ascii_case(b"takeover") => Failover::Takeover,
        _ => return Err(Error::Syntax),
    };
    ask(Command::Failover(how))
}
