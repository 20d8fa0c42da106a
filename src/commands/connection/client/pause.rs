//! CLIENT PAUSE timeout [WRITE | ALL], CLIENT UNPAUSE

use crate::routing::node::Holds;
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
    let wanted_holds = match &ctx.args[3..] {
        [] => Holds::All,
        // What follows the mode is not looked at.
        [mode, ..] if mode.eq_ignore_ascii_case(b"ALL") => Holds::All,
        [mode, ..] if mode.eq_ignore_ascii_case(b"WRITE") => Holds::Writes,
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
    let before = before.filter(|pause| 0 < pause.left(now));
    let holds = wanted_holds.max(before.map_or(Holds::Nothing, |pause| pause.holds));
    ctx.control.pause = Some(Paused { millis, since: now, holds });
    let query = Query::Pause { millis, holds };
    if ctx.in_exec {
        // What is under way may wait for what the transaction has claimed.
        ctx.control.order(&query);
        ctx.replies.ok();
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Ask(query, |ctx, _| {
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
