//! How long nothing can be written while a primary hands its role over, whether anything is lost
//! then, and how soon WAIT is answered.
//!
//! Servers of one kind are a pair, whose roles change in each round. Clients know both, and go to
//! the other one when they are refused, as clients that ask a Sentinel do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::replication::{follow, until, wait_until_applied};
use crate::measurements::snapshot::WRITES_PER_MILLI;
use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, Reply, key, write_request};
use crate::servers::server::Server;
use crate::summary::{median, percentile};

/// Keys that are written while a role is handed over: so many are read again behind that.
const KEYS: usize = 1000;
/// How long is written before a role is handed over, and behind it.
const AROUND: Duration = Duration::from_millis(500);
/// How often a client that was refused tries the other server.
const RETRY: Duration = Duration::from_micros(200);

/// What was seen at one pair.
#[derive(Debug, Default)]
struct Seen {
    gaps_ms: Vec<f64>,
    /// Writes that were acknowledged, and those of them that are not there.
    acknowledged: u64,
    lost: u64,
    full_syncs: u64,
    /// Milliseconds of each WAIT, alone and beside writes.
    waits_ms: [Vec<f64>; 2],
}

/// Measures, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let mut pairs = Vec::new();
    for peer in &options.peers {
        let pair = [Server::start(peer, options)?, Server::start(peer, options)?];
        pair[0].fill(options.keys)?;
        follow(&pair[1], &pair[0])?;
        wait_until_applied(&pair[0], &pair[1])?;
        pairs.push((pair, Seen::default()));
    }
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (pair, seen) in &mut pairs {
            await_acks(pair, options, seen)?;
            hand_over(pair, seen)?;
            pair.swap(0, 1);
        }
    }
    report.say(&format!(
        "Pairs with {} keys of 16 bytes with values of 64. A client writes {} keys each \
         millisecond, FAILOVER is sent to the primary, and the client goes on at the other server: \
         the longest time without an acknowledged write (median and highest of {} rounds), \
         acknowledged writes that are not there, and full syncs. WAIT 1 behind a SET, alone and \
         beside the same load: milliseconds.",
        options.keys, WRITES_PER_MILLI, options.rounds
    ));
    let head = [
        "server",
        "gap ms",
        "highest",
        "writes",
        "lost",
        "full syncs",
        "WAIT p50",
        "p99",
        "loaded p50",
        "p99",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (pair, seen) in &pairs {
        let mut row = vec![pair[0].name.clone(), format!("{:.1}", median(&seen.gaps_ms))];
        row.push(format!("{:.1}", percentile(&seen.gaps_ms, 1000)));
        row.extend([seen.acknowledged, seen.lost, seen.full_syncs].map(|count| count.to_string()));
        for waits in &seen.waits_ms {
            row.extend([500, 990].map(|mille| format!("{:.2}", percentile(waits, mille))));
        }
        rows.push(row);
    }
    report.table(&rows);
    Ok(())
}

/// Times WAIT, alone and beside writes.
fn await_acks(
    [primary, _]: &[Server; 2],
    options: &Options,
    seen: &mut Seen,
) -> Result<(), String> {
    for (is_loaded, waits) in seen.waits_ms.iter_mut().enumerate() {
        let done = &AtomicBool::new(false);
        thread::scope(|scope| {
            let load = (is_loaded == 1)
                .then(|| scope.spawn(|| Writer::new([primary, primary], 1)?.keep_writing(done)));
            let timed = time_waits(primary, Duration::from_secs(options.seconds), waits);
            done.store(true, Ordering::Relaxed);
            load.map_or(Ok(()), |load| load.join().expect("the load does not panic").map(drop))?;
            timed
        })?;
    }
    Ok(())
}

fn time_waits(primary: &Server, patience: Duration, waits: &mut Vec<f64>) -> Result<(), String> {
    let (mut connection, began) = (primary.connect()?, Instant::now());
    while began.elapsed() < patience {
        connection.call(&["SET", "awaited", "value"])?;
        let asked = Instant::now();
        let reply = connection.call(&["WAIT", "1", "10000"])?;
        waits.push(asked.elapsed().as_secs_f64() * 1e3);
        if reply != Reply::Line("1".into()) {
            return Err(format!("{}: WAIT was answered {reply:?}", primary.name));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Hands the role of the first over to the second, beside writes.
fn hand_over(pair: &[Server; 2], seen: &mut Seen) -> Result<(), String> {
    let [primary, replica] = pair;
    let syncs = || -> Result<u64, String> {
        let count = |server: &Server| server.connect()?.info_number("stats", "sync_full");
        Ok(count(primary)? + count(replica)?)
    };
    let (before, done) = (syncs()?, &AtomicBool::new(false));
    let written = thread::scope(|scope| {
        let load = scope.spawn(|| Writer::new([primary, replica], 2)?.keep_writing(done));
        thread::sleep(AROUND);
        let port = replica.port.to_string();
        let asked = primary.connect()?.call(&["FAILOVER", "TO", "127.0.0.1", &port]);
        let is_over = asked.and_then(|_| {
            let mut connection = replica.connect()?;
            until(replica, || Ok(connection.info("replication", "role")? == "master"))
        });
        thread::sleep(AROUND);
        done.store(true, Ordering::Relaxed);
        let written = load.join().expect("the load does not panic");
        is_over.and(written)
    })?;
    wait_until_applied(replica, primary)?;
    seen.gaps_ms.push(written.gap.as_secs_f64() * 1e3);
    seen.acknowledged += written.next;
    seen.lost += written.lost(replica)?;
    seen.full_syncs += syncs()?.saturating_sub(before);
    Ok(())
}

/// A client that writes ascending numbers, at whichever server takes them.
struct Writer<'s> {
    servers: [&'s Server; 2],
    at: usize,
    connection: Connection,
    /// Keys of writers differ.
    prefix: u64,
    /// The number that was acknowledged last, of each key.
    acknowledged: Vec<u64>,
    next: u64,
    gap: Duration,
}

impl<'s> Writer<'s> {
    fn new(servers: [&'s Server; 2], prefix: u64) -> Result<Self, String> {
        let (connection, acknowledged) = (servers[0].connect()?, vec![0; KEYS]);
        let gap = Duration::ZERO;
        Ok(Self { servers, at: 0, connection, prefix, acknowledged, next: 0, gap })
    }

    fn key(&self, number: u64) -> String {
        key(self.prefix * 1_000_000_000 + number % KEYS as u64)
    }

    fn keep_writing(mut self, done: &AtomicBool) -> Result<Self, String> {
        let (mut due, mut acknowledged) = (Instant::now(), Instant::now());
        while !done.load(Ordering::Relaxed) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.write() {
                self.gap = self.gap.max(acknowledged.elapsed());
                acknowledged = Instant::now();
                due = acknowledged.max(due + Duration::from_millis(1));
            } else {
                thread::sleep(RETRY);
                self.at = 1 - self.at;
                self.connection = self.servers[self.at].connect()?;
            }
        }
        Ok(self)
    }

    /// Writes one batch. False if not all of it was acknowledged.
    fn write(&mut self) -> bool {
        let numbers = self.next + 1..self.next + 1 + WRITES_PER_MILLI;
        let mut requests = Vec::new();
        for number in numbers.clone() {
            write_request(&mut requests, &["SET", &self.key(number), &number.to_string()]);
        }
        if self.connection.send(&requests).is_err() {
            return false;
        }
        for number in numbers {
            if self.connection.receive() != Ok(Reply::Line("OK".into())) {
                return false;
            }
            self.next = number;
            let place = usize::try_from(number % KEYS as u64).unwrap_or_default();
            self.acknowledged[place] = number;
        }
        true
    }

    /// How many keys have less than was acknowledged.
    fn lost(&self, server: &Server) -> Result<u64, String> {
        let mut connection = server.connect()?;
        let mut lost = 0;
        for (number, acknowledged) in (0..).zip(&self.acknowledged) {
            let found = match connection.call(&["GET", &self.key(number)])? {
                Reply::Bulk(bytes) => String::from_utf8_lossy(&bytes).parse().unwrap_or(0),
                _ => 0,
            };
            lost += u64::from(found < *acknowledged);
        }
        Ok(lost)
    }
}
