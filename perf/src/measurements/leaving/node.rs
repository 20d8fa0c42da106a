//! One server of a mix: its process, which is ended and started again in the same place.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::leaving::mix::{Conditions, Form, Mix};
use crate::options::Options;
use crate::servers::client::{Connection, Reply};
use crate::servers::launch;
use crate::servers::peer::{Peer, words};
use crate::servers::process;

/// How often a condition is looked at: no time that is reported depends on it.
const POLL: Duration = Duration::from_millis(10);
/// How long a server may take until it serves keys.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long it may take to end when nothing is asked of it but that.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Ports of servers. Those of their buses are so much higher, and below those that the kernel gives
/// to connections.
const PORTS: std::ops::Range<u16> = 11_000..21_000;
const BUS: u16 = 10_000;
/// The time after which nodes take each other for failed, in milliseconds.
pub const NODE_TIMEOUT_MS: u64 = 5000;

/// A server that this process started. It ends with the value.
#[derive(Debug)]
pub struct Node {
    /// Its kind.
    pub letter: char,
    /// Where it listens.
    pub port: u16,
    /// Whether it knows an end that hands over.
    pub hands_over: bool,
    /// When it was last elected, as far as is known.
    pub elected: Option<Instant>,
    /// Whether its process is stopped.
    pub is_stopped: bool,
    cpus: String,
    command: Vec<String>,
    dir: PathBuf,
    keeps_dir: bool,
    child: Option<Child>,
}

impl Node {
    /// Starts a server, at the first port from `port` on that is free.
    pub fn start(
        (letter, peer): &(char, Peer),
        port: u16,
        (mix, conditions): (&Mix, &Conditions),
        options: &Options,
    ) -> Result<Self, String> {
        let port = free_port(port)?;
        let dir = folder(port);
        let mut command = peer.command_at(port, 0, &dir.display().to_string());
        command.extend(words(&settings(mix.form, conditions))?);
        let mut node = Self {
            letter: *letter,
            port,
            hands_over: false,
            elected: None,
            is_stopped: false,
            cpus: peer.cpus.as_ref().unwrap_or(&options.server_cpus).clone(),
            command,
            dir,
            keeps_dir: false,
            child: None,
        };
        node.start_again()?;
        Ok(node)
    }

    /// Starts it where it was before, and waits until it has loaded what it has.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = Some(launch::spawn(&self.cpus, &self.command, &self.dir)?);
        let began = Instant::now();
        while !self.is_ready() {
            if let Some(status) = self.exit_status()? {
                let words = self.last_words(5);
                return Err(format!("{} ended at once with {status}: {words}", self.name()));
            }
            if START_PATIENCE < began.elapsed() {
                return Err(format!("{} does not get ready: {}", self.name(), self.last_words(5)));
            }
            thread::sleep(POLL);
        }
        let words = ["CONFIG", "SET", "shutdown-on-sigterm", "nosave failover"];
        self.hands_over = self.connect()?.call_any(&words)? == Reply::Line("OK".into());
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let pong = self.connect().and_then(|mut connection| connection.call_any(&["PING"]));
        pong == Ok(Reply::Line("PONG".into()))
    }

    /// How it is called in messages.
    pub fn name(&self) -> String {
        format!("{} at port {}", self.letter, self.port)
    }

    /// Whether it runs, and is not stopped.
    pub fn answers(&self) -> bool {
        self.child.is_some() && !self.is_stopped
    }

    /// A new connection.
    pub fn connect(&self) -> Result<Connection, String> {
        Connection::open(self.port).map_err(|error| format!("{}: {error}", self.name()))
    }

    /// What it replies, as text.
    pub fn ask(&self, words: &[&str]) -> Result<String, String> {
        let reply = self.connect()?.call(words);
        match reply.map_err(|error| format!("{}: {words:?}: {error}", self.name()))? {
            Reply::Line(text) | Reply::Error(text) => Ok(text),
            Reply::Bulk(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Reply::Null => Ok(String::new()),
        }
    }

    /// Sends a signal to its process: `TERM`, `STOP` or `CONT`.
    pub fn signal(&mut self, signal: &str) -> Result<(), String> {
        let Some(child) = &self.child else { return Err(format!("{} has ended", self.name())) };
        let pid = child.id().to_string();
        process::output(Command::new("kill").args([&format!("-{signal}"), &pid]))?;
        self.is_stopped = signal == "STOP";
        Ok(())
    }

    /// How its process ended, if it did.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>, String> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait().map_err(|error| format!("{}: {error}", self.name()))?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Has its folder stay when it goes, for those who look into it; says where that is.
    pub fn keep_dir(&mut self) -> String {
        self.keeps_dir = true;
        self.dir.display().to_string()
    }

    /// The last lines that it wrote.
    pub fn last_words(&self, count: usize) -> String {
        launch::last_words(&self.dir, count)
    }

    /// Ends it without handing over, or else kills it.
    fn stop(&mut self) {
        if self.is_stopped {
            let _ = self.signal("CONT");
        }
        if let Ok(mut connection) = self.connect() {
            connection.is_closed_by(&["SHUTDOWN", "NOSAVE", "NOW", "FORCE"]);
        }
        if let Some(child) = &mut self.child {
            launch::wait_or_kill(child, STOP_PATIENCE);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.stop();
        }
        if !self.keeps_dir {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// What is set for servers of all kinds, over what their commands say.
fn settings(form: Form, conditions: &Conditions) -> String {
    let save = if conditions.save { "'3600 1'" } else { "''" };
    let common = format!("--save {save} --appendonly no --repl-diskless-sync-delay 0");
    match form {
        Form::Pair => common,
        Form::Cluster => format!(
            "{common} --cluster-enabled yes --cluster-node-timeout {NODE_TIMEOUT_MS} \
             --cluster-migration-barrier 100"
        ),
    }
}

/// The folder of the server at this port.
fn folder(port: u16) -> PathBuf {
    std::env::temp_dir().join(format!("perf-{}-{port}", std::process::id()))
}

fn free_port(from: u16) -> Result<u16, String> {
    let begin = from.clamp(PORTS.start, PORTS.end);
    let is_free = |port: &u16| {
        // A folder that was kept stays as it is.
        let ports = [*port, *port + BUS];
        let are_free = ports.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        are_free && !folder(*port).exists()
    };
    (begin..PORTS.end).find(is_free).ok_or("no port is free for a server and its bus".to_owned())
}

/// The first port of a cluster of this process: others on this machine look elsewhere first.
pub fn first_port() -> u16 {
    let span = u32::from(PORTS.end - PORTS.start) / 2;
    PORTS.start + u16::try_from(std::process::id() * 20 % span).unwrap_or(0)
}

/// Waits until a condition holds. A condition that fails is one that does not hold yet; the error
/// says what it was at the end.
pub fn wait(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let held = condition();
        if held == Ok(true) {
            return Ok(());
        }
        if patience < began.elapsed() {
            let last = held.err().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(format!("{what} within {} s{last}", patience.as_secs()));
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ports_whose_bus_is_free_too() {
        let port = free_port(first_port()).unwrap();
        assert!(PORTS.contains(&port));
        let _bus = TcpListener::bind(("127.0.0.1", port + BUS)).unwrap();
        assert!(port < free_port(port).unwrap());
    }

    #[test]
    fn waits_no_longer_than_it_should() {
        let refused = || Err("it sleeps".to_owned());
        let waited = wait("it does not wake", Duration::ZERO, refused);
        assert_eq!(waited.err().as_deref(), Some("it does not wake within 0 s: it sleeps"));
        assert_eq!(wait("", Duration::ZERO, || Ok(true)), Ok(()));
    }
}
