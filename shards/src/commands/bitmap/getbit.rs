//! GETBIT key offset

use crate::commands::bitmap::offset::{bit_offset, byte_and_shift};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const GETBIT: Command = Command {
    spec: Spec {
        name: "getbit",
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Returns one bit of a string.",
        complexity: "O(1)",
        syntax: "key offset",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: getbit,
};

fn getbit(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let offset = bit_offset(ctx.args[2], ctx.db.keyspace.settings.string_bytes_max)?;
    let (at, shift) = byte_and_shift(offset);
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    let byte = match ctx.db.read(key) {
        Some(entry) => entry.bytes(&mut scratch).ok_or(Error::WrongType)?.get(at).copied(),
        None => None,
    };
    ctx.replies.integer(byte.map_or(0, |byte| i64::from(byte >> shift & 1)));
    Ok(())
}
