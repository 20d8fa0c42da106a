//! What open but silent connections cost: the server's share of a core.

use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::report::Report;
use crate::servers::process;
use crate::servers::server::Server;

/// Time a server gets to come to rest after the connections were made.
const REST: Duration = Duration::from_secs(3);

/// Measures one server after the other, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let mut rows = vec![["server", "% of a core", "RSS MiB"].map(str::to_owned).to_vec()];
    for peer in &options.peers {
        let server = Server::start(peer, options)?;
        let mut connections = Vec::new();
        for _ in 0..options.clients {
            let mut connection = server.connect()?;
            connection.call(&["PING"])?;
            connections.push(connection);
        }
        thread::sleep(REST);
        let start = Instant::now();
        let before = process::cpu_time_of_threads(server.pid())?;
        thread::sleep(Duration::from_secs(options.seconds));
        let used = process::cpu_time_of_threads(server.pid())?.saturating_sub(before);
        let share = used.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
        let resident = process::resident_bytes(server.pid())? as f64 / f64::from(1 << 20);
        rows.push(vec![peer.name.clone(), format!("{share:.3}"), format!("{resident:.1}")]);
    }
    report.say(&format!(
        "{} connections that each sent one PING, then nothing for {} s.",
        options.clients, options.seconds
    ));
    report.table(&rows);
    Ok(())
}
