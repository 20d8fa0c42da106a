//! Many clients that write the same few keys, several in each request: who waits for whom.

use std::time::Duration;

use crate::options::Options;
use crate::report::Report;
use crate::servers::benchmark::{self, Load, Outcome};
use crate::servers::server::Server;
use crate::summary::median;

/// Keys of one MSET.
const KEYS_EACH: usize = 10;
/// Requests of the first run, which tells how many make the others long enough.
const FIRST: u64 = 20_000;

/// Measures, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let servers = Server::start_all(options)?;
    let test = format!("MSET{}", " key:__rand_int__ value".repeat(KEYS_EACH));
    let mut rows = vec![head()];
    for &pipeline in &options.pipelines {
        let mut loads = Vec::new();
        for server in &servers {
            let load = |requests| Load { test: test.clone(), pipeline, requests };
            let rate = benchmark::run(options, server, &load(FIRST))?.rate;
            loads.push(load(FIRST.max(Duration::from_secs_f64(rate).as_secs() * options.seconds)));
        }
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); servers.len()];
        for round in 1..=options.rounds {
            eprintln!("P={pipeline}, round {round} of {}", options.rounds);
            for ((server, load), outcomes) in servers.iter().zip(&loads).zip(&mut outcomes) {
                outcomes.push(benchmark::run(options, server, load)?);
            }
        }
        for (server, of_server) in servers.iter().zip(&outcomes) {
            rows.push(row(server, pipeline, of_server, &outcomes[0]));
        }
    }
    report.say(&format!(
        "MSET of {KEYS_EACH} of {} keys, {} connections, medians of {} alternating rounds of about \
         {} s. Ratios are against the first server.",
        options.keys, options.clients, options.rounds, options.seconds
    ));
    report.table(&rows);
    Ok(())
}

fn head() -> Vec<String> {
    ["P", "server", "requests/s", "ratio", "p50 ms", "p99 ms", "CPU us/request"]
        .map(str::to_owned)
        .to_vec()
}

fn row(server: &Server, pipeline: u64, outcomes: &[Outcome], first: &[Outcome]) -> Vec<String> {
    let figure = |of: &[Outcome], pick: fn(&Outcome) -> f64| {
        median(&of.iter().map(pick).collect::<Vec<_>>())
    };
    let rate = figure(outcomes, |outcome| outcome.rate);
    vec![
        pipeline.to_string(),
        server.name.clone(),
        format!("{rate:.0}"),
        format!("{:.2}", rate / figure(first, |outcome| outcome.rate)),
        format!("{:.3}", figure(outcomes, |outcome| outcome.p50_ms)),
        format!("{:.3}", figure(outcomes, |outcome| outcome.p99_ms)),
        format!("{:.3}", figure(outcomes, |outcome| outcome.cpu_us)),
    ]
}
