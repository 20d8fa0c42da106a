//! What one thread counts. Plain numbers: gathered by mail, never shared.

use shards::resp::error::Error;

use crate::stats::histogram::Histogram;

/// Kinds of errors that are told apart.
const ERROR_CODES_MAX: usize = 128;

/// Counters of one command.
#[derive(Clone, Debug, Default)]
pub struct CallCounters {
    /// Times it ran.
    pub calls: u64,
    /// Cycles it took in all.
    pub cycles: u64,
    /// Those of them that are not in `latency`.
    pub untracked_cycles: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and failed.
    pub failed: u64,
    /// How long it took, from its first run on while that is wanted.
    pub latency: Option<Histogram>,
}

/// Everything a thread counts.
#[derive(Clone, Debug)]
pub struct Counters {
    /// By the command's number.
    pub calls: Vec<CallCounters>,
    /// Whether times of commands go into histograms (`latency-tracking`).
    pub tracks_latency: bool,
    /// Error replies by their first word.
    pub errors: Vec<(String, u64)>,
    /// Error replies.
    pub error_replies: u64,
    /// Connections taken over.
    pub clients_opened: u64,
    /// Connections closed.
    pub clients_closed: u64,
    /// Connections refused.
    pub clients_refused: u64,
    /// Clients cut because their request outgrew its buffer.
    pub query_limit_cuts: u64,
    /// Clients that were closed for `maxmemory-clients`.
    pub clients_evicted: u64,
    /// Clients cut because they did not read their replies.
    pub output_limit_cuts: u64,
    /// Bytes received, those of replication included.
    pub bytes_in: u64,
    /// Bytes sent, those of replication included.
    pub bytes_out: u64,
    /// Bytes received from a primary.
    pub repl_bytes_in: u64,
    /// Bytes sent to replicas.
    pub repl_bytes_out: u64,
    /// Times something was received.
    pub reads: u64,
    /// Times something was sent.
    pub writes: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Cycles in which the thread was at work, and neither slept nor looked for mail.
    pub busy_cycles: u64,
    /// Cycles of looking for keys and fields that expire.
    pub expiry_cycles: u64,
    /// Batches passed on to other shards.
    pub hops: u64,
    /// Requests that failed because a password was wrong.
    pub auth_denied: u64,
    /// Writes that were refused since no majority of a cluster's primaries answers this node.
    pub fenced_writes: u64,
}

impl CallCounters {
    /// Adds what another thread counted of the command.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.cycles = self.cycles.wrapping_add(other.cycles);
        self.untracked_cycles = self.untracked_cycles.wrapping_add(other.untracked_cycles);
        self.rejected += other.rejected;
        self.failed += other.failed;
        if let Some(latency) = &other.latency {
            self.latency.get_or_insert_default().add(latency);
        }
    }
}

impl Counters {
    /// Counters for commands numbered below `ids`.
    pub fn new(ids: usize, tracks_latency: bool) -> Self {
        Self {
            calls: vec![CallCounters::default(); ids],
            tracks_latency,
            errors: Vec::new(),
            error_replies: 0,
            clients_opened: 0,
            clients_closed: 0,
            clients_refused: 0,
            query_limit_cuts: 0,
            clients_evicted: 0,
            output_limit_cuts: 0,
            bytes_in: 0,
            bytes_out: 0,
            repl_bytes_in: 0,
            repl_bytes_out: 0,
            reads: 0,
            writes: 0,
            turns: 0,
            busy_cycles: 0,
            expiry_cycles: 0,
            hops: 0,
            auth_denied: 0,
            fenced_writes: 0,
        }
    }

    /// Begins anew, but for what is needed to know how many clients there are.
    pub fn reset(&mut self) {
        let clients_closed = self.clients_closed;
        *self = Self { clients_closed, ..Self::new(self.calls.len(), self.tracks_latency) };
    }

    /// A command ran for `cycles`.
    #[inline]
    pub fn ran(&mut self, id: usize, cycles: u64, failed: bool) {
        let counters = &mut self.calls[id];
        counters.calls += 1;
        counters.cycles += cycles;
        counters.failed += u64::from(failed);
        if self.tracks_latency {
            match &mut counters.latency {
                Some(latency) => latency.record(cycles),
                none => none.insert(Histogram::default()).record(cycles),
            }
        } else {
            counters.untracked_cycles += cycles;
        }
    }

    /// A command was refused.
    pub fn rejected(&mut self, id: usize) {
        self.calls[id].rejected += 1;
    }

    /// An error was answered.
    #[cold]
    pub fn erred(&mut self, error: &Error) {
        self.auth_denied += u64::from(*error == Error::WrongPass);
        self.fenced_writes += u64::from(*error == Error::Fenced);
        self.erred_code(error.code());
    }

    /// An error was answered whose first word is this.
    #[cold]
    pub fn erred_code(&mut self, code: &str) {
        self.error_replies += 1;
        let has_room = self.errors.len() < ERROR_CODES_MAX;
        match self.errors.iter_mut().find(|(known, _)| known == code) {
            Some((_, count)) => *count += 1,
            None if has_room => self.errors.push((code.to_owned(), 1)),
            None => {}
        }
    }

    /// Commands that ran.
    pub fn commands(&self) -> u64 {
        self.calls.iter().map(|call| call.calls).sum()
    }

    /// Cycles that all commands took.
    pub fn command_cycles(&self) -> u64 {
        self.calls.iter().fold(0, |sum, call| sum.wrapping_add(call.cycles))
    }

    /// A copy without the counters of single commands, which take most of the room.
    pub fn without_calls(&self) -> Self {
        let mut copy = Self::new(0, self.tracks_latency);
        copy.add(self);
        copy
    }

    /// The counters of the commands that were called, with their numbers.
    pub fn called(&self) -> impl Iterator<Item = (usize, &CallCounters)> {
        self.calls.iter().enumerate().filter(|(_, call)| call.calls + call.rejected != 0)
    }

    /// Adds what another thread counted, but for single commands.
    pub fn add(&mut self, other: &Self) {
        for (code, count) in &other.errors {
            match self.errors.iter_mut().find(|(known, _)| known == code) {
                Some((_, mine)) => *mine += count,
                None => self.errors.push((code.clone(), *count)),
            }
        }
        self.error_replies += other.error_replies;
        self.clients_opened += other.clients_opened;
        self.clients_closed += other.clients_closed;
        self.clients_refused += other.clients_refused;
        self.query_limit_cuts += other.query_limit_cuts;
        self.clients_evicted += other.clients_evicted;
        self.output_limit_cuts += other.output_limit_cuts;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.repl_bytes_in += other.repl_bytes_in;
        self.repl_bytes_out += other.repl_bytes_out;
        self.reads += other.reads;
        self.writes += other.writes;
        self.turns += other.turns;
        self.busy_cycles = self.busy_cycles.wrapping_add(other.busy_cycles);
        self.expiry_cycles = self.expiry_cycles.wrapping_add(other.expiry_cycles);
        self.hops += other.hops;
        self.auth_denied += other.auth_denied;
        self.fenced_writes += other.fenced_writes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_first_word() {
        let mut counters = Counters::new(1, false);
        counters.erred(&Error::Syntax);
        counters.erred(&Error::WrongPass);
        counters.erred(&Error::NotInteger);
        let mut both = counters.clone();
        both.add(&counters);
        assert_eq!(both.errors, [("ERR".to_owned(), 4), ("WRONGPASS".to_owned(), 2)]);
        assert_eq!((both.error_replies, both.auth_denied), (6, 2));
    }

    #[test]
    fn a_reset_keeps_the_balance_of_connections() {
        let mut counters = Counters::new(1, true);
        counters.ran(0, 5, true);
        (counters.clients_opened, counters.clients_closed) = (7, 3);
        assert!(counters.calls[0].latency.is_some());
        counters.reset();
        assert_eq!((counters.commands(), counters.clients_opened), (0, 0));
        assert!(counters.calls[0].latency.is_none() && counters.tracks_latency);
        assert_eq!(counters.clients_closed, 3);
    }
}
