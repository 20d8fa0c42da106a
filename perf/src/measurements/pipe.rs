//! What one client gets out of a deep pipeline of writes, whose keys lie on all shards: a mass
//! insertion in one go, as `valkey-cli --pipe` does it, and so many requests under way.

use std::time::{Duration, Instant};

use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{VALUE_BYTES, write_request};
use crate::servers::process;
use crate::servers::scatter::Scatter;
use crate::servers::server::Server;
use crate::summary::median;

/// Requests between two looks at the clock.
const STRIDE: u64 = 20_000;
/// Keys of the second part.
const KEYS: u64 = 1_000_000;

/// What was measured of a server, a value each round.
#[derive(Clone, Debug, Default)]
struct Figures {
    insertion_s: Vec<f64>,
    /// Requests a second, and server CPU per request in microseconds, for each depth.
    deep: Vec<(Vec<f64>, Vec<f64>)>,
}

/// Measures, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let servers = Server::start_all(options)?;
    let none = Figures {
        insertion_s: Vec::new(),
        deep: vec![(Vec::new(), Vec::new()); options.pipelines.len()],
    };
    let mut all = vec![none; servers.len()];
    let value = "v".repeat(VALUE_BYTES);
    let mut requests = Vec::new();
    let mut keys = Scatter::new(1, u64::MAX >> 33);
    for _ in 0..options.keys {
        write_request(&mut requests, &["SET", &keys.next_key(), &value]);
    }
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (server, figures) in servers.iter().zip(&mut all) {
            let mut connection = server.connect()?;
            connection.call(&["FLUSHALL", "SYNC"])?;
            let start = Instant::now();
            connection.exchange(&requests, options.keys, b"+OK\r\n")?;
            figures.insertion_s.push(start.elapsed().as_secs_f64());
            for (depth, figures) in options.pipelines.iter().zip(&mut figures.deep) {
                let (rate, cpu_us) = deep(server, *depth, options.seconds)?;
                figures.0.push(rate);
                figures.1.push(cpu_us);
            }
        }
    }
    report.say(&format!(
        "{} SETs of 16 bytes of key and {VALUE_BYTES} of value by one client: all in one pipeline \
         (seconds), then by pipelines of so many for {} s each. Medians of {} alternating rounds; \
         ratios are against the first server.",
        options.keys, options.seconds, options.rounds
    ));
    report.table(&rows(options, &servers, &all));
    Ok(())
}

/// Requests a second, and the server's CPU time for each in microseconds.
fn deep(server: &Server, depth: u64, seconds: u64) -> Result<(f64, f64), String> {
    let (mut connection, mut keys) = (server.connect()?, Scatter::new(2, KEYS));
    let value = "v".repeat(VALUE_BYTES);
    let before = process::cpu_time(server.pid())?;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        connection.fill_with(0..STRIDE, depth, b"+OK\r\n", |out, _| {
            write_request(out, &["SET", &keys.next_key(), &value]);
        })?;
        count += STRIDE;
    }
    let took = start.elapsed().as_secs_f64();
    let cpu = process::cpu_time(server.pid())?.saturating_sub(before);
    Ok((count as f64 / took, cpu.as_secs_f64() * 1e6 / count as f64))
}

fn rows(options: &Options, servers: &[Server], all: &[Figures]) -> Vec<Vec<String>> {
    let mut head = ["server", "all s", "ratio"].map(str::to_owned).to_vec();
    for depth in &options.pipelines {
        head.extend([format!("P={depth} requests/s"), "ratio".into(), "CPU us/request".into()]);
    }
    let mut rows = vec![head];
    for (server, figures) in servers.iter().zip(all) {
        let insertion = median(&figures.insertion_s);
        let mut row = vec![
            server.name.clone(),
            format!("{insertion:.3}"),
            format!("{:.2}", insertion / median(&all[0].insertion_s)),
        ];
        for (of_server, of_first) in figures.deep.iter().zip(&all[0].deep) {
            let rate = median(&of_server.0);
            row.push(format!("{rate:.0}"));
            row.push(format!("{:.2}", rate / median(&of_first.0)));
            row.push(format!("{:.3}", median(&of_server.1)));
        }
        rows.push(row);
    }
    rows
}
