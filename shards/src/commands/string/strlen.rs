//! STRLEN key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const STRLEN: Command = Command {
    spec: Spec {
        name: "strlen",
        group: Group::String,
        since: "2.2.0",
        summary: "Returns how many bytes a string value has.",
        complexity: "O(1)",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO"])],
        ..Spec::EMPTY
    },
    run: strlen,
};

fn strlen(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    let len = match ctx.db.read(key) {
        Some(entry) => entry.bytes(&mut scratch).ok_or(Error::WrongType)?.len(),
        None => 0,
    };
    ctx.replies.integer(len as i64);
    Ok(())
}
