//! Requests per second, latency and server CPU per request: all servers in turn, in rounds.

use crate::options::Options;
use crate::report::Report;
use crate::servers::benchmark::{self, Load, Outcome};
use crate::servers::process;
use crate::servers::server::Server;
use crate::summary::median;

/// One line of the table in the making.
#[derive(Debug)]
struct Cell {
    load: Load,
    server: usize,
    outcomes: Vec<Outcome>,
}

/// Measures, and writes the tables.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let servers = Server::start_all(options)?;
    report_memory(options, &servers, report)?;
    let mut cells = Vec::new();
    for test in &options.tests {
        for &pipeline in &options.pipelines {
            for (index, server) in servers.iter().enumerate() {
                let requests = benchmark::requests_for(options, server, test, pipeline)?;
                let load = Load { test: test.clone(), pipeline, requests };
                cells.push(Cell { load, server: index, outcomes: Vec::new() });
            }
        }
    }
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for cell in &mut cells {
            cell.outcomes.push(benchmark::run(options, &servers[cell.server], &cell.load)?);
        }
    }
    report.say(&format!(
        "{} keys of 16 bytes with values of 64 bytes, {} connections, medians of {} alternating \
         rounds of about {} s. Ratios are against the first server.",
        options.keys, options.clients, options.rounds, options.seconds
    ));
    report.table(&rows(&servers, &cells));
    for server in &servers {
        if let Some((pages, bytes, failures)) = server.scrapes() {
            report.say(&format!(
                "The metrics of {} were read each second meanwhile: {pages} pages, the last of \
                 {bytes} bytes; {failures} tries failed.",
                server.name
            ));
        }
    }
    Ok(())
}

/// Fills every server and says what a key costs.
fn report_memory(options: &Options, servers: &[Server], report: &mut Report) -> Result<(), String> {
    let mut rows = vec![["server", "RSS bytes per key"].map(str::to_owned).to_vec()];
    for server in servers {
        eprintln!("filling {}", server.name);
        let before = process::resident_bytes(server.pid())?;
        server.fill(options.keys)?;
        let grown = process::resident_bytes(server.pid())?.saturating_sub(before);
        let per_key = grown as f64 / options.keys.max(1) as f64;
        rows.push(vec![server.name.clone(), format!("{per_key:.1}")]);
    }
    report.table(&rows);
    Ok(())
}

fn rows(servers: &[Server], cells: &[Cell]) -> Vec<Vec<String>> {
    let head = [
        "test",
        "P",
        "server",
        "requests/s",
        "ratio",
        "p50 ms",
        "p99 ms",
        "CPU us/request",
        "ratio",
        "lowest",
        "highest",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let figure = |cell: &Cell, pick: fn(&Outcome) -> f64| {
        median(&cell.outcomes.iter().map(pick).collect::<Vec<_>>())
    };
    for group in cells.chunks(servers.len()) {
        let first = &group[0];
        for cell in group {
            let rate = figure(cell, |outcome| outcome.rate);
            let cpu = figure(cell, |outcome| outcome.cpu_us);
            let all = || cell.outcomes.iter().map(|outcome| outcome.cpu_us);
            rows.push(vec![
                cell.load.test.to_uppercase(),
                cell.load.pipeline.to_string(),
                servers[cell.server].name.clone(),
                format!("{rate:.0}"),
                format!("{:.2}", rate / figure(first, |outcome| outcome.rate)),
                format!("{:.3}", figure(cell, |outcome| outcome.p50_ms)),
                format!("{:.3}", figure(cell, |outcome| outcome.p99_ms)),
                format!("{cpu:.3}"),
                format!("{:.2}", cpu / figure(first, |outcome| outcome.cpu_us)),
                format!("{:.3}", all().fold(f64::INFINITY, f64::min)),
                format!("{:.3}", all().fold(0.0, f64::max)),
            ]);
        }
    }
    rows
}
