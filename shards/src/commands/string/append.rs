//! APPEND key value

use crate::commands::ctx::Ctx;
use crate::commands::growth::reserve;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;

pub(super) const APPEND: Command = Command {
    spec: Spec {
        name: "append",
        group: Group::String,
        since: "2.0.0",
        summary: "Adds bytes to the end of a string value, making the key if needed.",
        complexity: "O(1) amortized for a small value: room for more is kept behind the string.",
        syntax: "key value",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "INSERT"])],
        ..Spec::EMPTY
    },
    run: append,
};

fn append(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let value = ctx.args[2];
    let bytes_max = ctx.db.keyspace.settings.string_bytes_max;
    let len = match ctx.db.write(key) {
        Some(entry) => {
            let bytes = entry.bytes_mut().ok_or(Error::WrongType)?;
            if bytes_max < bytes.len().saturating_add(value.len()) {
                return Err(Error::StringTooLong);
            }
            reserve(bytes, value.len())?;
            bytes.extend_from_slice(value);
            bytes.len()
        }
        None => {
            ctx.db.insert(key, Entry::string(key.bytes, value));
            value.len()
        }
    };
    ctx.db.changed(key, Class::String, "append");
    ctx.replies.integer(len as i64);
    Ok(())
}
