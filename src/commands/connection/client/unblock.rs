//! CLIENT UNBLOCK client-id [TIMEOUT | ERROR]

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::blocking::waits::WaitEnd;
use crate::commands::connection::client::OF_OTHERS;
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, Query};

pub(super) const UNBLOCK: Own = Own {
    spec: Spec {
        name: "client|unblock",
        since: "5.0.0",
        summary: "Ends the wait of a client in a blocking command.",
        complexity: "O(log N), N being the number of connections.",
        syntax: "client-id [TIMEOUT | ERROR]",
        arity: Arity::AtLeast(3),
        ..OF_OTHERS
    },
    run: OwnRun::Control(unblock),
};

fn unblock(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let ending = match ctx.args.get(3) {
        None => WaitEnd::InVain,
        Some(reason) if reason.eq_ignore_ascii_case(b"TIMEOUT") => WaitEnd::InVain,
        Some(reason) if reason.eq_ignore_ascii_case(b"ERROR") => WaitEnd::Refused,
        Some(_) => {
            return Err(Error::Text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
    };
    let id = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let Ok(id) = u64::try_from(id) else {
        ctx.replies.integer(0);
        return Ok(Outcome::Done);
    };
    // The shard that keeps what the client waits with knows of it.
    Ok(Outcome::Ask(Query::Unblock(id, ending), |ctx, answers| {
        let ended = |answer: &Answer| matches!(answer, Answer::Count(1));
        ctx.replies.integer(i64::from(answers.iter().any(ended)));
        Ok(())
    }))
}
