//! DEBUG POPULATE count [prefix] [size]

use alloc::vec::Vec;

use super::debug_object::usage_error;
use crate::base::hash::slot_of_hash;
use crate::base::number;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Group, Merge, Spec, Spread};
use crate::keyspace::db::Entry;
use crate::resp::error::Error;

pub(super) const POPULATE: Command = Command {
    spec: Spec {
        name: "debug|populate",
        group: Group::Server,
        since: "1.0.0",
        summary: "Makes so many strings, named by prefix and number; none of it is logged.",
        complexity: "O(N), N being the count.",
        syntax: "count [prefix] [size]",
        arity: Arity::AtLeast(2),
        flags: super::DEBUG_FLAGS,
        spread: Spread::Everywhere(Merge::Same),
        ..Spec::EMPTY
    },
    run: populate,
};

/// Each shard goes through all names and makes the keys that live there.
fn populate(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (count, prefix, size) = match &ctx.args[2..] {
        [count] => (count, &b"key"[..], &b"0"[..]),
        [count, prefix] => (count, *prefix, &b"0"[..]),
        [count, prefix, size] => (count, *prefix, *size),
        _ => return Err(usage_error(ctx.args[1])),
    };
    let positive = |text| {
        let number = number::parse_i64(text).ok_or(Error::NotPositive)?;
        u64::try_from(number).map_err(|_| Error::NotPositive)
    };
    let (count, size) = (positive(count)?, positive(size)?);
    let size = usize::try_from(size).map_err(|_| Error::NotPositive)?;
    if ctx.db.keyspace.settings.string_bytes_max < size {
        return Err(Error::StringTooLong);
    }
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for number in 0..count {
        compose(&mut name, prefix, number);
        let key = ctx.db.key(&name);
        let mine = ctx.db.keyspace.slots.contains(&slot_of_hash(key.hash).number());
        if !mine || ctx.db.peek(key).is_some() {
            continue;
        }
        compose(&mut value, b"value", number);
        if size != 0 {
            value.resize(size, 0);
        }
        ctx.db.insert(key, Entry::string(&name, &value));
        ctx.db.touch(ctx.db.index, key);
    }
    ctx.replies.ok();
    Ok(())
}

/// Makes `out` the bytes of `start:number`.
fn compose(out: &mut Vec<u8>, start: &[u8], number: u64) {
    out.clear();
    out.extend_from_slice(start);
    out.push(b':');
    number::write_u64(out, number);
}
