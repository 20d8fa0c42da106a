//! What shards write each other about requests that wait for keys.

use shards::keyspace::waiters::WaitId;

use crate::batches::batch::Batch;
use crate::batches::epochs::Epoch;
use crate::reactor::ring::Token;
use crate::replication::acks::Count;
use crate::transactions::locks::Ticket;

/// What shards write each other about waits.
#[derive(Debug)]
pub enum WaitWord {
    /// To the home: a batch of its client waits at the sender's.
    Begun(Box<Begun>),
    /// To the home: it waits no more.
    Over(Box<Batch>),
    /// To the keeper: the client is gone.
    Gone(WaitId),
    /// To the keeper: a key is ready and claimed for this wait.
    Offer(WaitId, Ticket),
    /// To the offerer: the wait is over already.
    Declined(WaitId, Ticket),
    /// To the shard of a key: the wait is over.
    Forget(WaitId),
    /// To the keeper, from control: so many replicas have what the client of this wait wrote.
    Acked(u64, Count),
}

/// A batch waits for a key from now on.
#[derive(Debug)]
pub struct Begun {
    /// Its client.
    pub token: Token,
    /// The wait.
    pub id: WaitId,
    /// What the client was answered before.
    pub replies: Vec<u8>,
    /// When the batch set out, unless it rested before.
    pub epoch: Option<Epoch>,
}
