//! BITCOUNT key [start [end [BYTE | BIT]]]

use crate::commands::bitmap::bits::count_between;
use crate::commands::bitmap::range::BitRange;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const BITCOUNT: Command = Command {
    spec: Spec {
        name: "bitcount",
        group: Group::Bitmap,
        since: "2.6.0",
        summary: "Counts the bits of a string that are 1.",
        complexity: "O(N)",
        syntax: "key [start [end [BYTE | BIT]]]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: bitcount,
};

fn bitcount(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = BitRange::parse(&ctx.args[2..])?;
    // Two ends before the string, the wrong way round: nothing, where BITPOS sees the first byte.
    let backwards = range.start < 0 && range.end.is_some_and(|end| end < range.start);
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    let ones = match ctx.db.read(key) {
        Some(entry) => {
            let bytes = entry.bytes(&mut scratch).ok_or(Error::WrongType)?;
            match range.of(bytes.len()) {
                Some((first, last)) if !backwards => count_between(bytes, first, last),
                _ => 0,
            }
        }
        None => 0,
    };
    ctx.replies.integer(ones.cast_signed());
    Ok(())
}
