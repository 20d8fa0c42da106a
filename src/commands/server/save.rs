//! SAVE, BGSAVE [SCHEDULE | CANCEL], LASTSAVE

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};

pub(super) const SAVE: Own = Own {
    spec: Spec {
        name: "save",
        group: Group::Server,
        summary: "Writes all keys to the disk, and answers when they are there.",
        complexity: "O(N), N being the number of keys in all databases.",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::NoMulti, Flag::NoAsyncLoading]),
        ..Spec::EMPTY
    },
    run: OwnRun::Control(save),
};

pub(super) const BGSAVE: Own = Own {
    spec: Spec {
        name: "bgsave",
        group: Group::Server,
        summary: "Writes all keys to the disk as they are now, in the background.",
        syntax: "[SCHEDULE | CANCEL]",
        arity: Arity::AtLeast(1),
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading]),
        ..Spec::EMPTY
    },
    run: OwnRun::Control(bgsave),
};

pub(super) const LASTSAVE: Own = Own {
    spec: Spec {
        name: "lastsave",
        group: Group::Server,
        summary: "Returns when all keys were last written to the disk, as a Unix time.",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        categories: &["admin", "dangerous"],
        tips: &["nondeterministic_output"],
        ..Spec::EMPTY
    },
    run: OwnRun::Control(lastsave),
};

const IN_PROGRESS: Error = Error::Text("ERR Background save already in progress");
const NOTHING_TO_CANCEL: Error =
    Error::Text("ERR Background saving is currently not in progress or scheduled");

fn save(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    if ctx.control.is_saving() {
        return Err(IN_PROGRESS);
    }
    Ok(Outcome::Wait(Awaited::Save))
}

fn bgsave(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match &ctx.args[1..] {
        [] => {}
        [word] if is(word, "schedule") => {}
        [word] if is(word, "cancel") => return cancel(ctx),
        _ => return Err(Error::Syntax),
    }
    if ctx.control.is_saving() {
        return Err(IN_PROGRESS);
    }
    if ctx.in_exec || ctx.control.saving.sync.is_some() {
        // Claims of an EXEC stand in the way of a snapshot until it is over, and so do transfers to
        // replicas, which take long.
        ctx.control.saving.scheduled = true;
        ctx.replies.simple("Background saving scheduled");
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Wait(Awaited::Background))
}

fn cancel(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let saving = &mut ctx.control.saving;
    if saving.child.is_some() && !ctx.in_exec {
        return Ok(Outcome::Wait(Awaited::Cancelled));
    }
    if !std::mem::take(&mut saving.scheduled) {
        return Err(NOTHING_TO_CANCEL);
    }
    ctx.replies.simple("Scheduled background saving cancelled");
    Ok(Outcome::Done)
}

fn lastsave(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let seconds = i64::try_from(ctx.control.saving.last_save).unwrap_or(i64::MAX);
    ctx.replies.integer(seconds);
    Ok(Outcome::Done)
}
