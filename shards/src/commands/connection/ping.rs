//! PING [message]

use alloc::string::ToString;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Spec, Spread};
use crate::resp::error::Error;

pub(super) const PING: Command = Command {
    spec: Spec {
        name: "ping",
        group: Group::Connection,
        since: "1.0.0",
        summary: "Tells that the server is alive.",
        syntax: "[message]",
        arity: Arity::AtLeast(1),
        flags: Flags::of(&[Flag::Fast]),
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        spread: Spread::Anywhere,
        ..Spec::EMPTY
    },
    run: ping,
};

fn ping(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    match ctx.args {
        [_] => ctx.replies.simple("PONG"),
        [_, message] => ctx.replies.bulk(message),
        _ => return Err(Error::WrongArity("ping".to_string())),
    }
    Ok(())
}
