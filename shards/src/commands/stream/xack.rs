//! XACK key group id [id ...]

use alloc::vec::Vec;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::stream::ids::parse_id;
use crate::resp::error::Error;

pub(super) const XACK: Command = Command {
    spec: Spec {
        name: "xack",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Acknowledges entries that a group delivered, and counts those it knew.",
        complexity: "O(1) for each entry.",
        syntax: "key group id [id ...]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: xack,
};

fn xack(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(1), ctx.args);
    let stream = ctx.db.read_stream_mut(key)?;
    let Some((_, group)) = stream.and_then(|stream| stream.group_mut(args[2])) else {
        ctx.replies.integer(0);
        return Ok(());
    };
    let ids = args[3..].iter().map(|id| parse_id(id)).collect::<Result<Vec<_>, _>>()?;
    let known = ids.into_iter().filter(|id| group.acknowledge(*id)).count();
    // Watchers and listeners hear nothing of it: the entries are what they were.
    ctx.db.effects.dirty += known as u64;
    ctx.replies.integer(i64::try_from(known).expect("there are fewer arguments"));
    Ok(())
}
