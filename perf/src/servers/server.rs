//! A running server: started on its CPUs with an empty folder, ended by its own pid.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::servers::client::{Connection, Reply};
use crate::servers::launch;
use crate::servers::peer::Peer;
use crate::servers::scrape::Scraper;

/// How long a server may take until it serves keys, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether it is ready.
const POLL: Duration = Duration::from_millis(5);
/// Requests of a fill that are under way at once.
const FILL_DEPTH: u64 = 1000;

/// A server that this process started. It ends with the value.
#[derive(Debug)]
pub struct Server {
    /// Its name in tables.
    pub name: String,
    /// Where it listens.
    pub port: u16,
    /// Where its metrics are, if it has any.
    metrics: u16,
    child: Child,
    dir: PathBuf,
    scraper: Option<Scraper>,
}

impl Server {
    /// Starts `peer` and waits until it serves keys.
    pub fn start(peer: &Peer, options: &Options) -> Result<Self, String> {
        Self::start_under(&[], peer, options)
    }

    /// Starts `peer` as the last arguments of another command that becomes the server.
    pub fn start_under(outer: &[String], peer: &Peer, options: &Options) -> Result<Self, String> {
        let (port, metrics) = (free_port()?, free_port()?);
        let dir = std::env::temp_dir().join(format!("perf-{}-{port}", std::process::id()));
        let child = spawn(outer, peer, options, (port, metrics), &dir)?;
        let name = peer.name.clone();
        let mut server = Self { name, port, metrics, child, dir, scraper: None };
        server.wait_until_ready()?;
        server.scraper = peer.has_metrics().then(|| Scraper::start(metrics));
        Ok(server)
    }

    /// Ends it and starts it again in its folder; returns how long it took to be ready.
    pub fn restart(&mut self, peer: &Peer, options: &Options) -> Result<Duration, String> {
        self.end();
        let began = Instant::now();
        self.child = spawn(&[], peer, options, (self.port, self.metrics), &self.dir)?;
        self.wait_until_ready()?;
        let took = began.elapsed();
        self.scraper = peer.has_metrics().then(|| Scraper::start(self.metrics));
        Ok(took)
    }

    /// Starts all peers.
    pub fn start_all(options: &Options) -> Result<Vec<Self>, String> {
        options.peers.iter().map(|peer| Self::start(peer, options)).collect()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection to it.
    pub fn connect(&self) -> Result<Connection, String> {
        Connection::open(self.port).map_err(|error| format!("{}: {error}", self.name))
    }

    /// Writes keys 0 to `keys`, each with its value.
    pub fn fill(&self, keys: u64) -> Result<(), String> {
        let filled = self.connect()?.fill(0..keys, FILL_DEPTH);
        filled.map_err(|error| format!("{}: {error}", self.name))
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended with {status}: {}", self.name, self.last_words()));
            }
            if Connection::open(self.port).and_then(serves) == Ok(true) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(format!("{} does not serve keys: {}", self.name, self.last_words()))
    }

    fn last_words(&self) -> String {
        launch::last_words(&self.dir, 5).replace('\n', " / ")
    }

    /// Pages of its metrics that were read so far, bytes of the last one, and failures; `None` if
    /// it has no metrics.
    pub fn scrapes(&self) -> Option<(u64, u64, u64)> {
        self.scraper.as_ref().map(Scraper::figures)
    }

    /// Asks it to end, by command, else by signal, and waits until it did.
    pub fn end(&mut self) {
        self.scraper = None;
        let obeys = Connection::open(self.port)
            .is_ok_and(|mut connection| connection.is_closed_by(&["SHUTDOWN", "NOSAVE"]));
        if !obeys && matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        }
        launch::wait_or_kill(&mut self.child, PATIENCE);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn spawn(
    outer: &[String],
    peer: &Peer,
    options: &Options,
    (port, metrics): (u16, u16),
    dir: &Path,
) -> Result<Child, String> {
    let cpus = peer.cpus.as_deref().unwrap_or(&options.server_cpus);
    let command = peer.command_at(port, metrics, &dir.display().to_string());
    launch::spawn(cpus, &[outer, &command].concat(), dir)
}

/// Whether a server serves keys. A node of a cluster is first made one that is alone and has all
/// slots.
fn serves(mut connection: Connection) -> Result<bool, String> {
    if connection.call_any(&["PING"])? != Reply::Line("PONG".into()) {
        return Ok(false);
    }
    // Asked again and again, it must cost next to nothing.
    let Reply::Error(error) = connection.call_any(&["EXISTS", "key"])? else { return Ok(true) };
    if error.ends_with("Hash slot not served") {
        connection.call_any(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])?;
    }
    Ok(!error.starts_with("CLUSTERDOWN"))
}

fn free_port() -> Result<u16, String> {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        // The bus of a cluster listens 10,000 above it.
        if port <= u16::MAX - 10_000 {
            return Ok(port);
        }
    }
}
