//! SETRANGE key offset value

use crate::base::number::parse_i64;
use crate::commands::ctx::Ctx;
use crate::commands::growth::edit_padded;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const SETRANGE: Command = Command {
    spec: Spec {
        name: "setrange",
        group: Group::String,
        since: "2.2.0",
        summary: "Overwrites a part of a string value from an offset on, padding with zeros and \
                  making the key if needed.",
        complexity: "O(M), M being the length of the value; that of the string does not count.",
        syntax: "key offset value",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: setrange,
};

fn setrange(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let offset = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let offset = usize::try_from(offset).map_err(|_| Error::OffsetOutOfRange)?;
    let value = ctx.args[3];
    let end = offset.saturating_add(value.len());
    if value.is_empty() || ctx.db.keyspace.settings.string_bytes_max < end {
        // Nothing will change. A wrong type is told first, whatever else is wrong.
        let mut scratch = [0; 20];
        let len = match ctx.db.write(key) {
            Some(entry) => entry.bytes(&mut scratch).ok_or(Error::WrongType)?.len(),
            None => 0,
        };
        if !value.is_empty() {
            return Err(Error::StringTooLong);
        }
        ctx.replies.integer(len as i64);
        return Ok(());
    }
    let len = edit_padded(&mut ctx.db, key, end, |bytes, _| {
        bytes[offset..end].copy_from_slice(value);
        bytes.len()
    })?;
    ctx.db.changed(key, Class::String, "setrange");
    ctx.replies.integer(len as i64);
    Ok(())
}
