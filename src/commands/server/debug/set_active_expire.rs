//! DEBUG SET-ACTIVE-EXPIRE 0 | 1

use shards::base::number::parse_i64;
use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::Query;

pub(super) const SET_ACTIVE_EXPIRE: Own = Own {
    spec: Spec {
        name: "debug|set-active-expire",
        summary: "Says whether keys that nobody asks for go when their time has come.",
        syntax: "0 | 1",
        ..EACH
    },
    run: OwnRun::Control(set),
};

fn set(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let [_, _, on] = ctx.args else { return Err(usage_error(ctx.args[1])) };
    let on = parse_i64(on).is_some_and(|on| on != 0);
    Ok(Outcome::Ask(Query::ActiveExpire(on), |ctx, _| {
        ctx.replies.ok();
        Ok(())
    }))
}
