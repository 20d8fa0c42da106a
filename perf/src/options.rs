//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use crate::measurements::leaving::mix::Conditions;
use crate::measurements::memory::Values;
use crate::servers::peer::{self, Peer};

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// Requests per second, latency and server CPU per request, under `valkey-benchmark`.
    Throughput,
    /// CPU used while connections stay silent.
    Idle,
    /// Growth of resident memory per key.
    Memory,
    /// Latency a paced client sees while another fills the server.
    Pause,
    /// Latency a paced client sees while another works on one large collection.
    Large,
    /// What a snapshot costs, and how fast one is loaded.
    Snapshot,
    /// User-space instructions per GET.
    Instructions,
    /// Time of one deep pipeline of writes.
    Pipe,
    /// Many clients that write the same keys.
    Contention,
    /// Waiting for a server beside processes that use all processors.
    Busy,
    /// How soon keys and fields are gone that are due.
    Expiry,
    /// How well the memory limit holds, and what eviction costs.
    Eviction,
    /// Memory that single clients can make the server hold.
    Resident,
    /// What a replica costs its primary, and how long a full sync takes.
    Replication,
    /// What a replica spends on writes, how far it is behind, and what both hold in memory.
    Apply,
    /// How long nothing can be written while a primary's role is handed over.
    Handover,
    /// How long writes wait while a primary of a cluster is ended on purpose.
    Leaving,
}

impl Measurement {
    /// Whether servers and load stay on processors of their own: then figures are steady. What one
    /// client sees of several shards, or of a busy machine, is seen without.
    fn pins(self) -> bool {
        match self {
            Self::Throughput
            | Self::Idle
            | Self::Memory
            | Self::Pause
            | Self::Large
            | Self::Snapshot
            | Self::Instructions
            | Self::Replication
            | Self::Apply => true,
            Self::Pipe
            | Self::Contention
            | Self::Busy
            | Self::Expiry
            | Self::Eviction
            | Self::Resident
            | Self::Handover
            | Self::Leaving => false,
        }
    }

    /// Tests of the benchmark unless others are chosen.
    fn tests(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Replication | Self::Apply => &["set"],
            _ => &["get", "set"],
        };
        names.iter().map(|&name| name.into()).collect()
    }

    /// Depths of pipelines unless others are chosen.
    fn pipelines(self) -> Vec<u64> {
        match self {
            Self::Throughput => vec![1, 16, 64],
            Self::Replication => vec![1, 16],
            Self::Pipe => vec![250],
            Self::Eviction => vec![4],
            _ => vec![16],
        }
    }

    /// Rounds unless others are chosen.
    fn rounds(self) -> usize {
        if self == Self::Leaving { 25 } else { 5 }
    }
}

/// Everything that can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to measure.
    pub measurement: Measurement,
    /// The servers; ratios are against the first.
    pub peers: Vec<Peer>,
    /// The server that follows them; `None`: each is followed by one of its own kind.
    pub replica: Option<Peer>,
    /// CPUs of servers that name none of their own, as `taskset -c` takes them.
    pub server_cpus: String,
    /// CPUs of the load.
    pub load_cpus: String,
    /// Keys to fill.
    pub keys: u64,
    /// Rounds over all servers; medians are reported.
    pub rounds: usize,
    /// How long one run takes, about.
    pub seconds: u64,
    /// Connections.
    pub clients: usize,
    /// Depths of the pipelines.
    pub pipelines: Vec<u64>,
    /// Tests of `valkey-benchmark`, or whole commands for it.
    pub tests: Vec<String>,
    /// What keys hold whose memory is measured.
    pub values: Vec<Values>,
    /// Servers of clusters of which a primary is ended.
    pub mixes: Vec<String>,
    /// How many of each are primaries, if not half.
    pub primaries: Option<usize>,
    /// What makes that harder, one for each row.
    pub conditions: Vec<Conditions>,
    /// Path of `valkey-benchmark`.
    pub benchmark: PathBuf,
    /// More arguments for it.
    pub benchmark_args: Vec<String>,
    /// Path of `valgrind`, if it was given.
    pub valgrind: Option<PathBuf>,
    /// The last part of the result file's name.
    pub name: String,
    /// Where results are saved.
    pub results: PathBuf,
}

/// The ways to measure: name, keys, seconds and clients by default, and what it tells.
const MEASUREMENTS: &[(&str, Measurement, u64, u64, usize, &str)] = &[
    (
        "throughput",
        Measurement::Throughput,
        2_000_000,
        4,
        50,
        "requests/s, p50, p99 and server CPU per request under valkey-benchmark",
    ),
    ("idle", Measurement::Idle, 0, 10, 1000, "share of a core used by silent connections"),
    ("memory", Measurement::Memory, 2_000_000, 0, 1, "growth of resident memory per key"),
    ("pause", Measurement::Pause, 10_000_000, 0, 1, "latency of paced GETs during a fill"),
    ("large", Measurement::Large, 5_000_000, 0, 1, "likewise beside one large collection"),
    ("snapshot", Measurement::Snapshot, 4_000_000, 3, 1, "what BGSAVE costs, and loading"),
    (
        "instructions",
        Measurement::Instructions,
        100_000,
        0,
        50,
        "user-space instructions per request under callgrind",
    ),
    ("pipe", Measurement::Pipe, 300_000, 3, 1, "one client's SETs: all in one pipeline, and at -P"),
    ("contention", Measurement::Contention, 1000, 3, 50, "MSETs of 10 keys by all clients at once"),
    ("busy", Measurement::Busy, 1, 5, 1, "one client's INCRs, a busy process on each processor"),
    ("expiry", Measurement::Expiry, 300_000, 10, 1, "how soon keys and fields are gone when due"),
    ("eviction", Measurement::Eviction, 300_000, 4, 20, "how maxmemory holds, and what it costs"),
    ("resident", Measurement::Resident, 0, 6, 1, "memory that single clients make the server hold"),
    (
        "replication",
        Measurement::Replication,
        2_000_000,
        4,
        50,
        "what a replica costs its primary, and how long a full sync takes",
    ),
    ("apply", Measurement::Apply, 500_000, 60, 50, "what a replica spends, its lag, and memory"),
    ("handover", Measurement::Handover, 100_000, 1, 1, "FAILOVER beside writes, and WAIT"),
    ("leaving", Measurement::Leaving, 300_000, 0, 6, "primaries that end, and writes that wait"),
];

/// The options: name, and what it says.
const OPTIONS: &[(&str, &str)] = &[
    ("--server-cpus", "cpus of the servers, as taskset -c takes them (0; all from pipe on)"),
    ("--load-cpus", "cpus of the load (1; all from pipe on)"),
    ("--keys", "keys filled, of 16 bytes with values of 64 bytes, or members (large)"),
    ("--rounds", "rounds over all servers; medians are reported (5; leaving: 25 each way)"),
    ("--seconds", "how long one run takes, about"),
    ("--clients", "connections"),
    (
        "--pipelines",
        "depths of the pipelines (1,16,64; replication: 1,16, pipe: 250, eviction: 4, others: 16)",
    ),
    (
        "--replica",
        "the SERVER that follows, for replication and apply, on the load's cpus; same: one of \
         the own kind (valkey)",
    ),
    (
        "--tests",
        "tests of the benchmark or commands: get,'lrange list 0 99' (get,set; replication and \
         apply: set)",
    ),
    ("--values", "what keys hold, for memory: string, hash, set, list, zset (string)"),
    (
        "--mix",
        "servers of leaving, first primaries and then their replicas: letters k (keylane-2), 1 \
         (keylane), v (valkey), r (redis), or a SERVER that is named so; pair or pair:1k: a \
         primary and its replica without a cluster (kkkkkk)",
    ),
    ("--primaries", "how many servers of a mix are primaries (half)"),
    (
        "--with",
        "conditions of leaving, one a row: plain, stopped (one of two replicas), blocked (clients \
         that wait), save (--keys of 1 kB in each primary, and a snapshot begins), or blocked+save \
         (plain)",
    ),
    ("--benchmark", "path of valkey-benchmark (from PATH, else from $PEERS/bin)"),
    ("--benchmark-args", "more arguments for it, in one string"),
    ("--valgrind", "path of valgrind (from PATH or $PEERS/bin, whichever is new enough)"),
    ("--name", "last part of the result file's name (the measurement's name)"),
    ("--results", "folder of the result files (perf/results)"),
];

/// The text of `--help`.
pub fn usage() -> String {
    let mut text = String::from("usage: perf MEASUREMENT [OPTION VALUE ...] SERVER ...\n\n");
    for (name, _, keys, seconds, clients, help) in MEASUREMENTS {
        text.push_str(&format!("  {name:<17} {help}\n"));
        text.push_str(&format!(
            "{:20}(--keys {keys} --seconds {seconds} --clients {clients})\n",
            ""
        ));
    }
    text.push('\n');
    for (name, help) in OPTIONS {
        text.push_str(&format!("  {name:<17} {help}\n"));
    }
    text.push_str(
        "\nSERVER is name=command or name@cpus=command, with {port} and {dir} in the command,\n\
         and {metrics} if it has metrics, which are then read each second; or one of keylane,\n\
         keylane-2 (with two shards), keylane-cluster, keylane-2-cluster (all slots of a cluster\n\
         of one node), valkey, redis for the usual command. Ratios are against the first.\n\
         leaving takes mixes instead.\n",
    );
    text
}

impl Options {
    /// Reads the command line; says what is wrong with it.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut args = args.iter();
        let chosen = args.next().map_or("", String::as_str);
        let (name, measurement, keys, seconds, clients, _) = MEASUREMENTS
            .iter()
            .find(|entry| entry.0 == chosen)
            .ok_or(format!("no measurement is called `{chosen}`; see --help"))?;
        let all = thread::available_parallelism().map_or(1, NonZero::get);
        let pins = measurement.pins();
        let cpus = |pinned: &str| if pins { pinned.into() } else { format!("0-{}", all - 1) };
        let mut options = Self {
            measurement: *measurement,
            peers: Vec::new(),
            replica: Some(Peer::parse("valkey")?),
            server_cpus: cpus("0"),
            load_cpus: cpus("1"),
            keys: *keys,
            rounds: measurement.rounds(),
            seconds: *seconds,
            clients: *clients,
            pipelines: measurement.pipelines(),
            tests: measurement.tests(),
            values: vec![Values::String],
            mixes: vec!["kkkkkk".into()],
            primaries: None,
            conditions: vec![Conditions::default()],
            benchmark: peer::tool("valkey-benchmark"),
            benchmark_args: Vec::new(),
            valgrind: None,
            name: (*name).into(),
            results: "perf/results".into(),
        };
        while let Some(arg) = args.next() {
            if arg.starts_with("--") {
                let value = args.next().ok_or(format!("{arg} needs a value"))?;
                options.set(arg, value)?;
            } else {
                options.peers.push(Peer::parse(arg)?);
            }
        }
        if options.peers.is_empty() && *measurement != Measurement::Leaving {
            return Err("name at least one server; see --help".into());
        }
        Ok(options)
    }

    /// What follows a server.
    pub fn replica_of(&self, peer: &Peer) -> Peer {
        self.replica.as_ref().unwrap_or(peer).clone()
    }

    /// What follows servers, for tables.
    pub fn replica_name(&self) -> &str {
        self.replica.as_ref().map_or("its own kind", |replica| &replica.name)
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match option {
            "--server-cpus" => self.server_cpus = value.into(),
            "--load-cpus" => self.load_cpus = value.into(),
            "--keys" => self.keys = number(option, value)?,
            "--rounds" => self.rounds = number(option, value)?,
            "--seconds" => self.seconds = number(option, value)?,
            "--clients" => self.clients = number(option, value)?,
            "--pipelines" => {
                self.pipelines = value
                    .split(',')
                    .map(|depth| number(option, depth))
                    .collect::<Result<_, _>>()?;
            }
            "--replica" if value == "same" => self.replica = None,
            "--replica" => self.replica = Some(Peer::parse(value)?),
            "--tests" => self.tests = value.split(',').map(str::to_lowercase).collect(),
            "--values" => {
                self.values = value.split(',').map(Values::parse).collect::<Result<_, _>>()?;
            }
            "--mix" => self.mixes = value.split(',').map(str::to_owned).collect(),
            "--primaries" => self.primaries = Some(number(option, value)?),
            "--with" => {
                let conditions = value.split(',').map(Conditions::parse);
                self.conditions = conditions.collect::<Result<_, _>>()?;
            }
            "--benchmark" => self.benchmark = value.into(),
            "--benchmark-args" => self.benchmark_args = peer::words(value)?,
            "--valgrind" => self.valgrind = Some(value.into()),
            "--name" => self.name = value.into(),
            "--results" => self.results = value.into(),
            _ => return Err(format!("unknown option {option}; see --help")),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.replace('_', "").parse().map_err(|_| format!("{option} takes a number, not `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&peer::words(line).unwrap())
    }

    #[test]
    fn reads_every_option_it_lists() {
        for (option, _) in OPTIONS {
            let value = match *option {
                "--values" => "set,zset",
                "--replica" => "a=b",
                "--with" => "plain,blocked+save",
                _ => "7",
            };
            let parsed = parse(&format!("throughput {option} {value} x=y"));
            assert!(parsed.is_ok(), "{option}: {parsed:?}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (line, complaint) in [
            ("", "no measurement is called ``; see --help"),
            ("speed x=y", "no measurement is called `speed`; see --help"),
            ("idle", "name at least one server; see --help"),
            ("idle --keys", "--keys needs a value"),
            ("idle --keys many x=y", "--keys takes a number, not `many`"),
            ("leaving --with rain", "--with knows no `rain`; see --help"),
            ("memory --values map x=y", "--values knows no `map`; see --help"),
            ("idle --colour red x=y", "unknown option --colour; see --help"),
        ] {
            assert_eq!(parse(line).err().as_deref(), Some(complaint));
        }
    }

    #[test]
    fn takes_peers_in_their_order() {
        let options = parse("memory --keys 1_000 a=b c@0-1='d e'").unwrap();
        assert_eq!(options.keys, 1000);
        let names: Vec<&str> = options.peers.iter().map(|peer| peer.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
    }
}
