//! A client that writes at whichever server takes it, and notes how long it had to wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::leaving::book::{Book, Deed, Write};
use crate::measurements::leaving::slots::keys;
use crate::servers::client::{Connection, Reply};

/// Keys of one writer in each range.
const KEYS: usize = 60;
/// Those of one that appends: they grow.
const LISTS: usize = 8;
/// The time from one batch to the next: with six writers a machine of two cores is not busy.
const PACE: Duration = Duration::from_micros(500);
/// How soon what was refused is tried again.
const RETRY: Duration = Duration::from_millis(1);
/// So many times a writer is sent on at once; then it pauses.
const HOPS_MAX: usize = 4;
/// Numbers of a round begin at its own multiple of this.
const NUMBERS: u64 = 1_000_000_000;

/// What writers are told while they write, and tell.
#[derive(Debug)]
pub struct Stage {
    /// The range whose primary ends.
    pub range: usize,
    /// Whether it was asked to.
    pub is_ending: AtomicBool,
    /// Whether it is time to stop.
    pub is_over: AtomicBool,
    /// Writes of that range that were acknowledged, by writer.
    pub acknowledged: Vec<AtomicU64>,
}

impl Stage {
    /// The stage of so many writers, before anything happens.
    pub fn new(range: usize, writers: usize) -> Self {
        let acknowledged = (0..writers).map(|_| AtomicU64::new(0)).collect();
        let (is_ending, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { range, is_ending, is_over, acknowledged }
    }
}

/// A writer at work.
#[derive(Debug)]
pub struct Writer {
    number: usize,
    depth: usize,
    deed: Deed,
    /// Its keys, by range, and which comes next.
    keys: Vec<Vec<String>>,
    places: Vec<usize>,
    /// The port where a range was last, or may be.
    routes: Vec<u16>,
    /// Ports of servers that answer.
    ports: Vec<u16>,
    connections: BTreeMap<u16, Connection>,
    next: u64,
    /// What was refused and is to be sent again, by range.
    refused: Vec<Vec<Write>>,
    heard: Instant,
    written: Written,
}

/// What it saw.
#[derive(Debug)]
pub struct Written {
    /// What was acknowledged.
    pub book: Book,
    /// The keys, by range.
    pub keys: Vec<Vec<String>>,
    /// Writes that were acknowledged.
    pub count: u64,
    /// The longest time without one in the range, before its primary was asked to end.
    pub calm: Duration,
    /// Likewise from then on.
    pub gap: Duration,
    /// Connections that were closed while a reply was awaited.
    pub resets: u64,
    /// Errors other than redirections, by their first words.
    pub errors: BTreeMap<String, u64>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Some of it belongs elsewhere, and it is known where.
    Moved,
    /// Some of it is to be tried again later.
    Refused,
}

impl Writer {
    /// The writer of this number among so many: the first half writes one key at a time, the
    /// second `depth`, and the last of each half appends.
    pub fn new(
        (number, writers): (usize, usize),
        depth: usize,
        round: usize,
        routes: &[u16],
    ) -> Self {
        let half = writers.div_ceil(2);
        let deed =
            if number + 1 == half || number + 1 == writers { Deed::Append } else { Deed::Set };
        let depth = if number < half { 1 } else { depth };
        let (prefix, count) = match deed {
            Deed::Set => (format!("set:{number}:"), KEYS),
            Deed::Append => (format!("append:{number}:{round}:"), LISTS),
        };
        let ranges = routes.len();
        let (keys, first) = (keys(&prefix, count, ranges), (1 + round as u64) * NUMBERS);
        let written = Written {
            book: Book::new(deed, first),
            keys: keys.clone(),
            count: 0,
            calm: Duration::ZERO,
            gap: Duration::ZERO,
            resets: 0,
            errors: BTreeMap::new(),
        };
        Self {
            number,
            depth,
            deed,
            keys,
            places: vec![0; ranges],
            routes: routes.to_vec(),
            ports: Vec::new(),
            connections: BTreeMap::new(),
            next: first,
            refused: vec![Vec::new(); ranges],
            heard: Instant::now(),
            written,
        }
    }

    /// Writes to all ranges in turn until it is told to stop. `ports` are those of servers that it
    /// may ask.
    pub fn keep_writing(mut self, stage: &Stage, ports: &[u16]) -> Written {
        self.ports = ports.to_vec();
        self.heard = Instant::now();
        let (mut range, mut hops, mut due) = (0, 0, Instant::now());
        while !stage.is_over.load(Ordering::Relaxed) {
            match self.write(range, stage) {
                Outcome::Done => {
                    (range, hops) = ((range + 1) % self.routes.len(), 0);
                    due = Instant::now().max(due + PACE);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                Outcome::Moved if hops < HOPS_MAX => hops += 1,
                Outcome::Moved | Outcome::Refused => {
                    hops = 0;
                    thread::sleep(RETRY);
                }
            }
        }
        self.note_gap(stage);
        self.written
    }

    fn write(&mut self, range: usize, stage: &Stage) -> Outcome {
        let port = self.routes[range];
        let connection = self.connections.remove(&port).or_else(|| Connection::open(port).ok());
        let Some(mut connection) = connection else {
            self.go_elsewhere(range);
            return Outcome::Refused;
        };
        let batch = self.batch(range);
        let mut requests = Vec::new();
        batch.iter().for_each(|write| self.written.book.request(write, &mut requests));
        if connection.send(&requests).is_err() {
            // It was closed before. What the server got of it is not known.
            batch.iter().for_each(|write| self.written.book.leave_open(write));
            self.go_elsewhere(range);
            return Outcome::Refused;
        }
        let mut outcome = Outcome::Done;
        for (at, write) in batch.iter().enumerate() {
            match connection.receive_any() {
                Ok(Reply::Error(text)) => outcome = self.hear_refusal((range, port), write, &text),
                Ok(_) => self.hear_success(range, write, stage),
                Err(_) => {
                    batch[at..].iter().for_each(|write| self.written.book.leave_open(write));
                    self.written.resets += 1;
                    self.go_elsewhere(range);
                    return Outcome::Refused;
                }
            }
        }
        self.connections.insert(port, connection);
        outcome
    }

    /// What comes next: what was refused, and then other keys.
    fn batch(&mut self, range: usize) -> Vec<Write> {
        let mut batch = std::mem::take(&mut self.refused[range]);
        while batch.len() < self.depth {
            let (keys, place) = (&self.keys[range], &mut self.places[range]);
            let key = keys[*place % keys.len()].clone();
            *place += 1;
            batch.push(Write { key, number: self.next });
            self.next += 1;
        }
        batch
    }

    fn hear_success(&mut self, range: usize, write: &Write, stage: &Stage) {
        self.written.book.acknowledge(write);
        self.written.count += 1;
        if range == stage.range {
            self.note_gap(stage);
            stage.acknowledged[self.number].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_gap(&mut self, stage: &Stage) {
        let now = Instant::now();
        let is_ending = stage.is_ending.load(Ordering::Relaxed);
        let longest = if is_ending { &mut self.written.gap } else { &mut self.written.calm };
        *longest = now.duration_since(self.heard).max(*longest);
        self.heard = now;
    }

    fn hear_refusal(&mut self, (range, port): (usize, u16), write: &Write, text: &str) -> Outcome {
        // Of a key that is SET the next number serves as well, and numbers only rise.
        if self.deed == Deed::Append {
            self.refused[range].push(write.clone());
        }
        if let Some(port) = moved_to(text) {
            self.routes[range] = port;
            return Outcome::Moved;
        }
        let word = text.split(' ').next().unwrap_or_default().to_owned();
        // All of a batch may be refused by the same server.
        if word == "READONLY" && self.routes[range] == port {
            self.go_elsewhere(range);
        }
        *self.written.errors.entry(word).or_default() += 1;
        Outcome::Refused
    }

    /// Takes the next server for one that has the range, or knows who does.
    fn go_elsewhere(&mut self, range: usize) {
        let at = self.ports.iter().position(|port| *port == self.routes[range]);
        let next = at.map_or(0, |at| at + 1) % self.ports.len();
        self.routes[range] = self.ports[next];
    }
}

/// The port of a redirection.
fn moved_to(error: &str) -> Option<u16> {
    let rest = error.strip_prefix("MOVED ")?;
    rest.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(number: usize) -> Writer {
        Writer::new((number, 6), 8, 2, &[1, 2, 3])
    }

    #[test]
    fn follows_redirections() {
        assert_eq!(moved_to("MOVED 5461 127.0.0.1:11001"), Some(11001));
        assert_eq!(moved_to("MOVED 5461 ::1:11001"), Some(11001));
        assert_eq!(moved_to("CLUSTERDOWN The cluster is down"), None);
        let (mut writer, write) = (writer(0), Write { key: "key".into(), number: 1 });
        let outcome = writer.hear_refusal((1, 2), &write, "MOVED 5461 127.0.0.1:11001");
        assert_eq!((outcome, writer.routes), (Outcome::Moved, vec![1, 11001, 3]));
    }

    #[test]
    fn half_of_them_write_one_at_a_time_and_two_append() {
        let deeds: Vec<Deed> = (0..6).map(|number| writer(number).deed).collect();
        let [set, append] = [Deed::Set, Deed::Append];
        assert_eq!(deeds, [set, set, append, set, set, append]);
        let depths: Vec<usize> = (0..6).map(|number| writer(number).batch(0).len()).collect();
        assert_eq!(depths, [1, 1, 1, 8, 8, 8]);
    }

    #[test]
    fn only_what_was_to_be_appended_is_sent_again() {
        for (number, is_sent) in [(4, false), (5, true)] {
            let mut writer = writer(number);
            let first = writer.batch(1)[3].clone();
            let outcome = writer.hear_refusal((1, 2), &first, "CLUSTERDOWN The cluster is down");
            assert_eq!(outcome, Outcome::Refused);
            assert_eq!(writer.batch(1).contains(&first), is_sent);
            assert_eq!(writer.written.errors["CLUSTERDOWN"], 1);
        }
    }

    #[test]
    fn a_batch_that_is_refused_goes_to_the_next_server_once() {
        let mut writer = writer(3);
        writer.ports = vec![2, 7, 8];
        for write in writer.batch(1) {
            writer.hear_refusal((1, 2), &write, "READONLY You can't write against a replica.");
        }
        assert_eq!(writer.routes[1], 7);
    }

    #[test]
    fn asks_all_servers_in_turn() {
        let mut writer = writer(0);
        writer.ports = vec![1, 2, 7];
        for expected in [2, 7, 1] {
            writer.go_elsewhere(0);
            assert_eq!(writer.routes[0], expected);
        }
        writer.go_elsewhere(2);
        assert_eq!(writer.routes[2], 1);
    }
}
