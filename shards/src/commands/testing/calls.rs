//! Calls for tests that go over all commands: keys of every type, and for each command some lines
//! that find what it is about.

/// Makes one key of each type and two of most. `t` is text, `b` bits.
pub const FIXTURE: &[&str] = &[
    "SET s 5",
    "SET t ohmytext",
    "SET u mynewtext",
    "SET b \x01\x02",
    "RPUSH l 3 1 2",
    "RPUSH m x y",
    "HSET h a 1 b 2 c text",
    "SADD q 1 2 3",
    "SADD r 2 3 4",
    "SADD w a b",
    "ZADD z 1 a 2 b 3 c",
    "ZADD y 2 b 5 d",
    "GEOADD g 13.361389 38.115556 P 15.087269 37.502669 C",
    "PFADD p a b c",
    "PFADD o c d",
    "XADD x 1-1 f v",
    "XADD x 2-1 f v",
    "XADD x 3-1 f v",
    "XGROUP CREATE x grp 0",
    "XREADGROUP GROUP grp me COUNT 2 STREAMS x >",
];

/// Lines of all commands, by group.
pub const CALLS: &[&[&str]] =
    &[STRINGS, BITMAPS, HASHES, LISTS, SETS, SORTED_SETS, PLACES, OTHERS, STREAMS, KEYS, SERVER];

const STRINGS: &[&str] = &[
    "APPEND t more",
    "DECR s",
    "DECRBY s 3",
    "DELIFEQ s 5",
    "GET s",
    "GETDEL s",
    "GETEX s PXAT 9000000",
    "GETEX s PERSIST",
    "GETRANGE t 1 3",
    "GETSET s 6",
    "INCR s",
    "INCRBY s 3",
    "INCRBYFLOAT s 1.5",
    "LCS t u",
    "LCS t u IDX MINMATCHLEN 2 WITHMATCHLEN",
    "MGET s t nope l",
    "MSET s 1 n 2",
    "MSETEX 2 s 1 n 2 PXAT 9000000",
    "MSETEX 1 s 1 XX KEEPTTL",
    "MSETNX s 1 n 2",
    "PSETEX s 9000000 1",
    "SET s 7",
    "SET s 7 NX",
    "SET s 7 XX GET",
    "SET s 7 KEEPTTL",
    "SET s 7 PXAT 9000000",
    "SET s 7 IFEQ 5",
    "SETEX s 9000 1",
    "SETNX s 1",
    "SETRANGE t 2 xx",
    "STRLEN t",
    "SUBSTR t 0 2",
];

const BITMAPS: &[&str] = &[
    "BITCOUNT b",
    "BITCOUNT b 0 5 BIT",
    "BITFIELD b GET u8 0 INCRBY u8 #1 1 OVERFLOW SAT SET i5 3 9",
    "BITFIELD_RO b GET u8 8",
    "BITOP OR n b t",
    "BITOP NOT b b",
    "BITPOS b 1 0 1 BYTE",
    "GETBIT b 7",
    "SETBIT b 7 0",
];

const HASHES: &[&str] = &[
    "HDEL h a nope",
    "HEXISTS h a",
    "HEXPIRE h 9000 FIELDS 1 a",
    "HEXPIREAT h 9000 FIELDS 1 a",
    "HEXPIRETIME h FIELDS 2 a nope",
    "HGET h a",
    "HGETALL h",
    "HGETDEL h FIELDS 2 a nope",
    "HGETEX h PXAT 9000000 FIELDS 1 a",
    "HINCRBY h a 5",
    "HINCRBYFLOAT h a 5",
    "HKEYS h",
    "HLEN h",
    "HMGET h a nope",
    "HMSET h a 3 d 4",
    "HPERSIST h FIELDS 1 a",
    "HPEXPIRE h 9000000 NX FIELDS 1 a",
    "HPEXPIREAT h 9000000 FIELDS 1 a",
    "HPEXPIRETIME h FIELDS 1 a",
    "HPTTL h FIELDS 1 a",
    "HRANDFIELD h",
    "HRANDFIELD h 2 WITHVALUES",
    "HRANDFIELD h -4",
    "HSCAN h 0 COUNT 100",
    "HSET h a 3 d 4",
    "HSETEX h FXX FIELDS 1 a 9",
    "HSETEX h FNX PXAT 9000000 FIELDS 1 a 9",
    "HSETEX h KEEPTTL FIELDS 2 a 9 d 9",
    "HSETNX h a 9",
    "HSTRLEN h c",
    "HTTL h FIELDS 1 a",
    "HVALS h",
];

const LISTS: &[&str] = &[
    "BLMOVE l m LEFT RIGHT 1",
    "BLMPOP 1 2 nope l LEFT COUNT 2",
    "BLPOP nope l 1",
    "BRPOP l 1",
    "BRPOPLPUSH l m 1",
    "LINDEX l 1",
    "LINSERT l BEFORE 1 9",
    "LLEN l",
    "LMOVE l m LEFT LEFT",
    "LMPOP 2 nope l RIGHT COUNT 2",
    "LPOP l 2",
    "LPOS l 1 RANK 1 COUNT 2 MAXLEN 9",
    "LPUSH l 9",
    "LPUSHX l 9",
    "LRANGE l 0 1",
    "LREM l 1 3",
    "LSET l 0 9",
    "LTRIM l 1 -1",
    "RPOP l",
    "RPOPLPUSH l m",
    "RPUSH l 9",
    "RPUSHX l 9",
];

const SETS: &[&str] = &[
    "SADD q 9",
    "SCARD q",
    "SDIFF q r",
    "SDIFFSTORE n q r",
    "SINTER q r",
    "SINTERCARD 2 q r LIMIT 1",
    "SINTERSTORE q q r",
    "SISMEMBER q 1",
    "SMEMBERS q",
    "SMISMEMBER q 1 9",
    "SMOVE q r 1",
    "SPOP q",
    "SPOP q 2",
    "SRANDMEMBER q",
    "SRANDMEMBER q 2",
    "SRANDMEMBER q -4",
    "SREM q 1 9",
    "SSCAN w 0 COUNT 100",
    "SUNION q r w",
    "SUNIONSTORE r q r",
];

const SORTED_SETS: &[&str] = &[
    "BZMPOP 1 2 nope z MIN COUNT 2",
    "BZPOPMAX nope z 1",
    "BZPOPMIN z 1",
    "ZADD z 9 a 8 e",
    "ZADD z XX GT CH 9 a",
    "ZADD z INCR 1 a",
    "ZCARD z",
    "ZCOUNT z 1 2",
    "ZDIFF 2 z y WITHSCORES",
    "ZDIFFSTORE n 2 z y",
    "ZINCRBY z 1 a",
    "ZINTER 2 z y WEIGHTS 1 2 AGGREGATE MAX",
    "ZINTERCARD 2 z y LIMIT 1",
    "ZINTERSTORE z 2 z y",
    "ZLEXCOUNT z - +",
    "ZMPOP 2 nope z MAX COUNT 2",
    "ZMSCORE z a nope",
    "ZPOPMAX z 2",
    "ZPOPMIN z",
    "ZRANDMEMBER z",
    "ZRANDMEMBER z 2 WITHSCORES",
    "ZRANDMEMBER z -4",
    "ZRANGE z 0 1 WITHSCORES",
    "ZRANGE z 1 3 BYSCORE LIMIT 0 2",
    "ZRANGEBYLEX z - + LIMIT 0 2",
    "ZRANGEBYSCORE z 1 3 WITHSCORES LIMIT 0 2",
    "ZRANGESTORE n z 0 1",
    "ZRANK z b WITHSCORE",
    "ZREM z a nope",
    "ZREMRANGEBYLEX z - [a",
    "ZREMRANGEBYRANK z 0 0",
    "ZREMRANGEBYSCORE z 1 2",
    "ZREVRANGE z 0 1",
    "ZREVRANGEBYLEX z + - LIMIT 0 2",
    "ZREVRANGEBYSCORE z 3 1 LIMIT 0 2",
    "ZREVRANK z b",
    "ZSCAN z 0 COUNT 100",
    "ZSCORE z a",
    "ZUNION 3 z y q",
    "ZUNIONSTORE y 2 z y WEIGHTS 2 3",
];

const PLACES: &[&str] = &[
    "GEOADD g NX 13 38 Q",
    "GEODIST g P C km",
    "GEOHASH g P nope",
    "GEOPOS g P nope",
    "GEORADIUS g 15 37 200 km COUNT 1 ASC STORE n",
    "GEORADIUS_RO g 15 37 200 km WITHDIST ASC",
    "GEORADIUSBYMEMBER g P 200 km STOREDIST g",
    "GEORADIUSBYMEMBER_RO g P 200 km COUNT 1 ANY",
    "GEOSEARCH g FROMMEMBER P BYRADIUS 200 km COUNT 1 WITHCOORD WITHHASH",
    "GEOSEARCHSTORE n g FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 2",
];

/// HyperLogLogs and the connection.
const OTHERS: &[&str] = &[
    "ECHO hi",
    "PFADD p z",
    "PFCOUNT p",
    "PFCOUNT p o",
    "PFDEBUG ENCODING p",
    "PFDEBUG GETREG p",
    "PFMERGE n p o",
    "PFMERGE p o",
    "PFSELFTEST",
    "PING",
];

const STREAMS: &[&str] = &[
    "XACK x grp 1-1 9-9",
    "XADD x MAXLEN ~ 2 LIMIT 10 4-1 f v",
    "XADD x NOMKSTREAM MINID 2 4-1 f v",
    "XAUTOCLAIM x grp you 0 0 COUNT 1 JUSTID",
    "XCLAIM x grp you 0 1-1 IDLE 5 RETRYCOUNT 3 FORCE JUSTID",
    "XDEL x 1-1",
    "XGROUP CREATE x other $ ENTRIESREAD 2",
    "XGROUP CREATECONSUMER x grp you",
    "XGROUP DELCONSUMER x grp me",
    "XGROUP DESTROY x grp",
    "XGROUP HELP",
    "XGROUP SETID x grp 2-1 ENTRIESREAD 1",
    "XINFO CONSUMERS x grp",
    "XINFO GROUPS x",
    "XINFO HELP",
    "XINFO STREAM x",
    "XINFO STREAM x FULL COUNT 1",
    "XLEN x",
    "XPENDING x grp",
    "XPENDING x grp IDLE 0 - + 10 me",
    "XRANGE x - + COUNT 2",
    "XREAD COUNT 1 STREAMS x 1-1",
    "XREADGROUP GROUP grp me COUNT 1 NOACK STREAMS x >",
    "XREADGROUP GROUP grp me STREAMS x 0",
    "XREVRANGE x + - COUNT 2",
    "XSETID x 9-9 ENTRIESADDED 9 MAXDELETEDID 1-1",
    "XTRIM x MAXLEN = 1",
    "XTRIM x MINID ~ 2 LIMIT 10",
];

const KEYS: &[&str] = &[
    "COPY s n",
    "COPY s t REPLACE",
    "COPY h n DB 0",
    "DEL s nope l",
    "DUMP q",
    "EXISTS s s nope l",
    "EXPIRE s 9000",
    "EXPIREAT s 9000",
    "EXPIRETIME s",
    "KEYS *",
    "MOVE s 1",
    "OBJECT ENCODING s",
    "OBJECT FREQ s",
    "OBJECT HELP",
    "OBJECT IDLETIME s",
    "OBJECT REFCOUNT s",
    "PERSIST s",
    "PEXPIRE s 9000000",
    "PEXPIREAT s 9000000 NX",
    "PEXPIREAT s 9000000 GT",
    "PEXPIRETIME s",
    "PTTL s",
    "RANDOMKEY",
    "RENAME s n",
    "RENAME s l",
    "RENAMENX s n",
    "RENAMENX s l",
    "RESTORE s 0 x ABSTTL IDLETIME 5",
    "SCAN 0 COUNT 100",
    "SCAN 0 TYPE hash COUNT 100",
    "SORT l LIMIT 0 2 GET # DESC",
    "SORT l BY nope_* GET s GET h->a STORE n",
    "SORT_RO q BY * LIMIT 1 1",
    "TOUCH s nope l",
    "TTL s",
    "TYPE s",
    "UNLINK s nope l",
];

const SERVER: &[&str] = &[
    "DBSIZE",
    "DEBUG DIGEST",
    "DEBUG DIGEST-VALUE s",
    "DEBUG OBJECT s fast",
    "DEBUG POPULATE 3 pop 10",
    "FLUSHALL SYNC",
    "FLUSHDB ASYNC",
    "MEMORY USAGE s SAMPLES 5",
    "SWAPDB 0 1",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::server;
    use crate::commands::table::{CONTAINERS, GROUPS};
    use crate::commands::testing::{Harness, find};

    #[test]
    fn there_is_a_call_of_every_command() {
        let parts = [server::DEBUG_SUBCOMMANDS, server::MEMORY_SUBCOMMANDS];
        let contained = CONTAINERS.iter().map(|(_, subcommands)| *subcommands).chain(parts);
        let all = GROUPS.iter().copied().chain(contained).flatten();
        for name in all.map(|command| command.spec.name) {
            let mut lines = CALLS.iter().copied().flatten();
            assert!(lines.any(|line| find(line).spec.name == name), "{name} has none");
        }
    }

    #[test]
    fn only_what_is_damaged_or_not_counted_is_an_error() {
        for line in CALLS.iter().copied().flatten() {
            let mut harness = Harness::with(FIXTURE);
            let reply = harness.run(line);
            let fails = ["RESTORE", "OBJECT FREQ"].iter().any(|name| line.starts_with(name));
            assert_eq!(reply.starts_with('-'), fails, "{line}: {reply}");
        }
    }
}
