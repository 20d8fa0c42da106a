//! LATENCY LATEST, LATENCY HISTORY event, LATENCY RESET [event ...]

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::latency::{EACH, EACH_EVENT, signed};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::stats::latency_events::Event;

pub(super) const LATEST: Own = Own {
    spec: Spec {
        name: "latency|latest",
        summary: "Returns the last, the worst and the sum of the times of all events.",
        arity: Arity::Exactly(2),
        ..EACH_EVENT
    },
    run: OwnRun::Control(latest),
};

pub(super) const HISTORY: Own = Own {
    spec: Spec {
        name: "latency|history",
        summary: "Returns the seconds in which an event took long, and how long.",
        syntax: "event",
        arity: Arity::Exactly(3),
        ..EACH_EVENT
    },
    run: OwnRun::Control(history),
};

pub(super) const RESET: Own = Own {
    spec: Spec {
        name: "latency|reset",
        since: "2.8.13",
        summary: "Forgets events that took long, and returns how many kinds of them.",
        syntax: "[event [event ...]]",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
        ..EACH
    },
    run: OwnRun::Control(reset),
};

fn latest(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let all: Vec<_> = ctx.control.latency_events.all().collect();
    ctx.replies.array(all.len());
    for (event, series) in all {
        let (time, millis) = series.samples.back().copied().unwrap_or_default();
        ctx.replies.array(6);
        ctx.replies.bulk(event.name().as_bytes());
        for number in [time, millis, series.max, series.sum, series.count] {
            ctx.replies.integer(signed(number));
        }
    }
    Ok(Outcome::Done)
}

fn history(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let series = Event::of(ctx.args[2]).and_then(|event| ctx.control.latency_events.of(event));
    let samples = series.map(|series| &series.samples).into_iter().flatten();
    ctx.replies.array(samples.clone().count());
    for &(time, millis) in samples {
        ctx.replies.array(2);
        ctx.replies.integer(signed(time));
        ctx.replies.integer(signed(millis));
    }
    Ok(Outcome::Done)
}

fn reset(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let events: Vec<Event> = match &ctx.args[2..] {
        [] => Event::ALL.into(),
        names => names.iter().filter_map(|name| Event::of(name)).collect(),
    };
    let latency_events = &mut ctx.control.latency_events;
    let forgotten = events.into_iter().filter(|event| latency_events.forget(*event)).count();
    ctx.replies.integer(signed(forgotten as u64));
    Ok(Outcome::Done)
}
