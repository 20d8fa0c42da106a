//! XDEL key id [id ...]

use alloc::vec::Vec;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::stream::ids::parse_id;
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const XDEL: Command = Command {
    spec: Spec {
        name: "xdel",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Removes entries from a stream and counts those that were there.",
        complexity: "O(1) for each entry.",
        syntax: "key id [id ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "DELETE"])],
        ..Spec::EMPTY
    },
    run: xdel,
};

fn xdel(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, args) = (ctx.key(1), ctx.args);
    let Some(stream) = ctx.db.write_stream(key)? else {
        ctx.replies.integer(0);
        return Ok(());
    };
    let ids = args[2..].iter().map(|id| parse_id(id)).collect::<Result<Vec<_>, _>>()?;
    let deleted = stream.log_mut().delete(ids.into_iter());
    if 0 < deleted {
        ctx.db.changed(key, Class::Stream, "xdel");
        ctx.db.effects.dirty += deleted - 1; // Each entry counts; the first one did.
    }
    ctx.replies.integer(i64::try_from(deleted).expect("there are fewer arguments"));
    Ok(())
}
