//! Lists. The blocking commands too: with something to give they do not block, and else they wait
//! for as short as it gets. Not LINDEX and LSET: Valkey 9.1.2 cuts an index to 32 bits when the
//! list is a listpack, so that LSET with 2^32 or 2^63-1 changes an element that is not meant.

use super::{Family, Line, Role, blocking, exact};

pub const LIST: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    blocking(exact("BLMOVE key key (LEFT|RIGHT) (LEFT|RIGHT) 0.001")),
    blocking(exact("BLMPOP 0.001 #key (LEFT|RIGHT) [COUNT count]")),
    blocking(exact("BLPOP key... 0.001")),
    blocking(exact("BRPOP key... 0.001")),
    blocking(exact("BRPOPLPUSH key key 0.001")),
    exact("LINSERT key (BEFORE|AFTER) element element"),
    exact("LLEN key"),
    exact("LMOVE key key (LEFT|RIGHT) (LEFT|RIGHT)"),
    exact("LMPOP #key (LEFT|RIGHT) [COUNT count]"),
    exact("LPOP key [count]"),
    exact("LPOS key element {[RANK index] [COUNT count] [MAXLEN count]}"),
    exact("LPUSH key element..."),
    exact("LPUSH key element..."),
    exact("LPUSHX key element..."),
    exact("LRANGE key index index"),
    exact("LREM key index element"),
    exact("LTRIM key index index"),
    exact("RPOP key [count]"),
    exact("RPOPLPUSH key key"),
    exact("RPUSH key element..."),
    exact("RPUSH key element... element... element..."),
    exact("RPUSHX key element..."),
];
