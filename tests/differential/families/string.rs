//! Strings.

use super::{Family, Line, Role, exact};

pub const STRING: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    exact("APPEND key value"),
    exact("DECR key"),
    exact("DECRBY key int"),
    exact("DELIFEQ key value"),
    exact("GET key"),
    exact("GETDEL key"),
    exact("GETEX key [EX seconds|PX ms|EXAT at|PXAT at-ms|PERSIST]"),
    exact("GETRANGE key index index"),
    exact("GETSET key value"),
    exact("INCR key"),
    exact("INCRBY key int"),
    exact("INCRBYFLOAT key float"),
    exact("LCS key key {[LEN] [IDX] [MINMATCHLEN count] [WITHMATCHLEN]}"),
    exact("MGET key..."),
    exact("MSET (key value)..."),
    exact("MSETEX #(key value) {[NX|XX] [EX seconds|PX ms|EXAT at|PXAT at-ms|KEEPTTL]}"),
    exact("MSETNX (key value)..."),
    exact("PSETEX key ms value"),
    exact("SET key value"),
    exact("SET key text"),
    exact(
        "SET key value {[NX|XX|IFEQ@8.1 value] [GET] \
         [EX seconds|PX ms|EXAT at|PXAT at-ms|KEEPTTL]}",
    ),
    exact("SETEX key seconds value"),
    exact("SETNX key value"),
    exact("SETRANGE key offset value"),
    exact("STRLEN key"),
    exact("SUBSTR key index index"),
];
