//! CLIENT TRACKING, CLIENT CACHING, CLIENT GETREDIR, CLIENT TRACKINGINFO

use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::clients::line::redirect;
use crate::clients::tracker::{Caching, Tracker};
use crate::commands::connection::client::EACH;
use crate::commands::own::{Own, OwnRun};
use crate::pubsub::tracking::options::Mode;
use crate::routing::call::PubSubStep;

pub(super) const TRACKING: Own = Own {
    spec: Spec {
        name: "client|tracking",
        since: "6.0.0",
        summary: "Says of which changed keys the connection is told.",
        complexity: "O(1). Some options may take more.",
        syntax: "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] \
                 [OPTIN] [OPTOUT] [NOLOOP]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale]),
        ..EACH
    },
    run: OwnRun::PubSub(PubSubStep::Track),
};

pub(super) const CACHING: Own = Own {
    spec: Spec {
        name: "client|caching",
        since: "6.0.0",
        summary: "Says whether keys that the next command reads are tracked.",
        syntax: "<YES | NO>",
        arity: Arity::Exactly(3),
        ..EACH
    },
    run: OwnRun::Client(caching),
};

pub(super) const GETREDIR: Own = Own {
    spec: Spec {
        name: "client|getredir",
        since: "6.0.0",
        summary: "Returns the connection that is told of changed keys in place of this one.",
        arity: Arity::Exactly(2),
        ..EACH
    },
    run: OwnRun::Client(getredir),
};

pub(super) const TRACKINGINFO: Own = Own {
    spec: Spec {
        name: "client|trackinginfo",
        since: "6.2.0",
        summary: "Returns of which changed keys the connection is told.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale]),
        ..EACH
    },
    run: OwnRun::Client(trackinginfo),
};

const NOT_TRACKING: Error = Error::Text(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
     OPTOUT mode enabled",
);
const NOT_OPTIN: Error =
    Error::Text("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
const NOT_OPTOUT: Error =
    Error::Text("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");

fn caching(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let Some(tracker) = &mut ctx.client.tracker else { return Err(NOT_TRACKING) };
    match ctx.args[2].to_ascii_lowercase().as_slice() {
        b"yes" if tracker.mode == Mode::OptIn => tracker.caching = Caching::Next,
        b"yes" => return Err(NOT_OPTIN),
        b"no" if tracker.mode == Mode::OptOut => tracker.caching = Caching::Next,
        b"no" => return Err(NOT_OPTOUT),
        _ => return Err(Error::Syntax),
    }
    ctx.replies.ok();
    Ok(())
}

fn getredir(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.integer(redirect(ctx.client));
    Ok(())
}

fn trackinginfo(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let tracker = ctx.client.tracker.as_deref();
    let flags = tracker.map_or(vec!["off"], flags);
    ctx.replies.map(3);
    ctx.replies.bulk(b"flags");
    ctx.replies.set(flags.len());
    flags.into_iter().for_each(|flag| ctx.replies.bulk(flag.as_bytes()));
    ctx.replies.bulk(b"redirect");
    ctx.replies.integer(redirect(ctx.client));
    ctx.replies.bulk(b"prefixes");
    match tracker.map(|tracker| &tracker.mode) {
        Some(Mode::Broadcast(prefixes)) => {
            ctx.replies.array(prefixes.len());
            prefixes.iter().for_each(|prefix| ctx.replies.bulk(prefix));
        }
        Some(Mode::Read | Mode::OptIn | Mode::OptOut) | None => ctx.replies.array(0),
    }
    Ok(())
}

fn flags(tracker: &Tracker) -> Vec<&'static str> {
    let given = tracker.caching != Caching::Not;
    let is = |mode: Mode| tracker.mode == mode;
    let flags = [
        (true, "on"),
        (matches!(tracker.mode, Mode::Broadcast(_)), "bcast"),
        (is(Mode::OptIn), "optin"),
        (is(Mode::OptIn) && given, "caching-yes"),
        (is(Mode::OptOut), "optout"),
        (is(Mode::OptOut) && given, "caching-no"),
        (tracker.no_loop, "noloop"),
        (tracker.broken, "broken_redirect"),
    ];
    flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).collect()
}
