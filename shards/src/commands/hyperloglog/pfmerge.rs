//! PFMERGE destkey [sourcekey [sourcekey ...]]

use super::{read, write};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;
use crate::types::hyperloglog::{Encoding, Union, become_dense, empty, encoding};

pub(super) const PFMERGE: Command = Command {
    spec: Spec {
        name: "pfmerge",
        group: Group::HyperLogLog,
        since: "2.8.9",
        summary: "Takes what was noted in several HyperLogLogs into one.",
        complexity: "O(N), N being the number of keys.",
        syntax: "destkey [sourcekey [sourcekey ...]]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[
            KeySpec::first(&["RW", "ACCESS", "INSERT"]),
            KeySpec::from(2, 1, &["RO", "ACCESS"]),
        ],
        ..Spec::EMPTY
    },
    run: pfmerge,
};

fn pfmerge(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let sparse_bytes = ctx.db.keyspace.settings.limits.hll_sparse_bytes;
    let (mut union, mut some_are_dense) = (Union::default(), false);
    for at in 1..ctx.args.len() {
        let source = ctx.key(at);
        if let Some(entry) = ctx.db.read(source) {
            let bytes = read(entry)?;
            some_are_dense |= encoding(bytes) == Some(Encoding::Dense);
            union.add(bytes)?;
        }
    }
    if ctx.db.write(key).is_none() {
        ctx.db.insert(key, Entry::string(key.bytes, &empty()));
    }
    let bytes = write(ctx.db.write(key).expect("it was found or made just now"))?;
    if some_are_dense {
        become_dense(bytes)?;
    }
    union.store(bytes, sparse_bytes)?;
    ctx.db.changed(key, Class::String, "pfadd");
    ctx.replies.ok();
    Ok(())
}
