//! LATENCY DOCTOR

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::latency::EACH_EVENT;
use crate::config::table::Config;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::stats::latency_events::{Event, LatencyEvents, Series};

pub(super) const DOCTOR: Own = Own {
    spec: Spec {
        name: "latency|doctor",
        summary: "Tells what took long, and what can be done about it.",
        arity: Arity::Exactly(2),
        ..EACH_EVENT
    },
    run: OwnRun::Control(doctor),
};

fn doctor(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let text = report(&ctx.control.latency_events, &ctx.control.node.config);
    ctx.replies.verbatim("txt", text.as_bytes());
    Ok(Outcome::Done)
}

fn report(latency_events: &LatencyEvents, config: &Config) -> String {
    if config.latency_monitor_threshold == 0 && latency_events.all().next().is_none() {
        return "Nothing is known: latency is not watched. CONFIG SET latency-monitor-threshold \
                <milliseconds> begins it.\n"
            .into();
    }
    let lines: Vec<String> = latency_events
        .all()
        .enumerate()
        .map(|(at, (event, series))| {
            let (name, count, max) = (event.name(), series.count, series.max);
            let (mean, deviation, period) = figures(series);
            format!(
                "{}. {name}: {count} latency spikes (average {mean}ms, mean deviation \
                 {deviation}ms, period {period:.2} sec). Worst all time event {max}ms.\n",
                at + 1
            )
        })
        .collect();
    if lines.is_empty() {
        return "No latency spike was seen since the start, or since LATENCY RESET.\n".into();
    }
    let advice: Vec<String> =
        advice(latency_events, config).iter().map(|text| format!("- {text}\n")).collect();
    let lines = lines.concat();
    format!("Latency spikes were seen:\n\n{lines}\nWhat can be done:\n\n{}", advice.concat())
}

/// The mean of the samples, how far from it they are on average, and the seconds between them.
fn figures(series: &Series) -> (u64, u64, f64) {
    let samples = &series.samples;
    let count = samples.len() as u64;
    let mean = samples.iter().map(|sample| sample.1).sum::<u64>() / count;
    let deviation = samples.iter().map(|sample| sample.1.abs_diff(mean)).sum::<u64>() / count;
    let (first, last) = (samples[0].0, samples[samples.len() - 1].0);
    let period = last.saturating_sub(first) as f64 / (count - 1).max(1) as f64;
    (mean, deviation, period)
}

/// What helps against the events that were seen.
fn advice(latency_events: &LatencyEvents, config: &Config) -> Vec<String> {
    let seen = |events: &[Event]| events.iter().any(|event| latency_events.of(*event).is_some());
    let threshold_micros = config.latency_monitor_threshold.saturating_mul(1000);
    let slow_from = u64::try_from(config.commandlog_execution_slower_than).ok();
    let commands = [Event::Command, Event::FastCommand];
    let mut advice = Vec::new();
    if seen(&commands) && slow_from.is_none_or(|slow_from| threshold_micros < slow_from) {
        advice.push(format!(
            "The slow log does not hold all commands that are spikes here: CONFIG SET \
             slowlog-log-slower-than {threshold_micros} lets it."
        ));
    }
    let cases: &[(&[Event], &str)] = &[
        (&commands, "Look into SLOWLOG for the commands that take long."),
        (
            &[Event::FastCommand],
            "Commands that should be fast are slow where the machine is busy with something else: \
             look at its load, at swapping, and at `valkey-cli --intrinsic-latency 100`.",
        ),
        (
            &[Event::Command, Event::ExpireCycle, Event::EvictionCycle],
            "Deleting, expiring or evicting large collections takes long, unless it is done in \
             the background: see the lazyfree settings. Smaller collections help, too.",
        ),
        (
            &[Event::Fork],
            "A fork takes the longer the more memory is in use: spread the data over more \
             processes, or save less often.",
        ),
        (
            &[Event::RdbUnlinkTempFile],
            "The disk is slow, or shared with others: removing a file took long.",
        ),
    ];
    let fitting = cases.iter().filter(|(events, _)| seen(events));
    advice.extend(fitting.map(|(_, text)| (*text).to_owned()));
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::latency_events::Occurrence;

    fn check(latency_events: &[(Event, u64, u64)], config: &Config, has: &[&str], lacks: &[&str]) {
        let mut all = LatencyEvents::default();
        for &(event, time, millis) in latency_events {
            all.add(Occurrence { event, time, millis });
        }
        let text = report(&all, config);
        assert!(has.iter().all(|part| text.contains(part)), "{text}");
        assert!(!lacks.iter().any(|part| text.contains(part)), "{text}");
    }

    #[test]
    fn the_doctor_knows_what_was_seen() {
        let watches =
            |threshold| Config { latency_monitor_threshold: threshold, ..Config::default() };
        check(&[], &watches(0), &["not watched"], &["spike was seen"]);
        check(&[], &watches(5), &["No latency spike"], &["not watched"]);
        let commands = [(Event::Command, 1, 20), (Event::Command, 3, 30)];
        let line = "1. command: 2 latency spikes (average 25ms, mean deviation 5ms, period 2.00 \
                    sec). Worst all time event 30ms.";
        check(&commands, &watches(1), &[line, "slower-than 1000", "SLOWLOG"], &["fork"]);
        check(&commands, &watches(100), &[line], &["slower-than"]);
        check(&[(Event::Fork, 1, 9)], &watches(1), &["1. fork: 1 ", "A fork"], &["SLOWLOG"]);
    }
}
