//! READONLY, READWRITE, ASKING, and CLUSTER: the container and the list of its subcommands. There
//! is no cluster mode yet: all but those that any server can answer say so.

mod disabled;
mod keyslot;

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};

/// Every command about the cluster without subcommands.
pub const COMMANDS: &[Own] = &[ASKING, READONLY, READWRITE];

/// The container.
pub const CLUSTER: Own = Own {
    spec: Spec {
        name: "cluster",
        since: "3.0.0",
        summary: "Commands about servers that share out the slots; there is no cluster mode yet.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&keyslot::KEYSLOT.spec],
        ..EACH
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[&[Own]] = &[&[keyslot::KEYSLOT], disabled::SUBCOMMANDS];

/// What all of them have in common.
const EACH: Spec = Spec { group: Group::Cluster, ..Spec::EMPTY };

const DISABLED: Error = Error::Text("ERR This instance has cluster support disabled");

const ASKING: Own = Own {
    spec: Spec {
        name: "asking",
        since: "3.0.0",
        summary: "Lets the next command use a slot that is on its way here, in a cluster.",
        flags: Flags::of(&[Flag::Fast]),
        categories: &["connection"],
        ..EACH
    },
    run: OwnRun::Client(refuse),
};

const READONLY: Own = Own {
    spec: Spec {
        name: "readonly",
        since: "3.0.0",
        summary: "Says that the client reads from a replica of a cluster.",
        flags: MODE,
        categories: &["connection"],
        ..EACH
    },
    run: OwnRun::Client(accept),
};

const READWRITE: Own = Own {
    spec: Spec {
        name: "readwrite",
        since: "3.0.0",
        summary: "Takes READONLY back.",
        flags: MODE,
        categories: &["connection"],
        ..EACH
    },
    run: OwnRun::Client(accept),
};

const MODE: Flags = Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]);

/// Both modes are the same outside of a cluster: the server has all slots.
fn accept(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.ok();
    Ok(())
}

fn refuse(_: &mut ClientCtx<'_>) -> Result<(), Error> {
    Err(DISABLED)
}
