//! CLUSTER KEYSLOT key

use shards::base::slot::Slot;
use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::cluster::EACH;
use crate::commands::own::{Own, OwnRun};

pub(super) const KEYSLOT: Own = Own {
    spec: Spec {
        name: "cluster|keyslot",
        since: "3.0.0",
        summary: "Returns the slot of a key.",
        complexity: "O(N), N being the number of bytes of the key.",
        syntax: "key",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Stale]),
        ..EACH
    },
    run: OwnRun::Client(keyslot),
};

fn keyslot(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.integer(i64::from(Slot::of(ctx.args[2]).number()));
    Ok(())
}
