//! DELIFEQ key value

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const DELIFEQ: Command = Command {
    spec: Spec {
        name: "delifeq",
        group: Group::String,
        since: "9.0.0",
        summary: "Deletes a key if its string value is the one given.",
        complexity: "O(1)",
        syntax: "key value",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RM", "DELETE"])],
        ..Spec::EMPTY
    },
    run: delifeq,
};

fn delifeq(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    let equal = match ctx.db.write(key) {
        Some(entry) => entry.bytes(&mut scratch).ok_or(Error::WrongType)? == ctx.args[2],
        None => false,
    };
    if equal {
        ctx.db.remove(key);
        ctx.db.changed(key, Class::Generic, "del");
        ctx.db.effects.log_instead(&[b"DEL", key.bytes]);
    }
    ctx.replies.integer(i64::from(equal));
    Ok(())
}
