//! ECHO message

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Spec, Spread};
use crate::resp::error::Error;

pub(super) const ECHO: Command = Command {
    spec: Spec {
        name: "echo",
        group: Group::Connection,
        since: "1.0.0",
        summary: "Returns the message.",
        syntax: "message",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        spread: Spread::Anywhere,
        ..Spec::EMPTY
    },
    run: echo,
};

fn echo(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    ctx.replies.bulk(ctx.args[1]);
    Ok(())
}
