//! Servers for tests: Keylane itself, and the peers it is compared with.

#![allow(dead_code, reason = "each test program uses the part it needs")]

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::client::{Client, Reply};

#[path = "../ports/mod.rs"]
mod ports;

pub use ports::free_port;

/// The Valkey whose answers ours are to be.
pub const REFERENCE: &str = "9.1.";

/// Told when it is dropped: threads beside a test end with it, also when it fails.
#[derive(Debug)]
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A server that was started here; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// `host:port`
    pub addr: String,
    /// What it is, for messages: `Valkey 9.1.2 at ...`.
    pub name: String,
    process: Child,
    dir: PathBuf,
    /// The program and its arguments, of which the port is one.
    command: (PathBuf, Vec<String>),
}

/// The number that this variable of the environment holds, if it is set.
pub fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} takes a number, not {value}")))
}

/// Starts Keylane on a free port, and waits until it answers.
pub fn start_keylane(shards: usize) -> Server {
    start_keylane_with(shards, &[])
}

/// Likewise with more options.
pub fn start_keylane_with(shards: usize, options: &[&str]) -> Server {
    let usual = ["--shards", &shards.to_string(), "--enable-debug-command", "yes"];
    start(&keylane(), &[&usual, options].concat(), format!("keylane with {shards} shards"))
}

/// The program under test: the one that `KEYLANE` names, or else the one that was built with it.
pub fn keylane() -> PathBuf {
    let named = env::var_os("KEYLANE").map(PathBuf::from);
    let program = named.or_else(|| option_env!("CARGO_BIN_EXE_keylane").map(PathBuf::from));
    program.expect("KEYLANE names the program under test: it was not built with this one")
}

/// Starts the best peer at hand: a Valkey from `$PEERS/bin` or from the usual cache, or else the
/// system's Valkey or Redis. `None` if there is none.
pub fn start_peer() -> Option<Server> {
    start_peer_with(&[])
}

/// Likewise with more options.
pub fn start_peer_with(more: &[&str]) -> Option<Server> {
    let program = find_valkey().or_else(|| {
        let others = ["valkey-server", "redis-server"];
        others.iter().map(PathBuf::from).find(|program| version(program).is_some())
    })?;
    let name = format!("{} ({})", program.display(), version(&program)?);
    let program = if program.components().count() == 1 {
        program
    } else {
        fs::canonicalize(&program).expect("the peer was there just now")
    };
    let mut options = vec!["--bind", "127.0.0.1", "--appendonly", "no"];
    // Redis has known this setting since 7.0, Valkey always.
    options.extend(["--enable-debug-command", "yes"]);
    options.extend(more);
    Some(start(&program, &options, name))
}

/// Starts a server as the only node of a cluster, which has all slots, by `start` with the options
/// for that; waits until it serves them.
pub fn start_alone_in_cluster(start: impl FnOnce(&[&str]) -> Option<Server>) -> Option<Server> {
    const TRIES: u32 = 2000;
    const PAUSE: Duration = Duration::from_millis(5);
    let port = free_port().to_string();
    let databases = ["--cluster-databases", "16"];
    let cluster = ["--cluster-enabled", "yes", "--cluster-port", &port];
    let server = start(&[cluster.as_slice(), &databases].concat())?;
    let mut client = server.client();
    let mut call = |words: &[&str]| {
        client.call(words).unwrap_or_else(|error| panic!("{}: {error}", server.name))
    };
    call(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    for _ in 0..TRIES {
        if let Reply::Bulk(text) | Reply::Verbatim(text) = call(&["CLUSTER", "INFO"])
            && String::from_utf8_lossy(&text).contains("cluster_state:ok")
        {
            return Some(server);
        }
        std::thread::park_timeout(PAUSE);
    }
    panic!("{} never serves its slots", server.name);
}

/// Starts a Redis from `$PEERS/bin` or from the usual cache, if there is one.
pub fn start_redis() -> Option<Server> {
    let mut folders = peer_folders().into_iter().flatten();
    let program = folders.find_map(|folder| {
        let program = folder.join("bin/redis-server");
        version(&program).map(|_| program)
    })?;
    let name = format!("{} ({})", program.display(), version(&program)?);
    let program = fs::canonicalize(&program).expect("the peer was there just now");
    Some(start(&program, &["--bind", "127.0.0.1", "--enable-debug-command", "yes"], name))
}

/// Where peers may be.
fn peer_folders() -> [Option<PathBuf>; 2] {
    [
        env::var_os("PEERS").map(PathBuf::from),
        env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/peers")),
    ]
}

fn find_valkey() -> Option<PathBuf> {
    let mut folders = peer_folders().into_iter().flatten();
    folders.find_map(|folder| {
        let program = folder.join("bin/valkey-server");
        version(&program).map(|_| program)
    })
}

/// What the program says of its version; `None` if it does not run.
pub fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
    output.status.success().then_some(text)
}

/// Starts a server that takes Valkey's options on a free port, and waits until it answers.
pub fn start(program: &Path, options: &[&str], name: String) -> Server {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let port = free_port();
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let folder = option_env!("CARGO_TARGET_TMPDIR").map_or_else(env::temp_dir, PathBuf::from);
    let dir = folder.join(format!("server-{port}-{number}"));
    // A test that was killed has left its files.
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("the folder for temporary files takes one more");
    let (port, folder) = (port.to_string(), dir.display().to_string());
    let usual = ["--port", &port, "--save", "", "--dir", &folder];
    let words = [&usual, options].concat().into_iter().map(str::to_owned).collect();
    let command = (program.to_owned(), words);
    let process = spawn(&command, &dir).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut server = Server { addr: format!("127.0.0.1:{port}"), name, process, dir, command };
    server.wait_until_it_answers();
    server
}

fn spawn((program, arguments): &(PathBuf, Vec<String>), dir: &Path) -> io::Result<Child> {
    let output = fs::File::create(dir.join("output"))?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
}

impl Server {
    /// Whether it is the Valkey whose answers ours are to be, and not one of another age.
    pub fn is_reference(&self) -> bool {
        self.name.contains(&format!("Valkey server v={REFERENCE}"))
    }

    /// The newest version of files and dumps that it reads: Redis 7.0 and older know 10, all later
    /// ones 11 (`RDB_VERSION` of `rdb.h`).
    pub fn rdb_version(&self) -> u32 {
        let old = ["6.", "7.0."].map(|age| format!("Redis server v={age}"));
        if old.iter().any(|age| self.name.contains(age)) { 10 } else { 11 }
    }

    /// Its process's number.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Whether its process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(_)))
    }

    /// Its folder for files.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// Ends its process at once, as a crash does.
    pub fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again as it was started, in its folder and at its port, after it has ended.
    pub fn start_again(&mut self) {
        let name = &self.name;
        self.process =
            spawn(&self.command, &self.dir).unwrap_or_else(|error| panic!("{name}: {error}"));
        self.wait_until_it_answers();
    }

    /// A new connection to it.
    pub fn client(&self) -> Client {
        Client::connect(&self.addr).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// The same; `None` if it does not run.
    pub fn client_if_there(&self) -> Option<Client> {
        Client::connect(&self.addr).ok()
    }

    fn wait_until_it_answers(&mut self) {
        const TRIES: u32 = 2000;
        const PAUSE: Duration = Duration::from_millis(5);
        for _ in 0..TRIES {
            let answer =
                Client::connect(&self.addr).and_then(|mut client| client.call(&["EXISTS", "key"]));
            if answer.is_ok_and(|reply| is_an_answer(&reply)) {
                return;
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                panic!("{} ended at once ({status}):\n{}", self.name, self.output());
            }
            std::thread::park_timeout(PAUSE);
        }
        panic!("{} does not answer:\n{}", self.name, self.output());
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.join("output")).unwrap_or_default()
    }
}

/// Whether the server is through with its start. A node of a cluster may not have the key's slot.
fn is_an_answer(reply: &Reply) -> bool {
    match reply {
        Reply::Integer(_) => true,
        Reply::Error(text) => text.starts_with(b"CLUSTERDOWN ") || text.starts_with(b"MOVED "),
        _ => false,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
