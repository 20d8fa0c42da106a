//! Waiting for a server beside processes that leave no processor idle, as on a machine with other
//! work to do: one client sends one INCR at a time, and counts how long each takes.

use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::write_request;
use crate::options::Options;
use crate::process;
use crate::report::Report;
use crate::server::Server;
use crate::summary::{median, percentile};

/// The argument with which this program keeps a processor busy.
pub const SPIN: &str = "spin-until-end-of-input";
/// A latency that nobody expects of a server on the same machine, in microseconds.
const LATE_US: f64 = 2000.0;

/// Keeps a processor busy until the process that started this one is gone.
pub fn spin() -> ExitCode {
    thread::spawn(|| {
        let mut number = 0_u64;
        loop {
            number = std::hint::black_box(number.wrapping_add(1));
        }
    });
    let mut nothing = Vec::new();
    // Its end is what matters, however it comes.
    let _ = std::io::stdin().read_to_end(&mut nothing);
    ExitCode::SUCCESS
}

/// Measures, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let servers = Server::start_all(options)?;
    let cpus = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // All latencies in microseconds, and CPU per request in each round.
    let mut quiet = vec![(Vec::new(), Vec::new()); servers.len()];
    let mut busy = quiet.clone();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (server, figures) in servers.iter().zip(&mut quiet) {
            measure(server, options, figures)?;
        }
        let _spinners: Vec<Spinner> = (0..cpus).map(Spinner::start).collect::<Result<_, _>>()?;
        for (server, figures) in servers.iter().zip(&mut busy) {
            measure(server, options, figures)?;
        }
    }
    report.say(&format!(
        "One client, one INCR at a time; for {} s beside nothing, then beside {cpus} processes \
         that only count, each pinned to a processor. Latencies of {} alternating rounds together.",
        options.seconds, options.rounds
    ));
    let head = ["beside", "server", "INCRs", "p50 us", "p90 us", "p99 us", "over 2 ms %", "CPU us"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, all) in [("nothing", &quiet), ("busy processes", &busy)] {
        for (server, (us, cpu_us)) in servers.iter().zip(all) {
            let mut row = vec![name.to_owned(), server.name.clone(), us.len().to_string()];
            row.extend([500, 900, 990].map(|mille| format!("{:.0}", percentile(us, mille))));
            row.push(format!("{:.2}", late_percent(us)));
            row.push(format!("{:.1}", median(cpu_us)));
            rows.push(row);
        }
    }
    report.table(&rows);
    Ok(())
}

fn measure(
    server: &Server,
    options: &Options,
    (latencies, cpu_us): &mut (Vec<f64>, Vec<f64>),
) -> Result<(), String> {
    let mut connection = server.connect()?;
    let mut request = Vec::new();
    write_request(&mut request, &["INCR", "counter"]);
    let before = process::cpu_time_of_threads(server.pid())?;
    let (start, mut count) = (Instant::now(), 0.0);
    while start.elapsed() < Duration::from_secs(options.seconds) {
        let sent = Instant::now();
        connection.send(&request)?;
        connection.receive()?;
        latencies.push(sent.elapsed().as_secs_f64() * 1e6);
        count += 1.0;
    }
    let cpu = process::cpu_time_of_threads(server.pid())?.saturating_sub(before);
    cpu_us.push(cpu.as_secs_f64() * 1e6 / count);
    Ok(())
}

fn late_percent(us: &[f64]) -> f64 {
    let late = us.iter().filter(|us| LATE_US < **us).count();
    late as f64 * 100.0 / us.len() as f64
}

/// A process that keeps a processor busy; it ends with the value, or with this process.
struct Spinner(Child);

impl Spinner {
    fn start(cpu: usize) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("taskset");
        command.args(["-c", &cpu.to_string()]).arg(program).arg(SPIN).stdin(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("cannot run taskset: {error}"))?;
        Ok(Self(child))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        // It cannot have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_late() {
        assert_eq!(late_percent(&[10.0, 2000.0, 2001.0, 9000.0]), 50.0);
    }
}
