//! What a node counts of its cluster.

use std::collections::BTreeMap;

use crate::cluster::frame::Kind;

/// The counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that were sent.
    pub sent: BTreeMap<Kind, u64>,
    /// Frames that came.
    pub received: BTreeMap<Kind, u64>,
    /// Frames whose sender did not know that it had lost its role.
    pub stale_frames: u64,
    /// Links that were closed since too much waited to be sent.
    pub limits_exceeded: u64,
    /// Nodes that became PFAIL since they were silent.
    pub suspected_by_timeout: u64,
    /// Nodes that became PFAIL since no process listens.
    pub suspected_by_refusal: u64,
    /// Nodes that became FAIL since another node said so.
    pub failed_by_report: u64,
    /// Nodes that were PFAIL or FAIL and no longer are.
    pub recanted: u64,
    /// Elections since a primary had failed.
    pub automatic: Elections,
    /// Elections that a client asked for.
    pub manual: Elections,
    /// Failovers by hand in which this node took over.
    pub manual_failovers_won: u64,
    /// Failovers by hand in which it was to take over, and did not in time.
    pub manual_failovers_expired: u64,
    /// Votes that it has given.
    pub votes_granted: u64,
    /// Votes that it has denied, by the reason.
    pub votes_denied: BTreeMap<&'static str, u64>,
    /// From a PING to its PONG.
    pub round_trips: Durations,
    /// How late rounds began.
    pub lateness: Durations,
    /// From when this node's primary was FAIL until this node was elected.
    pub failovers: Durations,
}

/// What came of elections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elections {
    /// This node has won.
    pub won: u64,
    /// They took too long.
    pub expired: u64,
    /// Another claim or request ended them.
    pub reset: u64,
}

/// Upper bounds of durations that are counted together, in milliseconds.
pub const BOUNDS_MS: [u64; 15] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000];

/// How often something took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// By the first bound that is not exceeded.
    counts: [u64; BOUNDS_MS.len()],
    count: u64,
    sum_ms: u64,
}

impl Durations {
    /// Adds one of so many milliseconds.
    pub fn add(&mut self, millis: u64) {
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(millis);
        let place = BOUNDS_MS.iter().position(|bound| millis <= *bound);
        if let Some(count) = place.and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
        }
    }

    /// How many took no longer than each bound.
    pub fn upto(&self) -> impl Iterator<Item = u64> + '_ {
        self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }

    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Milliseconds of all, added up.
    pub const fn sum_ms(&self) -> u64 {
        self.sum_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_by_the_bound_that_they_do_not_exceed() {
        let mut durations = Durations::default();
        [0, 1, 2, 3, 60_000, 60_001, u64::MAX].into_iter().for_each(|ms| durations.add(ms));
        let upto: Vec<u64> = durations.upto().collect();
        assert_eq!(upto[..4], [2, 3, 4, 4]);
        assert_eq!(upto.last(), Some(&5));
        assert_eq!((durations.count(), durations.sum_ms()), (7, u64::MAX));
    }
}
