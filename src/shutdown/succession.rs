//! Who takes over when a primary ends: one replica is asked after the other, until one does.
//!
//! ```text
//! looking --one has all--> asked --it has taken over--> (the node is its replica)
//!    ^                       | it refuses, or its time is up: never asked again
//!    +-----------------------+
//! ```
//! A replica that lags is waited for only while no other has all, so one that is stuck delays
//! nothing.

use std::fmt::Debug;

use crate::shutdown::Uptime;

/// Milliseconds that a replica has, from when it is asked until it has taken over: an election
/// takes a few, and the next one is to have its chance.
const ASKED_MILLIS: u64 = 1500;

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
    /// Those that did not take over.
    failed: Vec<Id>,
}

impl<Id> Default for Succession<Id> {
    fn default() -> Self {
        Self { asked: None, failed: Vec::new() }
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
        match left.clone().find(|replica| replica.has_all) {
            Some(Replica { id, .. }) => {
                self.asked = Some((*id, now));
                Step::Ask(*id)
            }
            None if left.next().is_some() => Step::Wait,
            None => Step::GiveUp,
        }
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
        self.asked.map(|(_, since)| since.after(ASKED_MILLIS))
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
            // One that is behind waits for none.
            (1, "aBC", None),
            (2, "ABC", None),
            (2 + ASKED_MILLIS - 2, "ABC", None),
            // Its time is up; the next has no link any more, and so may be a primary.
            (1 + ASKED_MILLIS, "ABC", None),
            (2 + ASKED_MILLIS, "BC", None),
            (1 + 2 * ASKED_MILLIS, "BCd", Some('c')),
            (2 + 2 * ASKED_MILLIS, "BCd", None),
            (3 + 2 * ASKED_MILLIS, "BCD", Some('d')),
            (4 + 2 * ASKED_MILLIS, "ABCD", None),
        ] {
            steps.push(succession.step(Uptime(millis), &replicas(letters)));
            refuses.into_iter().for_each(|id| succession.refused(id));
        }
        let (ask, wait) = (Step::Ask, Step::Wait);
        let expected =
            [wait, ask('b'), wait, wait, ask('a'), wait, ask('c'), wait, ask('d'), Step::GiveUp];
        assert_eq!(steps, expected);
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
