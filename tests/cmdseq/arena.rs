//! Servers that sequences are played on, one after the other; a server that fails is replaced.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use crate::checks::{Check, Rules, Violation};
use crate::client::Client;
use crate::inspect::{inspect, memory};
use crate::plan::Act;
use crate::run::{Stage, now, play};
use crate::servers::{Server, start_keylane_with};

/// How long a reply may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Connections of a sequence, at most.
const CONNECTIONS_MAX: usize = 100;
/// Sequences after which memory is looked at, and the first time.
const MEMORY_EACH: usize = 10;
/// Memory in use may be so much more than the first time: a shard keeps up to 2 MiB of buffers.
const USED_BYTES_MORE: u64 = 8 << 20;
/// Likewise resident memory: the allocator keeps some of what it once had.
const RESIDENT_BYTES_MORE: u64 = 96 << 20;
/// How long memory may take to come back.
const MEMORY_PATIENCE: Duration = Duration::from_secs(5);
/// How long a process may take to be gone after its sockets are.
const DEATH: Duration = Duration::from_secs(2);
/// The last bytes of a log that are shown.
const LOG_BYTES_MAX: usize = 3000;

/// Something to play on.
#[derive(Debug)]
pub struct Arena {
    /// Keylane with so many shards, or a server that another process started.
    pub subject: Subject,
    server: Option<Server>,
    /// Memory in use and resident memory, when the server was new.
    fresh: [u64; 2],
    /// Likewise after the first sequences.
    settled: Option<[u64; 2]>,
    played: usize,
}

/// What is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Shards(usize),
    /// `host:port`
    Foreign(String),
}

impl Arena {
    pub fn new(subject: Subject) -> Self {
        let mut arena = Self { subject, server: None, fresh: [0; 2], settled: None, played: 0 };
        arena.renew();
        arena
    }

    /// Starts a new server in the place of the one there is.
    pub fn renew(&mut self) {
        if let Subject::Shards(shards) = self.subject {
            self.server = None;
            self.server = Some(start_keylane_with(shards, &["--crash-log-enabled", "yes"]));
        }
        (self.settled, self.played) = (None, 0);
        self.fresh = self.memory().expect("a server that just started answers");
    }

    /// The process that plays, if it was started here.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }

    pub fn address(&self) -> &str {
        match (&self.subject, &self.server) {
            (Subject::Foreign(address), _) => address,
            (Subject::Shards(_), Some(server)) => &server.addr,
            (Subject::Shards(_), None) => unreachable!("it was started"),
        }
    }

    /// Plays a sequence, and looks at what it left. `by_way_of` is where its connections go.
    pub fn play(
        &mut self,
        acts: &[Act],
        rules: &Rules,
        patience: Duration,
        by_way_of: Option<&str>,
    ) -> Result<(), Violation> {
        for part in acts.split(|act| *act == Act::Inspect) {
            self.played += 1;
            match self.play_once(part, rules, patience, by_way_of) {
                Ok(true) => {}
                Ok(false) => self.renew(),
                Err(violation) => {
                    let violation = self.autopsy(violation);
                    self.renew();
                    return Err(violation);
                }
            }
        }
        Ok(())
    }

    fn play_once(
        &mut self,
        acts: &[Act],
        rules: &Rules,
        patience: Duration,
        by_way_of: Option<&str>,
    ) -> Result<bool, Violation> {
        let address = self.address().to_owned();
        let way = by_way_of.unwrap_or(&address);
        let (used_bytes, first) = (self.fresh[0], self.played * CONNECTIONS_MAX);
        let stage = Stage { address: way, rules, patience, used_bytes, first };
        let left = play(acts, stage)?;
        let is_clean = inspect(&address, &left, rules)?;
        if self.played.is_multiple_of(MEMORY_EACH) {
            self.weigh(rules)?;
        }
        Ok(is_clean)
    }

    /// A process that died is the reason for everything else.
    fn autopsy(&mut self, violation: Violation) -> Violation {
        let Some(server) = &mut self.server else { return violation };
        let end = now() + DEATH;
        let might_be_dying = matches!(violation.check, Check::Alive | Check::Kept | Check::Replies)
            || matches!(violation.check, Check::HalfClose);
        while might_be_dying && now() < end && !server.has_ended() {
            thread::park_timeout(Duration::from_millis(10));
        }
        if !server.has_ended() {
            return violation;
        }
        let log = server.output();
        let cut = log.len().saturating_sub(LOG_BYTES_MAX);
        let cut = (cut..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(cut);
        let text = format!("the process has ended ({}):\n...{}", violation.text, &log[cut..]);
        Violation { check: Check::Alive, text }
    }

    /// Memory in use and resident memory.
    fn memory(&self) -> io::Result<[u64; 2]> {
        let mut client = Client::connect(self.address())?;
        client.call(&["FLUSHALL", "SYNC"])?;
        // They fill up once, and may.
        for log in ["slow", "large-request", "large-reply"] {
            client.call(&["COMMANDLOG", "RESET", log])?;
        }
        client.call(&["MEMORY", "PURGE"])?;
        let used = memory(&mut client, "used_memory")?;
        let resident = self.pid().and_then(resident_bytes).unwrap_or(0);
        Ok([used, resident])
    }

    /// Whether memory is as it was.
    fn weigh(&mut self, rules: &Rules) -> Result<(), Violation> {
        let failed = |error| crate::run::unreachable_server(&error);
        let Some(settled) = self.settled else {
            self.settled = Some(self.memory().map_err(failed)?);
            return Ok(());
        };
        let end = now() + MEMORY_PATIENCE;
        let bounds = [
            (Check::Memory, "used_memory", USED_BYTES_MORE),
            (Check::Resident, "resident memory", RESIDENT_BYTES_MORE),
        ];
        let within = |memory: &[u64; 2]| {
            (0..2).all(|at| !rules.is_on(bounds[at].0) || memory[at] <= settled[at] + bounds[at].2)
        };
        let mut memory = self.memory().map_err(failed)?;
        while !within(&memory) && now() < end {
            thread::park_timeout(Duration::from_millis(50));
            memory = self.memory().map_err(failed)?;
        }
        for (at, (check, name, more)) in bounds.into_iter().enumerate() {
            let text = || {
                let (was, is, played) = (settled[at], memory[at], self.played);
                format!("{name} was {was} after {MEMORY_EACH} sequences, is {is} after {played}")
            };
            rules.expect(check, memory[at] <= settled[at] + more, text)?;
        }
        Ok(())
    }
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}
