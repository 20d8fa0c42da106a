//! AUTH [username] password

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::{BEFORE_AUTH, credentials};
use crate::commands::own::{Own, OwnRun};

pub(super) const AUTH: Own = Own {
    spec: Spec {
        name: "auth",
        summary: "Tells the server who the client is.",
        complexity: "O(N), N being the number of the user's passwords.",
        syntax: "[username] password",
        arity: Arity::AtLeast(2),
        ..BEFORE_AUTH
    },
    run: OwnRun::Client(auth),
};

const NO_PASSWORD: Error = Error::Text(
    "ERR AUTH <password> called without any password configured for the default user. \
     Are you sure your configuration is correct?",
);

fn auth(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let config = &ctx.node.config;
    match ctx.args {
        [_, _] if config.requirepass.is_empty() => return Err(NO_PASSWORD),
        [_, password] => credentials::check(config, b"default", password)?,
        [_, user, password] => credentials::check(config, user, password)?,
        _ => return Err(Error::Syntax),
    }
    ctx.client.session.authenticated = true;
    ctx.replies.ok();
    Ok(())
}
