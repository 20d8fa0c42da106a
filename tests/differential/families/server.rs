//! Databases as a whole, and what asks nothing of them.

use super::{Family, Line, Role, exact};

pub const SERVER: Family = Family { role: Role::Always(4), lines: LINES };

const LINES: &[Line] = &[
    exact("DBSIZE"),
    exact("DBSIZE"),
    exact("ECHO value"),
    exact("FLUSHALL [ASYNC|SYNC]"),
    exact("FLUSHDB [ASYNC|SYNC]"),
    exact("PING [value]"),
    exact("SELECT db"),
    exact("SELECT db"),
    exact("SELECT 0"),
    exact("SELECT 0"),
    exact("SWAPDB db db"),
];
