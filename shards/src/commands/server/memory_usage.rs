//! MEMORY USAGE key [SAMPLES count]

use crate::base::number;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const USAGE: Command = Command {
    spec: Spec {
        name: "memory|usage",
        group: Group::Server,
        since: "4.0.0",
        summary: "Returns how many bytes a key and its value take.",
        complexity: "O(N), N being the number of samples.",
        syntax: "key [SAMPLES count]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec::nth(2, &["RO"])],
        ..Spec::EMPTY
    },
    run: usage,
};

/// A pointer and a tag: what a bucket of the table keeps of an entry.
const PLACE_BYTES: usize = 9;

/// What the index of expiry times keeps of an entry (see `Db::memory`).
const EXPIRY_BYTES: usize = 25;

fn usage(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut options = &ctx.args[3..];
    loop {
        options = match options {
            [] => break,
            // How many elements to look at: collections know their size, so the number only must
            // be one.
            [name, samples, rest @ ..] if name.eq_ignore_ascii_case(b"SAMPLES") => {
                let samples = number::parse_i64(samples).ok_or(Error::NotInteger)?;
                if samples < 0 {
                    return Err(Error::Syntax);
                }
                rest
            }
            _ => return Err(Error::Syntax),
        };
    }
    let key = ctx.key(2);
    // A key that is due takes memory as well until it is removed, so it is not removed here.
    let bytes = ctx.db.db().find(key.hash, key.bytes).map(|entry| {
        let expiry = if entry.expire().is_some() { EXPIRY_BYTES } else { 0 };
        entry.whole_memory() + PLACE_BYTES + expiry
    });
    match bytes {
        Some(bytes) => ctx.replies.integer(i64::try_from(bytes).unwrap_or(i64::MAX)),
        None => ctx.replies.null(),
    }
    Ok(())
}
