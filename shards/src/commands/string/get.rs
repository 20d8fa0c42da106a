//! GET key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const GET: Command = Command {
    spec: Spec {
        name: "get",
        group: Group::String,
        since: "1.0.0",
        summary: "Returns the string value of a key.",
        complexity: "O(1)",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: get,
};

fn get(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    match ctx.db.read(key) {
        Some(entry) => {
            ctx.replies.bulk(entry.bytes(&mut scratch).ok_or(Error::WrongType)?);
        }
        None => ctx.replies.null(),
    }
    Ok(())
}
