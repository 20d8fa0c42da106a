//! BITPOS key bit [start [end [BYTE | BIT]]]

use crate::base::number::parse_i64;
use crate::commands::bitmap::bits::find_between;
use crate::commands::bitmap::range::BitRange;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const BITPOS: Command = Command {
    spec: Spec {
        name: "bitpos",
        group: Group::Bitmap,
        since: "2.8.7",
        summary: "Finds the first bit of a string that is 1 or that is 0.",
        complexity: "O(N)",
        syntax: "key bit [start [end [BYTE | BIT]]]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: bitpos,
};

fn bitpos(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let bit = match parse_i64(ctx.args[2]).ok_or(Error::NotInteger)? {
        0 => false,
        1 => true,
        _ => return Err(Error::Text("ERR The bit argument must be 1 or 0.")),
    };
    let range = BitRange::parse(&ctx.args[3..])?;
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    let found = match ctx.db.read(key) {
        Some(entry) => {
            let bytes = entry.bytes(&mut scratch).ok_or(Error::WrongType)?;
            let range_of_bits = range.of(bytes.len());
            let found =
                range_of_bits.and_then(|(first, last)| find_between(bytes, bit, first, last));
            // Without an end, a string counts as followed by zeros.
            match found {
                None if !bit && range.end.is_none() && range_of_bits.is_some() => {
                    Some(bytes.len() as u64 * 8)
                }
                found => found,
            }
        }
        None if bit => None,
        None => Some(0),
    };
    ctx.replies.integer(found.map_or(-1, u64::cast_signed));
    Ok(())
}
