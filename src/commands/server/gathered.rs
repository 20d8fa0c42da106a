//! What INFO, MEMORY and the metrics report from: the figures of all shards, added up.

use hashbrown::HashMap;
use shards::keyspace::db::Stats;

use crate::control::core::Control;
use crate::mail::query::{Answer, DbFigures, Figures};
use crate::reactor::allocator::{Aside, thread_bytes};
use crate::reactor::heap::{self, Heap};
use crate::reactor::system;
use crate::stats::counters::{CallCounters, Counters};
use crate::stats::samples::Rates;

/// The figures of the whole process at one moment.
#[derive(Debug)]
pub struct Gathered<'a> {
    /// Node-wide state.
    pub control: &'a Control,
    /// Each shard's figures.
    pub shards: Vec<Figures>,
    /// What all threads counted, but for single commands.
    pub counters: Counters,
    /// Commands that ran, and the cycles that they took on shards.
    pub commands: (u64, u64),
    /// The counters of commands that were called, by their numbers, if they were asked for.
    pub calls: HashMap<usize, CallCounters>,
    /// What all keyspaces counted.
    pub stats: Stats,
    /// Rates of all threads.
    pub rates: Rates,
    /// The databases, by number.
    pub dbs: Vec<DbFigures>,
    /// The bytes of all this do not count as used.
    _aside: Aside,
}

impl<'a> Gathered<'a> {
    /// From the answers to `Query::Figures`.
    pub fn new(control: &'a Control, answers: Vec<Answer>) -> Self {
        let before = thread_bytes();
        let mut counters = control.counters.without_calls();
        // The time of a command that asks shards is theirs and not control's.
        let mut commands = (control.counters.commands(), 0_u64);
        let mut calls: HashMap<usize, CallCounters> = HashMap::new();
        let mut of_calls = false;
        let (mut stats, mut rates) = (Stats::default(), control.samples.rates());
        let mut dbs: Vec<DbFigures> = Vec::new();
        let mut shards = Vec::new();
        for answer in answers {
            let Answer::Figures(mut figures) = answer else {
                unreachable!("figures were asked for")
            };
            counters.add(&figures.counters);
            commands.0 += figures.commands.0;
            commands.1 = commands.1.wrapping_add(figures.commands.1);
            if let Some(called) = figures.calls.take() {
                of_calls = true;
                called.iter().for_each(|(id, call)| calls.entry(*id).or_default().add(call));
            }
            stats.add(&figures.stats);
            rates.add(&figures.rates);
            dbs.resize(figures.dbs.len(), DbFigures::default());
            for (all, one) in dbs.iter_mut().zip(&figures.dbs) {
                all.keys += one.keys;
                all.expires += one.expires;
                all.with_volatile_items += one.with_volatile_items;
                all.ttl_sum = all.ttl_sum.saturating_add(one.ttl_sum);
                all.ttl_samples += one.ttl_samples;
                all.table_bytes += one.table_bytes;
                all.due_bytes += one.due_bytes;
            }
            shards.push(*figures);
        }
        if of_calls {
            control.counters.called().for_each(|(id, call)| calls.entry(id).or_default().add(call));
        }
        let _aside = Aside::since(before);
        Self { control, shards, counters, commands, calls, stats, rates, dbs, _aside }
    }

    /// The sum of a figure over all shards.
    pub fn sum(&self, figure: impl Fn(&Figures) -> u64) -> u64 {
        self.shards.iter().map(figure).sum()
    }

    /// The largest of a figure over all shards.
    pub fn max(&self, figure: impl Fn(&Figures) -> u64) -> u64 {
        self.shards.iter().map(figure).max().unwrap_or(0)
    }

    /// Where the memory is.
    pub fn memory(&self) -> Memory {
        let backlog = self.control.replicating.view.memory_bytes;
        let logs = self.sum(|shard| shard.log.memory_bytes);
        let used = self.control.used_when_asked + backlog + logs;
        let startup = self.control.memory_at_start.min(used);
        let clients = self.sum(|shard| shard.client_bytes);
        let tables = self.dbs.iter().map(|db| db.table_bytes + db.due_bytes).sum();
        Memory {
            used,
            peak: self.control.memory_peak.max(used),
            startup,
            clients,
            tables,
            backlog,
            logs,
            overhead: (startup + clients + tables + backlog + logs).min(used),
            resident: system::resident_bytes(),
            heap: heap::heap(),
        }
    }
}

/// Where the memory is, in bytes.
#[derive(Debug)]
pub struct Memory {
    /// Given out by the allocator, and for logs and backlog.
    pub used: u64,
    /// The most that was in use.
    pub peak: u64,
    /// In use when the process had started.
    pub startup: u64,
    /// Buffers of clients.
    pub clients: u64,
    /// Tables of keys, without the entries.
    pub tables: u64,
    /// For what is kept of the stream, outside of the heap.
    pub backlog: u64,
    /// For what shards keep of their logs, outside of the heap.
    pub logs: u64,
    /// In use for anything but entries.
    pub overhead: u64,
    /// Of the process, in RAM.
    pub resident: u64,
    /// What the allocator says.
    pub heap: Heap,
}

impl Memory {
    /// Bytes for replicas, which do not count for `maxmemory`.
    pub fn replication(&self) -> u64 {
        self.backlog + self.logs
    }

    /// Bytes of entries.
    pub fn dataset(&self) -> u64 {
        self.used - self.overhead
    }

    /// The share of entries in what was added since the start, in percent.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.used - self.startup)
    }

    /// The share of the peak that is in use now, in percent.
    pub fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// Bytes of small objects' slabs that no object is in.
    pub fn fragmented(&self) -> u64 {
        self.heap.small_slabs.saturating_sub(self.heap.small_allocated)
    }

    /// All that is allocated, with what lies unused between it, by what is allocated.
    pub fn fragmentation(&self) -> f64 {
        ratio(self.heap.allocated + self.fragmented(), self.heap.allocated)
    }
}

/// One number by another; 0 if there is nothing to divide by.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One number less another, which may be larger.
pub fn difference(one: u64, other: u64) -> i64 {
    let clamp = |number| i64::try_from(number).unwrap_or(i64::MAX);
    clamp(one) - clamp(other)
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * ratio(part, whole)
}
