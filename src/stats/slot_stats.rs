//! What each slot costs: processor time and bytes of its requests and replies. Kept where commands
//! run, while `cluster-slot-stats-enabled` says so; nothing is allocated before.

use shards::base::slot::{SLOTS, Slot};

/// What the commands of one slot cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCounters {
    /// Cycles of the processor's counter.
    pub cycles: u64,
    /// Bytes of requests, as the protocol writes them.
    pub bytes_in: u64,
    /// Bytes of replies.
    pub bytes_out: u64,
}

/// The counters of all slots, on one thread.
#[derive(Debug, Default)]
pub struct SlotStats {
    slots: Vec<SlotCounters>,
}

impl SlotCounters {
    /// Adds what another counted.
    pub fn add(&mut self, other: Self) {
        self.cycles = self.cycles.wrapping_add(other.cycles);
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }
}

impl SlotStats {
    /// Whether anything is counted.
    pub fn is_on(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Counts from now on, or forgets all and counts no more.
    pub fn switch(&mut self, on: bool) {
        if on != self.is_on() {
            self.slots = vec![SlotCounters::default(); if on { usize::from(SLOTS) } else { 0 }];
        }
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.slots.fill(SlotCounters::default());
    }

    /// Counts a command whose keys are all of this slot.
    pub fn count(&mut self, slot: Slot, counters: SlotCounters) {
        if let Some(counted) = self.slots.get_mut(usize::from(slot.number())) {
            counted.add(counters);
        }
    }

    /// What the commands of a slot cost.
    pub fn of(&self, slot: Slot) -> SlotCounters {
        self.slots.get(usize::from(slot.number())).copied().unwrap_or_default()
    }

    /// The slots for which anything was counted, in their order.
    pub fn used(&self) -> impl Iterator<Item = (Slot, SlotCounters)> {
        let used = |(number, counters): (u16, &SlotCounters)| {
            let is_used = *counters != SlotCounters::default();
            Some((Slot::new(number)?, *counters)).filter(|_| is_used)
        };
        (0..SLOTS).zip(&self.slots).filter_map(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_apart_and_only_while_wanted() {
        let mut stats = SlotStats::default();
        let (first, last) = (Slot::new(0).unwrap(), Slot::new(SLOTS - 1).unwrap());
        let once = SlotCounters { cycles: 5, bytes_in: 20, bytes_out: 10 };
        stats.count(first, once);
        assert!(!stats.is_on() && stats.used().next().is_none());
        stats.switch(true);
        stats.count(first, once);
        stats.count(last, once);
        stats.count(last, once);
        stats.switch(true);
        let twice = SlotCounters { cycles: 10, bytes_in: 40, bytes_out: 20 };
        assert_eq!(stats.used().collect::<Vec<_>>(), [(first, once), (last, twice)]);
        assert_eq!((stats.of(first), stats.of(last)), (once, twice));
        stats.reset();
        assert!(stats.is_on() && stats.used().next().is_none());
        stats.switch(false);
        assert!(!stats.is_on());
    }
}
