//! TIME

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::reactor::clock;

pub(super) const TIME: Own = Own {
    spec: Spec {
        name: "time",
        group: Group::Server,
        since: "2.6.0",
        summary: "Returns the server's time: seconds since 1970, and microseconds in the second.",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        tips: &["nondeterministic_output"],
        ..Spec::EMPTY
    },
    run: OwnRun::Client(time),
};

const MICROS_PER_SECOND: u64 = 1_000_000;

fn time(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let micros = clock::wall_micros();
    ctx.replies.array(2);
    for part in [micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND] {
        ctx.replies.bulk(part.to_string().as_bytes());
    }
    Ok(())
}
