//! Who takes over when a primary ends: one replica is asked after the other, until one does.
//!
//! ```text
//! looking --one has all--> asked --it has taken over--> (the node is its replica)
//!    ^                       | it refuses, or its time is up: never asked again
//!    +-----------------------+
//! ```
//! A replica that lags is waited for while no other has all, and for [`PATIENCE_MILLIS`] if it is
//! better than those that do: their acknowledgements come one behind the other. One that is stuck
//! delays nothing else.

use std::fmt::Debug;

use crate::shutdown::Uptime;

/// Milliseconds that a replica has, from when it is asked until it has taken over: an election
/// takes a few, and the next one is to have its chance.
pub const ASKED_MILLIS: u64 = 1500;

/// Milliseconds for which a better replica than the first that has all is waited for.
const PATIENCE_MILLIS: u64 = 10;

/// A replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica<Id> {
    /// Which one.
    pub id: Id,
    /// Whether it has all that there is.
    pub has_all: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<Id> {
    /// Ask this replica to take over.
    Ask(Id),
    /// Nothing yet.
    Wait,
    /// There is no replica that was not asked.
    GiveUp,
}

/// The machine.
#[derive(Debug)]
pub struct Succession<Id> {
    asked: Option<(Id, Uptime)>,
    /// Since when one has all, but a better one does not.
    waits: Option<Uptime>,
    /// Those that did not take over.
    failed: Vec<Id>,
}

impl<Id> Default for Succession<Id> {
    fn default() -> Self {
        Self { asked: None, waits: None, failed: Vec::new() }
    }
}

impl<Id: Copy + Debug + Eq> Succession<Id> {
    /// What to do now. `replicas` are those that may take over, the best first.
    pub fn step(&mut self, now: Uptime, replicas: &[Replica<Id>]) -> Step<Id> {
        if let Some((id, since)) = self.asked {
            // Its link ends as soon as it is a primary, before it has told so.
            if now.since(since) < ASKED_MILLIS {
                return Step::Wait;
            }
            self.refused(id);
        }
        let mut left = replicas.iter().filter(|replica| !self.failed.contains(&replica.id));
        let Some(best) = left.clone().next() else { return Step::GiveUp };
        let Some(Replica { id, .. }) = left.find(|replica| replica.has_all) else {
            self.waits = None;
            return Step::Wait;
        };
        let waits = *self.waits.get_or_insert(now);
        if best.id != *id && now.since(waits) < PATIENCE_MILLIS {
            return Step::Wait;
        }
        (self.asked, self.waits) = (Some((*id, now)), None);
        Step::Ask(*id)
    }

    /// A replica will not take over.
    pub fn refused(&mut self, id: Id) {
        self.asked.take_if(|(asked, _)| *asked == id);
        self.failed.push(id);
    }

    /// The replica that was asked last, and has not refused.
    pub fn asked(&self) -> Option<Id> {
        self.asked.map(|(id, _)| id)
    }

    /// When to [`Self::step`] at the latest, if nothing happens before.
    pub fn deadline(&self) -> Option<Uptime> {
        let asked = self.asked.map(|(_, since)| since.after(ASKED_MILLIS));
        asked.or_else(|| self.waits.map(|since| since.after(PATIENCE_MILLIS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replicas by a letter each: a capital one has all.
    fn replicas(letters: &str) -> Vec<Replica<char>> {
        let replica = |letter: char| Replica {
            id: letter.to_ascii_lowercase(),
            has_all: letter.is_ascii_uppercase(),
        };
        letters.chars().map(replica).collect()
    }

    #[test]
    fn the_best_that_has_all_is_asked_and_then_the_others() {
        let mut succession = Succession::default();
        let mut steps = Vec::new();
        for (millis, letters, refuses) in [
            (0, "abc", None),
            // The better one is waited for, but not for long.
            (1, "aBC", None),
            (PATIENCE_MILLIS, "aBC", None),
            (1 + PATIENCE_MILLIS, "aBC", None),
            (2 + PATIENCE_MILLIS, "ABC", None),
            (PATIENCE_MILLIS + ASKED_MILLIS, "ABC", None),
            // Its time is up; the next has no link any more, and so may be a primary.
            (1 + PATIENCE_MILLIS + ASKED_MILLIS, "ABC", None),
            (2 + PATIENCE_MILLIS + ASKED_MILLIS, "BC", None),
            (1 + PATIENCE_MILLIS + 2 * ASKED_MILLIS, "BCd", Some('c')),
            (2 + PATIENCE_MILLIS + 2 * ASKED_MILLIS, "BCd", None),
            (3 + PATIENCE_MILLIS + 2 * ASKED_MILLIS, "BCD", Some('d')),
            (4 + PATIENCE_MILLIS + 2 * ASKED_MILLIS, "ABCD", None),
        ] {
            steps.push(succession.step(Uptime(millis), &replicas(letters)));
            refuses.into_iter().for_each(|id| succession.refused(id));
        }
        let (ask, wait) = (Step::Ask, Step::Wait);
        let (b, a, c, d) = (ask('b'), ask('a'), ask('c'), ask('d'));
        let expected = [wait, wait, wait, b, wait, wait, a, wait, c, wait, d, Step::GiveUp];
        assert_eq!(steps, expected);
    }

    #[test]
    fn the_best_is_asked_at_once_when_it_has_all() {
        let mut succession = Succession::default();
        assert_eq!(succession.step(Uptime(0), &replicas("aB")), Step::Wait);
        assert_eq!(succession.deadline(), Some(Uptime(PATIENCE_MILLIS)));
        assert_eq!(succession.step(Uptime(1), &replicas("Ab")), Step::Ask('a'));
    }

    #[test]
    fn without_replicas_it_is_given_up_at_once() {
        assert_eq!(Succession::<char>::default().step(Uptime(0), &[]), Step::GiveUp);
    }

    #[test]
    fn it_is_looked_again_when_the_time_of_the_asked_is_up() {
        let mut succession = Succession::default();
        assert_eq!(succession.deadline(), None);
        succession.step(Uptime(7), &replicas("A"));
        assert_eq!(succession.deadline(), Some(Uptime(7 + ASKED_MILLIS)));
        assert_eq!(succession.asked(), Some('a'));
        let late = succession.step(Uptime(7 + ASKED_MILLIS), &replicas("A"));
        assert_eq!((late, succession.asked()), (Step::GiveUp, None));
    }
}
