//! The list of generic commands: those that work on keys of any type.

mod cluster_scan;
mod copy;
mod del;
mod dump;
mod exists;
mod expire;
mod keys;
mod migrate;
mod r#move;
pub mod object;
mod persist;
mod randomkey;
mod rename;
mod restore;
mod scan;
mod sort;
mod ttl;
mod r#type;
mod wait;

use crate::commands::database;
use crate::commands::spec::Command;
use crate::keyspace::selected::Selected;
use crate::resp::error::Error;

/// Every generic command.
pub const COMMANDS: &[Command] = &[
    cluster_scan::CLUSTERSCAN,
    copy::COPY,
    del::DEL,
    del::UNLINK,
    dump::DUMP,
    exists::EXISTS,
    exists::TOUCH,
    expire::EXPIRE,
    expire::EXPIREAT,
    expire::PEXPIRE,
    expire::PEXPIREAT,
    keys::KEYS,
    migrate::MIGRATE,
    r#move::MOVE,
    persist::PERSIST,
    randomkey::RANDOMKEY,
    rename::RENAME,
    rename::RENAMENX,
    restore::RESTORE,
    restore::RESTORE_ASKING,
    scan::SCAN,
    sort::SORT,
    sort::SORT_RO,
    ttl::EXPIRETIME,
    ttl::PEXPIRETIME,
    ttl::PTTL,
    ttl::TTL,
    r#type::TYPE,
    wait::WAIT,
    wait::WAITAOF,
];

/// The number of a database, as MOVE and COPY take it.
fn db_index(db: &Selected<'_>, text: &[u8]) -> Result<usize, Error> {
    database::parse(text, db.keyspace.dbs.len())
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use crate::base::time::UnixMs;
    use crate::commands::testing::Harness;

    #[test]
    fn removals_and_expiries_are_logged_so_that_a_replica_needs_no_clock() {
        let mut harness = Harness::new();
        harness.run("MSET a 1 b 2 c 3");
        harness.check("EXPIRE a 10", 1, "expire:a", "PEXPIREAT a 1010000");
        harness.check("EXPIRE a 20 NX", 0, "", "");
        harness.check("PEXPIRE a 20000 GT", 1, "expire:a", "PEXPIREAT a 1020000");
        harness.check("EXPIREAT a 1100 XX", 1, "expire:a", "PEXPIREAT a 1100000");
        harness.check("PEXPIREAT a 1200000", 1, "expire:a", "PEXPIREAT a 1200000");
        harness.check("PERSIST a", 1, "persist:a", "PERSIST a");
        harness.check("PERSIST a", 0, "", "");
        harness.check("EXPIRE a -1", 1, "expired:a", "UNLINK a");
        harness.check("PEXPIREAT b 1000000", 1, "expired:b", "UNLINK b");
        harness.check("EXPIRE nothing 10", 0, "", "");
        harness.check("DEL nothing c", 1, "del:c", "DEL nothing c");
        harness.check("UNLINK c", 0, "", "");
    }

    #[test]
    fn a_key_that_changes_its_place_is_one_change() {
        let mut harness = Harness::new();
        harness.run("MSET a 1 other 2");
        harness.check("RENAME a b", 1, "new:b rename_from:a rename_to:b", "RENAME a b");
        harness.check("RENAME b b", 0, "", "");
        harness.check("RENAMENX b other", 0, "", "");
        harness.check("RENAMENX b c", 1, "new:c rename_from:b rename_to:c", "RENAMENX b c");
        harness.check("COPY c d", 1, "new:d copy_to:d", "COPY c d");
        harness.check("COPY c d", 0, "", "");
        harness.check("COPY c d REPLACE", 1, "new:d copy_to:d", "COPY c d REPLACE");
        harness.check("COPY c c DB 1", 1, "new:c copy_to:c", "COPY c c DB 1");
        harness.check("MOVE c 1", 0, "", "");
        harness.check("MOVE d 1", 1, "new:d move_from:d move_to:d", "MOVE d 1");
        assert_eq!([harness.keyspace.dbs[0].len(), harness.keyspace.dbs[1].len()], [2, 2]);
        harness.check("SWAPDB 0 1", 1, "", "SWAPDB 0 1");
        harness.check("SWAPDB 1 1", 0, "", "");
        assert_eq!(harness.run("EXISTS c d"), ":2\\r\\n");
        harness.check("FLUSHDB", 2, "", "FLUSHDB");
        harness.check("FLUSHDB", 0, "", "FLUSHDB");
        harness.check("FLUSHALL SYNC", 2, "", "FLUSHALL SYNC");
        assert_eq!(harness.keyspace.garbage.len(), 2, "only what is freed later is kept");
    }

    #[test]
    fn what_is_restored_is_logged_with_the_time_at_which_it_expires() {
        // A word whose dump is ASCII without a space.
        let payload = "\0\x06mhvjti\x0b\0\x06CU\x10+\"\x08l";
        let mut harness = Harness::new();
        let line = |line: &str| line.replace('$', payload);
        let is_new = "new:a restore:a";
        harness.check(&line("RESTORE a 0 $"), 1, is_new, &line("RESTORE a 0 $"));
        harness.check(&line("RESTORE a 0 $"), 0, "", "");
        let (short, full) = ("RESTORE a 10 $ REPLACE", "RESTORE a 1000010 $ REPLACE ABSTTL");
        harness.check(&line(short), 1, is_new, &line(full));
        harness.check(&line(full), 1, is_new, &line(full));
        harness.check(&line("RESTORE a 1 $ REPLACE ABSTTL"), 1, "del:a", "UNLINK a");
        harness.check(&line("RESTORE a 1 $ REPLACE ABSTTL"), 0, "", "");
        harness.check(&line("RESTORE a 0 $x REPLACE"), 0, "", "");
        harness.check("DUMP a", 0, "keymiss:a", "");
    }

    #[test]
    fn an_expired_key_is_removed_before_it_counts() {
        // line, changes, events, log; `z` is there and has expired, `a` is there.
        let cases = [
            ("EXISTS z", 0, "expired:z keymiss:z", "DEL z"),
            ("TTL z", 0, "expired:z keymiss:z", "DEL z"),
            ("OBJECT ENCODING z", 0, "expired:z", "DEL z"),
            ("EXPIRE z 10", 0, "expired:z", "DEL z"),
            ("PERSIST z", 0, "expired:z", "DEL z"),
            ("DEL z", 0, "expired:z", "DEL z"),
            ("RENAME z b", 0, "expired:z", "DEL z"),
            ("RENAME a z", 1, "expired:z new:z rename_from:a rename_to:z", "DEL z; RENAME a z"),
            ("RENAMENX a z", 1, "expired:z new:z rename_from:a rename_to:z", "DEL z; RENAMENX a z"),
            ("COPY a z", 1, "expired:z new:z copy_to:z", "DEL z; COPY a z"),
            ("COPY z b", 0, "expired:z keymiss:z", "DEL z"),
            ("SCAN 0", 0, "expired:z", "DEL z"),
            ("KEYS *", 0, "", ""),
            ("DBSIZE", 0, "", ""),
            ("MEMORY USAGE z", 0, "", ""),
            ("DEBUG OBJECT z", 0, "", ""),
            ("DEBUG DIGEST-VALUE z", 0, "", ""),
        ];
        for (line, changes, events, log) in cases {
            let mut harness = Harness::new();
            harness.run("SET a 1");
            harness.run("SET z 1 PXAT 1000001");
            harness.keyspace.now = UnixMs(1_000_001);
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn what_has_expired_is_not_listed() {
        let mut harness = Harness::new();
        harness.run("SET z 1 PXAT 1000001");
        harness.keyspace.now = UnixMs(1_000_001);
        assert_eq!(harness.run("KEYS *"), "*0\\r\\n");
        assert_eq!(harness.run("DBSIZE"), ":1\\r\\n");
        assert_eq!(harness.run("RANDOMKEY"), "*2\\r\\n$-1\\r\\n:0\\r\\n");
    }

    #[test]
    fn lookups_count_as_hits_and_misses_but_only_some_mark_a_key() {
        // line, hits, misses, whether the key is as good as new afterwards
        let cases = [
            ("EXISTS a b", 1, 1, false),
            ("TYPE a", 1, 0, false),
            ("TTL a", 1, 0, false),
            ("OBJECT IDLETIME a", 1, 0, false),
            ("OBJECT IDLETIME b", 0, 1, false),
            ("MEMORY USAGE a", 0, 0, false),
            ("DEBUG OBJECT a", 0, 0, false),
            ("TOUCH a b", 1, 1, true),
            ("COPY a c", 1, 0, true),
            ("EXPIRE a 1000", 0, 0, true),
        ];
        for (line, hits, misses, marked) in cases {
            let mut harness = Harness::new();
            harness.run("SET a 1");
            harness.keyspace.now = UnixMs(1_060_000);
            harness.run(line);
            let stats = harness.keyspace.stats;
            assert_eq!((stats.hits, stats.misses), (hits, misses), "{line}");
            let idle = if marked { 0 } else { 60 };
            assert_eq!(harness.run("OBJECT IDLETIME a"), format!(":{idle}\\r\\n"), "{line}");
        }
    }
}
