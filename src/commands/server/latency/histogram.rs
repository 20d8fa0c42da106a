//! LATENCY HISTOGRAM [command ...]

use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::command::named;
use crate::commands::server::gathered::Gathered;
use crate::commands::server::latency::{EACH, signed};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, Query};
use crate::reactor::clock::CycleRate;
use crate::routing::call::Call;
use crate::stats::histogram::Histogram;

pub(super) const HISTOGRAM: Own = Own {
    spec: Spec {
        name: "latency|histogram",
        since: "7.0.0",
        summary: "Returns how many calls of each command took how long.",
        complexity: "O(N), N being the number of commands that were called.",
        syntax: "[command [command ...]]",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        ..EACH
    },
    run: OwnRun::Control(|_| Ok(Outcome::Ask(Query::Figures, write_histograms))),
};

fn write_histograms(ctx: &mut ControlCtx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let node = &ctx.control.node;
    let counters = Gathered::new(ctx.control, answers).calls;
    let calls: Vec<&Call> = match &ctx.args[2..] {
        [] => node.table.calls.iter().collect(),
        names => names.iter().filter_map(|name| named(node.table, name)).collect(),
    };
    let all = calls.into_iter().flat_map(|call| std::iter::once(call).chain(&call.subcommands));
    let known = |call: &Call| Some((call.spec.name, counters.get(&call.id)?.latency.as_ref()?));
    let histograms: Vec<_> = all.filter_map(known).collect();
    ctx.replies.map(histograms.len());
    for (name, histogram) in histograms {
        ctx.replies.bulk(name.as_bytes());
        ctx.replies.map(2);
        ctx.replies.bulk(b"calls");
        ctx.replies.integer(signed(histogram.count()));
        ctx.replies.bulk(b"histogram_usec");
        let pairs = doublings(histogram, node.cycle_rate);
        ctx.replies.map(pairs.len());
        for (micros, count) in pairs {
            ctx.replies.integer(signed(micros));
            ctx.replies.integer(signed(count));
        }
    }
    Ok(())
}

/// How many calls took at most so many microseconds, for each doubling that adds some.
fn doublings(histogram: &Histogram, rate: CycleRate) -> Vec<(u64, u64)> {
    let mut pairs: Vec<(u64, u64)> = Vec::new();
    for (cycles, count) in histogram.cumulative() {
        // 1024 nanoseconds are the first microsecond.
        let nanos = rate.nanos(cycles).max(1024).next_power_of_two();
        match pairs.last_mut() {
            Some(last) if last.0 == shown(nanos) => last.1 = count,
            _ => pairs.push((shown(nanos), count)),
        }
    }
    pairs
}

/// The microseconds by which Valkey names a doubling: its histograms keep two digits, and it names
/// the longest time that they do not tell from this one.
fn shown(nanos: u64) -> u64 {
    (nanos + nanos / 128 - 1) / 1000
}
