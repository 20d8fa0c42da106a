//! One run of `valkey-benchmark` against one server, with the server's CPU time across it.

use std::process::Command;
use std::time::Duration;

use crate::options::Options;
use crate::servers::client::VALUE_BYTES;
use crate::servers::process;
use crate::servers::server::Server;

/// What to run.
#[derive(Clone, Debug)]
pub struct Load {
    /// The test's name: `get`, `set` ... With a blank in it, it is the command to send.
    pub test: String,
    /// Requests in one pipeline.
    pub pipeline: u64,
    /// Requests in all.
    pub requests: u64,
}

/// What a run showed.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Requests per second.
    pub rate: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the latency in milliseconds.
    pub p99_ms: f64,
    /// The server's CPU time per request in microseconds.
    pub cpu_us: f64,
}

/// Runs `load` against `server`.
pub fn run(options: &Options, server: &Server, load: &Load) -> Result<Outcome, String> {
    // The benchmark inherits the CPUs of this process. It would wait for ever for a server that
    // stands still.
    let limit = 60 + 10 * options.seconds;
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", &limit.to_string()]).arg(&options.benchmark);
    command.args(["--csv", "--precision", "3"]);
    for (name, value) in [
        ("-p", u64::from(server.port)),
        ("-n", load.requests),
        ("-P", load.pipeline),
        ("-c", options.clients as u64),
        ("-r", options.keys),
        ("-d", VALUE_BYTES as u64),
    ] {
        command.args([name, &value.to_string()]);
    }
    command.args(&options.benchmark_args);
    if load.test.contains(' ') {
        command.args(load.test.split(' '));
    } else {
        command.args(["-t", &load.test]);
    }
    let before = process::cpu_time(server.pid())?;
    let csv = process::output(&mut command)?;
    let cpu = process::cpu_time(server.pid())? - before;
    parse(&csv, cpu, load.requests)
        .ok_or_else(|| format!("{}: the benchmark printed no figures: {csv}", server.name))
}

/// Requests that take about `options.seconds` at the speed of a first, short run, which also
/// warms the server up.
pub fn requests_for(
    options: &Options,
    server: &Server,
    test: &str,
    pipeline: u64,
) -> Result<u64, String> {
    let first = Load { test: test.into(), pipeline, requests: 50_000 * pipeline.min(16) };
    let rate = run(options, server, &first)?.rate;
    let wanted = Duration::from_secs_f64(rate).as_secs() * options.seconds;
    Ok(wanted.max(1000))
}

/// The figures of the last line: `"GET","1219512.12","0.560", ...`.
fn parse(csv: &str, cpu: Duration, requests: u64) -> Option<Outcome> {
    let line = csv.lines().last()?;
    // The name comes first, and may hold a comma.
    let (_, figures) = line.trim_start_matches('"').split_once("\",")?;
    let fields: Vec<f64> =
        figures.split(',').map_while(|field| field.trim_matches('"').parse().ok()).collect();
    let [rate, _average, _min, p50_ms, _p95, p99_ms, _max] = *fields.as_slice() else {
        return None;
    };
    let cpu_us = cpu.as_secs_f64() * 1e6 / requests as f64;
    Some(Outcome { rate, p50_ms, p99_ms, cpu_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_benchmarks_figures() {
        let csv =
            "\"test\",\"rps\"\n\"GET\",\"1000.5\",\"0.5\",\"0.2\",\"0.6\",\"0.9\",\"1.1\",\"2\"\n";
        let outcome = parse(csv, Duration::from_millis(10), 1000).unwrap();
        assert_eq!(
            (outcome.rate, outcome.p50_ms, outcome.p99_ms, outcome.cpu_us),
            (1000.5, 0.6, 1.1, 10.0)
        );
        assert!(parse("Could not connect", Duration::ZERO, 1).is_none());
    }
}
