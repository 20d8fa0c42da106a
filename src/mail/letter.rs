//! What threads write each other.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use shards::effects::{Event, Note};
use shards::keyspace::db::{Db, Entry};
use shards::keyspace::waiters::WaitId;
use shards::shard::Shard;

use crate::batches::batch::Batch;
use crate::blocking::waits::Registration;
use crate::control::loading::{Doubles, LoadReport};
use crate::mail::query::{Answer, Query, SlowEntry};
use crate::persistence::loader::Chunk;
use crate::reactor::gate::Gate;
use crate::shard::journeys::blocking::WaitWord;
use crate::shard::leaving::EndWord;
use crate::shard::messages::subscribing::Word;
use crate::shutdown::report::Report;
use crate::stats::latency_events::Spike;
use crate::transactions::locks::Ticket;

/// A letter from one thread to another.
#[derive(Debug)]
pub enum Letter {
    /// A client's requests on their journey.
    Batch(Box<Batch>),
    /// A transaction is over: what it borrowed comes back and its claims end.
    Release(Box<Release>),
    /// Keys (database, hash) are no longer watched by a client.
    Unwatch(Vec<(usize, u64)>),
    /// A connection for this shard.
    Connection(Box<Connection>),
    /// Control asks, with a number for the answer.
    Query(u64, Query),
    /// A shard answers.
    Answer(u64, Answer),
    /// About subscriptions, or for subscribers.
    PubSub(Word),
    /// A command took long, or was long: for the command logs.
    Logged(Box<SlowEntry>),
    /// Something took long.
    Spike(Spike),
    /// About requests that wait for keys.
    Wait(WaitWord),
    /// About snapshots.
    Disk(DiskWord),
    /// A shard has taken in what it was sent of a snapshot.
    Loaded(Box<LoadReport>),
    /// About the end of the process.
    End(EndWord),
    /// How far a shard is with the end of the process.
    Leaving(Report),
}

/// What control has to say to a shard about snapshots.
#[derive(Debug)]
pub enum DiskWord {
    /// Stand still at this gate.
    Stand(Gate<Shard>),
    /// Take these keys in.
    Load(Box<Chunk>, Doubles),
}

/// The end of a transaction on one shard.
#[derive(Debug, Default)]
pub struct Release {
    /// Its ticket.
    pub ticket: Option<Ticket>,
    /// Entries that live here now: database, hash, entry.
    pub entries: Vec<(usize, u64, Entry)>,
    /// The databases, if they were on loan whole.
    pub dbs: Option<Vec<Db>>,
    /// Keys (database, hash) that changed.
    pub touched: Vec<(usize, u64)>,
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

/// A connection that was accepted and given to a shard.
#[derive(Debug)]
pub struct Connection {
    /// Its socket.
    pub fd: OwnedFd,
    /// Its client's id.
    pub id: u64,
    /// The other end; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// Our end; `None` on a unix socket.
    pub local: Option<SocketAddr>,
}
