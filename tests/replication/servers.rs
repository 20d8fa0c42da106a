//! Servers of every kind that take part, and how one comes to follow another.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::client::Reply;
pub use crate::processes::Ends;
use crate::processes::{self, Server};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With so many shards.
    Keylane(usize),
    /// The same, where each log goes by a connection of its own between two of this kind.
    Native(usize),
    Valkey91,
    Valkey81,
    Redis80,
    Redis70,
}

/// What field times, and other values that only some hold, are called after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Valkey,
    Redis,
}

/// How other kinds are told apart: what the program says of its version begins so.
const VERSIONS: &[(Kind, &str)] = &[
    (Kind::Valkey91, "Valkey server v=9.1."),
    (Kind::Valkey81, "Valkey server v=8.1."),
    (Kind::Redis80, "Redis server v=8.0."),
    (Kind::Redis70, "Redis server v=7.0."),
];

/// A backlog that no test overruns, and a full sync that begins at once.
const PRIMARY: &[&str] =
    &["--repl-backlog-size", "64mb", "--repl-diskless-sync-delay", "0", "--bind", "127.0.0.1"];

/// How long a condition may take to come true, be the machine ever so busy.
const PATIENCE: Duration = Duration::from_secs(60);

impl Kind {
    /// Its name in messages.
    pub fn name(self) -> String {
        match self {
            Self::Keylane(shards) => format!("keylane-{shards}"),
            Self::Native(shards) => format!("native-{shards}"),
            Self::Valkey91 => "valkey-9.1".into(),
            Self::Valkey81 => "valkey-8.1".into(),
            Self::Redis80 => "redis-8.0".into(),
            Self::Redis70 => "redis-7.0".into(),
        }
    }

    /// Whether it is ours.
    pub fn is_keylane(self) -> bool {
        matches!(self, Self::Keylane(_) | Self::Native(_))
    }

    /// Whether it says and does what the Valkey does whose answers ours are to be.
    pub fn is_reference(self) -> bool {
        self.is_keylane() || self == Self::Valkey91
    }

    /// Whose values it holds.
    pub fn family(self) -> Family {
        match self {
            Self::Keylane(_) | Self::Native(_) | Self::Valkey91 | Self::Valkey81 => Family::Valkey,
            Self::Redis80 | Self::Redis70 => Family::Redis,
        }
    }

    /// The program, if it is here.
    pub fn program(self) -> Option<PathBuf> {
        if self.is_keylane() {
            return Some(processes::keylane());
        }
        let (_, says) = VERSIONS.iter().find(|(kind, _)| *kind == self)?;
        let mut found = programs().iter();
        found.find(|(_, version)| version.starts_with(says)).map(|(program, _)| program.clone())
    }

    /// Starts one with these options besides the usual ones.
    pub fn start(self, options: &[&str]) -> Option<Server> {
        let program = self.program()?;
        let shards;
        let own: Vec<&str> = match self {
            Self::Keylane(count) | Self::Native(count) => {
                shards = count.to_string();
                let native = if let Self::Native(_) = self { "yes" } else { "no" };
                let words = ["--shards", &shards, "--repl-native", native];
                [&words[..], &["--rdb-version-check", "relaxed"]].concat()
            }
            // A snapshot of Redis 8 is of a version that it reads only if it is told to try.
            Self::Valkey91 => vec!["--appendonly", "no", "--rdb-version-check", "relaxed"],
            Self::Valkey81 | Self::Redis80 | Self::Redis70 => vec!["--appendonly", "no"],
        };
        let words = [PRIMARY, &["--enable-debug-command", "yes"], &own, options].concat();
        Some(processes::start(&program, &words, self.name()))
    }
}

/// The servers at hand and what they say of their version: of `$PEERS`, of the usual cache, of a
/// folder of the same name with `-trixie` behind it (another suite's), and of `PATH`.
fn programs() -> &'static [(PathBuf, String)] {
    static FOUND: OnceLock<Vec<(PathBuf, String)>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let homes = [
            env::var_os("PEERS").map(PathBuf::from),
            env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/peers")),
        ];
        let folders = homes.into_iter().flatten().flat_map(|home| {
            let other = format!("{}-trixie", home.display());
            [home.join("bin"), Path::new(&other).join("bin")]
        });
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = folders.chain(env::split_paths(&path)).collect();
        let programs = folders
            .iter()
            .flat_map(|folder| ["valkey-server", "redis-server"].map(|name| folder.join(name)));
        programs
            .filter(|program| program.exists())
            .filter_map(|program| {
                let version = processes::version(&program)?;
                Some((program, version))
            })
            .collect()
    })
}

/// The client program that comes with a server, or else any.
pub fn client_program() -> Option<PathBuf> {
    let beside = programs().iter().filter_map(|(program, _)| program.parent());
    let all = beside.flat_map(|folder| ["valkey-cli", "redis-cli"].map(|name| folder.join(name)));
    let all: Vec<PathBuf> = all.filter(|program| program.exists()).collect();
    let best = all.iter().find(|program| program.ends_with("valkey-cli"));
    best.or(all.first()).cloned()
}

/// Waits until the condition is true, or fails with what `describe` says.
pub fn until(what: &str, mut condition: impl FnMut() -> bool, describe: impl FnOnce() -> String) {
    const PAUSE: Duration = Duration::from_millis(5);
    let start = now();
    while !condition() {
        if PATIENCE < start.elapsed() {
            panic!("{what}: not within {} s\n{}", PATIENCE.as_secs(), describe());
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// The time.
#[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
pub fn now() -> Instant {
    Instant::now()
}

/// A section of INFO: its fields and values. The connection is a new one each time: Sentinels have
/// servers close those of their clients.
pub fn info(server: &Server, section: &str) -> BTreeMap<String, String> {
    let reply = server.client().call(&["INFO", section]);
    let Ok(Reply::Bulk(text) | Reply::Verbatim(text)) = reply else {
        return BTreeMap::new();
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A counter of INFO.
pub fn counter(server: &Server, section: &str, name: &str) -> u64 {
    let fields = info(server, section);
    let value = fields.get(name).unwrap_or_else(|| panic!("{}: no {name}", server.name));
    value.parse().unwrap_or_else(|_| panic!("{}: {name} is {value}", server.name))
}

/// Lets `replica` follow the server at `address`, which is its primary or a proxy to it.
pub fn follow(replica: &Server, address: &str) {
    let (host, port) = address.rsplit_once(':').expect("an address has a port");
    let reply = replica.client().call(&["REPLICAOF", host, port]);
    let answered = matches!(&reply, Ok(Reply::Simple(text)) if text == b"OK");
    assert!(answered, "{}: REPLICAOF is answered {reply:?}", replica.name);
}

/// Waits until the replica's link is up and the primary calls it online.
pub fn wait_until_online(primary: &Server, replica: &Server) {
    let port = replica.addr.rsplit_once(':').expect("an address has a port").1;
    let are_native = is_native(primary) && is_native(replica);
    let online = || {
        let (link, serves) = (info(replica, "replication"), info(primary, "replication"));
        let is_up = link.get("master_link_status").is_some_and(|status| status == "up");
        let takes_logs =
            |fields: &BTreeMap<String, String>| fields.contains_key("master_link_logs");
        // Who has the stream of another kind of server has no logs for others.
        let has_logs =
            serves.get("role").is_some_and(|role| role == "master") || takes_logs(&serves);
        // Each log comes by a connection of its own, or none does.
        is_up
            && (are_native && has_logs) == takes_logs(&link)
            && serves.iter().any(|(name, value)| {
                name.starts_with("slave")
                    && value.contains(&format!("port={port},"))
                    && value.contains("state=online")
            })
    };
    until("the replica is online", online, || describe([primary, replica]));
}

/// Whether each log goes by itself between it and another of its kind.
pub fn is_native(server: &Server) -> bool {
    server.name.starts_with("native-")
}

/// What servers say of their replication, and what they have written last.
pub fn describe<'a>(servers: impl IntoIterator<Item = &'a Server>) -> String {
    let text = |server: &Server| {
        let fields = info(server, "replication");
        let fields = fields.iter().map(|(name, value)| format!("  {name}:{value}\n"));
        let output = server.output();
        let tail: Vec<&str> = output.lines().rev().take(100).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        format!("{}\n{}{}\n", server.name, fields.collect::<String>(), tail.join("\n"))
    };
    servers.into_iter().map(text).collect()
}

/// Waits until the replica has processed as much as its primary has written.
pub fn wait_until_offsets_meet(primary: &Server, replica: &Server) {
    let meet = || {
        let written = info(primary, "replication").remove("master_repl_offset");
        let mut applied = info(replica, "replication");
        let is_up = applied.get("master_link_status").is_some_and(|status| status == "up");
        is_up && written.is_some() && written == applied.remove("slave_repl_offset")
    };
    until("the offsets meet", meet, || describe([primary, replica]));
}
