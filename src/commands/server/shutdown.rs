//! SHUTDOWN [[NOSAVE | SAVE] [NOW] [FORCE] [SAFE] [FAILOVER] | ABORT]

use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};
use crate::control::ending::{LastSave, Options};

pub(super) const SHUTDOWN: Own = Own {
    spec: Spec {
        name: "shutdown",
        group: Group::Server,
        summary: "Ends the server.",
        syntax: "[[NOSAVE | SAVE] [NOW] [FORCE] [SAFE] [FAILOVER] | ABORT]",
        arity: Arity::AtLeast(1),
        flags: Flags::of(&[
            Flag::Admin,
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::NoMulti,
            Flag::AllowBusy,
        ]),
        ..Spec::EMPTY
    },
    run: OwnRun::Control(shutdown),
};

/// What Valkey says outside of a cluster, whether there are replicas or not.
const NO_REPLICA: Error = Error::Text("ERR SHUTDOWN FAILOVER is only supported in cluster mode.");

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    save: bool,
    nosave: bool,
    force: bool,
    now: bool,
    safe: bool,
    failover: bool,
    abort: bool,
}

fn shutdown(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let wish = parse(&ctx.args[1..]).ok_or(Error::Syntax)?;
    if wish.abort {
        ctx.control.abort_end()?;
        ctx.replies.ok();
        return Ok(Outcome::Done);
    }
    if wish.failover && ctx.control.clustering.is_none() && !ctx.control.may_hand_over() {
        return Err(NO_REPLICA);
    }
    let save = match wish {
        Wish { save: true, .. } => LastSave::Yes,
        Wish { nosave: true, .. } => LastSave::No,
        _ => LastSave::AsConfigured,
    };
    let Wish { force: forced, now, safe, failover: hands_over, .. } = wish;
    let options = Options { save, forced, now, safe, hands_over };
    Ok(Outcome::Wait(Awaited::End(options)))
}

/// `None` if the words contradict each other, or are others.
fn parse(words: &[&[u8]]) -> Option<Wish> {
    let mut wish = Wish::default();
    for word in words {
        match word.to_ascii_lowercase().as_slice() {
            b"nosave" => wish.nosave = true,
            b"save" => wish.save = true,
            b"failover" => wish.failover = true,
            b"force" => wish.force = true,
            b"now" => wish.now = true,
            b"safe" => wish.safe = true,
            b"abort" => wish.abort = true,
            _ => return None,
        }
    }
    let contradicts = wish.save && wish.nosave || wish.abort && 1 < words.len();
    (!contradicts).then_some(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Wish {
        Wish::default()
    }

    fn check(text: &str, expected: Option<Wish>) {
        let words: Vec<&[u8]> = text.split_whitespace().map(str::as_bytes).collect();
        assert_eq!(parse(&words), expected, "{text}");
    }

    #[test]
    fn contradictions_are_syntax_errors() {
        check("", Some(Wish::default()));
        check("NOSAVE now Force", Some(Wish { nosave: true, force: true, now: true, ..none() }));
        check("abort", Some(Wish { abort: true, ..none() }));
        check("failover safe", Some(Wish { failover: true, safe: true, ..none() }));
        for wrong in ["save nosave", "abort now", "now abort", "abort abort", "soon"] {
            check(wrong, None);
        }
    }
}
