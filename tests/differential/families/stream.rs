//! Streams. Ids are always given: `*` would be the clock's.

use super::{Family, Line, MILLISECONDS, Role, blocking, exact, near, steady};

pub const STREAM: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    exact("XACK key group id..."),
    exact("XADD key new-id (field value)..."),
    exact("XADD key new-id (field value)..."),
    exact(
        "XADD key [NOMKSTREAM] [MAXLEN count|MAXLEN = count|MAXLEN ~ count|MAXLEN ~ 0 LIMIT count|\
         MINID id|MINID = id|MINID ~ id] new-id (field value)...",
    ),
    steady(exact("XAUTOCLAIM@7.2 key group consumer ms id")),
    steady(exact("XAUTOCLAIM@7.2 key group consumer 0 id {[COUNT count] [JUSTID]}")),
    steady(exact(
        "XCLAIM@7.2 key group consumer 0 id... \
         {[IDLE ms] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]}",
    )),
    exact("XDEL key id..."),
    exact("XGROUP CREATE key group id {[MKSTREAM] [ENTRIESREAD index]}"),
    exact("XGROUP CREATE key group (0|$) MKSTREAM"),
    exact("XGROUP CREATECONSUMER key group consumer"),
    exact("XGROUP DELCONSUMER key group consumer"),
    exact("XGROUP DESTROY key group"),
    exact("XGROUP SETID key group id [ENTRIESREAD index]"),
    near("XINFO CONSUMERS@7.2 key group", MILLISECONDS),
    exact("XINFO GROUPS key"),
    exact("XINFO STREAM key"),
    near("XINFO STREAM key FULL@7.2 [COUNT count]", i64::MAX),
    exact("XLEN key"),
    exact("XPENDING key group"),
    steady(near("XPENDING key group - + 10", MILLISECONDS)),
    steady(near("XPENDING key group [IDLE 0] range-id range-id count [consumer]", MILLISECONDS)),
    exact("XRANGE key range-id range-id [COUNT count]"),
    exact("XRANGE key - + [COUNT count]"),
    blocking(exact("XREAD [COUNT count] [BLOCK 1] STREAMS key id")),
    exact("XREAD [COUNT count] STREAMS key key id id"),
    exact("XREADGROUP@7.2 GROUP group consumer [COUNT count] [NOACK] STREAMS key (>|id)"),
    exact("XREADGROUP@7.2 GROUP group consumer STREAMS key key > >"),
    exact("XREADGROUP@7.2 GROUP group consumer STREAMS key 0"),
    exact("XREVRANGE key range-id range-id [COUNT count]"),
    exact("XSETID@8.0 key id {[ENTRIESADDED index] [MAXDELETEDID id]}"),
    exact("XTRIM key (MAXLEN|MINID) [=|~] count [LIMIT count]"),
];
