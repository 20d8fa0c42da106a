//! Databases as a whole, and what asks nothing of them.
//!
//! PSYNC and SYNC are not among them: what they are answered is no reply, and they end the play of
//! their connection. REPLCONF is not made wrong: some of its options are not answered.

use super::{Family, Line, Role, exact, steady};

pub const SERVER: Family = Family { role: Role::Always(4), lines: LINES };

const LINES: &[Line] = &[
    exact("DBSIZE"),
    exact("DBSIZE"),
    exact("ECHO value"),
    exact("FLUSHALL [ASYNC|SYNC]"),
    exact("FLUSHDB [ASYNC|SYNC]"),
    exact("PING [value]"),
    steady(exact("REPLCONF CAPA EOF")),
    exact("SELECT db"),
    exact("SELECT db"),
    exact("SELECT 0"),
    exact("SELECT 0"),
    exact("SWAPDB db db"),
];
