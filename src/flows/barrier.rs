//! Transactions of several logs of a primary, as a replica brings their parts together.
//!
//! ```text
//! flow 0 --part of 7--> offered --.
//! flow 2 --part of 7--> offered ---+--> whole: it runs at once --> done: flows 0 and 2 go on
//! ```
//! A flow that comes to a part waits until all before it is applied, offers it here, and goes on
//! when the transaction is done. So readers see all of a transaction or nothing. Parts stand in all
//! logs in one order, so flows never wait for each other in a circle.
//!
//! Before the vector of what is applied is asked for, everything is **held**: transactions that are
//! not whole are given back to their flows, and those that run end. When the attempt to follow goes
//! on after that, a new epoch begins, and the flows offer their parts again.

use std::collections::BTreeMap;

use crate::replication::link::events::Generation;

/// A span of an attempt to follow a primary in which nothing is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    /// The attempt.
    pub generation: Generation,
    /// How often it was held before, and went on.
    pub rests: u64,
}

impl Epoch {
    /// The first one of an attempt.
    pub const fn first(generation: Generation) -> Self {
        Self { generation, rests: 0 }
    }

    /// The end of an attempt: behind all its epochs.
    pub const fn last(generation: Generation) -> Self {
        Self { generation, rests: u64::MAX }
    }
}

/// A part of a transaction, whatever it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<P> {
    /// When it was offered.
    pub epoch: Epoch,
    /// The transaction's number.
    pub txid: u64,
    /// All logs that have a part of it, ascending.
    pub participants: Vec<u16>,
    /// The log that this part is of.
    pub flow: u16,
    /// What the part does.
    pub part: P,
}

/// What becomes of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<P> {
    /// It waits for other parts.
    Waits,
    /// It makes its transaction whole: these are the parts, by log.
    Whole {
        /// The logs, ascending.
        participants: Vec<u16>,
        /// Their parts, in the same order.
        parts: Vec<P>,
    },
    /// Nothing is begun any more: the flow keeps it.
    Returned,
}

/// An offer that no primary makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonsense;

/// Brings parts together. One that is not told to hold.
#[derive(Debug)]
pub struct Barrier<P> {
    gathering: BTreeMap<u64, Gathering<P>>,
    /// Offers of this epoch and earlier ones are given back.
    held: Option<Epoch>,
}

#[derive(Debug)]
struct Gathering<P> {
    participants: Vec<u16>,
    parts: BTreeMap<u16, P>,
}

impl<P> Default for Barrier<P> {
    fn default() -> Self {
        Self { gathering: BTreeMap::new(), held: None }
    }
}

impl<P> Barrier<P> {
    /// Takes a part.
    ///
    /// # Errors
    /// If its flow has offered one already, takes no part, or others name other participants.
    pub fn offer(&mut self, offer: Offer<P>) -> Result<Fate<P>, Nonsense> {
        let Offer { epoch, txid, participants, flow, part } = offer;
        if self.holds(epoch) {
            return Ok(Fate::Returned);
        }
        if !participants.contains(&flow) {
            return Err(Nonsense);
        }
        let gathering = self.gathering.entry(txid).or_insert_with(|| Gathering {
            participants: participants.clone(),
            parts: BTreeMap::new(),
        });
        let is_known = gathering.participants == participants;
        if !is_known || gathering.parts.insert(flow, part).is_some() {
            return Err(Nonsense);
        }
        if gathering.parts.len() < gathering.participants.len() {
            return Ok(Fate::Waits);
        }
        let whole = self.gathering.remove(&txid).map(|Gathering { participants, parts }| {
            Fate::Whole { participants, parts: parts.into_values().collect() }
        });
        Ok(whole.unwrap_or(Fate::Waits))
    }

    /// Whether this epoch is held, or a later one.
    pub fn holds(&self, epoch: Epoch) -> bool {
        self.held.is_some_and(|held| epoch <= held)
    }

    /// Begins no transaction of this epoch any more. The flows that get their parts back.
    pub fn hold(&mut self, epoch: Epoch) -> Vec<u16> {
        self.held = self.held.max(Some(epoch));
        let given_back = std::mem::take(&mut self.gathering);
        given_back.into_values().flat_map(|one| one.parts.into_keys()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an epoch whose last digit says how often its attempt was held.
    fn offer(generation: u64, txid: u64, participants: &[u16], flow: u16) -> Offer<u16> {
        let participants = participants.to_vec();
        let epoch = Epoch { generation: Generation(generation / 10), rests: generation % 10 };
        Offer { epoch, txid, participants, flow, part: flow * 10 }
    }

    #[test]
    fn a_transaction_is_whole_when_all_its_parts_are_there() {
        let mut barrier = Barrier::default();
        assert_eq!(barrier.offer(offer(1, 7, &[0, 2, 5], 5)), Ok(Fate::Waits));
        assert_eq!(barrier.offer(offer(1, 8, &[1], 1)), Ok(whole(&[1])));
        assert_eq!(barrier.offer(offer(1, 7, &[0, 2, 5], 0)), Ok(Fate::Waits));
        assert_eq!(barrier.offer(offer(1, 7, &[0, 2, 5], 2)), Ok(whole(&[0, 2, 5])));
    }

    fn whole(participants: &[u16]) -> Fate<u16> {
        let parts = participants.iter().map(|flow| flow * 10).collect();
        Fate::Whole { participants: participants.to_vec(), parts }
    }

    #[test]
    fn what_is_held_goes_back_and_a_later_epoch_begins_anew() {
        let mut barrier = Barrier::default();
        for (txid, flow) in [(7, 0), (8, 1), (8, 2)] {
            let participants: &[u16] = if txid == 7 { &[0, 3] } else { &[1, 2, 3] };
            assert_eq!(barrier.offer(offer(20, txid, participants, flow)), Ok(Fate::Waits));
        }
        assert_eq!(barrier.hold(Epoch::first(Generation(2))), [0, 1, 2]);
        assert_eq!(barrier.offer(offer(20, 7, &[0, 3], 3)), Ok(Fate::Returned));
        assert!(barrier.hold(Epoch::last(Generation(1))).is_empty());
        assert_eq!(barrier.offer(offer(21, 7, &[0, 3], 3)), Ok(Fate::Waits));
        assert_eq!(barrier.hold(Epoch::last(Generation(2))), [3]);
        assert_eq!(barrier.offer(offer(22, 7, &[0, 3], 3)), Ok(Fate::Returned));
        assert_eq!(barrier.offer(offer(30, 7, &[0, 3], 3)), Ok(Fate::Waits));
        assert_eq!(barrier.offer(offer(30, 7, &[0, 3], 0)), Ok(whole(&[0, 3])));
    }

    #[test]
    fn offers_that_no_primary_makes_are_refused() {
        let mut barrier = Barrier::default();
        assert_eq!(barrier.offer(offer(1, 7, &[0, 2], 0)), Ok(Fate::Waits));
        assert_eq!(barrier.offer(offer(1, 7, &[0, 2], 0)), Err(Nonsense));
        assert_eq!(barrier.offer(offer(1, 7, &[0, 1], 1)), Err(Nonsense));
        assert_eq!(barrier.offer(offer(1, 9, &[0, 2], 1)), Err(Nonsense));
    }
}
