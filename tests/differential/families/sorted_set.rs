//! Sorted sets.

use super::{Family, Line, Role, alike, blocking, exact, scan_pairs, steady};

pub const SORTED_SET: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    blocking(exact("BZMPOP 0.001 #key (MIN|MAX) [COUNT count]")),
    blocking(exact("BZPOPMAX key... 0.001")),
    blocking(exact("BZPOPMIN key... 0.001")),
    exact("ZADD key (score member)..."),
    exact("ZADD key (score member)... (score member)... (score member)..."),
    exact("ZADD key {[NX|XX] [GT|LT] [CH]} (score member)..."),
    exact("ZADD key {[NX|XX] [GT|LT] [CH] INCR} score member"),
    exact("ZCARD key"),
    exact("ZCOUNT key score-bound score-bound"),
    exact("ZDIFF #key [WITHSCORES]"),
    exact("ZDIFFSTORE key #key"),
    exact("ZINCRBY key score member"),
    exact("ZINTER #key {[WEIGHTS weight...] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]}"),
    exact("ZINTERCARD #key [LIMIT count]"),
    exact("ZINTERSTORE key #key {[WEIGHTS weight...] [AGGREGATE (SUM|MIN|MAX)]}"),
    exact("ZMPOP #key (MIN|MAX) [COUNT count]"),
    exact("ZMSCORE key member..."),
    exact("ZPOPMAX key [count]"),
    exact("ZPOPMIN key [count]"),
    // A count far below zero would be answered for ever.
    steady(alike("ZRANDMEMBER key [sample|sample WITHSCORES]", "chance decides")),
    exact("ZRANGE key index index {[REV] [WITHSCORES]}"),
    exact("ZRANGE key score-bound score-bound {BYSCORE [REV] [WITHSCORES] [LIMIT count index]}"),
    exact("ZRANGEBYSCORE key score-bound score-bound {[WITHSCORES] [LIMIT count index]}"),
    exact("ZRANGESTORE key key index index [REV]"),
    exact("ZRANGESTORE key key score-bound score-bound {BYSCORE [REV] [LIMIT count index]}"),
    exact("ZRANK key member [WITHSCORE@7.2]"),
    exact("ZREM key member..."),
    exact("ZREMRANGEBYRANK key index index"),
    exact("ZREMRANGEBYSCORE key score-bound score-bound"),
    exact("ZREVRANGE key index index [WITHSCORES]"),
    exact("ZREVRANGEBYSCORE key score-bound score-bound {[WITHSCORES] [LIMIT count index]}"),
    exact("ZREVRANK key member [WITHSCORE@7.2]"),
    scan_pairs("ZSCAN key 0 {[MATCH pattern] COUNT 1000}"),
    exact("ZSCORE key member"),
    exact("ZUNION #key {[WEIGHTS weight...] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]}"),
    exact("ZUNIONSTORE key #key {[WEIGHTS weight...] [AGGREGATE (SUM|MIN|MAX)]}"),
];
