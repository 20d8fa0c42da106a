//! Whether one large collection ever stops the others: a client sends a GET of another key each
//! millisecond while a sorted set, a hash and a list are filled, asked and deleted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::pause::{PACED_HEAD, pace, paced_row};
use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, write_request};
use crate::servers::server::Server;

/// Requests under way at once: few, so that waiting behind them is short.
const DEPTH: u64 = 16;
/// Requests of the phase that asks.
const QUESTIONS: u64 = 200_000;
/// How long nothing else goes on before, and how long memory is given to come back after.
const QUIET: Duration = Duration::from_secs(3);
/// What goes on, in this order. The sample of a GET bears the number of its phase.
const PHASES: [&str; 4] = ["idle", "fill", "ask", "delete"];

/// A type, and its requests for member `number` of `count`.
struct Type {
    name: &'static str,
    add: fn(out: &mut Vec<u8>, number: u64),
    ask: fn(out: &mut Vec<u8>, number: u64, count: u64),
}

const KEY: &str = "large";

const TYPES: [Type; 3] = [
    Type {
        name: "zset",
        add: |out, number| {
            // Scores come in no order.
            let score = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            write_request(out, &["ZADD", KEY, &score.to_string(), &member(number)]);
        },
        ask: |out, number, _| match number % 3 {
            0 => write_request(out, &["ZRANK", KEY, &member(number)]),
            1 => write_request(out, &["ZCOUNT", KEY, "1000000", "3000000000"]),
            _ => write_request(out, &["ZSCORE", KEY, &member(number)]),
        },
    },
    Type {
        name: "hash",
        add: |out, number| write_request(out, &["HSET", KEY, &member(number), "value"]),
        ask: |out, number, _| write_request(out, &["HGET", KEY, &member(number)]),
    },
    Type {
        name: "list",
        add: |out, number| write_request(out, &["RPUSH", KEY, &member(number)]),
        // Its ends: to reach the middle takes as long as its documentation says.
        ask: |out, number, count| match number % 3 {
            0 => write_request(out, &["LINDEX", KEY, &(number % 1000).to_string()]),
            1 => write_request(out, &["LINDEX", KEY, &(count - 1 - number % 1000).to_string()]),
            _ => write_request(out, &["LLEN", KEY]),
        },
    },
];

/// Measures one server after the other, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let mut rows = vec![head()];
    for peer in &options.peers {
        for kind in &TYPES {
            eprintln!("{}: {}", peer.name, kind.name);
            let server = Server::start(peer, options)?;
            let phase = AtomicU64::new(0);
            let (busy, paced) = (server.connect()?, server.connect()?);
            let ends = PHASES.len() as u64;
            let samples = thread::scope(|scope| {
                let pacing = scope.spawn(|| pace(paced, &phase, ends));
                let worked = go_through(kind, busy, &phase, options.keys);
                // Ends the paced client also when the work failed.
                phase.store(ends, Ordering::Relaxed);
                let samples = pacing.join().expect("the paced client does not panic");
                worked.and(samples)
            })?;
            for (number, name) in (0_u64..).zip(PHASES) {
                let of_phase = samples.iter().filter(|sample| sample.0 == number);
                let us: Vec<f64> = of_phase.map(|sample| sample.1).collect();
                let first = [peer.name.clone(), kind.name.to_owned(), name.to_owned()];
                rows.extend(paced_row(first, &us));
            }
        }
    }
    report.say(&format!(
        "A GET of another key each millisecond while a collection gets {} members, one request \
         each and {DEPTH} at a time, answers {QUESTIONS} questions and is deleted; latency counts \
         from when the GET was due.",
        options.keys
    ));
    report.table(&rows);
    Ok(())
}

fn head() -> Vec<String> {
    ["server", "type", "phase"].iter().chain(&PACED_HEAD).map(|&name| name.to_owned()).collect()
}

fn go_through(
    kind: &Type,
    mut connection: Connection,
    phase: &AtomicU64,
    members: u64,
) -> Result<(), String> {
    thread::sleep(QUIET);
    phase.store(1, Ordering::Relaxed);
    pipeline(&mut connection, members, |out, number| (kind.add)(out, number))?;
    phase.store(2, Ordering::Relaxed);
    pipeline(&mut connection, QUESTIONS.min(members), |out, at| {
        (kind.ask)(out, at * (members / QUESTIONS).max(1), members);
    })?;
    phase.store(3, Ordering::Relaxed);
    let start = Instant::now();
    connection.call(&["DEL", KEY])?;
    thread::sleep(QUIET.saturating_sub(start.elapsed()));
    Ok(())
}

fn pipeline(
    connection: &mut Connection,
    requests: u64,
    write: impl Fn(&mut Vec<u8>, u64),
) -> Result<(), String> {
    let (mut next, mut out) = (0, Vec::new());
    while next < requests {
        let end = requests.min(next + DEPTH);
        out.clear();
        (next..end).for_each(|number| write(&mut out, number));
        connection.send(&out)?;
        for _ in next..end {
            connection.receive()?;
        }
        next = end;
    }
    Ok(())
}

fn member(number: u64) -> String {
    format!("member:{number:09}")
}
