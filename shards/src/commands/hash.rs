//! The list of hash commands.

mod fields;
mod hdel;
mod hexpire;
mod hget;
mod hgetall;
mod hgetdel;
mod hgetex;
mod hincrby;
mod hincrbyfloat;
mod hpersist;
mod hrandfield;
mod hscan;
mod hset;
mod hsetex;
mod httl;

use crate::commands::spec::Command;

/// Every hash command.
pub const COMMANDS: &[Command] = &[
    hdel::HDEL,
    hget::HEXISTS,
    hexpire::HEXPIRE,
    hexpire::HEXPIREAT,
    httl::HEXPIRETIME,
    hget::HGET,
    hgetall::HGETALL,
    hgetdel::HGETDEL,
    hgetex::HGETEX,
    hincrby::HINCRBY,
    hincrbyfloat::HINCRBYFLOAT,
    hgetall::HKEYS,
    hget::HLEN,
    hget::HMGET,
    hset::HMSET,
    hpersist::HPERSIST,
    hexpire::HPEXPIRE,
    hexpire::HPEXPIREAT,
    httl::HPEXPIRETIME,
    httl::HPTTL,
    hrandfield::HRANDFIELD,
    hscan::HSCAN,
    hset::HSET,
    hsetex::HSETEX,
    hset::HSETNX,
    hget::HSTRLEN,
    httl::HTTL,
    hgetall::HVALS,
];

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use crate::base::random::Random;
    use crate::base::time::UnixMs;
    use crate::commands::testing::{Harness, one_of};
    use crate::effects::Effects;
    use crate::keyspace::expire;
    use crate::types::hash::Hash;
    use crate::types::object::Collection;

    const FIELDS: &[&str] = &["a", "b", "c", "d"];

    /// Valkey's events and what it propagates, as observed, but that fields which were not changed
    /// are left out. A replica needs no clock.
    #[test]
    fn commands_leave_behind_what_valkey_does() {
        let mut harness = Harness::new();
        for (line, changes, events, log) in [
            ("HSET h a 1 b 2 c 3", 3, "new:h hset:h", "HSET h a 1 b 2 c 3"),
            ("HSET h a 1", 1, "hset:h", "HSET h a 1"),
            ("HMSET h a 1 b 2", 2, "hset:h", "HMSET h a 1 b 2"),
            ("HSETNX h z 1", 1, "hset:h", "HSETNX h z 1"),
            ("HSETNX h z 1", 0, "", ""),
            ("HINCRBY h a 5", 1, "hincrby:h", "HINCRBY h a 5"),
            ("HINCRBY h a x", 0, "", ""),
            ("HINCRBYFLOAT h a 1.5", 1, "hincrbyfloat:h", "HSET h a 7.5"),
            ("HEXPIRE h 100 FIELDS 1 a", 1, "hexpire:h", "HPEXPIREAT h 1100000 FIELDS 1 a"),
            ("HINCRBYFLOAT h a 1.5", 1, "hincrbyfloat:h", "HSETEX h PXAT 1100000 FIELDS 1 a 9"),
            ("HINCRBY h a 5", 1, "hincrby:h", "HINCRBY h a 5"),
            ("HDEL h z nope", 1, "hdel:h", "HDEL h z nope"),
            ("HDEL h z nope", 0, "", ""),
            ("HEXPIRE h 9 NX FIELDS 3 a b q", 1, "hexpire:h", "HPEXPIREAT h 1009000 FIELDS 1 b"),
            ("HEXPIRE h 0 XX FIELDS 1 c", 0, "", ""),
            ("HEXPIRE h 0 LT FIELDS 2 c nope", 1, "hexpired:h", "HDEL h c"),
            ("HPEXPIREAT h 5 FIELDS 1 nope", 0, "", ""),
            ("HPERSIST h FIELDS 3 a b nope", 2, "hpersist:h", "HPERSIST h FIELDS 2 a b"),
            ("HPERSIST h FIELDS 1 a", 0, "", ""),
            ("HGETEX h FIELDS 1 a", 0, "", ""),
            ("HGETEX h PX 5 FIELDS 2 a q", 1, "hexpire:h", "HPEXPIREAT h 1000005 FIELDS 1 a"),
            ("HGETEX h PERSIST FIELDS 2 a nope", 1, "hpersist:h", "HPERSIST h FIELDS 1 a"),
            ("HGETEX h EX 0 FIELDS 2 a nope", 1, "hexpired:h", "HDEL h a"),
            ("HGETDEL h FIELDS 2 b nope", 1, "hdel:h del:h", "HDEL h b"),
            ("HGETDEL h FIELDS 2 b nope", 0, "", ""),
            ("HSETEX h FIELDS 1 a 1", 1, "new:h hset:h", "HSETEX h FIELDS 1 a 1"),
            (
                "HSETEX h XX EX 9 FXX FIELDS 1 a 1",
                1,
                "hset:h hexpire:h",
                "HSETEX h PXAT 1009000 FIELDS 1 a 1",
            ),
            ("HSETEX h KEEPTTL FIELDS 1 b 1", 1, "hset:h", "HSETEX h KEEPTTL FIELDS 1 b 1"),
            ("HSETEX h FNX FIELDS 1 a 1", 0, "", ""),
            ("HSETEX h NX FIELDS 1 a 1", 0, "", ""),
            ("HSETEX h EX 0 FIELDS 2 a 1 q 1", 1, "hset:h hexpire:h hexpired:h", "HDEL h a"),
            ("HSETEX h EX 0 FIELDS 1 b 1", 1, "hset:h hexpire:h hexpired:h del:h", "HDEL h b"),
            ("HSETEX h EX 0 FIELDS 1 b 1", 0, "new:h hset:h hexpire:h hexpired:h del:h", ""),
            ("HINCRBY n a 1", 1, "new:n hincrby:n", "HINCRBY n a 1"),
            ("HINCRBYFLOAT m a 1", 1, "new:m hincrbyfloat:m", "HSET m a 1"),
            ("HDEL m a", 1, "hdel:m del:m", "HDEL m a"),
            ("HGET m a", 0, "keymiss:m", ""),
            ("HTTL m FIELDS 1 a", 0, "keymiss:m", ""),
            ("HGETEX m EX 10 FIELDS 1 a", 0, "keymiss:m", ""),
            ("HGETDEL m FIELDS 1 a", 0, "", ""),
            ("HGETALL n", 0, "", ""),
            ("HEXPIRE m 10 FIELDS 1 a", 0, "", ""),
        ] {
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn a_hash_that_a_command_empties_is_gone() {
        let mut harness = Harness::new();
        for line in [
            "HDEL h a",
            "HGETDEL h FIELDS 1 a",
            "HPEXPIREAT h 5 FIELDS 1 a",
            "HGETEX h PXAT 5 FIELDS 1 a",
            "HSETEX h PXAT 5 FIELDS 1 a 1",
        ] {
            harness.run("HSET h a 1");
            harness.run(line);
            assert_eq!(harness.run("EXISTS h"), ":0\\r\\n", "{line}");
        }
    }

    #[test]
    fn what_is_due_cannot_be_seen_by_any_command() {
        for (line, reply) in [
            ("HGET h a", "$-1\\r\\n"),
            ("HMGET h a", "*1\\r\\n$-1\\r\\n"),
            ("HGETALL h", "*0\\r\\n"),
            ("HKEYS h", "*0\\r\\n"),
            ("HVALS h", "*0\\r\\n"),
            ("HEXISTS h a", ":0\\r\\n"),
            ("HSTRLEN h a", ":0\\r\\n"),
            ("HLEN h", ":1\\r\\n"),
            ("HDEL h a", ":0\\r\\n"),
            ("HSET h a 5", ":1\\r\\n"),
            ("HSETNX h a 5", ":1\\r\\n"),
            ("HINCRBY h a 5", ":5\\r\\n"),
            ("HINCRBYFLOAT h a 5", "$1\\r\\n5\\r\\n"),
            ("HRANDFIELD h", "$-1\\r\\n"),
            ("HRANDFIELD h -3", "*0\\r\\n"),
            ("HSCAN h 0", "*2\\r\\n$1\\r\\n0\\r\\n*0\\r\\n"),
            ("HTTL h FIELDS 1 a", "*1\\r\\n:-2\\r\\n"),
            ("HPERSIST h FIELDS 1 a", "*1\\r\\n:-2\\r\\n"),
            ("HEXPIRE h 10 FIELDS 1 a", "*1\\r\\n:-2\\r\\n"),
            ("HGETEX h EX 10 FIELDS 1 a", "*1\\r\\n$-1\\r\\n"),
            ("HGETDEL h FIELDS 1 a", "*1\\r\\n$-1\\r\\n"),
            ("HSETEX h FXX FIELDS 1 a 1", ":0\\r\\n"),
            ("HSETEX h FNX FIELDS 1 a 1", ":1\\r\\n"),
            ("HSETEX h KEEPTTL FIELDS 1 a 1", ":1\\r\\n"),
        ] {
            let mut harness = Harness::new();
            harness.run("HSETEX h PX 10 FIELDS 1 a 7");
            harness.keyspace.now = UnixMs(harness.keyspace.now.0 + 10);
            assert_eq!(harness.run(line), reply, "{line}");
            let sees = harness.run("HPTTL h FIELDS 1 a");
            assert!(sees.contains("-1") || sees.contains("-2"), "{line}: {sees}");
        }
    }

    /// Random commands on a few hashes: whether one has fields that expire is known at all times.
    #[test]
    fn hashes_with_fields_that_expire_are_counted() {
        for seed in 0..40 {
            let mut chance = Random::new(seed);
            let mut harness = Harness::new();
            for step in 0..300 {
                let key = one_of(&["h", "i", "j"], &mut chance);
                let (one, two) = (one_of(FIELDS, &mut chance), one_of(FIELDS, &mut chance));
                let at = harness.keyspace.now.0 + chance.below(40);
                let line = match chance.below(16) {
                    0..4 => format!("HSETEX {key} PXAT {at} FIELDS 2 {one} 1 {two} 2"),
                    4 => format!("HSETEX {key} FIELDS 1 {one} 1"),
                    5 => format!("HSETEX {key} KEEPTTL FIELDS 1 {one} 1"),
                    6 => format!("HSET {key} {one} 1"),
                    7 => format!("HDEL {key} {one} {two}"),
                    8 => format!("HPEXPIREAT {key} {at} FIELDS 2 {one} {two}"),
                    9 => format!("HPERSIST {key} FIELDS 2 {one} {two}"),
                    10 => format!("HGETDEL {key} FIELDS 1 {one}"),
                    11 => format!("HGETEX {key} PXAT {at} FIELDS 1 {one}"),
                    12 => format!("HINCRBY {key} {one} 1"),
                    13 => format!("COPY {key} {} REPLACE", one_of(&["h", "i"], &mut chance)),
                    14 => format!("RENAME {key} {}", one_of(&["h", "i"], &mut chance)),
                    _ => String::from("PING"),
                };
                harness.run(&line);
                harness.keyspace.now = UnixMs(harness.keyspace.now.0 + chance.below(5));
                if step % 7 == 0 {
                    let mut effects = Effects::default();
                    expire::expire_fields(&mut harness.keyspace, &mut effects, 3, &|_, _| false);
                }
                let db = &harness.keyspace.dbs[0];
                let hashes = db.table().iter().filter_map(|it| it.as_object().and_then(Hash::of));
                let expected = hashes.filter(|hash| hash.next_due().is_some()).count();
                assert_eq!(db.keys_with_volatile_items(), expected, "seed {seed} {step} {line}");
            }
        }
    }
}
