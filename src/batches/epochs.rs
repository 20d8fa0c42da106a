//! Which batches of a shard's clients are under way, by the time at which they set out.
//!
//! A change of the whole node (a pause, the end of the process) begins a new epoch on each shard.
//! What sets out from then on knows of the change. When no batch of an earlier epoch is under way,
//! the change has been seen by everything, and the shard says so.

use std::collections::VecDeque;

/// When a batch set out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(u64);

/// Batches under way, by epoch.
#[derive(Debug, Default)]
pub struct Epochs {
    now: Epoch,
    /// Epochs with batches under way, in their order, and how many.
    under_way: VecDeque<(Epoch, u64)>,
}

impl Epochs {
    /// A batch sets out.
    #[inline]
    pub fn begin(&mut self) -> Epoch {
        match self.under_way.back_mut() {
            Some((epoch, batches)) if *epoch == self.now => *batches += 1,
            _ => self.under_way.push_back((self.now, 1)),
        }
        self.now
    }

    /// A batch that set out in this epoch is home, or rests.
    #[inline]
    pub fn end(&mut self, epoch: Epoch) {
        let at = self.under_way.iter().position(|(other, _)| *other == epoch);
        let at = at.expect("a batch ends in the epoch in which it began");
        self.under_way[at].1 -= 1;
        if self.under_way[at].1 == 0 {
            self.under_way.remove(at);
        }
    }

    /// Begins a new epoch. What is returned is the one that ends now.
    pub fn advance(&mut self) -> Epoch {
        let before = self.now;
        self.now.0 += 1;
        before
    }

    /// Whether no batch of this epoch or an earlier one is under way.
    pub fn is_over(&self, epoch: Epoch) -> bool {
        self.under_way.front().is_none_or(|(first, _)| epoch < *first)
    }

    /// How many batches are under way.
    pub fn len(&self) -> u64 {
        self.under_way.iter().map(|(_, batches)| batches).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_over_when_its_batches_and_all_before_are_home() {
        let mut epochs = Epochs::default();
        let (one, two) = (epochs.begin(), epochs.begin());
        let first = epochs.advance();
        let three = epochs.begin();
        let second = epochs.advance();
        assert!(!epochs.is_over(first) && epochs.len() == 3);
        epochs.end(three);
        assert!(!epochs.is_over(second), "earlier ones are under way");
        epochs.end(one);
        assert!(!epochs.is_over(first));
        epochs.end(two);
        assert!(epochs.is_over(first) && epochs.is_over(second) && epochs.is_empty());
        epochs.begin();
        assert!(epochs.is_over(second), "what sets out later does not count");
    }
}
