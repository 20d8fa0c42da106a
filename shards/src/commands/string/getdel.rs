//! GETDEL key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const GETDEL: Command = Command {
    spec: Spec {
        name: "getdel",
        group: Group::String,
        since: "6.2.0",
        summary: "Deletes a key and returns the string value it had.",
        complexity: "O(1)",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "DELETE"])],
        ..Spec::EMPTY
    },
    run: getdel,
};

fn getdel(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    match ctx.db.read(key) {
        Some(entry) => ctx.replies.bulk(entry.bytes(&mut scratch).ok_or(Error::WrongType)?),
        None => {
            ctx.replies.null();
            return Ok(());
        }
    }
    ctx.db.remove(key);
    ctx.db.changed(key, Class::Generic, "del");
    ctx.db.effects.log_instead(&[b"DEL", key.bytes]);
    Ok(())
}
