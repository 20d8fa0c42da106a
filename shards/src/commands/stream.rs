//! The list of stream commands.

mod entries;
mod ids;
mod propagation;
mod reading;
mod trim_options;
mod xack;
mod xadd;
mod xautoclaim;
mod xclaim;
mod xdel;
pub mod xgroup;
pub mod xinfo;
mod xlen;
mod xpending;
mod xrange;
mod xread;
mod xsetid;
mod xtrim;

use alloc::format;

use crate::commands::spec::Command;
use crate::commands::stream::ids::until_zero;
use crate::resp::error::Error;

/// Every stream command that is no subcommand.
pub const COMMANDS: &[Command] = &[
    xack::XACK,
    xadd::XADD,
    xautoclaim::XAUTOCLAIM,
    xclaim::XCLAIM,
    xdel::XDEL,
    xlen::XLEN,
    xpending::XPENDING,
    xrange::XRANGE,
    xread::XREAD,
    xread::XREADGROUP,
    xrange::XREVRANGE,
    xsetid::XSETID,
    xtrim::XTRIM,
];

/// The answer if there is no such group, or no such key.
#[cold]
fn no_group(key: &[u8], group: &[u8]) -> Error {
    naming(["NOGROUP No such key '", "' or consumer group '", "'"], [key, group])
}

/// The answer if a key that is there has no such group.
#[cold]
fn no_group_of_key(group: &[u8], key: &[u8]) -> Error {
    naming(["NOGROUP No such consumer group '", "' for key name '", "'"], [group, key])
}

/// An error that names two things that came in, as far as Valkey shows them.
#[cold]
fn naming(texts: [&str; 3], given: [&[u8]; 2]) -> Error {
    let [start, between, end] = texts.map(str::as_bytes);
    let [first, second] = given.map(until_zero);
    Error::Naming([start, first, between, second, end].concat())
}

/// The answer to a subcommand with arguments it does not have.
#[cold]
fn subcommand_error(container: &str, given: &[u8]) -> Error {
    let start = "ERR unknown subcommand or wrong number of arguments for '";
    Error::naming(start, given, &format!("'. Try {container} HELP."))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Harness;

    const FIRST: &str = "XCLAIM k g c 0 1-1 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1";
    const SECOND: &str = "XCLAIM k g c 0 2-1 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-1";
    const FIRST_AGAIN: &str =
        "XCLAIM k g z 0 1-1 TIME 1000000 RETRYCOUNT 3 FORCE JUSTID LASTID 2-1";
    const ADVANCED: &str = "XCLAIM k g z 0 1-1 TIME 1000000 RETRYCOUNT 3 FORCE JUSTID LASTID 3-0";
    const GONE: &str = "XCLAIM k g z 0 1-1 TIME 1000000 RETRYCOUNT 3 FORCE JUSTID LASTID 5-0";
    const AUTO: &str = "XCLAIM k g auto 0 2-1 TIME 1000000 RETRYCOUNT 2 FORCE JUSTID LASTID 5-0";

    fn check(cases: &[(&str, u64, &str, &str)]) {
        let mut harness = Harness::new();
        for &(line, changes, events, log) in cases {
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn replicas_are_told_of_ids_and_exact_trimming() {
        let exact = "XADD k MAXLEN = 1 7-1 a b";
        check(&[
            ("XADD k * a b", 1, "new:k xadd:k", "XADD k 1000000-0 a b"),
            ("XADD k * a b", 1, "xadd:k", "XADD k 1000000-1 a b"),
            ("XADD k 1000000-* a b", 1, "xadd:k", "XADD k 1000000-2 a b"),
            ("XADD k 1000001-0 a b", 1, "xadd:k", "XADD k 1000001-0 a b"),
            ("XADD k 1-1 a b", 0, "", ""),
            ("XADD x NOMKSTREAM * a b", 0, "", ""),
            ("XADD k MAXLEN ~ 2 * a b", 1, "xadd:k", "XADD k MAXLEN = 5 1000001-1 a b"),
            ("XADD k NOMKSTREAM MINID 5 * a b", 1, "xadd:k", "XADD k MINID = 5-0 1000001-2 a b"),
            (
                "XADD k MINID ~ 5 LIMIT 9 * a b",
                1,
                "xadd:k",
                "XADD k MINID = 1000000-0 1000001-3 a b",
            ),
            ("XTRIM k MAXLEN ~ 1", 0, "", ""),
            ("XTRIM k MAXLEN 5", 2, "xtrim:k", "XTRIM k MAXLEN 5"),
            (
                "XTRIM k MINID ~ 9999999",
                5,
                "xtrim:k",
                "XTRIM k MINID = 18446744073709551615-18446744073709551615",
            ),
            ("DEL k", 1, "del:k", "DEL k"),
            ("XADD k 7-0 a b", 1, "new:k xadd:k", "XADD k 7-0 a b"),
            (exact, 1, "xadd:k xtrim:k", exact),
            ("XADD k MAXLEN ~ 0 7-2 a b", 1, "xadd:k xtrim:k", "XADD k MAXLEN = 0 7-2 a b"),
            ("XDEL k 7-2", 0, "", ""),
            ("XADD k 7-3 a b", 1, "xadd:k", "XADD k 7-3 a b"),
            ("XADD k 7-4 a b", 1, "xadd:k", "XADD k 7-4 a b"),
            ("XDEL k 7-3 7-4 7-5", 2, "xdel:k", "XDEL k 7-3 7-4 7-5"),
            ("XSETID k 9", 1, "xsetid:k", "XSETID k 9"),
            ("XSETID k 1", 0, "", ""),
        ]);
    }

    #[test]
    fn replicas_are_told_what_is_pending_for_whom() {
        let read = "XREADGROUP GROUP g c COUNT 1 STREAMS k >";
        let claimed = alloc::format!("{FIRST}; XGROUP SETID k g 1-1 ENTRIESREAD 1");
        let noack = "XGROUP CREATECONSUMER k g n; XGROUP SETID k g 2-1 ENTRIESREAD 2";
        let made = "xgroup-createconsumer:k";
        let again = alloc::format!("{FIRST}; {SECOND}; XGROUP SETID k g 2-1 ENTRIESREAD 2");
        check(&[
            (
                "XGROUP CREATE k g $ MKSTREAM",
                1,
                "new:k xgroup-create:k",
                "XGROUP CREATE k g $ MKSTREAM",
            ),
            ("XGROUP CREATE k g $", 0, "", ""),
            ("XADD k 1-1 a b", 1, "xadd:k", "XADD k 1-1 a b"),
            ("XADD k 2-1 a b", 1, "xadd:k", "XADD k 2-1 a b"),
            ("XGROUP CREATECONSUMER k g c", 1, made, "XGROUP CREATECONSUMER k g c"),
            ("XGROUP CREATECONSUMER k g c", 0, "", ""),
            (read, 1, "", &claimed),
            ("XREADGROUP GROUP g n NOACK STREAMS k >", 2, made, noack),
            (read, 0, "", ""),
            ("XREADGROUP GROUP g h STREAMS k 0", 2, made, "XGROUP CREATECONSUMER k g h"),
            ("XREADGROUP GROUP g h STREAMS k 0", 1, "", ""),
            ("XREADGROUP GROUP g i STREAMS k >", 1, made, "XGROUP CREATECONSUMER k g i"),
            ("XREADGROUP GROUP g c STREAMS x >", 0, "keymiss:x", ""),
            ("XREAD STREAMS x 0", 0, "keymiss:x keymiss:x", ""),
            (
                "XGROUP SETID k g 0 ENTRIESREAD 0",
                1,
                "xgroup-setid:k",
                "XGROUP SETID k g 0 ENTRIESREAD 0",
            ),
            ("XREADGROUP GROUP g c STREAMS k >", 1, "", &again),
            ("XACK k g 2-1 1-1 3-1", 2, "", "XACK k g 2-1 1-1 3-1"),
            ("XACK k g 2-1", 0, "", ""),
            ("XACK x g 2-1", 0, "keymiss:x", ""),
            ("XGROUP DELCONSUMER k g h", 1, "xgroup-delconsumer:k", "XGROUP DELCONSUMER k g h"),
            ("XGROUP DELCONSUMER k g h", 0, "", ""),
            ("XGROUP DESTROY k g", 1, "xgroup-destroy:k", "XGROUP DESTROY k g"),
            ("XGROUP DESTROY k g", 0, "", ""),
        ]);
    }

    #[test]
    fn replicas_are_told_of_claims() {
        let made = "xgroup-createconsumer:k";
        let read = alloc::format!("{FIRST}; {SECOND}; XGROUP SETID k g 2-1 ENTRIESREAD 2");
        check(&[
            ("XADD k 1-1 a b", 1, "new:k xadd:k", "XADD k 1-1 a b"),
            ("XADD k 2-1 a b", 1, "xadd:k", "XADD k 2-1 a b"),
            ("XGROUP CREATE k g 0", 1, "xgroup-create:k", "XGROUP CREATE k g 0"),
            ("XREADGROUP GROUP g c STREAMS k >", 2, made, &read),
            ("XCLAIM k g z 0 1-1 RETRYCOUNT 3", 2, made, FIRST_AGAIN),
            ("XCLAIM k g z 0 1-1 9-9 JUSTID LASTID 3", 1, "", ADVANCED),
            ("XCLAIM k g z 10 1-1", 0, "", ""),
            ("XCLAIM k g z 0 9-9 LASTID 5", 1, "", "XGROUP SETID k g 5-0 ENTRIESREAD 2"),
            ("XCLAIM k g y 0 9-9", 1, made, "XGROUP CREATECONSUMER k g y"),
            ("XCLAIM x g z 0 9-9", 0, "keymiss:x", ""),
            ("XDEL k 1-1", 1, "xdel:k", "XDEL k 1-1"),
            ("XCLAIM k g y 0 1-1", 1, "", GONE),
            ("XAUTOCLAIM k g auto 0 -", 2, made, AUTO),
            ("XAUTOCLAIM k g auto 10 -", 0, "", ""),
            ("XAUTOCLAIM k g late 10 -", 1, made, "XGROUP CREATECONSUMER k g late"),
            ("XAUTOCLAIM x g auto oops -", 0, "keymiss:x", ""),
        ]);
    }

    #[test]
    fn only_entries_are_watched() {
        for (line, is_seen) in [
            ("XADD k 2-1 a b", true),
            ("XTRIM k MAXLEN 0", true),
            ("XDEL k 1-1", true),
            ("XSETID k 9-1", false),
            ("XGROUP CREATE k h 0", false),
            ("XGROUP SETID k g 0", false),
            ("XGROUP CREATECONSUMER k g c", false),
            ("XREADGROUP GROUP g c STREAMS k >", false),
            ("XGROUP DESTROY k g", false),
        ] {
            let mut harness = Harness::new();
            harness.run("XADD k 1-1 a b");
            harness.run("XGROUP CREATE k g 0");
            assert_eq!(harness.touches(line), is_seen, "{line}");
        }
    }
}
