//! Who follows whom in these tests. The only place that says which rows are played: a row with
//! Keylane is switched on by its last word.

use crate::servers::Kind::{self, Keylane, Redis70, Redis80, Valkey81, Valkey91};
use State::{NotYet, On};

/// Whether a row is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    On,
    /// Keylane does not replicate that way yet.
    NotYet,
}

/// A primary and its replica.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub primary: Kind,
    pub replica: Kind,
    pub state: State,
}

const fn pair(primary: Kind, replica: Kind, state: State) -> Pair {
    Pair { primary, replica, state }
}

/// Every pair that is to end equal. Pairs that are not here cannot replicate: Redis 7.0 reads no
/// snapshot of a Valkey, nor of a Redis 8.
pub const PAIRS: &[Pair] = &[
    pair(Valkey91, Valkey91, On),
    pair(Valkey91, Valkey81, On),
    pair(Valkey91, Redis80, On),
    pair(Valkey81, Valkey91, On),
    pair(Valkey81, Valkey81, On),
    pair(Valkey81, Redis80, On),
    pair(Redis80, Redis80, On),
    pair(Redis80, Valkey91, On),
    pair(Redis70, Redis70, On),
    pair(Redis70, Redis80, On),
    pair(Redis70, Valkey81, On),
    pair(Redis70, Valkey91, On),
    pair(Keylane(1), Valkey91, On),
    pair(Keylane(3), Valkey91, On),
    pair(Keylane(3), Valkey81, On),
    pair(Keylane(1), Redis80, On),
    pair(Keylane(3), Redis80, On),
    pair(Keylane(1), Redis70, On),
    pair(Keylane(3), Redis70, On),
    pair(Valkey91, Keylane(1), On),
    pair(Valkey91, Keylane(3), On),
    pair(Valkey81, Keylane(3), On),
    pair(Redis80, Keylane(1), On),
    pair(Redis80, Keylane(3), On),
    pair(Redis70, Keylane(1), On),
    pair(Redis70, Keylane(3), On),
    pair(Keylane(1), Keylane(1), On),
    pair(Keylane(1), Keylane(2), On),
    pair(Keylane(1), Keylane(3), On),
    pair(Keylane(1), Keylane(5), On),
    pair(Keylane(2), Keylane(1), On),
    pair(Keylane(2), Keylane(2), On),
    pair(Keylane(2), Keylane(3), On),
    pair(Keylane(2), Keylane(5), On),
    pair(Keylane(3), Keylane(1), On),
    pair(Keylane(3), Keylane(2), On),
    pair(Keylane(3), Keylane(3), On),
    pair(Keylane(3), Keylane(5), On),
    pair(Keylane(5), Keylane(1), On),
    pair(Keylane(5), Keylane(2), On),
    pair(Keylane(5), Keylane(3), On),
    pair(Keylane(5), Keylane(5), On),
];

/// Primary, replica, and the replica's replica.
pub const CHAINS: &[([Kind; 3], State)] = &[
    ([Valkey91, Valkey91, Valkey91], On),
    ([Redis70, Redis80, Valkey91], On),
    ([Redis70, Valkey91, Redis80], On),
    ([Keylane(3), Valkey91, Redis80], On),
    ([Keylane(3), Redis80, Valkey91], On),
    ([Valkey91, Keylane(3), Redis80], NotYet),
    ([Redis80, Keylane(3), Valkey91], NotYet),
    ([Valkey91, Redis80, Keylane(3)], On),
    ([Redis80, Valkey91, Keylane(3)], On),
    ([Redis70, Keylane(3), Valkey91], NotYet),
    ([Keylane(3), Keylane(2), Valkey91], NotYet),
    ([Valkey91, Keylane(2), Keylane(3)], NotYet),
    ([Keylane(1), Keylane(2), Keylane(5)], NotYet),
];

/// Pairs between which the connection is ill-treated.
pub const ILL_TREATED: &[Pair] = &[
    pair(Valkey91, Valkey91, On),
    pair(Redis70, Redis70, On),
    pair(Keylane(3), Valkey91, On),
    pair(Keylane(3), Redis80, On),
    pair(Valkey91, Keylane(3), On),
    pair(Redis80, Keylane(3), On),
    pair(Keylane(3), Keylane(3), On),
    pair(Keylane(2), Keylane(5), On),
];

/// Servers from which tools read as replicas do.
pub const READ_BY_TOOLS: &[(Kind, State)] =
    &[(Valkey91, On), (Redis70, On), (Keylane(1), On), (Keylane(3), On)];

/// A primary and two replicas that Sentinels watch.
pub const WATCHED: &[([Kind; 3], State)] = &[
    ([Valkey91, Valkey91, Valkey91], On),
    ([Keylane(2), Keylane(2), Keylane(2)], On),
    ([Keylane(2), Keylane(3), Valkey91], On),
    ([Valkey91, Keylane(2), Keylane(2)], On),
];
