//! Letters to a shard.

use crate::batches::batch::Batch;
use crate::mail::connection::{Connection, Listeners};
use crate::mail::disk::DiskWord;
use crate::mail::end::EndWord;
use crate::mail::flows::FlowWord;
use crate::mail::kept::Kept;
use crate::mail::messages::Word;
use crate::mail::query::Query;
use crate::mail::release::{Commit, Release};
use crate::mail::replica::LogWord;
use crate::mail::room::RoomWord;
use crate::mail::upstream::SnapshotWord;
use crate::mail::waits::WaitWord;
use crate::stats::command_log::SlowEntry;
use crate::transactions::locks::Ticket;

/// A letter to a shard, from another one or from control.
#[derive(Debug)]
pub enum ToShard {
    /// A client's requests on their journey.
    Batch(Box<Batch>),
    /// A transaction is over: what it borrowed comes back and its claims end.
    Release(Box<Release>),
    /// Transactions end that have parts in several logs: they get their place among all.
    Commit(Box<Commit>),
    /// Claims end, and nothing else.
    Unclaim(Ticket),
    /// Keys (database, hash) are no longer watched by a client.
    Unwatch(Vec<(usize, u64)>),
    /// A connection for this shard.
    Connection(Box<Connection>),
    /// Other addresses are to be listened on.
    Listen(Listeners),
    /// Control asks, with a number for the answer.
    Query(u64, Query),
    /// About subscriptions, or for subscribers.
    PubSub(Word),
    /// A command of a client here took long, or was long: its entry lacks the client's name.
    Logged(Box<SlowEntry>),
    /// Control keeps a batch of a client here.
    Kept(Box<Kept>),
    /// About requests that wait for keys.
    Wait(WaitWord),
    /// Commands of a primary's stream: answered when they have run.
    Apply(Box<Batch>),
    /// About a primary's snapshot.
    Snapshot(SnapshotWord),
    /// About the shard's log.
    Log(LogWord),
    /// About logs that go to replicas, or come from a primary, each by a connection of its own.
    Flow(FlowWord),
    /// About memory.
    Room(RoomWord),
    /// About snapshots.
    Disk(DiskWord),
    /// About the end of the process.
    End(EndWord),
}
