//! What a replica costs its primary: CPU per write with none and with one, how long a full sync
//! takes, and what a client that asks each millisecond sees of it.
//!
//! Writes are measured at two servers of each kind, of which one never had a replica: a server that
//! had one goes on to keep a backlog. CPU is that of the primary's process alone, until its replica
//! has applied all of it.
//!
//! A replica shares its processors with the load, which gets slower then: fewer requests come at
//! once, and each costs more. To see what the replica itself costs, both servers are given the same
//! rate: `--benchmark-args "--rps 50000"`.
//!
//! A server of two shards is measured on two processors (`keylane-2@0-1`). On one its shards wait
//! for each other by yielding it, up to 0.6 times a request with pipelines of 16: how often they do
//! changes from round to round, and is more than what the replica costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::snapshot::{WRITES_PER_MILLI, keep_writing};
use crate::options::Options;
use crate::report::Report;
use crate::servers::benchmark::{self, Load};
use crate::servers::client::{Connection, Reply, VALUE_BYTES};
use crate::servers::peer::Peer;
use crate::servers::process;
use crate::servers::scatter::Scatter;
use crate::servers::server::Server;
use crate::summary::{median, percentile};

/// How often servers are asked how far they are: seldom enough that it costs next to nothing.
const POLL: Duration = Duration::from_millis(2);
/// The period of clients that ask again and again.
const PERIOD: Duration = Duration::from_millis(1);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// The key by which is seen that a replica applies what is written.
const MARK: &str = "mark";
/// Of both kinds of replica none is cut for being slow, and a full sync begins at once.
const SETTINGS: &[&str] =
    &["client-output-buffer-limit", "replica 0 0 0", "repl-diskless-sync-delay", "0"];

/// Measures, and writes the tables.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let before = load_average()?;
    measure_writes(options, report)?;
    measure_syncs(options, report)?;
    let after = load_average()?;
    report.say(&format!(
        "The machine's load average was {before} before and {after} after: on a machine that does \
         other work times and latencies say little, CPU says more."
    ));
    Ok(())
}

/// Processes that ran or wanted to in the last minute.
fn load_average() -> Result<String, String> {
    let text = process::read("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

/// Servers of one kind: one that is alone, and one that is followed.
pub struct Trio {
    /// It never had a replica.
    pub alone: Server,
    /// It has one.
    pub followed: Server,
    /// The replica.
    pub replica: Server,
}

/// A depth of pipelines at one kind of server.
struct Cell {
    trio: usize,
    load: Load,
    /// Requests per second and CPU in microseconds per request, alone and followed.
    rounds: Vec<[(f64, f64); 2]>,
}

fn measure_writes(options: &Options, report: &mut Report) -> Result<(), String> {
    let trios = options.peers.iter().map(|peer| Trio::start(peer, options));
    let trios: Vec<Trio> = trios.collect::<Result<_, _>>()?;
    let mut cells = Vec::new();
    for test in &options.tests {
        for &pipeline in &options.pipelines {
            for (trio, Trio { alone, .. }) in trios.iter().enumerate() {
                let requests = benchmark::requests_for(options, alone, test, pipeline)?;
                let load = Load { test: test.clone(), pipeline, requests };
                cells.push(Cell { trio, load, rounds: Vec::new() });
            }
        }
    }
    for round in 1..=options.rounds {
        eprintln!("writes, round {round} of {}", options.rounds);
        for Cell { trio, load, rounds } in &mut cells {
            let Trio { alone, followed, replica } = &trios[*trio];
            let single = write(options, load, alone, None)?;
            rounds.push([single, write(options, load, followed, Some(replica))?]);
        }
    }
    report.say(&format!(
        "Keys of 16 bytes with values of {VALUE_BYTES}, {} connections; {} alternating rounds of \
         about {} s. CPU is the primary's, in microseconds per request: alone, and with `{}` as \
         its replica; medians, and median, lowest and highest of the rounds' ratios.",
        options.clients,
        options.rounds,
        options.seconds,
        options.replica_name()
    ));
    let head = [
        "test",
        "P",
        "server",
        "requests/s alone",
        "followed",
        "CPU alone",
        "followed",
        "ratio",
        "lowest",
        "highest",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for Cell { trio, load, rounds } in &cells {
        let of = |side: usize, pick: fn(&(f64, f64)) -> f64| {
            median(&rounds.iter().map(|round| pick(&round[side])).collect::<Vec<_>>())
        };
        let ratios: Vec<f64> = rounds.iter().map(|[alone, with]| with.1 / alone.1).collect();
        let mut row = vec![load.test.to_uppercase(), load.pipeline.to_string()];
        row.push(trios[*trio].alone.name.clone());
        row.extend([0, 1].map(|side| format!("{:.0}", of(side, |figures| figures.0))));
        row.extend([0, 1].map(|side| format!("{:.3}", of(side, |figures| figures.1))));
        row.extend([500, 0, 1000].map(|mille| match mille {
            500 => format!("{:.3}", median(&ratios)),
            _ => format!("{:.3}", percentile(&ratios, mille)),
        }));
        rows.push(row);
    }
    report.table(&rows);
    Ok(())
}

impl Trio {
    /// Starts them with the same data.
    pub fn start(peer: &Peer, options: &Options) -> Result<Self, String> {
        let [alone, followed] = [Server::start(peer, options)?, Server::start(peer, options)?];
        // The load's processor also takes the replica: then it takes none of the primary's.
        let follows = options.replica_of(peer);
        let cpus = options.replica.as_ref().and_then(|replica| replica.cpus.clone());
        let cpus = cpus.unwrap_or_else(|| options.load_cpus.clone());
        let replica = Peer { cpus: Some(cpus), ..follows };
        let replica = Server::start(&replica, options)?;
        for server in [&alone, &followed] {
            server.fill(options.keys)?;
            server.connect()?.configure(SETTINGS)?;
        }
        follow(&replica, &followed)?;
        wait_until_applied(&followed, &replica)?;
        Ok(Self { alone, followed, replica })
    }
}

/// Requests per second, and the primary's CPU for each in microseconds.
fn write(
    options: &Options,
    load: &Load,
    primary: &Server,
    replica: Option<&Server>,
) -> Result<(f64, f64), String> {
    let before = process::cpu_time(primary.pid())?;
    let outcome = benchmark::run(options, primary, load)?;
    if let Some(replica) = replica {
        wait_until_applied(primary, replica)?;
    }
    let cpu = process::cpu_time(primary.pid())?.saturating_sub(before);
    Ok((outcome.rate, cpu.as_secs_f64() * 1e6 / load.requests as f64))
}

/// What full syncs of one kind of server showed, without and with writes besides.
#[derive(Default)]
struct Syncs {
    link_s: Vec<f64>,
    cpu_s: Vec<f64>,
    applied_s: Vec<f64>,
    fork_ms: Vec<f64>,
    /// MiB that the primary holds more than before, at most.
    growth_mib: Vec<f64>,
    primary: Seen,
    replica: Seen,
}

/// What a client saw that asks each millisecond.
#[derive(Default)]
struct Seen {
    /// Latencies in microseconds.
    us: Vec<f64>,
    /// How many of its requests were refused, as by a server that loads.
    refused: usize,
}

fn measure_syncs(options: &Options, report: &mut Report) -> Result<(), String> {
    // The kernel decides where a primary, its child and the replica run.
    let cpus = format!("0-{}", process::processors()? - 1);
    let options = &Options { server_cpus: cpus, ..options.clone() };
    let primaries = Server::start_all(options)?;
    for primary in &primaries {
        primary.fill(options.keys)?;
        primary.connect()?.configure(SETTINGS)?;
    }
    let mut idle: Vec<Seen> = primaries.iter().map(|_| Seen::default()).collect();
    let mut all: Vec<[Syncs; 2]> = primaries.iter().map(|_| Default::default()).collect();
    for round in 1..=options.rounds {
        eprintln!("syncs, round {round} of {}", options.rounds);
        let places = primaries.iter().zip(&options.peers).zip(idle.iter_mut().zip(&mut all));
        for ((primary, peer), (idle, syncs)) in places {
            let seconds = Duration::from_secs(options.seconds);
            let quiet = Scene { servers: vec![primary], writes: Writes::None, keys: options.keys };
            let (_, seen) = quiet.beside(|| {
                thread::sleep(seconds);
                Ok(())
            })?;
            seen.into_iter().for_each(|seen| idle.add(seen));
            for (syncs, writes) in syncs.iter_mut().zip([Writes::None, Writes::Steady]) {
                sync((primary, peer), options, writes, syncs)?;
            }
        }
    }
    report.say(&format!(
        "Full syncs of {} keys of 16 bytes with values of {VALUE_BYTES}, to `{}`: seconds from \
         REPLICAOF until the link is up, the replica's CPU for that, and seconds until a write of \
         that moment is applied; the last fork; MiB that the primary (without the child) holds \
         more than before, at most. A PING each millisecond at the primary, idle and \
         during the sync, and at the replica, of all rounds together: microseconds from when it \
         was due, at most (p99.9). Refused are PINGs that the replica answered with an error. \
         Medians of {} rounds; ratios are against the first server.",
        options.keys,
        options.replica_name(),
        options.rounds
    ));
    let head = [
        "server",
        "SETs/s",
        "link up s",
        "ratio",
        "replica CPU s",
        "applied s",
        "fork ms",
        "primary MiB",
        "idle",
        "primary",
        "replica",
        "refused",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (primary, (idle, syncs)) in primaries.iter().zip(idle.iter().zip(&all)) {
        for (at, syncs) in syncs.iter().enumerate() {
            let link = median(&syncs.link_s);
            let writes = if at == 0 { 0 } else { 1000 * WRITES_PER_MILLI };
            let mut row = vec![primary.name.clone(), writes.to_string()];
            row.push(format!("{link:.2}"));
            row.push(format!("{:.2}", link / median(&all[0][at].link_s)));
            row.push(format!("{:.2}", median(&syncs.cpu_s)));
            row.push(format!("{:.2}", median(&syncs.applied_s)));
            row.push(format!("{:.2}", median(&syncs.fork_ms)));
            row.push(format!("{:.1}", median(&syncs.growth_mib)));
            row.extend([idle, &syncs.primary, &syncs.replica].map(Seen::text));
            row.push(syncs.replica.refused.to_string());
            rows.push(row);
        }
    }
    report.table(&rows);
    Ok(())
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.us.extend(other.us);
        self.refused += other.refused;
    }

    fn text(&self) -> String {
        format!("{:.0} ({:.0})", percentile(&self.us, 1000), percentile(&self.us, 999))
    }
}

/// What is written beside a sync.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    None,
    Steady,
}

/// Lets an empty server follow, and then go.
fn sync(
    (primary, peer): (&Server, &Peer),
    options: &Options,
    writes: Writes,
    syncs: &mut Syncs,
) -> Result<(), String> {
    let replica = Server::start(&options.replica_of(peer), options)?;
    let scene = Scene { servers: vec![primary, &replica], writes, keys: options.keys };
    process::forget_peak(primary.pid())?;
    let resident = process::resident_bytes(primary.pid())?;
    let (times, seen) = scene.beside(|| {
        let before = process::cpu_time(replica.pid())?;
        let began = Instant::now();
        follow(&replica, primary)?;
        let mut connection = replica.connect()?;
        until(&replica, || Ok(connection.info("replication", "master_link_status")? == "up"))?;
        let link = began.elapsed();
        let cpu = process::cpu_time(replica.pid())?.saturating_sub(before);
        let text = link.as_nanos().to_string();
        primary.connect()?.call(&["SET", MARK, &text])?;
        until(&replica, || {
            // A replica that still loads answers with an error.
            Ok(connection.call_any(&["GET", MARK])? == Reply::Bulk(text.clone().into_bytes()))
        })?;
        Ok((link, cpu, began.elapsed()))
    })?;
    let (link, cpu, applied) = times;
    syncs.cpu_s.push(cpu.as_secs_f64());
    syncs.link_s.push(link.as_secs_f64());
    syncs.applied_s.push(applied.as_secs_f64());
    let growth = process::peak_bytes(primary.pid())?.saturating_sub(resident);
    syncs.growth_mib.push(growth as f64 / f64::from(1 << 20));
    let fork_us = primary.connect()?.info_number("stats", "latest_fork_usec")?;
    syncs.fork_ms.push(fork_us as f64 / 1000.0);
    for (sum, seen) in [&mut syncs.primary, &mut syncs.replica].into_iter().zip(seen) {
        sum.add(seen);
    }
    Ok(())
}

/// Servers at each of which a client sends a PING each millisecond, and what is written at the
/// first.
struct Scene<'s> {
    servers: Vec<&'s Server>,
    writes: Writes,
    keys: u64,
}

impl Scene<'_> {
    /// Lets all clients work while `work` does; what each saw.
    fn beside<T>(
        &self,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<(T, Vec<Seen>), String> {
        let done = AtomicU64::new(0);
        let paced = self.servers.iter().map(|server| server.connect());
        let paced: Vec<Connection> = paced.collect::<Result<_, _>>()?;
        let writing = self.servers[0].connect()?;
        let (done, value) = (&done, "w".repeat(VALUE_BYTES));
        thread::scope(|scope| {
            let pingers: Vec<_> =
                paced.into_iter().map(|paced| scope.spawn(move || pace(paced, done))).collect();
            let keys = Scatter::new(1, self.keys);
            let load = (self.writes == Writes::Steady)
                .then(|| scope.spawn(|| keep_writing(writing, done, keys, &value)));
            let worked = work();
            done.store(1, Ordering::Relaxed);
            let seen = pingers.into_iter().map(|pinger| pinger.join().expect("it does not panic"));
            let seen: Vec<Seen> = seen.collect::<Result<_, _>>()?;
            load.map_or(Ok(()), |load| load.join().expect("the load does not panic"))?;
            Ok((worked?, seen))
        })
    }
}

/// Sends a PING each millisecond until `done` is not 0.
fn pace(mut connection: Connection, done: &AtomicU64) -> Result<Seen, String> {
    let (mut seen, mut due) = (Seen::default(), Instant::now());
    while done.load(Ordering::Relaxed) == 0 {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let reply = connection.call_any(&["PING"])?;
        seen.refused += usize::from(matches!(reply, Reply::Error(_)));
        seen.us.push(due.elapsed().as_secs_f64() * 1e6);
        due += PERIOD;
    }
    Ok(seen)
}

/// Lets a server follow another.
pub fn follow(replica: &Server, primary: &Server) -> Result<(), String> {
    let port = primary.port.to_string();
    replica.connect()?.call(&["REPLICAOF", "127.0.0.1", &port]).map(drop)
}

/// Waits until the replica has applied what its primary has written.
pub fn wait_until_applied(primary: &Server, replica: &Server) -> Result<(), String> {
    let (mut above, mut below) = (primary.connect()?, replica.connect()?);
    let offset = |connection: &mut Connection, name| connection.info("replication", name);
    until(replica, || {
        let is_up = offset(&mut below, "master_link_status")? == "up";
        let applied = offset(&mut below, "slave_repl_offset")?;
        Ok(is_up && applied == offset(&mut above, "master_repl_offset")?)
    })
}

/// Waits until the condition holds at a server.
pub fn until(
    server: &Server,
    mut condition: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let began = Instant::now();
    while !condition()? {
        if PATIENCE < began.elapsed() {
            return Err(format!("{}: the replica does not come to where it should", server.name));
        }
        thread::sleep(POLL);
    }
    Ok(())
}
