//! SETBIT key offset value

use crate::commands::bitmap::offset::{bit_offset, byte_and_shift};
use crate::commands::ctx::Ctx;
use crate::commands::growth::edit_padded;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;

pub(super) const SETBIT: Command = Command {
    spec: Spec {
        name: "setbit",
        group: Group::Bitmap,
        since: "2.2.0",
        summary: "Sets or clears one bit of a string, padding with zeros and making the key if \
                  needed.",
        complexity: "O(1)",
        syntax: "key offset value",
        arity: Arity::Exactly(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: setbit,
};

fn setbit(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let offset = bit_offset(ctx.args[2], ctx.db.keyspace.settings.string_bytes_max)?;
    let bit = match ctx.args[3] {
        b"0" => 0u8,
        b"1" => 1,
        _ => return Err(Error::Bit),
    };
    let (at, shift) = byte_and_shift(offset);
    let key = ctx.key(1);
    let (before, changed) = edit_padded(&mut ctx.db, key, at + 1, |bytes, grew| {
        let before = bytes[at] >> shift & 1;
        bytes[at] = bytes[at] & !(1 << shift) | bit << shift;
        (before, grew || before != bit)
    })?;
    if changed {
        ctx.db.changed(key, Class::String, "setbit");
    }
    ctx.replies.integer(i64::from(before));
    Ok(())
}
