//! Who follows whom in these tests.

use crate::servers::Kind::{self, Keylane, Native, Redis70, Redis80, Valkey81, Valkey91};

/// A primary and its replica.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub primary: Kind,
    pub replica: Kind,
}

const fn pair(primary: Kind, replica: Kind) -> Pair {
    Pair { primary, replica }
}

/// Every pair that is to end equal. Pairs that are not here cannot replicate: Redis 7.0 reads no
/// snapshot of a Valkey, nor of a Redis 8.
pub const PAIRS: &[Pair] = &[
    pair(Valkey91, Valkey91),
    pair(Valkey91, Valkey81),
    pair(Valkey91, Redis80),
    pair(Valkey81, Valkey91),
    pair(Valkey81, Valkey81),
    pair(Valkey81, Redis80),
    pair(Redis80, Redis80),
    pair(Redis80, Valkey91),
    pair(Redis70, Redis70),
    pair(Redis70, Redis80),
    pair(Redis70, Valkey81),
    pair(Redis70, Valkey91),
    pair(Keylane(1), Valkey91),
    pair(Keylane(3), Valkey91),
    pair(Keylane(3), Valkey81),
    pair(Keylane(1), Redis80),
    pair(Keylane(3), Redis80),
    pair(Keylane(1), Redis70),
    pair(Keylane(3), Redis70),
    pair(Valkey91, Keylane(1)),
    pair(Valkey91, Keylane(3)),
    pair(Valkey81, Keylane(3)),
    pair(Redis80, Keylane(1)),
    pair(Redis80, Keylane(3)),
    pair(Redis70, Keylane(1)),
    pair(Redis70, Keylane(3)),
    pair(Keylane(1), Keylane(1)),
    pair(Keylane(1), Keylane(2)),
    pair(Keylane(1), Keylane(3)),
    pair(Keylane(1), Keylane(5)),
    pair(Keylane(2), Keylane(1)),
    pair(Keylane(2), Keylane(2)),
    pair(Keylane(2), Keylane(3)),
    pair(Keylane(2), Keylane(5)),
    pair(Keylane(3), Keylane(1)),
    pair(Keylane(3), Keylane(2)),
    pair(Keylane(3), Keylane(3)),
    pair(Keylane(3), Keylane(5)),
    pair(Keylane(5), Keylane(1)),
    pair(Keylane(5), Keylane(2)),
    pair(Keylane(5), Keylane(3)),
    pair(Keylane(5), Keylane(5)),
    pair(Native(1), Native(1)),
    pair(Native(1), Native(3)),
    pair(Native(2), Native(2)),
    pair(Native(2), Native(5)),
    pair(Native(3), Native(1)),
    pair(Native(3), Native(2)),
    pair(Native(5), Native(3)),
    pair(Native(5), Native(5)),
    // Their snapshots come by two connections.
    pair(Native(8), Native(3)),
    pair(Native(3), Keylane(2)),
    pair(Keylane(2), Native(3)),
    pair(Native(2), Valkey91),
    pair(Valkey91, Native(2)),
];

/// Primary, replica, and the replica's replica.
pub const CHAINS: &[[Kind; 3]] = &[
    [Valkey91, Valkey91, Valkey91],
    [Redis70, Redis80, Valkey91],
    [Redis70, Valkey91, Redis80],
    [Keylane(3), Valkey91, Redis80],
    [Keylane(3), Redis80, Valkey91],
    [Valkey91, Keylane(3), Redis80],
    [Redis80, Keylane(3), Valkey91],
    [Valkey91, Redis80, Keylane(3)],
    [Redis80, Valkey91, Keylane(3)],
    [Redis70, Keylane(3), Valkey91],
    [Keylane(3), Keylane(2), Valkey91],
    [Valkey91, Keylane(2), Keylane(3)],
    [Keylane(1), Keylane(2), Keylane(5)],
    [Keylane(3), Redis70, Valkey91],
    [Redis70, Valkey91, Keylane(3)],
    [Valkey91, Keylane(2), Redis70],
    [Keylane(3), Keylane(2), Redis70],
    [Native(1), Native(2), Native(3)],
    [Native(3), Native(1), Native(2)],
    [Native(2), Native(5), Native(3)],
    [Native(3), Native(2), Valkey91],
    [Native(2), Native(3), Redis80],
    [Native(2), Native(3), Keylane(2)],
    [Native(2), Keylane(3), Native(2)],
    [Keylane(2), Native(3), Native(2)],
    [Valkey91, Native(3), Native(2)],
    [Native(3), Valkey91, Native(2)],
];

/// Pairs between which the connection is ill-treated.
pub const ILL_TREATED: &[Pair] = &[
    pair(Valkey91, Valkey91),
    pair(Redis70, Redis70),
    pair(Keylane(3), Valkey91),
    pair(Keylane(3), Redis80),
    pair(Valkey91, Keylane(3)),
    pair(Redis80, Keylane(3)),
    pair(Keylane(3), Keylane(3)),
    pair(Keylane(2), Keylane(5)),
    pair(Native(1), Native(3)),
    pair(Native(3), Native(3)),
    pair(Native(2), Native(5)),
];

/// Servers from which tools read as replicas do.
pub const READ_BY_TOOLS: &[Kind] = &[Valkey91, Redis70, Keylane(1), Keylane(3)];

/// A primary and two replicas that Sentinels watch.
pub const WATCHED: &[[Kind; 3]] = &[
    [Valkey91, Valkey91, Valkey91],
    [Keylane(2), Keylane(2), Keylane(2)],
    [Keylane(2), Keylane(3), Valkey91],
    [Valkey91, Keylane(2), Keylane(2)],
    [Native(2), Native(3), Native(2)],
];
