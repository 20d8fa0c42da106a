//! How soon keys and fields are gone that are due: many at one moment beside light traffic, and a
//! stream of short-lived ones. What is there is asked by INFO keyspace and HLEN, which wake no key.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, Reply, key, write_request};
use crate::servers::process;
use crate::servers::server::Server;
use crate::summary::median;

/// Keys that stay, so that there is something to ask for.
const STAYING: u64 = 1000;
/// Fields of a hash in the first part, and hashes in the second.
const FIELDS_EACH: u64 = 100;
const HASHES: u64 = 1000;
/// Light traffic: a GET in this time.
const PERIOD: Duration = Duration::from_millis(20);
/// GETs between two looks at how many are left.
const LOOK_EACH: u64 = 10;
/// A fill gets this time before all is due.
const FILL: Duration = Duration::from_secs(12);
/// It is given up after this.
const PATIENCE: Duration = Duration::from_secs(120);
/// The stream: so many in each period, which live so long.
const STREAM_EACH: u64 = 500;
const STREAM_PERIOD: Duration = Duration::from_millis(10);
const LIFE_MS: &str = "100";
/// Requests of a fill that are under way at once.
const DEPTH: u64 = 500;

/// What expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Keys,
    Fields,
}

/// What was measured of a server, a value each round.
#[derive(Clone, Debug, Default)]
struct Figures {
    gone_s: Vec<f64>,
    cpu_s: Vec<f64>,
    per_second: Vec<f64>,
    left: Vec<f64>,
    left_later: Vec<f64>,
}

/// Measures, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let head =
        ["what", "server", "gone s", "CPU s", "stream/s", "left at its end", "left 1 s later"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for what in [What::Keys, What::Fields] {
        let mut all = vec![Figures::default(); options.peers.len()];
        for round in 1..=options.rounds {
            for (peer, figures) in options.peers.iter().zip(&mut all) {
                eprintln!("{what:?}, round {round}: {}", peer.name);
                let server = Server::start(peer, options)?;
                at_once(&server, what, options.keys, figures)?;
                stream(&server, what, options.seconds, figures)?;
            }
        }
        for (peer, figures) in options.peers.iter().zip(&all) {
            rows.push(vec![
                format!("{what:?}").to_lowercase(),
                peer.name.clone(),
                format!("{:.1}", median(&figures.gone_s)),
                format!("{:.2}", median(&figures.cpu_s)),
                format!("{:.0}", median(&figures.per_second)),
                format!("{:.0}", median(&figures.left)),
                format!("{:.0}", median(&figures.left_later)),
            ]);
        }
    }
    report.say(&format!(
        "{} keys, or fields of {FIELDS_EACH} to a hash, that are due at one moment, beside {} GETs \
         a second: how long until all are gone ({} s: not all went), and the server's CPU time \
         meanwhile. Then for {} s a stream of {} a second that live {LIFE_MS} ms each, fields in \
         {HASHES} hashes: how many were sent, and how many were left. Medians of {} rounds.",
        options.keys,
        1000 / PERIOD.as_millis(),
        PATIENCE.as_secs(),
        options.seconds,
        u128::from(STREAM_EACH) * 1000 / STREAM_PERIOD.as_millis(),
        options.rounds
    ));
    report.table(&rows);
    Ok(())
}

/// Fills the server with what is due at one moment, and waits until that is gone.
fn at_once(server: &Server, what: What, count: u64, figures: &mut Figures) -> Result<(), String> {
    let mut connection = server.connect()?;
    connection.call(&["FLUSHALL", "SYNC"])?;
    connection.fill(0..STAYING, DEPTH)?;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
    let (due_ms, due) = (since_epoch + FILL, Instant::now() + FILL);
    let due_ms = due_ms.as_millis().to_string();
    match what {
        What::Keys => connection.fill_with(0..count, DEPTH, b"+OK\r\n", |out, number| {
            write_request(out, &["SET", &due_key(number), "value", "PXAT", &due_ms]);
        })?,
        What::Fields => {
            let names: Vec<String> = (0..FIELDS_EACH).map(|field| format!("f{field}")).collect();
            let pairs: Vec<&str> = names.iter().flat_map(|name| [name.as_str(), "v"]).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let hashes = 0..count / FIELDS_EACH;
            let added = format!(":{FIELDS_EACH}\r\n");
            connection.fill_with(hashes.clone(), DEPTH, added.as_bytes(), |out, number| {
                write_request(out, &[&["HSET", &due_key(number)], pairs.as_slice()].concat());
            })?;
            let each = FIELDS_EACH.to_string();
            let set = format!("*{FIELDS_EACH}\r\n{}", ":1\r\n".repeat(names.len()));
            connection.fill_with(hashes, DEPTH, set.as_bytes(), |out, number| {
                let key = due_key(number);
                let head = ["HPEXPIREAT", &key, &due_ms, "FIELDS", &each];
                write_request(out, &[&head, names.as_slice()].concat());
            })?;
        }
    }
    if due <= Instant::now() {
        return Err(format!("{}: the fill took too long: choose less with --keys", server.name));
    }
    thread::sleep(due - Instant::now());
    let before = process::cpu_time(server.pid())?;
    let took = wait_until_gone(&mut connection, due)?;
    let cpu = process::cpu_time(server.pid())?.saturating_sub(before);
    figures.gone_s.push(took.as_secs_f64());
    figures.cpu_s.push(cpu.as_secs_f64());
    Ok(())
}

fn due_key(number: u64) -> String {
    format!("due:{number:012}")
}

/// Sends light traffic until only what stays is left. How long that took.
fn wait_until_gone(connection: &mut Connection, due: Instant) -> Result<Duration, String> {
    for count in 1.. {
        if PATIENCE <= due.elapsed() {
            break;
        }
        let next = due + PERIOD * count;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if u64::from(count) % LOOK_EACH == 0 {
            if keys(connection)? <= STAYING {
                return Ok(due.elapsed());
            }
        } else {
            connection.call(&["GET", &key(u64::from(count) % STAYING)])?;
        }
    }
    Ok(PATIENCE)
}

/// How many keys there are.
fn keys(connection: &mut Connection) -> Result<u64, String> {
    // A database without keys has no line.
    let line = connection.info("keyspace", "db0").unwrap_or_else(|_| "keys=0,".into());
    let number = line.split(',').next().and_then(|text| text.strip_prefix("keys=")?.parse().ok());
    number.ok_or(format!("INFO keyspace says db0:{line}"))
}

/// Sends what lives for a short time, as much as the server takes but no more than there is to be.
fn stream(server: &Server, what: What, seconds: u64, figures: &mut Figures) -> Result<(), String> {
    let mut connection = server.connect()?;
    connection.call(&["FLUSHALL", "SYNC"])?;
    let (start, mut sent) = (Instant::now(), 0);
    let mut due = start;
    while start.elapsed() < Duration::from_secs(seconds) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let numbers = sent..sent + STREAM_EACH;
        match what {
            What::Keys => {
                connection.fill_with(numbers, STREAM_EACH, b"+OK\r\n", |out, number| {
                    write_request(out, &["SET", &due_key(number), "value", "PX", LIFE_MS]);
                })?
            }
            What::Fields => {
                connection.fill_with(numbers, STREAM_EACH, b":1\r\n", |out, number| {
                    let (hash, field) = (hash(number % HASHES), number.to_string());
                    let rest = ["PX", LIFE_MS, "FIELDS", "1", &field, "value"];
                    write_request(out, &[&["HSETEX", &hash], rest.as_slice()].concat());
                })?
            }
        }
        sent += STREAM_EACH;
        due += STREAM_PERIOD;
    }
    figures.per_second.push(sent as f64 / start.elapsed().as_secs_f64());
    figures.left.push(left(&mut connection, what)? as f64);
    thread::sleep(Duration::from_secs(1));
    figures.left_later.push(left(&mut connection, what)? as f64);
    Ok(())
}

fn hash(number: u64) -> String {
    format!("hash:{number}")
}

/// How many keys or fields there are.
fn left(connection: &mut Connection, what: What) -> Result<u64, String> {
    if what == What::Keys {
        return keys(connection);
    }
    let mut requests = Vec::new();
    (0..HASHES).for_each(|number| write_request(&mut requests, &["HLEN", &hash(number)]));
    connection.send(&requests)?;
    let mut sum = 0;
    for _ in 0..HASHES {
        match connection.receive()? {
            Reply::Line(text) => {
                sum += text.parse::<u64>().map_err(|_| format!("HLEN is answered {text}"))?;
            }
            other => return Err(format!("HLEN is answered {other:?}")),
        }
    }
    Ok(sum)
}
