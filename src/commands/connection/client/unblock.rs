//! CLIENT UNBLOCK client-id [TIMEOUT | ERROR]

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::connection::client::OF_OTHERS;
use crate::commands::table::Own;
use crate::coordination::call::Run;
use crate::coordination::control_ctx::{ControlCtx, Outcome};

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
    run: Run::Control(unblock),
};

fn unblock(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    if let Some(reason) = ctx.args.get(3)
        && !reason.eq_ignore_ascii_case(b"TIMEOUT")
        && !reason.eq_ignore_ascii_case(b"ERROR")
    {
        return Err(Error::Text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    }
    parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    // No command blocks yet, so no client waits.
    ctx.replies.integer(0);
    Ok(Outcome::Done)
}
