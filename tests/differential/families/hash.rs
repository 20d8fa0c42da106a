//! Hashes.

use super::{
    Family, Line, MILLISECONDS, Role, SECONDS, alike, exact, near, pairs, scan, scan_pairs, steady,
    unordered,
};

pub const HASH: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    exact("HDEL key field..."),
    exact("HEXISTS key field"),
    exact("HEXPIRE key seconds [NX|XX|GT|LT] FIELDS #field"),
    exact("HEXPIREAT key at [NX|XX|GT|LT] FIELDS #field"),
    near("HEXPIRETIME key FIELDS #field", SECONDS),
    exact("HGET key field"),
    pairs("HGETALL key"),
    exact("HGETDEL key FIELDS #field"),
    exact("HGETEX key [EX seconds|PX ms|EXAT at|PXAT at-ms|PERSIST] FIELDS #field"),
    exact("HINCRBY key field int"),
    exact("HINCRBYFLOAT key field float"),
    unordered("HKEYS key"),
    exact("HLEN key"),
    exact("HMGET key field..."),
    exact("HMSET key (field value)..."),
    exact("HPERSIST key FIELDS #field"),
    exact("HPEXPIRE key ms [NX|XX|GT|LT] FIELDS #field"),
    exact("HPEXPIREAT key at-ms [NX|XX|GT|LT] FIELDS #field"),
    near("HPEXPIRETIME key FIELDS #field", MILLISECONDS),
    near("HPTTL key FIELDS #field", MILLISECONDS),
    // A count far below zero would be answered for ever.
    steady(alike("HRANDFIELD key [sample|sample WITHVALUES]", "chance decides")),
    scan_pairs("HSCAN key 0 {[MATCH pattern] COUNT 1000}"),
    scan("HSCAN key 0 {COUNT 1000 NOVALUES@8.0}"),
    exact("HSET key (field value)..."),
    exact("HSET key (field value)..."),
    exact("HSET key (field value)..."),
    exact(
        "HSETEX key {[NX|XX] [FNX|FXX] [EX seconds|PX ms|EXAT at|PXAT at-ms|KEEPTTL]} \
         FIELDS #(field value)",
    ),
    exact("HSETNX key field value"),
    exact("HSTRLEN key field"),
    near("HTTL key FIELDS #field", SECONDS),
    unordered("HVALS key"),
];
