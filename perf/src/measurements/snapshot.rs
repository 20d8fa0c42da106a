//! What a snapshot costs while it is written: how long the fork stops the server, how long the
//! file takes, what paced clients see, how much memory is copied; and how long loading it takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::pause::pace_with;
use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, Reply, key, write_request};
use crate::servers::peer::Peer;
use crate::servers::process;
use crate::servers::scatter::Scatter;
use crate::servers::server::Server;
use crate::summary::{median, percentile};

/// Requests of a fill that are under way at once.
const DEPTH: u64 = 1000;
/// Of so many keys one is a hash, besides; or a large value, in the other dataset.
const HASHES_EACH: u64 = 4;
const LARGE_EACH: u64 = 20;
const LARGE_BYTES: usize = 4096;
/// Writes per second while memory is looked at, and how they come: so many each millisecond.
pub const WRITES_PER_MILLI: u64 = 20;
/// How often the server is asked whether the snapshot is done, and memory looked at.
const POLL: Duration = Duration::from_millis(10);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the server holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dataset {
    /// Values of 64 bytes, and hashes of four small fields.
    Small,
    /// Values of 4 KiB.
    Large,
}

/// What one round tells.
#[derive(Default)]
struct Figures {
    fork_ms: Vec<f64>,
    save_s: Vec<f64>,
    busy_save_s: Vec<f64>,
    extra_mb: Vec<f64>,
    load_s: Vec<f64>,
    /// Latencies in microseconds: idle and while a snapshot is written, of reader and writer.
    idle: [Vec<f64>; 2],
    saving: [Vec<f64>; 2],
}

/// Measures all servers in turn, and writes the tables.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    for dataset in [Dataset::Small, Dataset::Large] {
        let mut all: Vec<Figures> = options.peers.iter().map(|_| Figures::default()).collect();
        for round in 0..options.rounds {
            for (peer, figures) in options.peers.iter().zip(&mut all) {
                eprintln!("{}, round {}: {}", dataset.text(options.keys), round + 1, peer.name);
                measure(peer, options, dataset, figures)?;
            }
        }
        report.say(&format!(
            "{}; medians of {} rounds, latencies of all rounds together. A GET and a SET each \
             millisecond, latency counts from when they were due. Memory, and the second time of \
             saving: with {WRITES_PER_MILLI}000 SETs per second besides.",
            dataset.text(options.keys),
            options.rounds
        ));
        report.table(&table(options, &all));
    }
    Ok(())
}

fn table(options: &Options, all: &[Figures]) -> Vec<Vec<String>> {
    let head = [
        "server",
        "fork ms",
        "save s",
        "busy save s",
        "extra MB",
        "load s",
        "idle GET p99.9 us",
        "idle SET p99.9 us",
        "GET p99.9 us",
        "SET p99.9 us",
        "GET max us",
        "SET max us",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (peer, figures) in options.peers.iter().zip(all) {
        let mut row = vec![peer.name.clone()];
        let medians = [&figures.fork_ms, &figures.save_s, &figures.busy_save_s, &figures.extra_mb];
        row.extend(medians.map(|values| format!("{:.2}", median(values))));
        row.push(format!("{:.2}", median(&figures.load_s)));
        let [idle, saving] = [&figures.idle, &figures.saving];
        let latencies = [(idle, 999), (saving, 999), (saving, 1000)];
        row.extend(latencies.iter().flat_map(|&(both, per_mille)| {
            both.each_ref().map(|us| format!("{:.0}", percentile(us, per_mille)))
        }));
        rows.push(row);
    }
    rows
}

fn measure(
    peer: &Peer,
    options: &Options,
    dataset: Dataset,
    figures: &mut Figures,
) -> Result<(), String> {
    let mut server = Server::start(peer, options)?;
    let keys = dataset.fill(&mut server.connect()?, options.keys)?;
    let paced = Paced { server: &server, dataset, keys };
    let seconds = Duration::from_secs(options.seconds);
    let (_, idle) = paced.beside(false, || {
        thread::sleep(seconds);
        Ok(())
    })?;
    let (save, saving) = paced.beside(false, || save(&server))?;
    figures.save_s.push(save.seconds);
    figures.fork_ms.push(number(&server, "stats", "latest_fork_usec")? / 1000.0);
    let (busy, _) = paced.beside(true, || self::save(&server))?;
    figures.busy_save_s.push(busy.seconds);
    figures.extra_mb.push(busy.extra_bytes as f64 / f64::from(1 << 20));
    for (all, new) in [(&mut figures.idle, idle), (&mut figures.saving, saving)] {
        all.iter_mut().zip(new).for_each(|(all, new)| all.extend(new));
    }
    figures.load_s.push(server.restart(peer, options)?.as_secs_f64());
    let loaded = server.connect()?.call(&["DBSIZE"])?;
    let expected = dataset.keys(options.keys);
    match loaded {
        Reply::Line(text) if text == expected.to_string() => Ok(()),
        other => Err(format!("{}: {other:?} instead of {expected} keys", peer.name)),
    }
}

/// Clients that send a request each millisecond.
struct Paced<'s> {
    server: &'s Server,
    dataset: Dataset,
    keys: u64,
}

impl Paced<'_> {
    /// Lets them work while `work` does; latencies of the reader and the writer in microseconds.
    fn beside<T>(
        &self,
        writes: bool,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<(T, [Vec<f64>; 2]), String> {
        let done = AtomicU64::new(0);
        let (reading, writing) = (self.server.connect()?, self.server.connect()?);
        let third = self.server.connect()?;
        let value = "w".repeat(self.dataset.value_bytes());
        let scatter = |seed| Scatter::new(seed, self.keys);
        let (mut read, mut written) = (scatter(1), scatter(2));
        let (done, value) = (&done, value.as_str());
        thread::scope(|scope| {
            let get = move |out: &mut Vec<u8>, _| write_request(out, &["GET", &read.next_key()]);
            let set = move |out: &mut Vec<u8>, _| {
                write_request(out, &["SET", &written.next_key(), value])
            };
            let reader = scope.spawn(move || pace_with(reading, done, 1, get));
            let writer = scope.spawn(move || pace_with(writing, done, 1, set));
            let load = writes.then(|| scope.spawn(|| keep_writing(third, done, scatter(3), value)));
            let worked = work();
            done.store(1, Ordering::Relaxed);
            let of = |samples: Vec<(u64, f64)>| samples.into_iter().map(|sample| sample.1);
            let reader = reader.join().expect("the reader does not panic")?;
            let writer = writer.join().expect("the writer does not panic")?;
            load.map_or(Ok(()), |load| load.join().expect("the load does not panic"))?;
            Ok((worked?, [of(reader).collect(), of(writer).collect()]))
        })
    }
}

/// Writes so many keys each millisecond until `done` is not 0.
pub fn keep_writing(
    mut connection: Connection,
    done: &AtomicU64,
    mut keys: Scatter,
    value: &str,
) -> Result<(), String> {
    let mut due = Instant::now();
    while done.load(Ordering::Relaxed) == 0 {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.fill_with(0..WRITES_PER_MILLI, WRITES_PER_MILLI, b"+OK\r\n", |out, _| {
            write_request(out, &["SET", &keys.next_key(), value]);
        })?;
        due += Duration::from_millis(1);
    }
    Ok(())
}

/// How a snapshot went.
struct Save {
    seconds: f64,
    /// Memory there was besides what there had been before, at most.
    extra_bytes: u64,
}

fn save(server: &Server) -> Result<Save, String> {
    let mut connection = server.connect()?;
    let before = process::anonymous_bytes()?;
    let began = Instant::now();
    connection.call(&["BGSAVE"])?;
    let mut most = before;
    while connection.info("persistence", "rdb_bgsave_in_progress")? != "0" {
        if PATIENCE < began.elapsed() {
            return Err(format!("{}: the snapshot does not end", server.name));
        }
        thread::sleep(POLL);
        most = most.max(process::anonymous_bytes()?);
    }
    let seconds = began.elapsed().as_secs_f64();
    match connection.info("persistence", "rdb_last_bgsave_status")?.as_str() {
        "ok" => Ok(Save { seconds, extra_bytes: most - before }),
        status => Err(format!("{}: the snapshot ended with `{status}`", server.name)),
    }
}

fn number(server: &Server, section: &str, name: &str) -> Result<f64, String> {
    let text = server.connect()?.info(section, name)?;
    text.parse().map_err(|_| format!("INFO says {name}:{text}"))
}

impl Dataset {
    fn text(self, keys: u64) -> String {
        match self {
            Self::Small => format!(
                "{keys} keys of 16 bytes with values of 64, and {} hashes of four small fields",
                keys / HASHES_EACH
            ),
            Self::Large => format!("{} keys with values of 4 KiB", keys / LARGE_EACH),
        }
    }

    fn value_bytes(self) -> usize {
        match self {
            Self::Small => crate::servers::client::VALUE_BYTES,
            Self::Large => LARGE_BYTES,
        }
    }

    /// All keys there are.
    fn keys(self, keys: u64) -> u64 {
        match self {
            Self::Small => keys + keys / HASHES_EACH,
            Self::Large => keys / LARGE_EACH,
        }
    }

    /// Writes it; how many strings there are.
    fn fill(self, connection: &mut Connection, keys: u64) -> Result<u64, String> {
        if self == Self::Large {
            let (count, value) = (keys / LARGE_EACH, "v".repeat(LARGE_BYTES));
            connection.fill_with(0..count, DEPTH, b"+OK\r\n", |out, number| {
                write_request(out, &["SET", &key(number), &value]);
            })?;
            return Ok(count);
        }
        connection.fill(0..keys, DEPTH)?;
        connection.fill_with(0..keys / HASHES_EACH, DEPTH, b":4\r\n", |out, number| {
            let (name, text) = (format!("hash:{number:011}"), number.to_string());
            let fields = ["name", &text, "mail", "someone", "age", "33", "city", "Berlin"];
            write_request(out, &[&["HSET", &name], fields.as_slice()].concat());
        })?;
        Ok(keys)
    }
}
