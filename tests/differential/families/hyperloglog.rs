//! HyperLogLogs: strings in disguise.

use super::{Family, Line, Role, exact, wild};

pub const HYPERLOGLOG: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    exact("PFADD key element..."),
    exact("PFADD key value... value... value..."),
    exact("PFADD key"),
    exact("PFCOUNT key..."),
    exact("PFMERGE key key..."),
    exact("PFMERGE key"),
    wild(exact("SET key hll")),
    exact("PFDEBUG (ENCODING|TODENSE|DECODE|GETREG) key"),
];
