//! The list of bitmap commands.

mod bitcount;
mod bitfield;
mod bitop;
mod bitpos;
mod bits;
mod field;
mod getbit;
mod offset;
mod range;
mod setbit;

use crate::commands::spec::Command;

/// Every bitmap command.
pub const COMMANDS: &[Command] = &[
    bitcount::BITCOUNT,
    bitfield::BITFIELD,
    bitfield::BITFIELD_RO,
    bitop::BITOP,
    bitpos::BITPOS,
    getbit::GETBIT,
    setbit::SETBIT,
];

#[cfg(test)]
mod tests {
    use crate::commands::testing::Harness;

    #[test]
    fn commands_leave_behind_what_valkey_does() {
        let fail = "BITFIELD new OVERFLOW FAIL SET u8 0 256";
        let twice = "BITFIELD f SET u8 0 1 INCRBY u8 8 1";
        let mut harness = Harness::new();
        for (line, changes, events, log) in [
            ("SETBIT b 7 1", 1, "new:b setbit:b", "SETBIT b 7 1"),
            ("SETBIT b 7 1", 0, "", ""),
            ("SETBIT b 7 0", 1, "setbit:b", "SETBIT b 7 0"),
            ("SETBIT b 100 0", 1, "setbit:b", "SETBIT b 100 0"),
            ("GETBIT x 1", 0, "keymiss:x", ""),
            ("BITOP NOT d b", 1, "new:d set:d", "BITOP NOT d b"),
            ("BITOP OR d b x", 1, "keymiss:x set:d", "BITOP OR d b x"),
            ("BITOP OR d x", 1, "keymiss:x del:d", "BITOP OR d x"),
            ("BITOP OR d x", 0, "keymiss:x", ""),
            (twice, 2, "new:f setbit:f", twice),
            ("BITFIELD f SET u8 0 1", 0, "", ""),
            ("BITFIELD f GET u8 0", 0, "", ""),
            ("BITFIELD x GET u8 0", 0, "keymiss:x", ""),
            // Valkey makes the key as well, but announces no change; its replicas then lack it.
            (fail, 1, "new:new", fail),
            (fail, 0, "", ""),
        ] {
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn offsets_stay_within_the_setting() {
        let out_of_range = "-ERR bit offset is not an integer or out of range\\r\\n";
        let mut harness = Harness::new();
        harness.keyspace.settings.string_bytes_max = 10;
        assert_eq!(harness.run("SETBIT k 79 1"), ":0\\r\\n");
        assert_eq!(harness.run("SETBIT k 80 1"), out_of_range);
        assert_eq!(harness.run("GETBIT k 80"), out_of_range);
        assert_eq!(harness.run("BITFIELD k SET u8 #9 1"), "*1\\r\\n:1\\r\\n");
        assert_eq!(harness.run("BITFIELD k SET u8 #10 1"), out_of_range);
        assert_eq!(harness.run("STRLEN k"), ":10\\r\\n");
    }
}
