//! The subcommands of CLUSTER about moves of slots as a whole, of which there are none: they are
//! listed, and unknown when they are called, but for the one that lists such moves.

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::cluster::{CHANGES, clustering, unknown};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

/// All of them.
pub(super) const SUBCOMMANDS: &[Own] = &[
    absent(Spec {
        name: "cluster|cancelslotmigrations",
        since: "9.0.0",
        summary: "Ends moves of slots to other servers that are under way, in a cluster.",
        arity: Arity::Exactly(2),
        ..CHANGES
    }),
    Own {
        spec: Spec {
            name: "cluster|getslotmigrations",
            since: "9.0.0",
            summary: "Tells about moves of slots, past and under way, in a cluster.",
            arity: Arity::Exactly(2),
            ..CHANGES
        },
        run: OwnRun::Control(list_none),
    },
    absent(Spec {
        name: "cluster|migrateslots",
        since: "9.0.0",
        summary: "Moves slots to another server, in a cluster.",
        arity: Arity::AtLeast(4),
        ..CHANGES
    }),
    absent(Spec {
        name: "cluster|syncslots",
        since: "9.0.0",
        summary: "Is what servers say to each other while slots move, in a cluster.",
        arity: Arity::AtLeast(3),
        ..CHANGES
    }),
];

const fn absent(spec: Spec) -> Own {
    Own { spec, run: OwnRun::Control(refuse) }
}

fn list_none(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    ctx.replies.array(0);
    Ok(Outcome::Done)
}

fn refuse(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    Err(unknown(ctx.args[1]))
}
