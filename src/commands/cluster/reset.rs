//! CLUSTER RESET [HARD | SOFT]

use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::commands::cluster::{EACH, clustering, wrong_words};
use crate::commands::own::{Own, OwnRun};
use crate::control::clustering::asking::{Counted, Request, Reset};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};

pub(super) const RESET: Own = Own {
    spec: Spec {
        name: "cluster|reset",
        since: "3.0.0",
        summary: "Makes this server forget the cluster.",
        syntax: "[HARD | SOFT]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Stale]),
        ..EACH
    },
    run: OwnRun::Control(run),
};

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    let reset = match ctx.args[2..] {
        [] => Reset::Soft,
        [word] if word.eq_ignore_ascii_case(b"soft") => Reset::Soft,
        [word] if word.eq_ignore_ascii_case(b"hard") => Reset::Hard,
        [_] => return Err(Error::Syntax),
        _ => return Err(wrong_words(ctx.args[1])),
    };
    Ok(Outcome::Wait(Awaited::Cluster(Request::Counted(Counted::Reset(reset)))))
}
