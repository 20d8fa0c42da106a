//! Requests of a pipeline done shard by shard: each shard is visited once for all of them, not
//! once for every time the shard changes from one request to the next.
//!
//! What a client sends in order takes effect in order. Reads may be done out of order if nobody
//! can tell, because all of them hold at one and the same moment:
//!
//! ```text
//! reads, by the shard of their key   A B A A B A
//! on A                               A . A A . A   and note how often A's data has changed
//! on B                               . B . . B .   <-- the moment
//! on A again                         unchanged? then its reads hold at that moment too
//! ```
//! Of several shards all but the last are looked at again, the first one last. If any has changed,
//! or a transaction is at work there, the replies are forgotten and the reads are done anew in the
//! order in which they were sent. Such reads are counted twice in the statistics of commands.
//!
//! With `pipeline-order relaxed` nobody minds the order: then all requests with one key are done
//! this way, and nothing is looked at again.

use crate::routing::slots::Peer;

/// Requests that are done shard by shard, and how far they are.
#[derive(Debug, Default)]
pub struct Round {
    /// The request behind the last of them; 0 when there are none.
    pub end: usize,
    /// The shards they concern in the order of visits, and what was noted there.
    pub visits: Vec<(Peer, Changes)>,
    /// Steps done: one for each visit, one for each that is confirmed.
    pub steps: usize,
    /// Whether they are reads that must hold at one moment.
    pub confirms: bool,
    /// Replies in the order in which they came.
    pub replies: Vec<u8>,
    /// Where each reply begins and ends in `replies`, in the order of requests.
    pub pieces: Vec<(usize, usize)>,
    /// Requests before this one go in the order in which they were sent.
    pub in_order_until: usize,
}

/// How often a shard's data has changed: writes, transactions that ended, keys and fields that
/// went by themselves. Equal if nothing has changed between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes(pub [u64; 5]);

/// The next step of a round: which of its visits, and where.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Its requests on this shard are done.
    Visit(usize, Peer),
    /// This shard is looked at again.
    Confirm(usize, Peer),
    /// There is none: all are done.
    End,
}

impl Round {
    /// Whether the requests that are next are done this way.
    #[inline]
    pub fn is_under_way(&self) -> bool {
        self.end != 0
    }

    /// Forgets everything but its room.
    pub fn clear(&mut self) {
        self.forget();
        self.in_order_until = 0;
    }

    /// Forgets the requests that were done this way.
    pub fn forget(&mut self) {
        self.end = 0;
        self.steps = 0;
        self.visits.clear();
        self.replies.clear();
        self.pieces.clear();
    }

    /// What is next.
    pub fn step(&self) -> Step {
        let count = self.visits.len();
        if self.steps < count {
            return Step::Visit(self.steps, self.visits[self.steps].0);
        }
        match (2 * count - 2).checked_sub(self.steps) {
            Some(at) if self.confirms => Step::Confirm(at, self.visits[at].0),
            _ => Step::End,
        }
    }
}
