//! CLIENT SETINFO LIB-NAME libname | LIB-VER libver

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::{EACH, is_showable};
use crate::commands::own::{Own, OwnRun};

pub(super) const SETINFO: Own = Own {
    spec: Spec {
        name: "client|setinfo",
        since: "7.2.0",
        summary: "Tells which library the client uses.",
        syntax: "<LIB-NAME libname | LIB-VER libver>",
        arity: Arity::Exactly(4),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..EACH
    },
    run: OwnRun::Client(setinfo),
};

fn setinfo(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let (option, value) = (ctx.args[2], ctx.args[3]);
    let session = &mut ctx.client.session;
    let shown = String::from_utf8_lossy(option);
    let field = if option.eq_ignore_ascii_case(b"LIB-NAME") {
        &mut session.lib_name
    } else if option.eq_ignore_ascii_case(b"LIB-VER") {
        &mut session.lib_ver
    } else {
        return Err(Error::Owned(format!("ERR Unrecognized option '{shown}'")));
    };
    if !is_showable(value) {
        let text = format!("ERR {shown} cannot contain spaces, newlines or special characters.");
        return Err(Error::Owned(text));
    }
    *field = value.to_vec();
    ctx.replies.ok();
    Ok(())
}
