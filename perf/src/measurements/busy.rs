//! Waiting for a server beside processes that leave no processor idle, as on a machine with other
//! work to do: one client sends one INCR at a time, and counts how long each takes. Of some keys it
//! takes the one that is farthest away: another shard's, if there are several.
//!
//! A server of one thread may come to share a processor with the client, and then no request wakes
//! another processor. `--load-cpus 0` and a server `valkey@1=...` keep the two apart.

use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, write_request};
use crate::servers::process;
use crate::servers::server::Server;
use crate::summary::{median, percentile};

/// The argument with which this program keeps a processor busy.
pub const SPIN: &str = "spin-until-end-of-input";
/// Keys to choose from, and INCRs of each before the choice.
const KEYS: u64 = 8;
const TRIES: usize = 2000;
/// A latency that no client expects of a server on the same machine, in microseconds.
const LATE_US: f64 = 2000.0;

/// All latencies, and the server's CPU time per request in each round, in microseconds.
#[derive(Clone, Debug, Default)]
struct Figures {
    us: Vec<f64>,
    cpu_us: Vec<f64>,
}

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
    let cpus = process::processors()?;
    let clients = servers.iter().map(Client::open);
    let mut clients: Vec<Client<'_>> = clients.collect::<Result<_, _>>()?;
    let mut quiet = vec![Figures::default(); servers.len()];
    let mut busy = quiet.clone();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (client, figures) in clients.iter_mut().zip(&mut quiet) {
            client.measure(options.seconds, figures)?;
        }
        let _spinners: Vec<Spinner> = (0..cpus).map(Spinner::start).collect::<Result<_, _>>()?;
        for (client, figures) in clients.iter_mut().zip(&mut busy) {
            client.measure(options.seconds, figures)?;
        }
    }
    report.say(&format!(
        "One client, one INCR at a time, of the key farthest away; for {} s beside nothing, then \
         beside {cpus} processes that only count, each pinned to a processor. Latencies of {} \
         alternating rounds together.",
        options.seconds, options.rounds
    ));
    let head = ["beside", "server", "INCRs", "p50 us", "p90 us", "p99 us", "over 2 ms %", "CPU us"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, all) in [("nothing", &quiet), ("busy processes", &busy)] {
        for (server, Figures { us, cpu_us }) in servers.iter().zip(all) {
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

/// A client of a server, and the key it takes.
struct Client<'s> {
    server: &'s Server,
    connection: Connection,
    request: Vec<u8>,
}

impl<'s> Client<'s> {
    fn open(server: &'s Server) -> Result<Self, String> {
        let mut client = Self { server, connection: server.connect()?, request: Vec::new() };
        let mut found = (0.0, 0);
        for number in 0..KEYS {
            client.choose(number);
            let us: Vec<f64> = (0..TRIES).map(|_| client.incr()).collect::<Result<_, _>>()?;
            if found.0 < median(&us) {
                found = (median(&us), number);
            }
        }
        client.choose(found.1);
        Ok(client)
    }

    fn choose(&mut self, number: u64) {
        self.request.clear();
        write_request(&mut self.request, &["INCR", &format!("counter:{number}")]);
    }

    /// How long an INCR takes, in microseconds.
    fn incr(&mut self) -> Result<f64, String> {
        let sent = Instant::now();
        self.connection.send(&self.request)?;
        self.connection.receive()?;
        Ok(sent.elapsed().as_secs_f64() * 1e6)
    }

    fn measure(&mut self, seconds: u64, figures: &mut Figures) -> Result<(), String> {
        let before = process::cpu_time_of_threads(self.server.pid())?;
        let (start, count) = (Instant::now(), figures.us.len());
        while start.elapsed() < Duration::from_secs(seconds) {
            figures.us.push(self.incr()?);
        }
        let cpu = process::cpu_time_of_threads(self.server.pid())?.saturating_sub(before);
        let count = figures.us.len() - count;
        figures.cpu_us.push(cpu.as_secs_f64() * 1e6 / count as f64);
        Ok(())
    }
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
