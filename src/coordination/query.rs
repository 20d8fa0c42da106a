//! What control asks shards, and what they answer.

use std::net::SocketAddr;
use std::sync::Arc;

use shards::keyspace::db::Stats;

use crate::config::table::Config;
use crate::coordination::counters::Counters;

/// A question, or an order, to every shard.
#[derive(Clone, Debug)]
pub enum Query {
    /// The configuration in force from now on: `Done`.
    Configure(Arc<Config>),
    /// What it has and has done: `Figures`.
    Figures,
    /// Begin to count anew: `Done`.
    ResetStats,
    /// A line for each client that matches: `Clients`.
    ListClients(Arc<ClientFilter>),
    /// Close the clients that match: `Count`.
    KillClients(Arc<ClientFilter>),
    /// Hold requests back until this many milliseconds from now, all or those that may write:
    /// `Done`.
    Pause {
        /// Milliseconds from now.
        millis: u64,
        /// All requests, not just those that may write.
        all: bool,
    },
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
}

/// What a shard has and has done.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Its number.
    pub shard: usize,
    /// What it counted.
    pub counters: Counters,
    /// What its keyspace counted.
    pub stats: Stats,
    /// Changes to keys.
    pub dirty: u64,
    /// By database: keys, keys that expire, the sum of milliseconds they have left in a sample of
    /// them, and how many were in that sample.
    pub dbs: Vec<DbFigures>,
    /// Clients it serves.
    pub clients: usize,
    /// Bytes in query buffers and reply buffers of clients.
    pub client_bytes: (u64, u64),
    /// The longest query and reply buffers.
    pub client_bytes_max: (u64, u64),
    /// Clients that watch keys, and keys they watch.
    pub watching: (u64, u64),
    /// Bytes of its tables, entries not counted.
    pub table_bytes: u64,
    /// Letters waiting for it.
    pub mailbox_depth: usize,
}

/// One database of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct DbFigures {
    /// Keys.
    pub keys: u64,
    /// Keys that expire.
    pub expires: u64,
    /// Milliseconds that sampled keys have left, added up.
    pub ttl_sum: u64,
    /// Keys in the sample.
    pub ttl_samples: u64,
}

/// Which clients CLIENT LIST and CLIENT KILL mean: those to which all that is set applies.
#[derive(Clone, Debug, Default)]
pub struct ClientFilter {
    /// One of these ids, if there are any.
    pub ids: Vec<u64>,
    /// None of these ids.
    pub not_ids: Vec<u64>,
    /// The other end.
    pub addr: Option<String>,
    /// Our end.
    pub laddr: Option<String>,
    /// The name it gave itself.
    pub name: Option<Vec<u8>>,
    /// No client is of this kind (a replica, a subscriber ...).
    pub nobody: bool,
    /// Connected for at least this many seconds.
    pub min_age: Option<u64>,
    /// Idle for at least this many seconds.
    pub min_idle: Option<u64>,
    /// The selected database.
    pub db: Option<usize>,
}

/// A command for the command logs.
#[derive(Clone, Debug)]
pub struct SlowEntry {
    /// Which log.
    pub kind: LogKind,
    /// When, in seconds since the epoch.
    pub time: u64,
    /// Microseconds it took, or bytes it had.
    pub amount: u64,
    /// Its arguments, shortened as Valkey does.
    pub args: Vec<Vec<u8>>,
    /// The other end of the client's connection.
    pub addr: Option<SocketAddr>,
    /// The name of the client.
    pub name: Vec<u8>,
    /// The client's id.
    pub client: u64,
}

/// The logs of COMMANDLOG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Commands that took long.
    Slow,
    /// Large requests.
    LargeRequest,
    /// Large replies.
    LargeReply,
}
