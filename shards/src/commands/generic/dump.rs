//! DUMP key

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::rdb::dump;
use crate::rdb::writer::Compression;
use crate::resp::error::Error;

pub(super) const DUMP: Command = Command {
    spec: Spec {
        name: "dump",
        group: Group::Generic,
        since: "2.6.0",
        summary: "Returns the value of a key in a form that RESTORE takes, here or elsewhere.",
        complexity: "O(N), N being the number of bytes.",
        syntax: "key",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &["keyspace"],
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::nth(1, &["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: dump,
};

fn dump(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    match ctx.db.read(key) {
        Some(entry) => {
            let payload = dump::dump(&entry.value(), Compression::Lzf);
            ctx.replies.bulk(&payload);
        }
        None => ctx.replies.null(),
    }
    Ok(())
}
