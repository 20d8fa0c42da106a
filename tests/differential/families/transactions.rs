//! Transactions, as commands that come at any time; most are made whole by `plan.rs`.

use super::{Family, Line, Role, exact};

pub const TRANSACTIONS: Family = Family { role: Role::Always(3), lines: LINES };

const LINES: &[Line] = &[
    exact("DISCARD"),
    exact("EXEC"),
    exact("EXEC"),
    exact("MULTI"),
    exact("UNWATCH"),
    exact("WATCH key..."),
    exact("WATCH key..."),
];
