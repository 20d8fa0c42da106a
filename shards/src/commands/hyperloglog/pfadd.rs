//! PFADD key [element [element ...]]

use alloc::vec::Vec;

use super::write;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;
use crate::types::hyperloglog::{Corrupt, add, empty, outdate};

pub(super) const PFADD: Command = Command {
    spec: Spec {
        name: "pfadd",
        group: Group::HyperLogLog,
        since: "2.8.9",
        summary: "Notes elements in a HyperLogLog, making it if needed.",
        complexity: "O(1) for each element.",
        syntax: "key [element [element ...]]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "INSERT"])],
        ..Spec::EMPTY
    },
    run: pfadd,
};

fn pfadd(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let sparse_bytes = ctx.db.keyspace.settings.limits.hll_sparse_bytes;
    let elements = &ctx.args[2..];
    let changes = if let Some(entry) = ctx.db.write(key) {
        let (changes, corrupt) = add_all(write(entry)?, elements, sparse_bytes);
        if let Some(at) = corrupt {
            return fail(ctx, &elements[..at], changes);
        }
        changes
    } else {
        let mut entry = Entry::string(key.bytes, &empty());
        let bytes = write(&mut entry)?;
        outdate(bytes);
        let changes = 1 + add_all(bytes, elements, sparse_bytes).0;
        ctx.db.insert(key, entry);
        changes
    };
    if let Some(more) = changes.checked_sub(1) {
        ctx.db.changed(key, Class::String, "pfadd");
        ctx.db.effects.dirty += more;
    }
    ctx.replies.integer(i64::from(0 < changes));
    Ok(())
}

/// Notes elements; says how many changed a register, and which one met that the value is corrupt.
fn add_all(bytes: &mut Vec<u8>, elements: &[&[u8]], sparse_bytes: usize) -> (u64, Option<usize>) {
    let mut changes = 0;
    let corrupt = elements.iter().position(|element| match add(bytes, element, sparse_bytes) {
        Ok(is_change) => {
            changes += u64::from(is_change);
            false
        }
        Err(Corrupt) => true,
    });
    if 0 < changes {
        outdate(bytes);
    }
    (changes, corrupt)
}

/// Answers that the value is corrupt. The elements that were noted before are logged.
#[cold]
fn fail(ctx: &mut Ctx<'_>, noted: &[&[u8]], changes: u64) -> Result<(), Error> {
    if let Some(more) = changes.checked_sub(1) {
        let key = ctx.key(1);
        ctx.db.changed(key, Class::String, "pfadd");
        ctx.db.effects.dirty += more;
        ctx.db.effects.log_instead(&[&[b"PFADD".as_slice(), key.bytes], noted].concat());
    }
    Err(Corrupt.into())
}
