//! Requests of a pipeline done shard by shard: each shard is visited once for all of them, not
//! once for every time the shard changes from one request to the next.
//!
//! What a client sends in order takes effect in order. Requests may be done out of order if no
//! client can tell. There are two ways to make sure of that.
//!
//! Reads are done as they are, and confirmed: all of them hold at one and the same moment.
//!
//! ```text
//! reads, by the shard of their key   A B A A B A
//! on A                               A . A A . A   and note how often A's data has changed
//! on B                               . B . . B .   <-- the moment
//! on A again                         unchanged? then its reads hold at that moment too
//! ```
//! Of several shards all but the last are looked at again, the first one last. If any has changed,
//! or a transaction is at work there, the replies are forgotten and the requests are done anew the
//! other way. Such reads are counted twice in the statistics of commands.
//!
//! Writes claim their keys, and so do reads among them and reads that were not confirmed. The
//! shards are visited in ascending order, the requests run as soon as a shard's claims are granted,
//! and no claim ends before the last one is granted. So no client sees a later write without the
//! earlier ones: where these are still to be done the keys are claimed. It is no transaction,
//! though: each request stands for itself in what a shard logs.
//!
//! Requests of a round are all reads, or all writes that are answered in a few bytes. When the
//! replies of reads are as many as the client may be given at once, the round ends with the request
//! that made them so many: what later ones have read already is forgotten, and they are done anew.
//!
//! With `pipeline-order relaxed` the order does not matter: nothing is claimed or looked at again.

use std::ops::Range;

use shards::journal::units::Unit;

use crate::routing::slots::Peer;
use crate::transactions::locks::{Claims, Mode, Ticket};
use crate::transactions::merging::Merged;

/// Requests that are done shard by shard, and how far they are.
#[derive(Debug, Default)]
pub struct Round {
    /// The request behind the last of them.
    pub end: usize,
    /// How it is made sure that no client sees them out of order.
    pub order: Order,
    /// One of them changes keys of several shards together.
    pub changes_shards_together: bool,
    /// Their keys: in the order of requests, and from [`Self::begin`] on by shard.
    pub keys: Vec<Key>,
    /// The shards they concern, in the order of visits.
    pub visits: Vec<Visit>,
    /// Steps done: one for each visit, one for each that is confirmed.
    pub steps: usize,
    /// The key that is next, in a visit that waits for memory.
    pub next_key: Option<usize>,
    /// Replies in the order in which they came.
    pub replies: Vec<u8>,
    /// Bytes of all that was answered.
    pub bytes: usize,
    /// What is answered to each request.
    pub pieces: Vec<Piece>,
}

/// A key of a request.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The request, counted from the first of the round.
    pub request: usize,
    /// Its place among the request's arguments.
    pub place: usize,
    /// The shard that owns it.
    pub shard: u16,
    /// Its hash.
    pub hash: u64,
    /// Whether it is read or written.
    pub mode: Mode,
}

/// A shard that a round concerns.
#[derive(Debug)]
pub struct Visit {
    /// The shard.
    pub shard: Peer,
    /// Its keys.
    pub keys: Range<usize>,
    /// What was noted there for reads that are confirmed.
    pub noted: Changes,
    /// The claims there of requests that claim.
    pub ticket: Option<Ticket>,
    /// What was done there and is to be logged when the claims end, by request.
    pub logged: Vec<(usize, Unit)>,
}

/// What is answered to a request.
#[derive(Debug)]
pub enum Piece {
    /// Nothing yet.
    None,
    /// These bytes of the round's replies.
    Reply(Range<usize>),
    /// What its parts answer together.
    Parts(Box<Parts>),
}

/// Whether a request gets the memory that it needs: found out once for all its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// None of its parts has run.
    #[default]
    Unknown,
    /// Its parts run.
    Given,
    /// None of its parts runs.
    Refused,
}

/// What the parts of a request have answered.
#[derive(Debug, Default)]
pub struct Parts {
    /// Whether they run.
    pub room: Room,
    /// Their replies.
    pub merged: Merged,
    /// Cycles that they took.
    pub cycles: u64,
}

/// How it is made sure that no client sees the requests of a round out of order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// It does not matter.
    #[default]
    Free,
    /// They are reads that must hold at one moment.
    Confirmed,
    /// Their keys are claimed.
    Claimed,
}

/// How often a shard's data has changed: writes, transactions that ended, keys and fields that
/// went by themselves, slots that came or went. Equal if nothing has changed between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes(pub [u64; 6]);

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
    /// The ticket of its claims on a shard.
    pub fn ticket_at(&self, shard: Peer) -> Option<Ticket> {
        self.visits.iter().find(|visit| visit.shard == shard)?.ticket
    }

    /// Forgets everything but its room.
    pub fn clear(&mut self) {
        self.end = 0;
        self.changes_shards_together = false;
        self.keys.clear();
        self.visits.clear();
        self.steps = 0;
        self.next_key = None;
        self.replies.clear();
        self.bytes = 0;
        self.pieces.clear();
    }

    /// Bytes of its buffers, whatever is in them.
    pub fn capacity(&self) -> usize {
        let keys = self.keys.capacity() * size_of::<Key>();
        let visits = self.visits.capacity() * size_of::<Visit>();
        let pieces = self.pieces.capacity() * size_of::<Piece>();
        self.replies.capacity() + keys + visits + pieces
    }

    /// How often the shard changes from one key to the next, while they stand in the order of
    /// requests.
    pub fn changes_of_shard(&self) -> usize {
        self.keys.windows(2).filter(|two| two[0].shard != two[1].shard).count()
    }

    /// Sorts the keys by shard, and sets out: to `first` if it is one of the shards, then to the
    /// others in ascending order.
    pub fn begin(&mut self, first: Option<Peer>) {
        // On each shard the requests run in their order.
        self.keys.sort_unstable_by_key(|key| (key.shard, key.request, key.place));
        self.visits.clear();
        let mut start = 0;
        for shard in self.keys.chunk_by(|one, next| one.shard == next.shard) {
            let (keys, noted) = (start..start + shard.len(), Changes::default());
            start = keys.end;
            let shard = shard[0].shard.into();
            self.visits.push(Visit { shard, keys, noted, ticket: None, logged: Vec::new() });
        }
        if let Some(at) = self.visits.iter().position(|visit| Some(visit.shard) == first) {
            self.visits[..=at].rotate_right(1);
        }
    }

    /// What is next.
    pub fn step(&self) -> Step {
        let count = self.visits.len();
        if self.steps < count {
            return Step::Visit(self.steps, self.visits[self.steps].shard);
        }
        match (2 * count - 2).checked_sub(self.steps) {
            Some(at) if self.order == Order::Confirmed => Step::Confirm(at, self.visits[at].shard),
            _ => Step::End,
        }
    }

    /// What the keys of a visit claim.
    pub fn claims(&self, visit: usize) -> Claims {
        let keys = &self.keys[self.visits[visit].keys.clone()];
        Claims::of_keys(keys.iter().map(|key| (key.hash, key.mode)).collect())
    }

    /// Begins anew with claims: the reads do not hold at one moment.
    pub fn claim_instead(&mut self) {
        self.order = Order::Claimed;
        self.steps = 0;
        self.replies.clear();
        self.bytes = 0;
        for piece in &mut self.pieces {
            match piece {
                Piece::None | Piece::Reply(_) => *piece = Piece::None,
                Piece::Parts(parts) => **parts = Parts::default(),
            }
        }
        self.begin(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(order: Order, shards: &[u16]) -> Round {
        let key = |(request, &shard)| Key {
            request,
            place: 1,
            shard,
            hash: request as u64,
            mode: Mode::Shared,
        };
        Round { order, keys: shards.iter().enumerate().map(key).collect(), ..Round::default() }
    }

    fn steps(order: Order, first: Option<Peer>) -> String {
        let mut round = round(order, &[2, 0, 1, 2, 0]);
        round.begin(first);
        let mut steps = String::new();
        loop {
            match round.step() {
                Step::Visit(_, shard) => steps += &format!("v{shard} "),
                Step::Confirm(_, shard) => steps += &format!("c{shard} "),
                Step::End => return steps,
            }
            round.steps += 1;
        }
    }

    #[test]
    fn all_shards_are_visited_and_reads_confirmed_at_all_but_the_last() {
        assert_eq!(steps(Order::Free, Some(2)), "v2 v0 v1 ");
        assert_eq!(steps(Order::Claimed, None), "v0 v1 v2 ");
        assert_eq!(steps(Order::Confirmed, Some(1)), "v1 v0 v2 c0 c1 ");
    }

    #[test]
    fn requests_of_one_shard_stay_in_their_order() {
        let mut round = round(Order::Claimed, &[2, 0, 1, 2, 0]);
        assert_eq!(round.changes_of_shard(), 4);
        round.begin(None);
        let requests: Vec<usize> = round.keys.iter().map(|key| key.request).collect();
        assert_eq!(requests, [1, 4, 2, 0, 3]);
        assert_eq!(round.visits[2].keys, 3..5);
    }
}
