//! ROLE

use shards::commands::spec::{Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};

pub(super) const ROLE: Own = Own {
    spec: Spec {
        name: "role",
        group: Group::Server,
        since: "2.8.12",
        summary: "Tells whether the server is a primary, and which replicas it has.",
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast]),
        categories: &["admin", "dangerous"],
        ..Spec::EMPTY
    },
    run: OwnRun::Client(role),
};

/// Nothing is replicated yet: a primary, no byte of whose log was sent, without replicas.
fn role(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.array(3);
    ctx.replies.bulk(b"master");
    ctx.replies.integer(0);
    ctx.replies.array(0);
    Ok(())
}
