//! Sets.

use super::{Family, Line, Role, alike, exact, scan, steady, unordered};

pub const SET: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    exact("SADD key member..."),
    exact("SADD key member... member... member..."),
    exact("SADD key int..."),
    exact("SCARD key"),
    unordered("SDIFF key..."),
    exact("SDIFFSTORE key key..."),
    unordered("SINTER key..."),
    exact("SINTERCARD #key [LIMIT count]"),
    exact("SINTERSTORE key key..."),
    exact("SISMEMBER key member"),
    unordered("SMEMBERS key"),
    exact("SMISMEMBER key member..."),
    exact("SMOVE key key member"),
    // With a smaller count, chance would decide what stays.
    steady(unordered("SPOP key 1000000")),
    steady(exact("SPOP key 0")),
    // A count far below zero would be answered for ever.
    steady(alike("SRANDMEMBER key [sample]", "chance decides")),
    exact("SREM key member..."),
    scan("SSCAN key 0 {[MATCH pattern] COUNT 1000}"),
    unordered("SUNION key..."),
    exact("SUNIONSTORE key key..."),
];
