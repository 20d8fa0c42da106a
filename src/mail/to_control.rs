//! Letters to the control thread.

use shards::keyspace::waiters::WaitId;

use crate::batches::batch::Batch;
use crate::flows::dispatch::Words;
use crate::mail::disk::LoadReport;
use crate::mail::query::Answer;
use crate::mail::replica::{Arrived, RelayWord};
use crate::mail::upstream::LinkWord;
use crate::pubsub::messages::Messages;
use crate::reactor::ring::Token;
use crate::replication::acks::Needs;
use crate::routing::slots::Peer;
use crate::shutdown::report::Report;
use crate::stats::command_log::SlowEntry;
use crate::stats::latency_events::Occurrence;
use crate::transactions::transaction::Transaction;

/// A letter from a shard to control.
#[derive(Debug)]
pub enum ToControl {
    /// A client's requests on their journey: the next one is control's.
    Batch(Box<Batch>),
    /// Likewise, but its last request has removed all keys.
    Flushed(Box<Batch>),
    /// A barrier of control has claimed all shards.
    Stands(Box<Transaction>),
    /// The answer to the question of this number.
    Answer(u64, Answer),
    /// A command took long, or was long: for the command logs.
    Logged(Box<SlowEntry>),
    /// Something took long.
    Occurrence(Occurrence),
    /// A shard has taken in what it was sent of a snapshot.
    Loaded(Box<LoadReport>),
    /// A connection has asked for the stream of all changes, and left its shard.
    Arrived(Arrived),
    /// A client waits for replicas, for so many milliseconds or for ever.
    AwaitAcks(WaitId, Needs, Option<u64>),
    /// It waits no more.
    AwaitNoMore(WaitId),
    /// A client of this shard is gone, or is to go: a request of it that may wait for long ends.
    GiveUp(Peer, Token),
    /// An EXEC: its next command is answered by how many replicas have all that was written
    /// before.
    CountAcks(Box<Batch>, Needs),
    /// From the relay.
    Relay(RelayWord),
    /// From the relay, about the primary that this node follows.
    Link(LinkWord),
    /// What the primary that this node follows says, word by word, which concerns no key.
    Ordered(Words),
    /// What clients publish, for other nodes of the cluster.
    Publish(Box<Messages>),
    /// So many bytes of messages of other nodes have been handed out.
    HandedOut(usize),
    /// How far a shard is with the end of the process.
    Leaving(Report),
}
