//! What a replica spends on writes, how far it is behind its primary, and what both hold in memory
//! for replication.
//!
//! A third server gets the same writes and has no replica: what it holds are the data.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::replication::{Trio, wait_until_applied};
use crate::options::Options;
use crate::report::Report;
use crate::servers::benchmark::{self, Load};
use crate::servers::client::{Reply, VALUE_BYTES};
use crate::servers::process;
use crate::servers::server::Server;
use crate::summary::{median, percentile};

/// How often a key is written by which is seen how far the replica is behind.
const PERIOD: Duration = Duration::from_millis(20);
/// How often the replica is asked for it.
const POLL: Duration = Duration::from_micros(500);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The key.
const MARK: &str = "applied";

/// What was seen at one kind of server.
#[derive(Default)]
struct Seen {
    /// Requests per second.
    rates: Vec<f64>,
    /// CPU in microseconds per request.
    primary_us: Vec<f64>,
    replica_us: Vec<f64>,
    /// Milliseconds from a write's reply until the replica shows it, in each half of a round.
    lags_ms: [Vec<f64>; 2],
    /// MiB that they hold more than the server without a replica, behind the writes, and at most.
    primary_mib: Vec<f64>,
    replica_mib: Vec<f64>,
    peak_mib: Vec<f64>,
}

/// Measures, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let mut cells = Vec::new();
    for peer in &options.peers {
        cells.push((Trio::start(peer, options)?, Seen::default()));
    }
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (trio, seen) in &mut cells {
            apply(trio, options, seen)?;
        }
    }
    report.say(&format!(
        "SETs of {} keys of 16 bytes with values of {VALUE_BYTES}, {} connections, pipelines of \
         {}; {} alternating rounds of about {} s, to `{}`, which shares its processors with the \
         load. CPU in microseconds per request. Behind: milliseconds from a write's reply until \
         the replica shows it, median, p99 and highest, in the first and the second half of the \
         rounds. MiB: what primary and replica hold behind the writes, and the primary at most, \
         more than a server with the same data and no replica. Medians of the rounds.",
        options.keys,
        options.clients,
        options.pipelines[0],
        options.rounds,
        options.seconds,
        options.replica_name()
    ));
    let head = [
        "server",
        "requests/s",
        "primary CPU",
        "replica CPU",
        "ratio",
        "behind ms, first half",
        "second half",
        "primary MiB",
        "at most",
        "replica MiB",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(cells.iter().map(|(trio, seen)| seen.row(&trio.alone.name)));
    report.table(&rows);
    Ok(())
}

impl Seen {
    fn row(&self, name: &str) -> Vec<String> {
        let (primary, replica) = (median(&self.primary_us), median(&self.replica_us));
        let mut row = vec![name.to_owned(), format!("{:.0}", median(&self.rates))];
        row.extend([primary, replica, replica / primary].map(|figure| format!("{figure:.3}")));
        for lags in &self.lags_ms {
            let [p50, p99, most] = [500, 990, 1000].map(|mille| percentile(lags, mille));
            row.push(format!("{p50:.1}, {p99:.1}, {most:.1}"));
        }
        let memory = [&self.primary_mib, &self.peak_mib, &self.replica_mib];
        row.extend(memory.map(|mib| format!("{:.1}", median(mib))));
        row
    }
}

fn apply(trio: &Trio, options: &Options, seen: &mut Seen) -> Result<(), String> {
    let Trio { alone, followed, replica } = trio;
    let (test, pipeline) = (&options.tests[0], options.pipelines[0]);
    let requests = benchmark::requests_for(options, followed, test, pipeline)?;
    let load = Load { test: test.clone(), pipeline, requests };
    benchmark::run(options, alone, &load)?;
    wait_until_applied(followed, replica)?;
    let cpu = || -> Result<[Duration; 2], String> {
        Ok([process::cpu_time(followed.pid())?, process::cpu_time(replica.pid())?])
    };
    process::forget_peak(followed.pid())?;
    let (before, done) = (cpu()?, &AtomicBool::new(false));
    let (outcome, lags) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(followed, replica, done));
        let outcome = benchmark::run(options, followed, &load);
        done.store(true, Ordering::Relaxed);
        let lags = watching.join().expect("it does not panic");
        Ok::<_, String>((outcome?, lags?))
    })?;
    wait_until_applied(followed, replica)?;
    let per_request = |before: Duration, after: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e6 / requests as f64
    };
    let after = cpu()?;
    seen.rates.push(outcome.rate);
    seen.primary_us.push(per_request(before[0], after[0]));
    seen.replica_us.push(per_request(before[1], after[1]));
    let (first, second) = lags.split_at(lags.len() / 2);
    seen.lags_ms[0].extend(first);
    seen.lags_ms[1].extend(second);
    let data = process::resident_bytes(alone.pid())?;
    let more = |bytes: u64| (bytes as f64 - data as f64) / f64::from(1 << 20);
    seen.primary_mib.push(more(process::resident_bytes(followed.pid())?));
    seen.peak_mib.push(more(process::peak_bytes(followed.pid())?));
    seen.replica_mib.push(more(process::resident_bytes(replica.pid())?));
    Ok(())
}

/// Writes a key again and again until `done`, and looks in how many milliseconds the replica shows
/// it.
fn watch(primary: &Server, replica: &Server, done: &AtomicBool) -> Result<Vec<f64>, String> {
    let (mut above, mut below) = (primary.connect()?, replica.connect()?);
    let mut lags = Vec::new();
    for number in 0_u64.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let text = number.to_string();
        above.call(&["SET", MARK, &text])?;
        let written = Instant::now();
        while below.call(&["GET", MARK])? != Reply::Bulk(text.clone().into_bytes()) {
            if PATIENCE < written.elapsed() {
                return Err(format!("{}: the replica does not show a write", primary.name));
            }
            thread::sleep(POLL);
        }
        lags.push(written.elapsed().as_secs_f64() * 1e3);
        thread::sleep(PERIOD);
    }
    Ok(lags)
}
