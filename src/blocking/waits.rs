//! Requests that wait for keys, at the shard that keeps them.
//!
//! A wait ends once. The first cause takes it out of here and decides how: a key is ready, time is
//! up, or its client is gone. All later causes find nothing.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use shards::effects::Awaited;
use shards::keyspace::waiters::{Place, WaitId};

use crate::batches::batch::Batch;
use crate::cluster::redirect::Outcome;
use crate::reactor::clock::Monotonic;
use crate::replication::acks::Count;
use crate::routing::slots::Peer;

/// How a wait ends that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// In vain: its time is up, or CLIENT UNBLOCK says so.
    InVain,
    /// With an error, because CLIENT UNBLOCK says so.
    Refused,
    /// With an error, because the node follows a primary from now on.
    RoleChanged,
    /// With an error, because its slot is elsewhere now, or not served.
    Redirected(Outcome),
    /// Its client is gone.
    Gone,
    /// So many replicas have what its client wrote.
    Acked(Count),
}

/// A batch whose next request waits.
#[derive(Debug)]
pub struct KeptWait {
    /// The batch; it has its [`Waiting`].
    pub batch: Box<Batch>,
    /// The shards of the keys it waits for.
    pub shards: Vec<Peer>,
    /// The keys that its request needs besides: their owners and hashes.
    pub others: Vec<(Peer, u64)>,
}

/// A wait for a key, on its way to the key's shard.
#[derive(Debug)]
pub struct Registration {
    /// The wait.
    pub id: WaitId,
    /// The key.
    pub place: Place,
    /// What is awaited of it.
    pub awaited: Awaited,
}

/// All waits that one shard keeps.
#[derive(Debug, Default)]
pub struct Waits {
    next: u64,
    kept: HashMap<u64, KeptWait>,
    /// When waits end in vain.
    ends: BTreeSet<(Monotonic, u64)>,
}

impl Waits {
    /// The number of a new wait.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Keeps a batch until its wait ends.
    pub fn keep(&mut self, kept: KeptWait) {
        let waiting = kept.batch.waiting.as_ref().expect("it waits");
        let number = waiting.id.number;
        self.ends.extend(waiting.until.map(|until| (until, number)));
        let before = self.kept.insert(number, kept);
        assert!(before.is_none(), "a wait is kept once");
    }

    /// Ends a wait, unless it has ended.
    pub fn take(&mut self, number: u64) -> Option<KeptWait> {
        let kept = self.kept.remove(&number)?;
        if let Some(until) = kept.batch.waiting.as_ref().and_then(|waiting| waiting.until) {
            self.ends.remove(&(until, number));
        }
        Some(kept)
    }

    /// A wait that has not ended.
    pub fn get(&self, number: u64) -> Option<&KeptWait> {
        self.kept.get(&number)
    }

    /// The wait of a client, if it is kept here.
    pub fn of_client(&self, client: u64) -> Option<u64> {
        let mut kept = self.kept.iter();
        kept.find(|(_, kept)| kept.batch.client == client).map(|(number, _)| *number)
    }

    /// All waits that are kept here.
    pub fn numbers(&self) -> Vec<u64> {
        self.kept.keys().copied().collect()
    }

    /// When the first wait ends in vain, and which.
    #[inline]
    pub fn first_end(&self) -> Option<(Monotonic, u64)> {
        self.ends.first().copied()
    }

    /// How many there are, and how many of them end at some time.
    pub fn len(&self) -> (usize, usize) {
        (self.kept.len(), self.ends.len())
    }
}
