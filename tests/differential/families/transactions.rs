//! Transactions, as commands that come at any time; most are made whole by `plan.rs`.

use super::{Family, Line, Role, exact, wild};

pub const TRANSACTIONS: Family = Family { role: Role::Always(3), lines: LINES };

const LINES: &[Line] = &[
    wild(exact("DISCARD")),
    wild(exact("EXEC")),
    wild(exact("EXEC")),
    wild(exact("MULTI")),
    exact("UNWATCH"),
    wild(exact("WATCH key...")),
    wild(exact("WATCH key...")),
];
