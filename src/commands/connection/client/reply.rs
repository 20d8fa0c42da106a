//! CLIENT REPLY ON | OFF | SKIP

use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::clients::client::ReplyMode;
use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::EACH;
use crate::commands::own::{Own, OwnRun};

pub(super) const REPLY: Own = Own {
    spec: Spec {
        name: "client|reply",
        since: "3.2.0",
        summary: "Says which replies the client wants: all, none, or all but the next.",
        syntax: "<ON | OFF | SKIP>",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::NoMulti,
            Flag::AllowBusy,
        ]),
        ..EACH
    },
    run: OwnRun::Client(reply),
};

fn reply(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let (mode, session) = (ctx.args[2], &mut ctx.client.session);
    if mode.eq_ignore_ascii_case(b"ON") {
        session.reply = ReplyMode::On;
        ctx.replies.ok();
    } else if mode.eq_ignore_ascii_case(b"OFF") {
        session.reply = ReplyMode::Off;
    } else if mode.eq_ignore_ascii_case(b"SKIP") {
        // A client that gets no reply at all cannot miss another one.
        if session.reply != ReplyMode::Off {
            session.reply = ReplyMode::Skip;
        }
    } else {
        return Err(Error::Syntax);
    }
    Ok(())
}
