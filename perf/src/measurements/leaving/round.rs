//! One round: writers write, a primary is ended, and what they were told is compared with what is
//! there.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::leaving::book::Wrong;
use crate::measurements::leaving::cluster::Cluster;
use crate::measurements::leaving::mix::{Conditions, Form};
use crate::measurements::leaving::node::wait;
use crate::measurements::leaving::waiter::{Cut, Waiters};
use crate::measurements::leaving::writer::{Stage, Writer, Written};
use crate::servers::client::{Connection, write_request};

/// How long is written before a primary is ended, and behind it.
const AROUND: Duration = Duration::from_millis(500);
/// How long a primary may take to end.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take then until all writers write again; longer than one waits for a reply.
const WRITE_PATIENCE: Duration = Duration::from_secs(90);
/// How long a snapshot may take to begin.
const SAVE_PATIENCE: Duration = Duration::from_secs(10);
/// Writes in the pipelines of those writers that have any.
const DEPTH: usize = 8;

/// How a primary is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// SHUTDOWN NOSAVE FAILOVER.
    Command,
    /// SIGTERM, with the same said by `shutdown-on-sigterm`.
    Signal,
}

impl Way {
    /// As tables name it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Command => "SHUTDOWN",
            Self::Signal => "SIGTERM",
        }
    }
}

/// What is done in a round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Its number, from 0 on.
    pub number: usize,
    /// The range whose primary ends.
    pub range: usize,
    /// How.
    pub way: Way,
    /// How many clients write.
    pub writers: usize,
}

impl Round {
    /// Each range's primary ends in turn, and each in both ways, whichever of its servers it is.
    pub fn new(number: usize, ranges: usize, writers: usize) -> Self {
        let ways = [Way::Command, Way::Signal];
        let way = ways[(number + number / (2 * ranges)) % ways.len()];
        Self { number, range: number % ranges, way, writers }
    }
}

/// What was seen in a round.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The kind of the server that ended.
    pub letter: char,
    /// Whether its exit status was 0.
    pub is_clean: bool,
    /// The longest time that a writer had no write acknowledged before, in milliseconds.
    pub calm_ms: f64,
    /// Likewise from the moment on when the primary was asked to end.
    pub gap_ms: f64,
    /// What is not there as it should be.
    pub wrong: Wrong,
    /// Connections of writers that were closed while a reply was awaited.
    pub resets: u64,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// What happened to clients that wait.
    pub cut: Cut,
    /// Errors other than redirections, by their first words.
    pub errors: BTreeMap<String, u64>,
}

impl Seen {
    /// Whether all is as every server promises: some close connections early, but none loses.
    pub fn is_right(&self) -> bool {
        self.is_clean && self.wrong == Wrong::default() && self.cut.wrongly == 0
    }
}

/// Plays a round; behind it all servers run, and agree.
pub fn play(cluster: &mut Cluster, round: Round, conditions: &Conditions) -> Result<Seen, String> {
    let leaver = cluster.leaver(round.range)?;
    let replicas = cluster.replicas(leaver)?;
    let waiters = conditions.blocked.then(|| Waiters::start(cluster)).transpose()?;
    let turn = round.number / cluster.ranges;
    let stopped = replicas.get(turn % replicas.len().max(1)).copied();
    let stopped = stopped.filter(|_| conditions.stopped);
    let (written, is_clean) = write_beside(cluster, round, (leaver, stopped), conditions)?;
    let heir = cluster.owner(round.range)?;
    cluster.note_election(heir);
    let cut = waiters.map(|waiters| waiters.end(cluster, leaver)).transpose()?;
    let first = judge(cluster, &written)?;
    cluster.nodes[leaver].start_again()?;
    if cluster.form == Form::Pair {
        cluster.follow(leaver, heir)?;
    }
    cluster.settle("after the server that ended was started again")?;
    let wrong = first.max(judge(cluster, &written)?);
    forget_lists(cluster, round, &written)?;
    let longest = |pick: fn(&Written) -> Duration| {
        written.iter().map(pick).max().unwrap_or_default().as_secs_f64() * 1e3
    };
    let mut errors = BTreeMap::new();
    for (word, count) in written.iter().flat_map(|written| &written.errors) {
        *errors.entry(word.clone()).or_default() += count;
    }
    Ok(Seen {
        letter: cluster.nodes[leaver].letter,
        is_clean,
        calm_ms: longest(|written| written.calm),
        gap_ms: longest(|written| written.gap),
        wrong,
        resets: written.iter().map(|written| written.resets).sum(),
        writes: written.iter().map(|written| written.count).sum(),
        cut: cut.unwrap_or_default(),
        errors,
    })
}

/// Lets writers write while a primary ends: what they saw, and whether its exit status was 0.
fn write_beside(
    cluster: &mut Cluster,
    round: Round,
    (leaver, stopped): (usize, Option<usize>),
    conditions: &Conditions,
) -> Result<(Vec<Written>, bool), String> {
    let owners = (0..cluster.ranges).map(|range| Ok(cluster.nodes[cluster.owner(range)?].port));
    let routes: Vec<u16> = owners.collect::<Result<_, String>>()?;
    let nodes = cluster.nodes.iter().enumerate();
    let nodes = nodes.filter(|(place, _)| Some(*place) != stopped);
    let ports: &Vec<u16> = &nodes.map(|(_, node)| node.port).collect();
    let stage = &Stage::new(round.range, round.writers);
    let (written, ended) = thread::scope(|scope| {
        let writers = (0..round.writers).map(|number| {
            let writer = Writer::new((number, round.writers), DEPTH, round.number, &routes);
            scope.spawn(move || writer.keep_writing(stage, ports))
        });
        let writers: Vec<_> = writers.collect();
        let ended = end(cluster, round, (leaver, stopped), conditions, stage);
        stage.is_over.store(true, Ordering::Relaxed);
        let written = writers.into_iter().map(|writer| writer.join().expect("none panics"));
        (written.collect(), ended)
    });
    Ok((written, ended?))
}

/// Ends a primary while others write; whether its exit status was 0.
fn end(
    cluster: &mut Cluster,
    round: Round,
    (leaver, stopped): (usize, Option<usize>),
    conditions: &Conditions,
    stage: &Stage,
) -> Result<bool, String> {
    thread::sleep(AROUND);
    let node = &mut cluster.nodes[leaver];
    if conditions.save {
        let mut connection = node.connect()?;
        // It is refused where one has begun by itself.
        connection.call_any(&["BGSAVE"])?;
        wait("no snapshot begins", SAVE_PATIENCE, || {
            Ok(connection.info("persistence", "rdb_bgsave_in_progress")? == "1")
        })?;
    }
    let mut connection = node.connect()?;
    if let Some(stopped) = stopped {
        cluster.nodes[stopped].signal("STOP")?;
    }
    stage.is_ending.store(true, Ordering::Relaxed);
    let ended = await_end(cluster, round.way, leaver, &mut connection, stage);
    if let Some(stopped) = stopped {
        cluster.nodes[stopped].signal("CONT")?;
    }
    let is_clean = ended?;
    thread::sleep(AROUND);
    Ok(is_clean)
}

/// Asks a primary to end, and waits until it has, and all write again.
fn await_end(
    cluster: &mut Cluster,
    way: Way,
    leaver: usize,
    connection: &mut Connection,
    stage: &Stage,
) -> Result<bool, String> {
    let node = &mut cluster.nodes[leaver];
    match way {
        Way::Command => {
            let mut request = Vec::new();
            write_request(&mut request, &["SHUTDOWN", "NOSAVE", "FAILOVER"]);
            connection.send(&request)?;
        }
        Way::Signal => node.signal("TERM")?,
    }
    let (began, name) = (Instant::now(), node.name());
    let mut ended = None;
    let gone = wait(&format!("{name} does not end"), END_PATIENCE, || {
        ended = node.exit_status()?;
        Ok(ended.is_some())
    });
    gone.map_err(|error| format!("{error}\n{}", cluster.describe()))?;
    let took = began.elapsed();
    let counts: Vec<u64> =
        stage.acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    let go_on = wait(&format!("not all writers go on behind {name}"), WRITE_PATIENCE, || {
        let now = stage.acknowledged.iter().map(|count| count.load(Ordering::Relaxed));
        Ok(now.zip(&counts).all(|(now, before)| *before < now))
    });
    go_on.map_err(|error| format!("{error}\n{}", cluster.describe()))?;
    let status = ended.ok_or("it has no exit status")?;
    if !status.success() {
        eprintln!(
            "{name} ended with {status} after {took:?}: {}",
            cluster.nodes[leaver].last_words(20)
        );
    }
    Ok(status.success())
}

/// Compares what writers were told with what is there.
fn judge(cluster: &Cluster, written: &[Written]) -> Result<Wrong, String> {
    let mut sum = Wrong::default();
    for Written { book, keys, .. } in written {
        for (range, keys) in keys.iter().enumerate() {
            let found = cluster.read(range, keys)?;
            for key in keys {
                let found = found.get(key).map(String::as_str);
                let wrong = book.judge(key, found);
                if wrong != Wrong::default() {
                    eprintln!("{key}: {wrong:?}: {}", book.explain(key, found));
                }
                sum.lost += wrong.lost;
                sum.twice += wrong.twice;
            }
        }
    }
    Ok(sum)
}

/// Removes the keys that no later round writes.
fn forget_lists(cluster: &Cluster, round: Round, written: &[Written]) -> Result<(), String> {
    let named = format!(":{}:", round.number);
    for Written { keys, .. } in written {
        for (range, keys) in keys.iter().enumerate() {
            let lists =
                keys.iter().filter(|key| key.starts_with("append:") && key.contains(&named));
            cluster.remove(range, &lists.cloned().collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_servers_of_a_range_end_in_both_ways() {
        for ranges in 1..=4 {
            let rounds = (0..4 * ranges).map(|number| Round::new(number, ranges, 6));
            // The roles of a range change each time that its primary ends.
            let mut seen: Vec<(usize, usize, Way)> =
                rounds.map(|round| (round.range, round.number / ranges % 2, round.way)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 4 * ranges, "{ranges} ranges");
        }
    }
}
