//! SYNC

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::commands::replication::psync::{EACH, leave};
use crate::replication::greeting::Asked;
use crate::replication::psync::Request;

pub(super) const SYNC: Own = Own {
    spec: Spec {
        name: "sync",
        summary: "Asks for all keys and the stream behind them; what tools and old replicas do.",
        arity: Arity::Exactly(1),
        ..EACH
    },
    run: OwnRun::Client(sync),
};

fn sync(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    leave(ctx, Request::Sync, Asked::Sync)
}
