//! How well `maxmemory` holds, and what eviction costs: under a load of writes that do not fit,
//! with one pipeline of large values, with a limit just above the empty server, and with all keys
//! in one slot.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, Reply, write_request};
use crate::servers::peer::Peer;
use crate::servers::process;
use crate::servers::scatter::Scatter;
use crate::servers::server::Server;
use crate::summary::median;

const MIB: u64 = 1 << 20;
/// The limit under load, and the bytes of a value.
const LOAD_LIMIT: u64 = 60 * MIB;
const LOAD_VALUE_BYTES: usize = 300;
/// Policies of the load.
const LOAD_POLICIES: [&str; 4] = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-ttl"];
/// The pipeline of large values: its limit, how many, and where each ends.
const LARGE_LIMIT: u64 = 100 * MIB;
const LARGE_COUNT: u64 = 60;
const LARGE_BYTES: u64 = 20 * MIB;
/// The small limit, above what an empty server uses; and the SETs under it, of so many bytes.
const SMALL_LIMIT: u64 = 100 << 10;
const SMALL_COUNT: u64 = 3000;
const SMALL_VALUE_BYTES: usize = 100;
/// Policies of the small limit.
const POLICIES: [&str; 8] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "noeviction",
];
/// How long the server may take to come below its limit.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures, and writes the tables.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    load(options, report)?;
    large(options, report)?;
    small(options, report)
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    rate: f64,
    cpu_us: f64,
    refused: u64,
    evicted: u64,
    /// Most memory in use beyond the limit that was seen.
    over: u64,
}

fn load(options: &Options, report: &mut Report) -> Result<(), String> {
    let head = ["policy", "keys", "server", "SETs/s", "CPU us", "evicted", "OOM", "over KiB"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let one_tag = [(LOAD_POLICIES[0], "{tag}")];
    for (policy, tag) in LOAD_POLICIES.iter().map(|policy| (*policy, "")).chain(one_tag) {
        let mut all: Vec<Vec<Outcome>> = vec![Vec::new(); options.peers.len()];
        for round in 1..=options.rounds {
            for (peer, outcomes) in options.peers.iter().zip(&mut all) {
                eprintln!("{policy} {tag}, round {round}: {}", peer.name);
                outcomes.push(load_once(options, peer, policy, tag)?);
            }
        }
        for (peer, outcomes) in options.peers.iter().zip(&all) {
            let figure =
                |pick: fn(&Outcome) -> f64| median(&outcomes.iter().map(pick).collect::<Vec<_>>());
            let most = |pick: fn(&Outcome) -> u64| outcomes.iter().map(pick).max().unwrap_or(0);
            rows.push(vec![
                policy.to_owned(),
                if tag.is_empty() { "spread" } else { "one slot" }.to_owned(),
                peer.name.clone(),
                format!("{:.0}", figure(|outcome| outcome.rate)),
                format!("{:.2}", figure(|outcome| outcome.cpu_us)),
                format!("{:.0}", figure(|outcome| outcome.evicted as f64)),
                most(|outcome| outcome.refused).to_string(),
                (most(|outcome| outcome.over) >> 10).to_string(),
            ]);
        }
    }
    report.say(&format!(
        "SETs of {} keys with values of {LOAD_VALUE_BYTES} bytes by {} clients for {} s, with \
         maxmemory {} MiB, which was full before; medians of {} rounds. OOM: SETs that were \
         refused; over: most of used_memory beyond the limit that was seen; both the most of all \
         rounds.",
        options.keys,
        options.clients,
        options.seconds,
        LOAD_LIMIT / MIB,
        options.rounds
    ));
    report.table(&rows);
    Ok(())
}

fn load_once(options: &Options, peer: &Peer, policy: &str, tag: &str) -> Result<Outcome, String> {
    let server = Server::start(peer, options)?;
    let limit = LOAD_LIMIT.to_string();
    server.connect()?.configure(&["maxmemory", &limit, "maxmemory-policy", policy])?;
    set_all(&mut server.connect()?, LOAD_LIMIT / LOAD_VALUE_BYTES as u64, tag)?;
    let depth = options.pipelines.first().copied().unwrap_or(1);
    let before = process::cpu_time(server.pid())?;
    let (over, (sets, refused, took)) = watch(&server, LOAD_LIMIT, || {
        let start = Instant::now();
        let each = |seed: usize| write_for(options, &server, depth, tag, seed as u64);
        let counts: Vec<(u64, u64)> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..options.clients).map(|seed| scope.spawn(move || each(seed))).collect();
            let ends = threads.into_iter().map(|t| t.join().expect("a client does not panic"));
            ends.collect::<Result<_, _>>()
        })?;
        let sum = |pick: fn(&(u64, u64)) -> u64| counts.iter().map(pick).sum::<u64>();
        Ok((sum(|count| count.0), sum(|count| count.1), start.elapsed().as_secs_f64()))
    })?;
    let cpu = process::cpu_time(server.pid())?.saturating_sub(before);
    Ok(Outcome {
        rate: sets as f64 / took,
        cpu_us: cpu.as_secs_f64() * 1e6 / sets.max(1) as f64,
        refused,
        evicted: server.connect()?.info_number("stats", "evicted_keys")?,
        over,
    })
}

/// Fills the room there is, so that each SET that follows has to make some.
fn set_all(connection: &mut Connection, count: u64, tag: &str) -> Result<(), String> {
    const DEPTH: u64 = 100;
    let (mut keys, value) = (Scatter::new(0, u64::MAX >> 33), "v".repeat(LOAD_VALUE_BYTES));
    for _ in 0..count / DEPTH {
        let mut requests = Vec::new();
        for _ in 0..DEPTH {
            let key = format!("{tag}{}", keys.next_key());
            write_request(&mut requests, &["SET", &key, &value, "EX", "1000"]);
        }
        connection.send(&requests)?;
        for _ in 0..DEPTH {
            is_refused(&connection.receive_any()?)?;
        }
    }
    Ok(())
}

/// Sets keys for the time of a run: how many, and how many were refused.
fn write_for(
    options: &Options,
    server: &Server,
    depth: u64,
    tag: &str,
    seed: u64,
) -> Result<(u64, u64), String> {
    let mut connection = server.connect()?;
    let (mut keys, value) = (Scatter::new(seed, options.keys), "v".repeat(LOAD_VALUE_BYTES));
    let (start, mut sets, mut refused) = (Instant::now(), 0, 0);
    let mut requests = Vec::new();
    while start.elapsed() < Duration::from_secs(options.seconds) {
        requests.clear();
        for _ in 0..depth {
            let key = format!("{tag}{}", keys.next_key());
            write_request(&mut requests, &["SET", &key, &value, "EX", "1000"]);
        }
        connection.send(&requests)?;
        for _ in 0..depth {
            refused += u64::from(is_refused(&connection.receive_any()?)?);
        }
        sets += depth;
    }
    Ok((sets, refused))
}

/// Whether this is a refusal for want of memory, which is the only error there may be.
fn is_refused(reply: &Reply) -> Result<bool, String> {
    match reply {
        Reply::Error(text) if text.starts_with("OOM") => Ok(true),
        Reply::Error(text) => Err(format!("the server answered `-{text}`")),
        Reply::Line(_) | Reply::Bulk(_) | Reply::Null => Ok(false),
    }
}

/// Lets `work` work, and looks at memory in use as often as it can: the most beyond the limit.
fn watch<T>(
    server: &Server,
    limit: u64,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<(u64, T), String> {
    const REST: Duration = Duration::from_millis(1);
    let ends = AtomicBool::new(false);
    let mut connection = server.connect()?;
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !ends.load(Ordering::Relaxed) {
                most = most.max(connection.info_number("memory", "used_memory")?);
                thread::sleep(REST);
            }
            most = most.max(connection.info_number("memory", "used_memory")?);
            Ok::<u64, String>(most)
        });
        let worked = work();
        ends.store(true, Ordering::Relaxed);
        let most = watching.join().expect("the watcher does not panic")?;
        Ok((most.saturating_sub(limit), worked?))
    })
}

fn large(options: &Options, report: &mut Report) -> Result<(), String> {
    let head = ["policy", "keys", "server", "OOM", "over MiB", "peak RSS MiB", "below after s"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (policy, tag) in
        [("noeviction", ""), ("noeviction", "{tag}"), ("allkeys-lru", ""), ("allkeys-lru", "{tag}")]
    {
        for peer in &options.peers {
            eprintln!("large values, {policy} {tag}: {}", peer.name);
            let server = Server::start(peer, options)?;
            let mut connection = server.connect()?;
            let limit = LARGE_LIMIT.to_string();
            connection.configure(&["maxmemory", &limit, "maxmemory-policy", policy])?;
            process::forget_peak(server.pid())?;
            let mut requests = Vec::new();
            for number in 0..LARGE_COUNT {
                let (key, end) = (format!("{tag}{number}"), (LARGE_BYTES - 1).to_string());
                write_request(&mut requests, &["SETRANGE", &key, &end, "x"]);
            }
            let (over, refused) = watch(&server, LARGE_LIMIT, || {
                connection.send(&requests)?;
                let mut refused = 0;
                for _ in 0..LARGE_COUNT {
                    refused += u64::from(is_refused(&connection.receive_any()?)?);
                }
                Ok(refused)
            })?;
            let below = wait_until_below(&mut connection, LARGE_LIMIT)?;
            rows.push(vec![
                policy.to_owned(),
                if tag.is_empty() { "spread" } else { "one slot" }.to_owned(),
                peer.name.clone(),
                refused.to_string(),
                format!("{:.1}", over as f64 / MIB as f64),
                (process::peak_bytes(server.pid())? / MIB).to_string(),
                below.map_or("never".into(), |took| format!("{:.2}", took.as_secs_f64())),
            ]);
        }
    }
    report.say(&format!(
        "One pipeline of {LARGE_COUNT} SETRANGEs that make a value of {} MiB each, with maxmemory \
         {} MiB.",
        LARGE_BYTES / MIB,
        LARGE_LIMIT / MIB
    ));
    report.table(&rows);
    Ok(())
}

fn wait_until_below(connection: &mut Connection, limit: u64) -> Result<Option<Duration>, String> {
    let start = Instant::now();
    while limit < connection.info_number("memory", "used_memory")? {
        if PATIENCE < start.elapsed() {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(Some(start.elapsed()))
}

fn small(options: &Options, report: &mut Report) -> Result<(), String> {
    const LOOK_EACH: u64 = 50;
    let head = ["policy", "server", "most over KiB", "least over KiB", "OOM", "keys at the end"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let value = "v".repeat(SMALL_VALUE_BYTES);
    for policy in POLICIES {
        for peer in &options.peers {
            eprintln!("small limit, {policy}: {}", peer.name);
            let server = Server::start(peer, options)?;
            let (mut connection, mut looking) = (server.connect()?, server.connect()?);
            let limit = looking.info_number("memory", "used_memory")? + SMALL_LIMIT;
            let text = limit.to_string();
            connection.configure(&["maxmemory", &text, "maxmemory-policy", policy])?;
            let (mut refused, mut over) = (0, Vec::new());
            for number in 0..SMALL_COUNT {
                let mut request = Vec::new();
                let key = crate::servers::client::key(number);
                write_request(&mut request, &["SET", &key, &value, "EX", "1000"]);
                connection.send(&request)?;
                refused += u64::from(is_refused(&connection.receive_any()?)?);
                // The first thousand fill the room.
                if SMALL_COUNT / 3 < number && number % LOOK_EACH == 0 {
                    let used = looking.info_number("memory", "used_memory")?;
                    over.push((used as f64 - limit as f64) / 1024.0);
                }
            }
            rows.push(vec![
                policy.to_owned(),
                peer.name.clone(),
                format!("{:.1}", over.iter().copied().fold(f64::MIN, f64::max)),
                format!("{:.1}", over.iter().copied().fold(f64::MAX, f64::min)),
                refused.to_string(),
                match looking.call(&["DBSIZE"])? {
                    Reply::Line(text) => text,
                    other => return Err(format!("DBSIZE is answered {other:?}")),
                },
            ]);
        }
    }
    report.say(&format!(
        "{SMALL_COUNT} SETs of {SMALL_VALUE_BYTES} bytes, one at a time, with maxmemory {} KiB \
         above what the empty server uses: used_memory against the limit, during the last two \
         thirds.",
        SMALL_LIMIT >> 10
    ));
    report.table(&rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_refusals_from_other_errors() {
        let oom = "OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(is_refused(&Reply::Error(oom.into())), Ok(true));
        assert_eq!(is_refused(&Reply::Line("OK".into())), Ok(false));
        let other = is_refused(&Reply::Error("ERR no".into()));
        assert_eq!(other.unwrap_err(), "the server answered `-ERR no`");
    }
}
