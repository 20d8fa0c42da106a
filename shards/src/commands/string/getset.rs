//! GETSET key value

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::selected::Expiry;
use crate::resp::error::Error;

pub(super) const GETSET: Command = Command {
    spec: Spec {
        name: "getset",
        group: Group::String,
        since: "1.0.0",
        summary: "Sets the string value of a key and returns the one it had before.",
        complexity: "O(1)",
        syntax: "key value",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: getset,
};

fn getset(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let value = ctx.args[2];
    let mut scratch = [0; 20];
    match ctx.db.read(key) {
        Some(entry) => ctx.replies.bulk(entry.bytes(&mut scratch).ok_or(Error::WrongType)?),
        None => ctx.replies.null(),
    }
    ctx.db.set_string(key, value, Expiry::Clear);
    ctx.db.changed(key, Class::String, "set");
    ctx.db.effects.log_instead(&[b"SET", key.bytes, value]);
    Ok(())
}
