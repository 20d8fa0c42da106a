//! RANDOMKEY

use alloc::vec::Vec;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Merge, Spec, Spread};
use crate::keyspace::selected::Selected;
use crate::keyspace::settings::OnExpiry;
use crate::resp::error::Error;

pub(super) const RANDOMKEY: Command = Command {
    spec: Spec {
        name: "randomkey",
        group: Group::Generic,
        since: "1.0.0",
        summary: "Returns the name of a key picked by chance.",
        complexity: "O(1)",
        syntax: "",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &["keyspace"],
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        spread: Spread::Everywhere(Merge::Pick),
        ..Spec::EMPTY
    },
    run: randomkey,
};

/// So many keys that are due and have to stay mean that nearly all are: then the first is taken
/// that is not.
const HIDDEN_MAX: usize = 100;

/// Answers `[key or null, number of keys]` for its shard; the merge picks among shards.
fn randomkey(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    ctx.replies.array(2);
    match pick(&mut ctx.db) {
        Some(key) => ctx.replies.bulk(&key),
        None => ctx.replies.null(),
    }
    let keys = ctx.db.db().len();
    ctx.replies.integer(i64::try_from(keys).unwrap_or(i64::MAX));
    Ok(())
}

/// A key by chance. Keys that are due are removed or, where they have to stay, passed over.
fn pick(db: &mut Selected<'_>) -> Option<Vec<u8>> {
    let mut hidden = 0;
    while hidden < HIDDEN_MAX {
        let chance = db.keyspace.random.bits();
        let entry = db.keyspace.dbs[db.index].table().sample(chance)?;
        let bytes = entry.key().to_vec();
        if db.keyspace.shows(entry) {
            return Some(bytes);
        }
        match db.keyspace.settings.expiry {
            // That leaves one key less, so the loop ends.
            OnExpiry::Removes => db.expire(db.key(&bytes)),
            OnExpiry::Hides | OnExpiry::Ignores => hidden += 1,
        }
    }
    let mut entries = db.keyspace.dbs[db.index].table().iter();
    entries.find(|entry| db.keyspace.shows(entry)).map(|entry| entry.key().to_vec())
}
