//! Figures of each command that was called, and of errors by their first word. Labels are names of
//! commands of the table, so there are no more than it has.

use crate::commands::server::gathered::Gathered;
use crate::metrics::fractions::Distribution;
use crate::metrics::page::{Name, Page};
use crate::reactor::clock::CycleRate;
use crate::routing::call::Call;
use crate::stats::counters::CallCounters;
use crate::stats::histogram::Histogram;

/// Upper bounds of the buckets, in nanoseconds: 100 ns to 10 s, three for each power of ten.
const BOUNDS_NANOS: [u64; 25] = bounds();
/// First words of errors that are shown, the most frequent first.
const ERRORS_MAX: usize = 64;

const CALLS: Name = Name { name: "keylane_commands_total", help: "Calls of a command." };
const ERRORS: Name = Name {
    name: "keylane_command_errors_total",
    help: "Calls that failed, or were rejected before they ran.",
};
const DURATION: Name = Name {
    name: "keylane_command_duration_seconds",
    help: "How long calls of a command took, while latency-tracking is on.",
};
const REPLIES: Name =
    Name { name: "keylane_error_replies_total", help: "Error replies by their first word." };

/// The same for dashboards made for redis_exporter.
const REDIS_CALLS: Name = Name { name: "redis_commands_total", help: "Calls of a command." };
const REDIS_FAILED: Name =
    Name { name: "redis_commands_failed_calls_total", help: "Calls of a command that failed." };
const REDIS_REJECTED: Name = Name {
    name: "redis_commands_rejected_calls_total",
    help: "Calls of a command that were rejected before they ran.",
};
const REDIS_SECONDS: Name = Name {
    name: "redis_commands_duration_seconds_total",
    help: "Seconds that calls of a command took in all.",
};
const REDIS_REPLIES: Name =
    Name { name: "redis_errors_total", help: "Error replies by their first word." };

pub(super) fn write(gathered: &Gathered<'_>, page: &mut Page) {
    for call in &gathered.control.node.table.calls {
        for call in std::iter::once(call).chain(&call.subcommands) {
            if let Some(counters) = gathered.calls.get(&call.id) {
                write_call(gathered, call, counters, page);
            }
        }
    }
    let mut errors: Vec<_> = gathered.counters.errors.iter().collect();
    errors.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), code));
    for (code, count) in errors.into_iter().take(ERRORS_MAX) {
        page.count(REPLIES, &[("error", code)], *count);
        page.count(REDIS_REPLIES, &[("err", code)], *count);
    }
}

fn write_call(gathered: &Gathered<'_>, call: &Call, counters: &CallCounters, page: &mut Page) {
    let name = call.spec.name;
    let CallCounters { calls, cycles, untracked_cycles, rejected, failed, latency } = counters;
    let rate = gathered.control.node.cycle_rate;
    page.count(CALLS, &[("command", name)], *calls);
    page.count(ERRORS, &[("command", name), ("kind", "failed")], *failed);
    page.count(ERRORS, &[("command", name), ("kind", "rejected")], *rejected);
    page.count(REDIS_CALLS, &[("cmd", name)], *calls);
    page.count(REDIS_FAILED, &[("cmd", name)], *failed);
    page.count(REDIS_REJECTED, &[("cmd", name)], *rejected);
    page.fractions.seconds(REDIS_SECONDS, &[("cmd", name)], seconds(rate, *cycles));
    if let Some(latency) = latency {
        let buckets = buckets(latency, rate);
        let sum = seconds(rate, cycles.wrapping_sub(*untracked_cycles));
        let distribution = Distribution { buckets: &buckets, count: latency.count(), sum };
        page.fractions.histogram(DURATION, &[("command", name)], &distribution);
    }
}

/// Cycles as seconds.
pub(super) fn seconds(rate: CycleRate, cycles: u64) -> f64 {
    rate.nanos(cycles) as f64 / 1e9
}

/// How many calls took no longer than each bound. What is counted in a bucket of ours that a bound
/// divides counts as longer: times are never made better than they are, and an eighth worse at
/// most.
fn buckets(latency: &Histogram, rate: CycleRate) -> Vec<(f64, u64)> {
    let mut counted = latency.cumulative().peekable();
    let mut seen = 0;
    let bucket = |bound: u64| {
        while let Some((_, count)) = counted.next_if(|(cycles, _)| rate.nanos(*cycles) <= bound) {
            seen = count;
        }
        (bound as f64 / 1e9, seen)
    };
    BOUNDS_NANOS.map(bucket).to_vec()
}

const fn bounds() -> [u64; 25] {
    let mut bounds = [0; 25];
    let (mut index, mut power) = (0, 100);
    while index < 24 {
        bounds[index] = power;
        bounds[index + 1] = power * 5 / 2;
        bounds[index + 2] = power * 5;
        (index, power) = (index + 3, power * 10);
    }
    bounds[24] = power;
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_three_for_each_power_of_ten() {
        assert_eq!(BOUNDS_NANOS[..4], [100, 250, 500, 1000]);
        assert_eq!(BOUNDS_NANOS[23..], [5_000_000_000, 10_000_000_000]);
        assert!(BOUNDS_NANOS.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn no_time_is_made_better_than_it_is() {
        let rate = CycleRate::measure();
        let mut latency = Histogram::default();
        for nanos in [90, 900, 90_000, 9_000_000, 90_000_000_000] {
            latency.record(rate.cycles(nanos) / 1000);
        }
        let buckets = buckets(&latency, rate);
        for (bound, count) in &buckets {
            let longest = [90, 900, 90_000, 9_000_000];
            let no_longer = longest.iter().filter(|nanos| **nanos as f64 / 1e9 <= *bound).count();
            let surely = longest.iter().filter(|n| **n as f64 * 1.15 / 1e9 <= *bound).count();
            let count = usize::try_from(*count).unwrap();
            assert!((surely..=no_longer).contains(&count), "{bound} {count}");
        }
        assert_eq!(buckets.last(), Some(&(10.0, 4)));
        assert_eq!(latency.count(), 5);
    }
}
