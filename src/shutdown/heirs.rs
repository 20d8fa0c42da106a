//! In which order replicas are asked to take over when their primary ends.
//!
//! | a replica                      | comes                                   |
//! |--------------------------------|-----------------------------------------|
//! | does not fail over             | never: its operator said so             |
//! | has priority 0                 | never: likewise                         |
//! | has a lower priority           | before those with a higher one          |
//! | is in the zone of the primary  | before those that are not, or don't say |
//! | has all that there is          | before those that lack something        |
//! | has less to receive yet        | before those with more                  |
//!
//! Each row decides where those above do not; the id decides at last, so that the order is the same
//! each time it is asked for. The first that has all is asked, and each further one when the one
//! before it has failed ([`super::succession`]).

use crate::shutdown::succession::Replica;

/// A replica that is online, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<Id> {
    /// Which one.
    pub id: Id,
    /// Whether it has all that there is.
    pub has_all: bool,
    /// Whether it may take over: `cluster-replica-no-failover`, as its frames on the bus tell.
    pub may: bool,
    /// `replica-priority`; 0 for never. Only a Keylane tells its primary, a stock replica counts
    /// as one of the usual priority.
    pub priority: u32,
    /// Whether its `availability-zone` is the primary's, and not empty. It stands in an extension
    /// of frames on the bus that older servers do not send: these are nowhere.
    pub is_near: bool,
    /// Bytes of the stream that wait for it at the primary.
    pub unsent_bytes: u64,
}

/// Those that may take over, the best first.
pub fn in_order<Id: Copy + Ord>(mut candidates: Vec<Candidate<Id>>) -> Vec<Replica<Id>> {
    candidates.retain(|candidate| candidate.may && candidate.priority != 0);
    candidates.sort_by_key(|candidate| {
        let Candidate { id, has_all, priority, is_near, unsent_bytes, .. } = *candidate;
        (priority, !is_near, !has_all, unsent_bytes, id)
    });
    let replicas = candidates.into_iter();
    replicas.map(|Candidate { id, has_all, .. }| Replica { id, has_all }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A candidate by words: a letter is its id, a number its priority.
    fn candidate(words: &str) -> Candidate<char> {
        let mut it = Candidate {
            id: '?',
            has_all: false,
            may: true,
            priority: 100,
            is_near: false,
            unsent_bytes: 0,
        };
        for word in words.split(' ') {
            match word {
                "all" => it.has_all = true,
                "never" => it.may = false,
                "near" => it.is_near = true,
                _ => match (word.strip_prefix('+'), word.parse()) {
                    (Some(bytes), _) => it.unsent_bytes = bytes.parse().expect("a number"),
                    (None, Ok(priority)) => it.priority = priority,
                    (None, Err(_)) => it.id = word.chars().next().expect("a letter"),
                },
            }
        }
        it
    }

    #[test]
    fn each_row_decides_where_those_above_do_not() {
        for (label, candidates, expected) in [
            ("none", "", ""),
            ("all equal: by id", "b all, a all", "ab"),
            ("in sync", "a near, b all near +9", "ba"),
            ("in sync or not", "a all 100 near, b 10, c all", "bac"),
            ("not if it does not fail over", "a all never, b all", "b"),
            ("not even if it is the only one", "a all never", ""),
            ("priority", "a all 100 near, b all 10 +9", "ba"),
            ("never with priority 0", "a all 0 near, b 100", "b"),
            ("zone", "a all, b all near +9", "ba"),
            ("the smallest backlog", "a all +9, b all +1", "ba"),
            ("the smallest backlog of those that lack something", "a +9, b +1, c all", "cba"),
            (
                "all rows",
                "a 50, b all 100, c all 50, d all 50 near, e all 50 near +1, f all 1 never, \
                 g all 0",
                "decab",
            ),
        ] {
            let words = candidates.split(", ").filter(|words| !words.is_empty());
            let order = in_order(words.map(candidate).collect());
            let shown: String = order.iter().map(|replica| replica.id).collect();
            assert_eq!(shown, expected, "{label}");
        }
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_of_sessions() {
        let all = ["a all", "b all near", "c 1", "d all 7 +3", "e all never"].map(candidate);
        let expected = in_order(all.to_vec());
        for first in 0..all.len() {
            let mut turned = all.to_vec();
            turned.rotate_left(first);
            assert_eq!(in_order(turned), expected, "{first}");
        }
        assert_eq!(expected.len(), 4);
    }
}
