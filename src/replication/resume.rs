//! Where a replica goes on that takes each log by a connection of its own: one table.
//!
//! ```text
//! former history:  log 0 ---------------|cut      present one:  |began ----------- end
//!                  log 1 --------|cut                           |began -----------------
//! ```
//! A former history is sent to its end; then the replica asks anew, and is where the present one
//! began. Whether the logs still reach back to a place, they know themselves.

use std::collections::VecDeque;

use crate::replication::history::{Fence, Scalar, Vector};
use crate::replication::replid::ReplId;

/// What a replica has.
#[derive(Clone, Copy, Debug)]
pub struct Has<'a> {
    /// Of this history.
    pub history: ReplId,
    /// What it adds up to.
    pub scalar: Scalar,
    /// Where it is in each log; `None`: at a place of the stream.
    pub vector: Option<&'a Vector>,
}

/// What logs this node has.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The history that is written now.
    pub present: ReplId,
    /// How many logs it has.
    pub logs: usize,
    /// What they add up to.
    pub end: Scalar,
    /// Where it began as the continuation of the former one.
    pub began: Option<&'a Fence>,
    /// The one before.
    pub former: Option<&'a Former>,
    /// Where snapshots were made of it, the newest last.
    pub cuts: &'a VecDeque<Fence>,
    /// What a replica may lack of a history, in bytes: if more waits for it, it is cut.
    pub lacks_max: u64,
}

/// A history that went on as the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Its name.
    pub id: ReplId,
    /// What it adds up to where it ended.
    pub scalar: Scalar,
    /// Where it ended in each log, if that is known.
    pub vector: Option<Vector>,
    /// Whether it ended at a fence, or another place of its stream: nothing else of it adds up to
    /// as much.
    pub is_fence: bool,
    /// Whether its logs go on as those of the present one: only the name is another. What was sent
    /// of them behind the end is right, too: no other node has ever written it.
    pub goes_on: bool,
}

/// Where a replica goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Here, in the present history.
    Present(Fence),
    /// Here, in the former one, up to its end.
    Former(Fence),
}

/// Where a replica goes on. `None`: in no log, or it lacks more than may wait for it.
pub fn place(has: &Has<'_>, facts: &Facts<'_>) -> Option<Place> {
    find(has, facts).filter(|place| {
        let (at, end) = match place {
            Place::Present(at) => (at, facts.end),
            Place::Former(at) => (at, facts.former.map_or(facts.end, |former| former.scalar)),
        };
        end.before(facts.lacks_max) <= at.scalar
    })
}

fn find(has: &Has<'_>, facts: &Facts<'_>) -> Option<Place> {
    let Has { history, scalar, vector } = *has;
    let at = |vector: &Vector| Fence { scalar, vector: vector.clone() };
    let began = facts.began.filter(|began| began.scalar == scalar);
    let here = vector.filter(|vector| vector.offsets().len() == facts.logs);
    let here = here.filter(|_| scalar <= facts.end).map(at);
    if history == facts.present {
        // A replica with a snapshot may have lost its connection before it was told where that is
        // in the logs. And nothing was written before the history began that weighs something.
        let cut = facts.cuts.iter().rfind(|cut| cut.scalar == scalar).or(began);
        return here.or_else(|| cut.filter(|_| vector.is_none()).cloned()).map(Place::Present);
    }
    let former = facts.former.filter(|former| former.id == history)?;
    if former.goes_on && here.is_some() {
        return here.map(Place::Present);
    }
    let cut = former.vector.as_ref().filter(|_| scalar <= former.scalar);
    let within = vector.filter(|vector| cut.is_some_and(|cut| vector.is_within(cut)));
    // What weighs nothing between the cut and the replica is fences, whichever has more of them.
    let is_behind = vector.is_some_and(|vector| cut.is_some_and(|cut| cut.is_within(vector)));
    let has_all = former.is_fence || within.is_some() || is_behind;
    match began.filter(|_| has_all && scalar == former.scalar) {
        Some(began) => Some(Place::Present(began.clone())),
        None => within.map(at).map(Place::Former),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: ReplId = ReplId::of_random([1; 20]);
    const FORMER: ReplId = ReplId::of_random([2; 20]);
    const OTHER: ReplId = ReplId::of_random([3; 20]);

    fn fence(text: &str) -> Fence {
        let (scalar, vector) = text.split_once(':').expect("a colon stands between");
        let vector = Vector::parse(vector.as_bytes()).expect("it is a vector");
        Fence { scalar: Scalar(scalar.parse().expect("it is a number")), vector }
    }

    /// The former history had three logs and ended at 100:10,20,30; the present one has two and
    /// began at 100:5,5.
    fn decide(history: ReplId, at: &str, is_fence: bool, goes_on: bool) -> String {
        let cut = fence("100:10,20,30");
        let former =
            Former { id: FORMER, scalar: cut.scalar, vector: Some(cut.vector), is_fence, goes_on };
        let began = fence(if goes_on { "100:11,21,31" } else { "100:5,5" });
        let logs = began.vector.offsets().len();
        let facts = Facts {
            present: PRESENT,
            logs,
            end: Scalar(500),
            began: Some(&began),
            former: Some(&former),
            cuts: &VecDeque::from([fence("300:6,6"), fence("300:6,8")]),
            lacks_max: 410,
        };
        let (scalar, vector) = at.split_once(':').expect("a colon stands between");
        let vector = Vector::parse(vector.as_bytes());
        let scalar = Scalar(scalar.parse().expect("it is a number"));
        let has = Has { history, scalar, vector: vector.as_ref() };
        let text = |fence: Fence| format!("{}:{}", fence.scalar, fence.vector);
        match place(&has, &facts) {
            Some(Place::Present(fence)) => format!("present {}", text(fence)),
            Some(Place::Former(fence)) => format!("former {}", text(fence)),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn a_replica_of_the_present_history_goes_on_where_it_is() {
        for (at, expected) in [
            ("200:7,9", "present 200:7,9"),
            ("500:7,9", "present 500:7,9"),
            // It has more than there is.
            ("501:7,9", "none"),
            // It is of another shape.
            ("200:7,9,9", "none"),
            // A place of the stream, which only the beginning is known to be.
            ("200:", "none"),
            ("100:", "present 100:5,5"),
            // It has the last snapshot that was made there.
            ("300:", "present 300:6,8"),
            ("100:5,4", "present 100:5,4"),
            // More than may wait for it.
            ("89:5,4", "none"),
        ] {
            assert_eq!(decide(PRESENT, at, false, false), expected, "{at}");
        }
        assert_eq!(decide(OTHER, "100:10,20,30", true, true), "none");
    }

    #[test]
    fn a_replica_of_the_former_history_gets_its_rest_and_then_the_present_one() {
        for (at, at_cut, at_fence) in [
            ("100:10,20,30", "present 100:5,5", "present 100:5,5"),
            // It lacks a part of a fence, or has one that the cut lacks.
            ("100:10,20,28", "present 100:5,5", "present 100:5,5"),
            ("100:10,22,30", "present 100:5,5", "present 100:5,5"),
            ("90:10,20,28", "former 90:10,20,28", "former 90:10,20,28"),
            ("0:0,0,0", "former 0:0,0,0", "former 0:0,0,0"),
            // The same number at another place: of a fence there is only one.
            ("100:9,21,30", "none", "present 100:5,5"),
            ("100:", "none", "present 100:5,5"),
            ("90:9,21,30", "none", "none"),
            ("90:10,20", "none", "none"),
            ("90:", "none", "none"),
            // It says that it has more, at a place before the end.
            ("101:10,20,28", "none", "none"),
        ] {
            assert_eq!(decide(FORMER, at, false, false), at_cut, "{at}");
            assert_eq!(decide(FORMER, at, true, false), at_fence, "{at}");
        }
    }

    #[test]
    fn logs_that_only_got_another_name_go_on() {
        for (at, expected) in [
            ("90:10,20,28", "present 90:10,20,28"),
            ("100:10,20,30", "present 100:10,20,30"),
            ("100:", "present 100:11,21,31"),
            // It was sent more before it heard of the other name.
            ("400:50,60,70", "present 400:50,60,70"),
            ("501:50,60,70", "none"),
            ("90:9,21", "none"),
        ] {
            assert_eq!(decide(FORMER, at, true, true), expected, "{at}");
        }
    }
}
