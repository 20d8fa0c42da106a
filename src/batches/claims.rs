//! Claims of batches on a shard's keys: making them, waiting for them, and their end.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};

use crate::batches::batch::Batch;
use crate::transactions::locks::{Claims as Wanted, LockId, Locks, Mode, Ticket};

/// All claims on one shard, and the batches that wait for theirs.
#[derive(Debug, Default)]
pub struct Claims {
    locks: Locks,
    /// Batches that wait for a ticket.
    parked: HashMap<Ticket, Box<Batch>>,
    /// Claims on keys that are offered to requests which wait for them.
    offers: HashSet<Ticket>,
    /// Batches whose tickets were granted.
    granted: VecDeque<Box<Batch>>,
    /// Transactions that ended here.
    pub ended: u64,
}

impl Claims {
    /// Whether nothing is claimed: the usual case, looked at before each command.
    #[inline]
    pub fn idle(&self) -> bool {
        self.locks.idle()
    }

    /// Whether a command without a ticket would have to wait for a key.
    #[inline]
    pub fn blocks(&self, id: LockId, mode: Mode) -> bool {
        !self.locks.idle() && self.locks.blocks(id, mode)
    }

    /// Whether a key is claimed.
    #[inline]
    pub fn claimed(&self, id: LockId) -> bool {
        !self.locks.idle() && self.locks.claimed(id)
    }

    /// What a ticket claims.
    pub fn of(&self, ticket: Ticket) -> &Wanted {
        self.locks.claims(ticket)
    }

    /// Whether only the holder of `held` stands in the way of what is done with a key now.
    pub fn lets(&self, held: Option<Ticket>, id: LockId) -> bool {
        self.locks.lets(held, id)
    }

    /// The claims for which a request must wait, if others stand in their way.
    #[inline]
    pub fn in_the_way(&self, wanted: impl FnOnce() -> Wanted) -> Option<Wanted> {
        if self.locks.idle() {
            return None;
        }
        let wanted = wanted();
        let blocked = match &wanted {
            Wanted::Keys(keys) => keys.iter().any(|&(id, mode)| self.locks.blocks(id, mode)),
            // There are tickets: a whole shard waits in line unless all only read.
            Wanted::Whole(_) => true,
        };
        blocked.then_some(wanted)
    }

    /// Makes claims: their ticket, and whether they are granted at once.
    pub fn enter(&mut self, wanted: Wanted) -> (Ticket, bool) {
        self.locks.enter(wanted)
    }

    /// Lets a batch wait until its ticket is granted.
    pub fn park(&mut self, ticket: Ticket, batch: Box<Batch>) {
        self.parked.insert(ticket, batch);
    }

    /// Claims a key that is offered to a request which waits for it, behind the holder of `held`.
    pub fn offer(&mut self, held: Option<Ticket>, id: LockId) -> Ticket {
        let ticket = self.locks.enter_behind(held, id);
        self.offers.insert(ticket);
        ticket
    }

    /// Whether keys are offered to requests that have not answered yet.
    pub fn has_offers(&self) -> bool {
        !self.offers.is_empty()
    }

    /// Gives a ticket back; batches that it held up can go on.
    pub fn leave(&mut self, ticket: Ticket) {
        let mut granted = Vec::new();
        self.offers.remove(&ticket);
        self.locks.leave(ticket, &mut granted);
        for ticket in granted {
            match self.parked.remove(&ticket) {
                Some(batch) => self.granted.push_back(batch),
                None => assert!(self.offers.contains(&ticket), "a batch waits for its ticket"),
            }
        }
    }

    /// The next batch whose ticket was granted.
    #[inline]
    pub fn next_granted(&mut self) -> Option<Box<Batch>> {
        self.granted.pop_front()
    }
}
