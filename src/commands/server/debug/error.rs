//! DEBUG ERROR string

use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;

pub(super) const ERROR: Own = Own {
    spec: Spec {
        name: "debug|error",
        summary: "Answers an error, so that clients can be tested.",
        syntax: "string",
        ..EACH
    },
    run: OwnRun::Client(error),
};

fn error(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let [_, _, text] = ctx.args else { return Err(usage_error(ctx.args[1])) };
    // It is not a failure of this command, and not counted as one.
    let error = Error::Owned(String::from_utf8_lossy(text).into_owned());
    ctx.replies.error(&error);
    Ok(())
}
