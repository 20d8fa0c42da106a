//! The lines that requests are made of. In words `@` is the number of one of many keys, `#` of one
//! of a few, `$` a value, and `{id}` the id of another client.

/// Commands with one reply.
pub const PLAIN: &[&str] = &[
    "PING",
    "GET k@",
    "SET k@ $",
    "SET k@ $ PX 3",
    "SET k@ $",
    "GETEX k@ PX 2",
    "APPEND k@ $",
    "SETRANGE k@ 3000 $",
    "GETRANGE k@ 0 -1",
    "DEL k@ k@",
    "UNLINK k@ k@ l# h# s#",
    "MGET k@ k@ k@ k@",
    "MSET k@ $ k@ $ k@ $",
    "MSETNX k@ $ k@ $",
    "RENAME k@ k@",
    "COPY k@ k@ REPLACE",
    "EXPIRE k@ 1",
    "PEXPIRE k@ 2",
    "PERSIST k@",
    "TTL k@",
    "EXISTS k@ k@ k@",
    "TOUCH k@ l#",
    "TYPE l#",
    "OBJECT ENCODING k@",
    "MEMORY USAGE k@",
    "DUMP h#",
    "BITOP OR k@ k@ k@",
    "WATCH k@ k@",
    "UNWATCH",
    "RPUSH l# a b $",
    "LPOP l#",
    "LMOVE l# l# LEFT RIGHT",
    "LRANGE l# 0 -1",
    "SORT l# BY w* ALPHA",
    "SORT l# BY nosort STORE l#",
    "RPUSH b# e",
    "LPUSH b# e f",
    "DEL b# b# z# x#",
    "SADD s# a b c 1 2 3",
    "SREM s# a 1",
    "SINTERSTORE s# s# s#",
    "SUNION s# s# s#",
    "SDIFFSTORE s# s# s#",
    "SMOVE s# s# b",
    "ZADD z# 1 a 2 b 3 c",
    "ZUNIONSTORE z# 2 z# z#",
    "ZPOPMIN z#",
    "HSET h# f v g $",
    "HPEXPIRE h# 2 FIELDS 1 f",
    "HGETALL h#",
    "XADD x# * f v",
    "XADD x# MAXLEN 3 * f v",
    "XRANGE x# - +",
    "XGROUP CREATE x# g 0 MKSTREAM",
    "SCAN 0 COUNT 10",
    "SCAN 0 COUNT 1000 TYPE list",
    "SSCAN s# 0",
    "KEYS k*",
    "DBSIZE",
    "RANDOMKEY",
    "INFO everything",
    "INFO clients",
    "CLIENT LIST",
    "CLIENT INFO",
    "CLIENT GETNAME",
    "CLIENT SETNAME n#",
    "CLIENT NO-TOUCH on",
    "CLIENT TRACKINGINFO",
    "CLIENT GETREDIR",
    "COMMAND COUNT",
    "CONFIG GET max*",
    "DEBUG SLEEP 0",
    "SHUTDOWN ABORT",
    "PUBLISH c# hello",
    "SPUBLISH c# hello",
    "PUBSUB CHANNELS",
    "PUBSUB NUMSUB c# c#",
    "LATENCY RESET",
    "SLOWLOG GET 1",
    "LOLWUT",
    "SELECT 0",
    "SELECT 999",
    "AUTH nobody",
    "NOSUCHCOMMAND a b",
    "GET",
    "SET k@",
    "LPUSH k@ a",
    "INCR l#",
];

/// Commands that may wait; `{s}` is for how many seconds, `{ms}` for how many milliseconds.
pub const BLOCKING: &[&str] = &[
    "BLPOP b# {s}",
    "BLPOP b# b# b# {s}",
    "BRPOP b# l# {s}",
    "BLMOVE b# b# LEFT RIGHT {s}",
    "BLMOVE b# l# RIGHT LEFT {s}",
    "BRPOPLPUSH b# b# {s}",
    "BLMPOP {s} 2 b# b# LEFT",
    "BZPOPMIN z# z# {s}",
    "BZMPOP {s} 2 z# z# MAX",
    "XREAD BLOCK {ms} STREAMS x# x# 99999999999999 99999999999999",
    "XREADGROUP GROUP g c BLOCK {ms} STREAMS x# >",
];

/// Commands about another client that do it no harm.
pub const RELATED: &[&str] = &[
    "CLIENT UNBLOCK {id}",
    "CLIENT UNBLOCK {id} ERROR",
    "CLIENT LIST ID {id}",
    "CLIENT KILL ID 999999999",
];

/// Client-side caching.
pub const TRACKING: &[&str] = &[
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON BCAST PREFIX k PREFIX l",
    "CLIENT TRACKING ON OPTIN",
    "CLIENT TRACKING ON OPTOUT NOLOOP",
    "CLIENT TRACKING ON REDIRECT {id}",
    "CLIENT TRACKING ON REDIRECT {id} BCAST",
    "CLIENT TRACKING OFF",
    "CLIENT CACHING YES",
    "CLIENT CACHING NO",
];

/// What empties databases.
pub const FLUSHES: &[&str] = &["FLUSHALL", "FLUSHALL ASYNC", "FLUSHDB SYNC", "FLUSHALL SYNC"];

/// Inline requests, each with one reply.
pub const INLINE: &[&str] = &[
    "PING\r\n",
    "PING\n",
    "GET k0\r\n",
    "  SET k1 \"a b\\x41\"  \r\n",
    "MGET k0 k1 k2 k3 k4 k5\r\n",
    "INCR shared\r\n",
    "NOSUCHCOMMAND\r\n",
];

/// Bytes that are no request, and no error either.
pub const EMPTY: &[&str] = &["\r\n", "*0\r\n", "*-1\r\n", "\n"];

/// Bytes that break the protocol.
pub const BROKEN: &[&str] = &[
    "*1\r\n$-5\r\n",
    "*9999999999\r\n",
    "*2\r\n$3\r\nGET\r\n@1\r\n",
    "*1\r\n$abc\r\n",
    "*x\r\n",
    "SET k0 \"unbalanced\r\n",
    "*1\r\n$99999999999\r\n",
];

/// A setting of a limit, and what comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What CONFIG SET takes; `{used+}` is a bit more memory than is in use without keys.
    pub line: &'static str,
    pub outcome: Outcome,
}

/// What a limit may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Clients are cut.
    Cuts,
    /// Commands are refused.
    Refuses,
    /// Commands are refused, and keys go.
    Evicts,
    /// Nothing that a client would notice by its replies.
    Nothing,
}

const fn limit(line: &'static str, outcome: Outcome) -> Limit {
    Limit { line, outcome }
}

/// Limits that are set; after each sequence all are as before.
pub const LIMITS: &[Limit] = &[
    limit("client-output-buffer-limit|normal 100000 0 0", Outcome::Cuts),
    limit("client-output-buffer-limit|normal 0 20000 1", Outcome::Cuts),
    limit("client-output-buffer-limit|pubsub 1000 0 0", Outcome::Cuts),
    limit("client-query-buffer-limit|1048576", Outcome::Cuts),
    limit("proto-max-bulk-len|1048576", Outcome::Cuts),
    limit("maxmemory-clients|2000000", Outcome::Cuts),
    limit("maxmemory|{used+}", Outcome::Refuses),
    limit("maxmemory|{used+}|maxmemory-policy|allkeys-lru", Outcome::Evicts),
    limit("maxmemory|{used+}|maxmemory-policy|volatile-ttl", Outcome::Evicts),
    limit("maxmemory|{used+}|maxmemory-policy|allkeys-random", Outcome::Evicts),
    limit("tracking-table-max-keys|1", Outcome::Nothing),
    limit("notify-keyspace-events|KEA", Outcome::Nothing),
    limit("active-expire-effort|10|hz|100", Outcome::Nothing),
    limit("pipeline-order|relaxed", Outcome::Nothing),
    limit("list-max-listpack-size|2|hash-max-listpack-entries|1", Outcome::Nothing),
];

/// Settings as they are before each sequence.
pub const USUAL: &[(&str, &str)] = &[
    ("client-output-buffer-limit", "normal 0 0 0 pubsub 33554432 8388608 60"),
    ("client-query-buffer-limit", "1073741824"),
    ("proto-max-bulk-len", "536870912"),
    ("maxmemory-clients", "0"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("tracking-table-max-keys", "1000000"),
    ("notify-keyspace-events", ""),
    ("active-expire-effort", "1"),
    ("hz", "10"),
    ("pipeline-order", "strict"),
    ("list-max-listpack-size", "-2"),
    ("hash-max-listpack-entries", "512"),
];
