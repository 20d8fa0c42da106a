//! The list of string commands.

mod append;
mod delifeq;
mod get;
mod getdel;
mod getex;
mod getrange;
mod getset;
mod incr;
mod incrbyfloat;
mod lcs;
mod mget;
mod mset;
mod msetex;
mod set;
mod set_options;
mod setex;
mod setnx;
mod setrange;
mod strlen;
mod subsequence;

use crate::commands::spec::Command;

/// Every string command.
pub const COMMANDS: &[Command] = &[
    append::APPEND,
    incr::DECR,
    incr::DECRBY,
    delifeq::DELIFEQ,
    get::GET,
    getdel::GETDEL,
    getex::GETEX,
    getrange::GETRANGE,
    getset::GETSET,
    incr::INCR,
    incr::INCRBY,
    incrbyfloat::INCRBYFLOAT,
    lcs::LCS,
    mget::MGET,
    mset::MSET,
    msetex::MSETEX,
    mset::MSETNX,
    setex::PSETEX,
    set::SET,
    setex::SETEX,
    setnx::SETNX,
    setrange::SETRANGE,
    strlen::STRLEN,
    getrange::SUBSTR,
];

#[cfg(test)]
mod tests {
    use crate::base::time::UnixMs;
    use crate::commands::testing::Harness;

    /// Valkey's events and what it propagates, as observed. A replica needs no clock: every time
    /// is absolute, and what is over already is a removal.
    #[test]
    fn commands_leave_behind_what_valkey_does() {
        let mut harness = Harness::new();
        for (line, changes, events, log) in [
            ("SET a 1", 1, "new:a set:a", "SET a 1"),
            ("SET a 1", 1, "set:a", "SET a 1"),
            ("SET a 2 EX 100", 1, "set:a expire:a", "SET a 2 PXAT 1100000"),
            ("SET a 3 KEEPTTL", 1, "set:a", "SET a 3 KEEPTTL"),
            ("SET a 3 KEEPTTL GET", 1, "set:a", "SET a 3 KEEPTTL"),
            ("SET a 4 PX 5 GET XX", 1, "set:a expire:a", "SET a 4 PXAT 1000005"),
            ("SET a 4 NX", 0, "", ""),
            ("SET a 4 GET IFEQ 3", 0, "", ""),
            ("SET a 4 EXAT 1", 1, "expired:a", "UNLINK a"),
            ("SET a 4 EXAT 1 GET", 0, "keymiss:a", ""),
            ("SET b 5 NX GET", 1, "keymiss:b new:b set:b", "SET b 5"),
            ("SET b 6 IFEQ 5", 1, "set:b", "SET b 6 IFEQ 5"),
            ("SETEX b 10 v", 1, "set:b expire:b", "SET b v PXAT 1010000"),
            ("PSETEX b 10 v", 1, "set:b expire:b", "SET b v PXAT 1000010"),
            ("SETNX b v", 0, "", ""),
            ("SETNX c v", 1, "new:c set:c", "SETNX c v"),
            ("GETSET c w", 1, "set:c", "SET c w"),
            ("GETDEL c", 1, "del:c", "DEL c"),
            ("GETDEL c", 0, "keymiss:c", ""),
            ("GETEX b", 0, "", ""),
            ("GETEX b EX 10", 1, "expire:b", "PEXPIREAT b 1010000"),
            ("GETEX b PERSIST", 1, "persist:b", "PERSIST b"),
            ("GETEX b PERSIST", 0, "", ""),
            ("GETEX b PXAT 1", 1, "expired:b", "UNLINK b"),
            ("INCR n", 1, "new:n incrby:n", "INCR n"),
            ("DECRBY n 2", 1, "incrby:n", "DECRBY n 2"),
            ("INCRBY n x", 0, "", ""),
            ("INCRBYFLOAT n 1.5", 1, "incrbyfloat:n", "SET n 0.5 KEEPTTL"),
            ("INCRBYFLOAT n x", 0, "", ""),
            ("DELIFEQ n 1", 0, "", ""),
            ("DELIFEQ n 0.5", 1, "del:n", "DEL n"),
            ("APPEND s v", 1, "new:s append:s", "APPEND s v"),
            ("APPEND s ", 1, "append:s", "APPEND s "),
            ("SETRANGE s 3 x", 1, "setrange:s", "SETRANGE s 3 x"),
            ("SETRANGE s 9 ", 0, "", ""),
            ("MSET s 1 t 2 s 3", 3, "set:s new:t set:t set:s", "MSET s 1 t 2 s 3"),
            ("MSETNX t 1 u 2", 0, "", ""),
            ("MSETNX u 1 u 2", 2, "new:u set:u set:u", "MSETNX u 1 u 2"),
            ("MSETEX 1 u 3", 1, "set:u", "MSETEX 1 u 3"),
            ("MSETEX 1 u 3 NX EX 1", 0, "", ""),
            ("MSETEX 1 u 3 XX EX 1", 1, "set:u expire:u", "MSETEX 1 u 3 PXAT 1001000"),
            ("MGET u v", 0, "keymiss:v", ""),
        ] {
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn what_expired_is_logged_before_the_command_that_found_it() {
        let mut harness = Harness::new();
        harness.run("SET a 1 PX 5");
        harness.keyspace.now = UnixMs(1_000_004);
        harness.check("APPEND a 2", 1, "append:a", "APPEND a 2");
        harness.keyspace.now = UnixMs(1_000_005);
        harness.check("APPEND a 2", 1, "expired:a new:a append:a", "DEL a; APPEND a 2");
        assert_eq!(harness.keyspace.stats.expired, 1);
    }

    #[test]
    fn strings_stay_within_the_setting() {
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\\r\\n";
        let mut harness = Harness::new();
        harness.keyspace.settings.string_bytes_max = 10;
        assert_eq!(harness.run("APPEND k 12345678"), ":8\\r\\n");
        assert_eq!(harness.run("APPEND k 123"), too_long);
        assert_eq!(harness.run("APPEND k 12"), ":10\\r\\n");
        assert_eq!(harness.run("SETRANGE k 9 x"), ":10\\r\\n");
        assert_eq!(harness.run("SETRANGE k 10 x"), too_long);
        assert_eq!(harness.run("SETRANGE new 10 x"), too_long);
        assert_eq!(harness.run("GETDEL new"), "$-1\\r\\n");
    }

    #[test]
    fn hits_and_misses_count_what_is_read() {
        let mut harness = Harness::new();
        for (line, hits, misses) in [
            ("SET k 1", 0, 0),
            ("SET k 2 XX", 0, 0),
            ("SET k 3 IFEQ 2", 0, 0),
            ("SET k 4 GET", 1, 0),
            ("SET new 4 XX GET", 1, 1),
            ("GET k", 2, 1),
            ("MGET k new k", 4, 2),
            ("INCR k", 4, 2),
            ("APPEND k 1", 4, 2),
            ("STRLEN k", 5, 2),
            ("GETRANGE new 0 1", 5, 3),
            ("LCS k new", 6, 4),
            ("GETEX k", 7, 4),
            ("DELIFEQ k 1", 7, 4),
            ("GETDEL k", 8, 4),
        ] {
            harness.run(line);
            let stats = harness.keyspace.stats;
            assert_eq!((stats.hits, stats.misses), (hits, misses), "{line}");
        }
    }
}
