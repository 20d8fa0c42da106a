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
        add_all(write(entry)?, elements, sparse_bytes)?
    } else {
        let mut entry = Entry::string(key.bytes, &empty());
        let bytes = write(&mut entry)?;
        outdate(bytes);
        let changes = 1 + add_all(bytes, elements, sparse_bytes)?;
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

/// Notes elements; says how many changed a register.
fn add_all(bytes: &mut Vec<u8>, elements: &[&[u8]], sparse_bytes: usize) -> Result<u64, Corrupt> {
    let mut changes = 0;
    for element in elements {
        changes += u64::from(add(bytes, element, sparse_bytes)?);
    }
    if 0 < changes {
        outdate(bytes);
    }
    Ok(changes)
}
