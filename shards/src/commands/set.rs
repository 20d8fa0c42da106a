//! The list of set commands.

mod combining;
mod sadd;
mod scard;
mod sdiff;
mod sinter;
mod sismember;
mod smembers;
mod smove;
mod spop;
mod srandmember;
mod srem;
mod sscan;
mod sunion;

use crate::commands::spec::Command;

/// Every set command.
pub const COMMANDS: &[Command] = &[
    sadd::SADD,
    scard::SCARD,
    sdiff::SDIFF,
    sdiff::SDIFFSTORE,
    sinter::SINTER,
    sinter::SINTERCARD,
    sinter::SINTERSTORE,
    sismember::SISMEMBER,
    smembers::SMEMBERS,
    sismember::SMISMEMBER,
    smove::SMOVE,
    spop::SPOP,
    srandmember::SRANDMEMBER,
    srem::SREM,
    sscan::SSCAN,
    sunion::SUNION,
    sunion::SUNIONSTORE,
];

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use crate::commands::testing::Harness;

    /// Valkey's events and what it propagates, as observed.
    #[test]
    fn commands_leave_behind_what_valkey_does() {
        let mut harness = Harness::new();
        for (line, changes, events, log) in [
            ("SADD a 1 2 3", 3, "new:a sadd:a", "SADD a 1 2 3"),
            ("SADD a 1", 0, "", ""),
            ("SADD a 4 4 x", 2, "sadd:a", "SADD a 4 4 x"),
            ("SREM a 1 nope", 1, "srem:a", "SREM a 1 nope"),
            ("SREM a nope", 0, "", ""),
            ("SREM nothing x", 0, "", ""),
            ("SCARD nothing", 0, "keymiss:nothing", ""),
            ("SISMEMBER nothing 1", 0, "keymiss:nothing", ""),
            ("SMISMEMBER nothing 1", 0, "keymiss:nothing", ""),
            ("SMEMBERS nothing", 0, "keymiss:nothing", ""),
            ("SSCAN nothing 0", 0, "keymiss:nothing", ""),
            ("SRANDMEMBER nothing", 0, "keymiss:nothing", ""),
            ("SMOVE a b x", 2, "srem:a new:b sadd:b", "SMOVE a b x"),
            ("SMOVE a b x", 0, "", ""),
            ("SMOVE nothing b x", 0, "", ""),
            ("SMOVE a a 2", 0, "", ""),
            ("SMOVE b a x", 2, "srem:b del:b sadd:a", "SMOVE b a x"),
            ("SADD b 3", 1, "new:b sadd:b", "SADD b 3"),
            ("SMOVE a b 3", 1, "srem:a", "SMOVE a b 3"),
            ("SREM a x 4 5", 2, "srem:a", "SREM a x 4 5"),
            ("SPOP a", 1, "spop:a del:a", "SREM a 2"),
            ("SPOP a", 0, "", ""),
            ("SPOP a 3", 0, "", ""),
            ("SADD a 1 1 1", 1, "new:a sadd:a", "SADD a 1 1 1"),
            ("SPOP a 0", 0, "", ""),
            ("SPOP a 3", 1, "spop:a del:a", "UNLINK a"),
            ("SADD a 1 2 3", 3, "new:a sadd:a", "SADD a 1 2 3"),
            ("SREM a 1 2 3 4", 3, "srem:a del:a", "SREM a 1 2 3 4"),
            ("SADD a 1 2 3", 3, "new:a sadd:a", "SADD a 1 2 3"),
            ("SINTERSTORE d a", 1, "new:d sinterstore:d", "SINTERSTORE d a"),
            ("SINTERSTORE d a", 1, "sinterstore:d", "SINTERSTORE d a"),
            ("SINTERSTORE d a no", 1, "keymiss:no del:d", "SINTERSTORE d a no"),
            ("SINTERSTORE d a no", 0, "keymiss:no", ""),
            ("SUNIONSTORE d a no", 1, "keymiss:no new:d sunionstore:d", "SUNIONSTORE d a no"),
            ("SUNIONSTORE d no", 1, "keymiss:no del:d", "SUNIONSTORE d no"),
            ("SET d 1", 1, "new:d set:d", "SET d 1"),
            ("SDIFFSTORE d a b", 1, "sdiffstore:d", "SDIFFSTORE d a b"),
            ("SDIFFSTORE a a a", 1, "del:a", "SDIFFSTORE a a a"),
            ("SINTERCARD 2 no b", 0, "keymiss:no", ""),
        ] {
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn hits_and_misses_count_what_is_read() {
        let mut harness = Harness::new();
        for (line, hits, misses) in [
            ("SADD a 1 2 3", 0, 0),
            ("SADD b 1 2 3", 0, 0),
            ("SMOVE a b 1", 0, 0),
            ("SREM a 7", 0, 0),
            ("SCARD a", 1, 0),
            ("SINTER a b", 3, 0),
            ("SINTER no b", 4, 1),
            ("SDIFFSTORE d a no b", 6, 2),
            ("SPOP b", 6, 2),
            ("SPOP b 1", 6, 2),
            ("SPOP b 1", 7, 2),
            ("SPOP b 1", 7, 2),
        ] {
            harness.run(line);
            let stats = harness.keyspace.stats;
            assert_eq!((stats.hits, stats.misses), (hits, misses), "{line}");
        }
    }

    /// The members in a reply of SSCAN or SPOP, and all before them.
    fn parts(reply: &str, from: usize) -> (Vec<&str>, Vec<String>) {
        let lines: Vec<&str> = reply.split("\\r\\n").collect();
        let members = lines[from..].iter().skip(1).step_by(2).map(|it| it.to_string()).collect();
        (lines[..from].to_vec(), members)
    }

    #[test]
    fn many_popped_members_are_logged_in_parts() {
        let mut harness = Harness::new();
        let numbers: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
        harness.run(&format!("SADD s {}", numbers.join(" ")));
        let popped = parts(&harness.run("SPOP s 2500"), 1).1;
        assert_eq!(popped.iter().collect::<BTreeSet<_>>().len(), 2500);
        assert_eq!(harness.run("SCARD s"), ":2500\\r\\n");
        let logged = harness.logged();
        let logged: Vec<Vec<&str>> = logged.iter().map(|it| it.split(' ').collect()).collect();
        assert_eq!(logged.iter().map(Vec::len).collect::<Vec<_>>(), [1026, 1026, 454]);
        assert!(logged.iter().flat_map(|args| &args[2..]).eq(popped.iter()));
    }

    #[test]
    fn a_walk_names_every_member_that_stays() {
        let mut harness = Harness::new();
        for number in 0..3000 {
            harness.run(&format!("SADD s stays{number}"));
        }
        let (mut seen, mut cursor, mut step) = (BTreeSet::new(), "0".to_string(), 0);
        loop {
            let reply = harness.run(&format!("SSCAN s {cursor} COUNT 5 MATCH stays*"));
            let (head, members) = parts(&reply, 4);
            seen.extend(members);
            cursor = head[2].to_string();
            if cursor == "0" {
                break;
            }
            // Others come and go meanwhile, more than there were.
            for number in 0..20 {
                let verb = if step / 200 % 2 == 0 { "SADD" } else { "SREM" };
                harness.run(&format!("{verb} s goes{}", (step * 20 + number) % 4000));
            }
            step += 1;
        }
        assert_eq!(seen.len(), 3000, "after {step} steps");
    }
}
