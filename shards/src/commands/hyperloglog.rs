//! The list of HyperLogLog commands, and what they have in common.

mod pfadd;
mod pfcount;
mod pfdebug;
mod pfmerge;
mod pfselftest;

use alloc::vec::Vec;

use crate::commands::spec::Command;
use crate::encodings::entry::Value;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;
use crate::types::hyperloglog::{Corrupt, encoding};

/// Every HyperLogLog command.
pub const COMMANDS: &[Command] =
    &[pfadd::PFADD, pfcount::PFCOUNT, pfdebug::PFDEBUG, pfmerge::PFMERGE, pfselftest::PFSELFTEST];

const NOT_ONE: Error = Error::Text("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupt> for Error {
    fn from(Corrupt: Corrupt) -> Self {
        Self::Text("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The HyperLogLog in `entry`.
fn read(entry: &Entry) -> Result<&[u8], Error> {
    match entry.value() {
        Value::Object(_) => Err(Error::WrongType),
        Value::Bytes(bytes) if encoding(bytes).is_some() => Ok(bytes),
        Value::Bytes(_) | Value::Int(_) => Err(NOT_ONE),
    }
}

/// The HyperLogLog in `entry`, to change it.
fn write(entry: &mut Entry) -> Result<&mut Vec<u8>, Error> {
    read(entry)?;
    Ok(entry.bytes_mut().expect("it was just seen to be a string"))
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    use crate::commands::testing::Harness;

    /// Valkey's events and what it propagates, as observed.
    #[test]
    fn commands_leave_behind_what_valkey_does() {
        let mut harness = Harness::new();
        for (line, changes, events, log) in [
            ("PFADD h a b c", 4, "new:h pfadd:h", "PFADD h a b c"),
            ("PFADD h a", 0, "", ""),
            ("PFADD h", 0, "", ""),
            ("PFADD n", 1, "new:n pfadd:n", "PFADD n"),
            ("PFADD n", 0, "", ""),
            ("PFCOUNT h", 1, "", "PFCOUNT h"),
            ("PFCOUNT h", 0, "", ""),
            ("PFCOUNT no", 0, "keymiss:no", ""),
            ("PFCOUNT h n", 0, "", ""),
            ("PFCOUNT h no", 0, "keymiss:no", ""),
            ("PFMERGE d h n", 1, "keymiss:d new:d pfadd:d", "PFMERGE d h n"),
            ("PFMERGE d h", 1, "pfadd:d", "PFMERGE d h"),
            ("PFMERGE d", 1, "pfadd:d", "PFMERGE d"),
            ("PFMERGE e no", 1, "keymiss:e keymiss:no new:e pfadd:e", "PFMERGE e no"),
            ("PFDEBUG ENCODING h", 0, "", ""),
            ("PFDEBUG DECODE h", 0, "", ""),
            ("PFDEBUG TODENSE h", 1, "", "PFDEBUG TODENSE h"),
            ("PFDEBUG TODENSE h", 0, "", ""),
            ("PFDEBUG GETREG d", 1, "", "PFDEBUG GETREG d"),
            ("PFDEBUG GETREG d", 0, "", ""),
            ("SET s x", 1, "new:s set:s", "SET s x"),
            ("PFADD s a", 0, "", ""),
            ("PFMERGE x s", 0, "keymiss:x", ""),
        ] {
            harness.check(line, changes, events, log);
        }
    }

    #[test]
    fn sparse_ones_stay_within_the_setting() {
        let mut harness = Harness::new();
        harness.keyspace.settings.limits.hll_sparse_bytes = 40;
        let mut lengths = Vec::new();
        for number in 0..20 {
            harness.run(&format!("PFADD h {number}"));
            lengths.push((harness.run("STRLEN h"), harness.run("PFDEBUG ENCODING h")));
        }
        let sparse = lengths.iter().filter(|(_, encoding)| encoding == "+sparse\\r\\n").count();
        let lengths: Vec<&String> = lengths.iter().map(|(length, _)| length).collect();
        assert_eq!(sparse, 7, "{lengths:?}");
        assert_eq!(lengths[19], ":12304\\r\\n");
        assert_eq!(harness.run("PFCOUNT h"), ":20\\r\\n");
    }

    #[test]
    fn the_self_test_succeeds() {
        assert_eq!(Harness::new().run("PFSELFTEST"), "+OK\\r\\n");
    }
}
