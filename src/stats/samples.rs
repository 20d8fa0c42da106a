//! Rates of the last one and a half seconds, for INFO's `instantaneous_...`.

use crate::reactor::clock::Monotonic;
use crate::stats::counters::Counters;

/// Intervals that are remembered.
const INTERVALS: usize = 16;

/// Rates per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Commands.
    pub commands: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received from a primary.
    pub repl_bytes_in: u64,
    /// Bytes sent to replicas.
    pub repl_bytes_out: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Cycles of work.
    pub busy_cycles: u64,
}

impl Rates {
    /// Adds those of another thread.
    pub fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.repl_bytes_in += other.repl_bytes_in;
        self.repl_bytes_out += other.repl_bytes_out;
        self.turns += other.turns;
        self.busy_cycles += other.busy_cycles;
    }
}

/// What was counted at the ends of the last intervals.
#[derive(Debug)]
pub struct Samples {
    last: Counts,
    since: Monotonic,
    intervals: [Rates; INTERVALS],
    next: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    commands: u64,
    bytes_in: u64,
    bytes_out: u64,
    repl_bytes_in: u64,
    repl_bytes_out: u64,
    turns: u64,
    busy_cycles: u64,
}

impl Samples {
    /// Begins now.
    pub fn new(now: Monotonic) -> Self {
        let intervals = [Rates::default(); INTERVALS];
        Self { last: Counts::default(), since: now, intervals, next: 0 }
    }

    /// Ends an interval.
    pub fn take(&mut self, counters: &Counters, now: Monotonic) {
        let counts = Counts {
            commands: counters.commands(),
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
            repl_bytes_in: counters.repl_bytes_in,
            repl_bytes_out: counters.repl_bytes_out,
            turns: counters.turns,
            busy_cycles: counters.busy_cycles,
        };
        let micros = now.micros_since(self.since).max(1);
        // Counters may have been reset meanwhile: then nothing is known of this interval.
        let rate =
            |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1_000_000) / micros;
        self.intervals[self.next] = Rates {
            commands: rate(counts.commands, self.last.commands),
            bytes_in: rate(counts.bytes_in, self.last.bytes_in),
            bytes_out: rate(counts.bytes_out, self.last.bytes_out),
            repl_bytes_in: rate(counts.repl_bytes_in, self.last.repl_bytes_in),
            repl_bytes_out: rate(counts.repl_bytes_out, self.last.repl_bytes_out),
            turns: rate(counts.turns, self.last.turns),
            busy_cycles: rate(counts.busy_cycles, self.last.busy_cycles),
        };
        self.next = (self.next + 1) % INTERVALS;
        (self.last, self.since) = (counts, now);
    }

    /// The mean of the intervals.
    pub fn rates(&self) -> Rates {
        let mean = |field: fn(&Rates) -> u64| {
            self.intervals.iter().map(field).sum::<u64>() / INTERVALS as u64
        };
        Rates {
            commands: mean(|rates| rates.commands),
            bytes_in: mean(|rates| rates.bytes_in),
            bytes_out: mean(|rates| rates.bytes_out),
            repl_bytes_in: mean(|rates| rates.repl_bytes_in),
            repl_bytes_out: mean(|rates| rates.repl_bytes_out),
            turns: mean(|rates| rates.turns),
            busy_cycles: mean(|rates| rates.busy_cycles),
        }
    }
}
