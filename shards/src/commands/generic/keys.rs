//! KEYS pattern

use alloc::vec::Vec;

use crate::base::glob;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Merge, Spec, Spread};
use crate::encodings::table::Record;
use crate::resp::error::Error;

pub(super) const KEYS: Command = Command {
    spec: Spec {
        name: "keys",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Returns the names of all keys that match a pattern.",
        complexity: "O(N), N being the number of keys in the database.",
        syntax: "pattern",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &["keyspace", "dangerous"],
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        spread: Spread::Everywhere(Merge::Concat),
        ..Spec::EMPTY
    },
    run: keys,
};

fn keys(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let pattern = ctx.args[1];
    let keyspace = &*ctx.db.keyspace;
    let found: Vec<&[u8]> = keyspace.dbs[ctx.db.index]
        .table()
        .iter()
        // Keys that are due stay until they are looked up or their turn comes: KEYS does
        // not wait for their removal.
        .filter(|entry| keyspace.shows(entry))
        .map(Record::key)
        .filter(|key| pattern == b"*" || glob::matches(pattern, key))
        .collect();
    ctx.replies.array(found.len());
    for key in found {
        ctx.replies.bulk(key);
    }
    Ok(())
}
