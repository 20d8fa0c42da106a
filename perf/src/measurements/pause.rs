//! Whether a fill ever stops the others: one client sends a GET each millisecond while another
//! fills; its latencies are told apart by how many keys there were.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, key, write_request};
use crate::servers::server::Server;
use crate::summary::percentile;

/// Requests of the fill that are under way at once: few, so that waiting behind them is short.
const FILL_DEPTH: u64 = 64;
/// Keys between two looks of the paced client at how far the fill is.
const STRIDE: u64 = 64_000;
/// Parts of the fill that are reported.
const PARTS: u64 = 10;
/// The paced client's period.
const PERIOD: Duration = Duration::from_millis(1);

/// Measures one server after the other, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let head = ["server", "keys up to"].iter().chain(&PACED_HEAD).map(|&name| name.to_owned());
    let mut rows: Vec<Vec<String>> = vec![head.collect()];
    for peer in &options.peers {
        eprintln!("filling {}", peer.name);
        let server = Server::start(peer, options)?;
        let filled = AtomicU64::new(0);
        let (filling, paced) = (server.connect()?, server.connect()?);
        let samples = thread::scope(|scope| {
            let pacing = scope.spawn(|| pace(paced, &filled, options.keys));
            let filling = fill(filling, &filled, options.keys);
            // Ends the paced client also when the fill failed.
            filled.store(options.keys, Ordering::Relaxed);
            let samples = pacing.join().expect("the paced client does not panic");
            filling.and(samples)
        })?;
        for part in 0..PARTS {
            let (from, to) = (options.keys * part / PARTS, options.keys * (part + 1) / PARTS);
            let within = |sample: &&(u64, f64)| from <= sample.0 && sample.0 < to;
            let us: Vec<f64> = samples.iter().filter(within).map(|sample| sample.1).collect();
            rows.extend(paced_row([peer.name.clone(), to.to_string()], &us));
        }
    }
    report.say(&format!(
        "A GET each millisecond while {} keys are written in pipelines of {FILL_DEPTH}; latency \
         counts from when the GET was due.",
        options.keys
    ));
    report.table(&rows);
    Ok(())
}

/// The columns of [`paced_row`].
pub const PACED_HEAD: [&str; 5] = ["GETs", "p50 us", "p99 us", "p99.9 us", "max us"];

/// A row of latencies of a paced client, unless there are none.
pub fn paced_row<const N: usize>(first: [String; N], us: &[f64]) -> Option<Vec<String>> {
    let mut row = Vec::from(first);
    row.push(us.len().to_string());
    let percentiles = [500, 990, 999, 1000];
    row.extend(percentiles.map(|per_mille| format!("{:.0}", percentile(us, per_mille))));
    (!us.is_empty()).then_some(row)
}

fn fill(mut connection: Connection, filled: &AtomicU64, keys: u64) -> Result<(), String> {
    let mut next = 0;
    while next < keys {
        let end = keys.min(next + STRIDE);
        connection.fill(next..end, FILL_DEPTH)?;
        filled.store(end, Ordering::Relaxed);
        next = end;
    }
    Ok(())
}

/// Sends a GET each period until `progress` has reached its end: (progress, latency in
/// microseconds).
pub fn pace(
    connection: Connection,
    progress: &AtomicU64,
    end: u64,
) -> Result<Vec<(u64, f64)>, String> {
    pace_with(connection, progress, end, |out, count| write_request(out, &["GET", &key(count / 2)]))
}

/// As [`pace`], with requests of the caller's, written for the progress there is.
pub fn pace_with(
    mut connection: Connection,
    progress: &AtomicU64,
    end: u64,
    mut write: impl FnMut(&mut Vec<u8>, u64),
) -> Result<Vec<(u64, f64)>, String> {
    let mut request = Vec::new();
    let mut samples = Vec::new();
    let mut due = Instant::now();
    loop {
        let count = progress.load(Ordering::Relaxed);
        if end <= count {
            return Ok(samples);
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        request.clear();
        write(&mut request, count);
        connection.send(&request)?;
        connection.receive()?;
        samples.push((count, due.elapsed().as_secs_f64() * 1e6));
        due += PERIOD;
    }
}
