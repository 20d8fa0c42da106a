//! ROLE

use shards::commands::spec::{Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

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
    run: OwnRun::Control(role),
};

fn role(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    ctx.control.replication().write_role(&mut ctx.replies);
    Ok(Outcome::Done)
}
