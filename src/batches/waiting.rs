//! What a batch knows of the wait of its next request.

use shards::effects::InVain;
use shards::keyspace::waiters::WaitId;

use crate::reactor::clock::Monotonic;

/// What a batch knows of the wait of its next request, from its first attempt to its last.
#[derive(Debug)]
pub struct Waiting {
    /// The wait.
    pub id: WaitId,
    /// Until when; `None` is for ever.
    pub until: Option<Monotonic>,
    /// Arguments that mean something else from now on: their places, and what they became.
    pub rewritten: Vec<(usize, Vec<u8>)>,
    /// What it answers if its time is up first.
    pub in_vain: InVain,
}
