//! The list of sorted set commands.

mod bounds;
mod bzpop;
mod combine;
mod range;
mod shown;
mod sources;
pub mod zadd;
mod zcard;
mod zcount;
pub mod zpop;
mod zrandmember;
mod zrange;
mod zrank;
mod zrem;
mod zremrange;
mod zscan;
mod zscore;

use crate::commands::ctx::Ctx;
use crate::commands::spec::Command;
use crate::effects::Class;
use crate::encodings::listpack::Element;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::reply::Replies;
use crate::types::sorted_set::SortedSet;

/// Every sorted set command.
pub const COMMANDS: &[Command] = &[
    bzpop::BZMPOP,
    bzpop::BZPOPMAX,
    bzpop::BZPOPMIN,
    zadd::ZADD,
    zcard::ZCARD,
    zcount::ZCOUNT,
    combine::ZDIFF,
    combine::ZDIFFSTORE,
    zadd::ZINCRBY,
    combine::ZINTER,
    combine::ZINTERCARD,
    combine::ZINTERSTORE,
    zcount::ZLEXCOUNT,
    zpop::ZMPOP,
    zscore::ZMSCORE,
    zpop::ZPOPMAX,
    zpop::ZPOPMIN,
    zrandmember::ZRANDMEMBER,
    zrange::ZRANGE,
    zrange::ZRANGEBYLEX,
    zrange::ZRANGEBYSCORE,
    zrange::ZRANGESTORE,
    zrank::ZRANK,
    zrem::ZREM,
    zremrange::ZREMRANGEBYLEX,
    zremrange::ZREMRANGEBYRANK,
    zremrange::ZREMRANGEBYSCORE,
    zrange::ZREVRANGE,
    zrange::ZREVRANGEBYLEX,
    zrange::ZREVRANGEBYSCORE,
    zrank::ZREVRANK,
    zscan::ZSCAN,
    zscore::ZSCORE,
    combine::ZUNION,
    combine::ZUNIONSTORE,
];

/// Says that `count` members were removed from the sorted set at `key`; an empty one goes.
fn removed(db: &mut Selected<'_>, key: Key<'_>, count: usize, is_empty: bool, event: &'static str) {
    if count == 0 {
        return;
    }
    db.effects.dirty += count as u64 - 1;
    db.changed(key, Class::SortedSet, event);
    if is_empty {
        db.remove_if_empty(key);
    }
}

/// Writes a member.
pub(super) fn member(replies: &mut Replies<'_>, member: Element<'_>) {
    shown::member(replies, member);
}

/// Makes `key` this sorted set, or removes it if that is empty; answers how many members it has.
pub(super) fn store(ctx: &mut Ctx<'_>, key: Key<'_>, set: SortedSet, event: &'static str) {
    let len = set.len();
    if 0 < len {
        ctx.db.set_object(key, set);
        ctx.db.changed(key, Class::SortedSet, event);
    } else if ctx.db.discard(key, Removal::Replaced) {
        ctx.db.changed(key, Class::Generic, "del");
    }
    ctx.replies.integer(len as i64);
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use crate::commands::testing::Harness;

    /// Valkey's events and what it propagates, as observed.
    #[test]
    fn commands_leave_behind_what_valkey_does() {
        let mut harness = Harness::new();
        harness.run("SET s 1");
        for (line, changes, events, log) in [
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", 5, "new:z zadd:z", "ZADD z 1 a 2 b 3 c 4 d 5 e"),
            ("ZADD z 1 a", 0, "", ""),
            ("ZADD z CH 2 a 3 f", 2, "zadd:z", "ZADD z CH 2 a 3 f"),
            ("ZADD z XX 9 none", 0, "", ""),
            ("ZADD none XX INCR 9 none", 0, "", ""),
            ("ZADD z INCR 1 a", 1, "zincr:z", "ZADD z INCR 1 a"),
            ("ZINCRBY z 0 a", 0, "", ""),
            ("ZINCRBY z 1.5 a", 1, "zincr:z", "ZINCRBY z 1.5 a"),
            ("ZINCRBY y inf a", 1, "new:y zincr:y", "ZINCRBY y inf a"),
            ("ZINCRBY y -inf a", 0, "", ""),
            ("ZREM y a", 1, "zrem:y del:y", "ZREM y a"),
            ("ZREM y a", 0, "", ""),
            ("ZREM z a f f none", 2, "zrem:z", "ZREM z a f f none"),
            ("ZPOPMIN z", 1, "zpopmin:z", "ZPOPMIN z"),
            ("ZPOPMIN z 0", 0, "", ""),
            ("ZPOPMIN y", 0, "", ""),
            ("ZPOPMAX z 9", 3, "zpopmax:z del:z", "ZPOPMAX z 9"),
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", 5, "new:z zadd:z", "ZADD z 1 a 2 b 3 c 4 d 5 e"),
            ("ZMPOP 2 y z MIN", 1, "zpopmin:z", "ZPOPMIN z 1"),
            ("ZMPOP 2 y z MAX COUNT 9", 4, "zpopmax:z del:z", "ZPOPMAX z 4"),
            ("ZMPOP 1 z MAX", 0, "", ""),
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", 5, "new:z zadd:z", "ZADD z 1 a 2 b 3 c 4 d 5 e"),
            ("ZREMRANGEBYRANK z 0 0", 1, "zremrangebyrank:z", "ZREMRANGEBYRANK z 0 0"),
            ("ZREMRANGEBYRANK z 9 9", 0, "", ""),
            ("ZREMRANGEBYSCORE z 2 2", 1, "zremrangebyscore:z", "ZREMRANGEBYSCORE z 2 2"),
            ("ZREMRANGEBYLEX z - +", 3, "zremrangebylex:z del:z", "ZREMRANGEBYLEX z - +"),
            ("ZADD z 1 a 2 b", 2, "new:z zadd:z", "ZADD z 1 a 2 b"),
            ("ZADD y 1 b", 1, "new:y zadd:y", "ZADD y 1 b"),
            ("ZUNIONSTORE d 2 z y", 1, "new:d zunionstore:d", "ZUNIONSTORE d 2 z y"),
            ("ZINTERSTORE d 2 z y", 1, "zinterstore:d", "ZINTERSTORE d 2 z y"),
            ("ZDIFFSTORE d 2 y z", 1, "del:d", "ZDIFFSTORE d 2 y z"),
            ("ZDIFFSTORE d 2 none z", 0, "keymiss:none", ""),
            ("ZDIFFSTORE z 2 z y", 1, "zdiffstore:z", "ZDIFFSTORE z 2 z y"),
            ("ZRANGESTORE d z 0 -1", 1, "new:d zrangestore:d", "ZRANGESTORE d z 0 -1"),
            ("ZRANGESTORE d z 5 9", 1, "del:d", "ZRANGESTORE d z 5 9"),
            ("ZRANGESTORE d none 5 9", 0, "keymiss:none", ""),
            ("ZRANGESTORE s z 0 -1", 1, "zrangestore:s", "ZRANGESTORE s z 0 -1"),
            ("ZUNION 2 none none2 FOO", 0, "keymiss:none keymiss:none2", ""),
            ("ZSCORE none a", 0, "keymiss:none", ""),
            ("ZRANGE none 0 1", 0, "keymiss:none", ""),
        ] {
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn picks_are_of_the_set_and_different_if_so_wanted() {
        let mut harness = Harness::new();
        for count in [20, 300] {
            (0..count).for_each(|number| {
                harness.run(&format!("ZADD z {number} m{number}"));
            });
            for wanted in ["1", "7", "-7", "19", "-500"] {
                let reply = harness.run(&format!("ZRANDMEMBER z {wanted} WITHSCORES"));
                let words: alloc::vec::Vec<&str> = reply.split("\\r\\n").collect();
                let pairs: alloc::vec::Vec<_> = words[1..words.len() - 1].chunks(4).collect();
                assert!(pairs.iter().all(|pair| pair[1] == format!("m{}", pair[3])), "{reply}");
                let names = pairs.iter().map(|pair| pair[1]);
                let names: alloc::collections::BTreeSet<_> = names.collect();
                let wanted: i64 = wanted.parse().unwrap();
                assert_eq!(pairs.len() as u64, wanted.unsigned_abs());
                assert!(wanted < 0 || names.len() == pairs.len());
            }
        }
    }

    #[test]
    fn a_large_source_may_be_the_first_or_another() {
        let mut harness = Harness::new();
        for number in 0..500 {
            harness.run(&format!("ZADD large {number} m{number}"));
        }
        harness.run("ZADD small 1 m1 2 m2 3 other");
        assert_eq!(harness.run("ZDIFFSTORE d 2 large small"), ":498\\r\\n");
        assert_eq!(harness.run("ZDIFFSTORE d 3 large small large"), ":0\\r\\n");
        assert_eq!(harness.run("ZDIFF 2 small large"), "*1\\r\\n$5\\r\\nother\\r\\n");
        assert_eq!(harness.run("ZINTERCARD 2 large small"), ":2\\r\\n");
        assert_eq!(harness.run("ZUNIONSTORE d 2 small large"), ":501\\r\\n");
        assert_eq!(harness.run("ZSCORE d m2"), "$1\\r\\n4\\r\\n");
        assert_eq!(harness.run("ZREMRANGEBYRANK d 100 -2"), ":400\\r\\n");
        assert_eq!(harness.run("OBJECT ENCODING d"), "$8\\r\\nskiplist\\r\\n");
        assert_eq!(harness.run("ZCARD d"), ":101\\r\\n");
    }
}
