//! SETNX key value

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;

pub(super) const SETNX: Command = Command {
    spec: Spec {
        name: "setnx",
        group: Group::String,
        since: "1.0.0",
        summary: "Sets the string value of a key if the key does not exist.",
        complexity: "O(1)",
        syntax: "key value",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["OW", "INSERT"])],
        ..Spec::EMPTY
    },
    run: setnx,
};

fn setnx(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let missing = ctx.db.write(key).is_none();
    if missing {
        ctx.db.insert(key, Entry::string(key.bytes, ctx.args[2]));
        ctx.db.changed(key, Class::String, "set");
    }
    ctx.replies.integer(i64::from(missing));
    Ok(())
}
