//! DEBUG RELOAD [option ...]

use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;
use crate::control::ctx::{Awaited, ControlCtx, Outcome};
use crate::control::standing::Reload;

pub(super) const RELOAD: Own = Own {
    spec: Spec {
        name: "debug|reload",
        summary: "Writes all keys to the disk, removes them, and reads them again.",
        syntax: "[option ...]",
        ..EACH
    },
    run: OwnRun::Control(reload),
};

const OPTIONS: Error =
    Error::Text("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
const IN_EXEC: Error = Error::Text("ERR DEBUG RELOAD is not supported inside a transaction");
const LOADING: Error = Error::Text("ERR DEBUG RELOAD is already in progress");

fn reload(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let mut reload = Reload { saves: true, flushes: true, merges: false };
    for word in &ctx.args[2..] {
        match word.to_ascii_lowercase().as_slice() {
            b"merge" => reload.merges = true,
            b"noflush" => reload.flushes = false,
            b"nosave" => reload.saves = false,
            _ => return Err(OPTIONS),
        }
    }
    if ctx.in_exec {
        return Err(IN_EXEC);
    }
    if ctx.control.loading.is_some() {
        return Err(LOADING);
    }
    Ok(Outcome::Wait(Awaited::Reload(reload)))
}
