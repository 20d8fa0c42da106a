//! The end of a transaction on one shard.

use shards::effects::Touched;
use shards::effects::{Event, Note};
use shards::keyspace::db::{Db, Entry};
use shards::keyspace::waiters::WaitId;

use crate::blocking::waits::Registration;
use crate::routing::slots::Peer;
use crate::transactions::apart::Logged;
use crate::transactions::locks::Ticket;

/// The shard that gives transactions over several logs their numbers.
pub const ORDERS: Peer = 0;

/// Releases that go by way of the shard that orders transactions.
#[derive(Debug)]
pub struct Commit {
    /// How many transactions they have parts of.
    pub transactions: u64,
    /// The releases, and whose they are.
    pub releases: Vec<(Peer, Release)>,
}

/// The end of a transaction on one shard.
#[derive(Debug, Default)]
pub struct Release {
    /// Its ticket.
    pub ticket: Option<Ticket>,
    /// What this shard's log gets, in order.
    pub logged: Vec<Logged>,
    /// The number of the first transaction of which that has a part.
    pub txid: u64,
    /// Entries that live here now: database, hash, entry.
    pub entries: Vec<(usize, u64, Entry)>,
    /// The databases, if they were on loan whole.
    pub dbs: Option<Vec<Db>>,
    /// What happened to keys.
    pub touched: Vec<Touched>,
    /// Databases that were emptied or swapped as a whole.
    pub replaced: Vec<usize>,
    /// How many changes.
    pub dirty: u64,
    /// Events of its keys.
    pub events: Vec<Event>,
    /// What concerns those who keep copies of its keys.
    pub notes: Vec<Note>,
    /// Who waits for its keys from now on.
    pub waits: Vec<Registration>,
    /// Who has had its turn with one of its keys, and waits no more.
    pub served: Option<WaitId>,
}
