//! What control asks shards, and what they answer.

use crate::routing::node::{Holds, Role};
use std::sync::Arc;

use shards::base::slot::Slot;
use shards::keyspace::db::Stats;

use crate::blocking::waits::WaitEnd;
use crate::clients::filter::ClientFilter;
use crate::cluster::ownership::Ownership;
use crate::cluster::slot_set::SlotSet;
use crate::config::table::Config;
use crate::pubsub::kind::KINDS;
use crate::reactor::allocator::Aside;
use crate::reactor::system::CpuTime;
use crate::stats::counters::{CallCounters, Counters};
use crate::stats::hot_keys::HotKey;
use crate::stats::samples::Rates;
use crate::stats::slot_stats::SlotCounters;

/// A question, or an order, to every shard.
#[derive(Clone, Debug)]
pub enum Query {
    /// The configuration in force from now on: `Done`.
    Configure(Arc<Config>),
    /// What it has and has done: `Figures`.
    Figures,
    /// The same without the counters of single commands, and so without most bytes of an answer:
    /// `Figures`.
    Totals,
    /// All of this with the counters of slots: `Figures`.
    FiguresWithSlots,
    /// Begin to count anew: `Done`.
    ResetStats,
    /// A line for each client that matches: `Clients`.
    ListClients(Arc<ClientFilter>),
    /// Close the clients that match: `Count`.
    KillClients(Arc<ClientFilter>),
    /// Hold requests back until this many milliseconds from now: `Done` when everything that was
    /// under way has seen it.
    Pause {
        /// Milliseconds from now.
        millis: u64,
        /// Which requests.
        holds: Holds,
    },
    /// End the wait of the client of this id, so: `Count`.
    Unblock(u64, WaitEnd),
    /// All keys of the last run have been read: `Done`.
    EndLoading,
    /// Whether the last snapshot could not be written: `Done`.
    SaveFailed(bool),
    /// What the node is among others: `Done` when everything that was under way has seen it.
    Role(Role),
    /// Who owns which slot: `Done` when everything that was under way has seen it. Then no command
    /// runs any more on a slot that is not here.
    Own(Arc<Ownership>),
    /// Whether what a replica has may be old: `Done`.
    Stale(bool),
    /// Whether a replica has given up its keys for those that come: `Done`.
    Emptied(bool),
    /// Hold writes back for a failover: `Done` when everything that was under way has seen it.
    HoldForFailover,
    /// Hold them back no more: `Done`.
    EndFailoverHold,
    /// How many replicas keep up: `Done`.
    GoodReplicas(usize),
    /// How many keys it has in all databases: `Count`.
    CountKeys,
    /// How many keys a slot has in this database, or in all: `Count`.
    CountKeysInSlot(Slot, Option<usize>),
    /// So many keys of a slot in this database, or all that there are: `Keys`.
    KeysInSlot(Slot, usize, usize),
    /// What these slots have and cost: `SlotFigures`.
    SlotFigures(SlotSet),
    /// In which slots it has keys: `Slots`.
    UsedSlots,
    /// Delete all keys of these slots: `Done`.
    DeleteSlots(SlotSet),
    /// End of the pause: `Done`.
    Unpause,
    /// DEBUG SET-ACTIVE-EXPIRE: `Done`.
    ActiveExpire(bool),
    /// DEBUG SLEEP: do nothing else for so many microseconds: `Done`.
    Stall(u64),
}

/// A shard's answer.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// So many.
    Count(u64),
    /// What a shard has and has done.
    Figures(Box<Figures>),
    /// (id, line) of clients.
    Clients(Vec<(u64, String)>),
    /// Keys.
    Keys(Vec<Vec<u8>>),
    /// Slots.
    Slots(Vec<Slot>),
    /// Slots with their keys in all databases and what their commands cost, if that is not nothing.
    SlotFigures(Vec<(Slot, u64, SlotCounters)>),
}

/// What a shard has and has done.
#[derive(Debug)]
pub struct Figures {
    /// Its number.
    pub shard: usize,
    /// What it counted, but for single commands.
    pub counters: Counters,
    /// Commands that it ran, and the cycles that they took.
    pub commands: (u64, u64),
    /// The counters of commands that were called, with their numbers, if they were asked for.
    pub calls: Option<Vec<(usize, CallCounters)>>,
    /// What its keyspace counted.
    pub stats: Stats,
    /// Changes to keys.
    pub dirty: u64,
    /// By database: keys, keys that expire, the sum of milliseconds they have left in a sample of
    /// them, and how many were in that sample.
    pub dbs: Vec<DbFigures>,
    /// Clients it serves.
    pub clients: usize,
    /// Bytes that its clients hold.
    pub client_bytes: u64,
    /// The longest query and reply buffers.
    pub client_bytes_max: (u64, u64),
    /// Clients that are told of stale copies.
    pub trackers: u64,
    /// Keys that clients may have copies of, and how many clients may have them.
    pub tracked: (u64, u64),
    /// Clients that listen to something.
    pub listening: u64,
    /// Channels, patterns, shard channels and prefixes that clients listen to, on any shard.
    pub names: [u64; KINDS],
    /// Clients that watch keys, and keys they watch.
    pub watching: (u64, u64),
    /// Who waits here.
    pub waiting: Waiting,
    /// Letters waiting for it.
    pub mailbox_depth: usize,
    /// Connections to servers that are handed keys.
    pub couriers: u64,
    /// Keys that were looked at, and the hottest of them.
    pub hot_keys: (u64, Vec<HotKey>),
    /// Counters of slots, if they were asked for.
    pub slots: Vec<(Slot, SlotCounters)>,
    /// Rates of the last moments.
    pub rates: Rates,
    /// Entries of flushed databases that are still to be freed.
    pub garbage: u64,
    /// Nanoseconds of processor time that its thread has had.
    pub cpu_nanos: u64,
    /// The same by where it had it.
    pub cpu: CpuTime,
    /// Its log.
    pub log: LogFigures,
    /// The bytes of this answer do not count as used.
    pub aside: Aside,
    /// The allocator's arena that its thread allocates from, if that is known.
    pub arena: Option<u32>,
}

/// The log of one shard; zeros if it has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogFigures {
    /// Bytes that were logged.
    pub offset: u64,
    /// Bytes that they add to the stream.
    pub weight: u64,
    /// Memory for what is kept of them, outside of the heap.
    pub memory_bytes: u64,
}

/// Waits of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    /// Requests that wait and are kept here.
    pub clients: u64,
    /// Those of them that end at some time.
    pub with_end: u64,
    /// Keys here that are waited for.
    pub keys: u64,
    /// Those of them whose end is waited for, too.
    pub keys_or_none: u64,
}

/// One database of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct DbFigures {
    /// Keys.
    pub keys: u64,
    /// Keys that expire.
    pub expires: u64,
    /// Hashes with fields that expire.
    pub with_volatile_items: u64,
    /// Milliseconds that sampled keys have left, added up.
    pub ttl_sum: u128,
    /// Keys in the sample.
    pub ttl_samples: u64,
    /// Bytes of its table, entries not counted.
    pub table_bytes: u64,
    /// Bytes of its index of expiry times.
    pub due_bytes: u64,
}
