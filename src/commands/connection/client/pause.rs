//! CLIENT PAUSE timeout [WRITE | ALL], CLIENT UNPAUSE

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::connection::client::OF_OTHERS;
use crate::commands::own::{Own, OwnRun};
use crate::control::core::Paused;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::Query;
use crate::reactor::clock;

pub(super) const PAUSE: Own = Own {
    spec: Spec {
        name: "client|pause",
        since: "3.0.0",
        summary: "Holds requests back for a while: all, or those that write.",
        syntax: "timeout [WRITE | ALL]",
        arity: Arity::AtLeast(3),
        ..OF_OTHERS
    },
    run: OwnRun::Control(pause),
};

pub(super) const UNPAUSE: Own = Own {
    spec: Spec {
        name: "client|unpause",
        since: "6.2.0",
        summary: "Ends CLIENT PAUSE.",
        complexity: "O(N), N being the number of clients that are held back.",
        arity: Arity::Exactly(2),
        ..OF_OTHERS
    },
    run: OwnRun::Control(unpause),
};

fn pause(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let wants_all = match &ctx.args[3..] {
        [] => true,
        // What follows the mode is not looked at.
        [mode, ..] if mode.eq_ignore_ascii_case(b"ALL") => true,
        [mode, ..] if mode.eq_ignore_ascii_case(b"WRITE") => false,
        _ => return Err(Error::Text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let wanted = parse_i64(ctx.args[2]).ok_or(Error::TimeoutNotInteger)?;
    let wanted = u64::try_from(wanted).map_err(|_| Error::TimeoutNegative)?;
    // The end must be a time that Valkey could write down.
    if i64::MAX.unsigned_abs() - clock::wall().0 < wanted {
        return Err(Error::Text("ERR timeout is out of range"));
    }
    // A pause neither ends earlier nor lets more through because of another one.
    let now = ctx.control.node.now;
    let before = ctx.control.pause;
    let millis = wanted.max(before.map_or(0, |pause| pause.left(now)));
    let all = wants_all || before.is_some_and(|pause| pause.all && 0 < pause.left(now));
    ctx.control.pause = Some(Paused { millis, since: now, all });
    Ok(Outcome::Ask(Query::Pause { millis, all }, |ctx, _| {
        ctx.replies.ok();
        Ok(())
    }))
}

fn unpause(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    ctx.control.pause = None;
    Ok(Outcome::Ask(Query::Unpause, |ctx, _| {
        ctx.replies.ok();
        Ok(())
    }))
}
