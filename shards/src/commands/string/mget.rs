//! MGET key [key ...]

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Merge, Spec, Spread};
use crate::resp::error::Error;

pub(super) const MGET: Command = Command {
    spec: Spec {
        name: "mget",
        group: Group::String,
        since: "1.0.0",
        summary: "Returns the string values of several keys at one moment.",
        complexity: "O(N), N being the number of keys.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        tips: &["request_policy:multi_shard"],
        keys: &[KeySpec::from(1, 1, &["RO", "ACCESS"])],
        spread: Spread::Split(Merge::ByKey),
        ..Spec::EMPTY
    },
    run: mget,
};

fn mget(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    ctx.replies.array(ctx.args.len() - 1);
    for at in 1..ctx.args.len() {
        let key = ctx.key(at);
        let mut scratch = [0; 20];
        match ctx.db.read(key).and_then(|entry| entry.bytes(&mut scratch)) {
            Some(bytes) => ctx.replies.bulk(bytes),
            None => ctx.replies.null(), // Another type is as good as nothing here.
        }
    }
    Ok(())
}
