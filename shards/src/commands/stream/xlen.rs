//! XLEN key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::stream::Stream;

pub(super) const XLEN: Command = Command {
    spec: Spec {
        name: "xlen",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Returns how many entries a stream has.",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO"])],
        ..Spec::EMPTY
    },
    run: xlen,
};

fn xlen(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let len = ctx.db.read_stream(key)?.map_or(0, Stream::len);
    ctx.replies.integer(i64::try_from(len).expect("entries take more than a byte"));
    Ok(())
}
