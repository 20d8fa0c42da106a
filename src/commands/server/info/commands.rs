//! INFO commandstats, errorstats, latencystats

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;
use crate::routing::call::Call;
use crate::stats::counters::CallCounters;

pub(super) fn write_stats(gathered: &Gathered<'_>, fields: &mut Fields) {
    let rate = gathered.control.node.cycle_rate;
    for_each(gathered, |call, counters| {
        let CallCounters { calls, cycles, rejected, failed, .. } = counters;
        if calls + rejected == 0 {
            return;
        }
        let micros = rate.micros(*cycles);
        let each = if *calls == 0 { 0.0 } else { micros as f64 / *calls as f64 };
        fields.put(
            format_args!("cmdstat_{}", call.spec.name),
            format_args!(
                "calls={calls},usec={micros},usec_per_call={each:.2},rejected_calls={rejected},\
                 failed_calls={failed}"
            ),
        );
    });
}

pub(super) fn write_errors(gathered: &Gathered<'_>, fields: &mut Fields) {
    let mut errors: Vec<_> = gathered.counters.errors.iter().collect();
    errors.sort();
    for (code, count) in errors {
        fields.put(format_args!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn write_latencies(gathered: &Gathered<'_>, fields: &mut Fields) {
    let node = &gathered.control.node;
    if !node.config.latency_tracking {
        return;
    }
    for_each(gathered, |call, counters| {
        let Some(latency) = &counters.latency else { return };
        let percentile = |percent: &f64| {
            let nanos = node.cycle_rate.nanos(latency.percentile(*percent));
            format!("p{percent}={}.{:03}", nanos / 1000, nanos % 1000)
        };
        let percentiles = node.config.latency_tracking_info_percentiles.iter();
        let percentiles: Vec<String> = percentiles.map(percentile).collect();
        let name = format_args!("latency_percentiles_usec_{}", call.spec.name);
        fields.put(name, percentiles.join(","));
    });
}

/// Calls `with` for every command and subcommand that was called.
fn for_each(gathered: &Gathered<'_>, mut with: impl FnMut(&Call, &CallCounters)) {
    for call in &gathered.control.node.table.calls {
        for call in std::iter::once(call).chain(&call.subcommands) {
            if let Some(counters) = gathered.calls.get(&call.id) {
                with(call, counters);
            }
        }
    }
}
