//! Parts as they are made: what a transaction over several shards leaves in the log of each.

use alloc::vec::Vec;

use crate::base::number::{DIGITS_MAX, format_u64};
use crate::journal::entry::{HEADER, Header, Kind, Malformed, PART_PREFIX, PARTICIPANT};
use crate::journal::reader::Entries;
use crate::resp::request;

/// A transaction over several shards, or a fence.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// Its number: it ascends in every log.
    pub txid: u64,
    /// The shards that have a part of it, ascending, at least one. Of a transaction that is no
    /// fence, the first one's part has a command.
    pub participants: &'a [u16],
}

/// Commands that are encoded already, as clients would send them. Those of a fence are none, which
/// is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payload<'a> {
    /// The commands, with a SELECT in front of each in another database than the one before it.
    pub commands: &'a [u8],
    /// The database of the first one.
    pub db: u16,
    /// Behind the last one another database than 0 is selected.
    pub ends_elsewhere: bool,
}

/// Commands of a shard's part, gathered from units.
#[derive(Debug, Default)]
pub struct Gathered {
    commands: Vec<u8>,
    db: u16,
    ends_elsewhere: bool,
}

impl Transaction<'_> {
    /// Adds the part of this shard to `entries`.
    ///
    /// # Panics
    /// If the shard takes no part, or the participants do not ascend.
    pub fn push_part(self, entries: &mut Vec<u8>, shard: u16, payload: Payload<'_>) {
        let Self { txid, participants } = self;
        let is_ascending = participants.is_sorted_by(|one, next| one < next);
        assert!(is_ascending, "participants are listed in ascending order, each once");
        assert!(participants.contains(&shard), "a shard with a part is a participant");
        let count = u16::try_from(participants.len()).expect("shards are counted with 16 bits");
        let Payload { commands, db, ends_elsewhere } = payload;
        let len = HEADER + PART_PREFIX + participants.len() * PARTICIPANT + commands.len();
        let has_commands = !commands.is_empty();
        let header = Header {
            len: len as u64,
            kind: Kind::Part,
            has_multi: has_commands && participants.first() == Some(&shard),
            ends_elsewhere: has_commands && ends_elsewhere,
            db: if has_commands { db } else { 0 },
        };
        entries.reserve(len);
        entries.extend_from_slice(&header.encode());
        entries.extend_from_slice(&txid.to_le_bytes());
        entries.extend_from_slice(&count.to_le_bytes());
        entries.extend(participants.iter().flat_map(|participant| participant.to_le_bytes()));
        entries.extend_from_slice(commands);
    }
}

impl Gathered {
    /// Adds the commands of whole units.
    ///
    /// # Errors
    /// If these bytes are no entries. Those before the malformed one were added.
    pub fn push_units(&mut self, units: &[u8]) -> Result<(), Malformed> {
        for unit in Entries::of(units) {
            let unit = unit?;
            let db = unit.header.db;
            if self.commands.is_empty() {
                self.db = db;
            } else if db != 0 || self.ends_elsewhere {
                // Only a parser would know in which database other than 0 the one before ended.
                let mut digits = [0; DIGITS_MAX];
                let name = format_u64(&mut digits, db.into());
                request::write(&mut self.commands, &[b"SELECT", name]);
            }
            self.commands.extend_from_slice(unit.commands);
            self.ends_elsewhere = unit.header.ends_elsewhere;
        }
        Ok(())
    }

    /// Whether there are no commands.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Forgets everything but its room.
    pub fn clear(&mut self) {
        self.commands.clear();
        (self.db, self.ends_elsewhere) = (0, false);
    }

    /// The commands, for a part.
    pub fn payload(&self) -> Payload<'_> {
        let Self { commands, db, ends_elsewhere } = self;
        Payload { commands, db: *db, ends_elsewhere: *ends_elsewhere }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::entry::MULTI_AND_EXEC;
    use crate::journal::reader::Entry;
    use crate::journal::reader::tests::text_of;
    use crate::journal::units::Units;

    #[test]
    fn the_first_part_weighs_multi_and_exec_unless_it_is_of_a_fence() {
        let transaction = Transaction { txid: 300, participants: &[2, 256] };
        let mut units = Units::default();
        units.push(0, &["SET", "a", "1"]);
        let set_bytes = (units.entries().len() - HEADER) as u64;
        let mut gathered = Gathered::default();
        gathered.push_units(units.entries()).expect("they are units");
        for (shard, payload, weight) in [
            (2, gathered.payload(), set_bytes + MULTI_AND_EXEC),
            (256, gathered.payload(), set_bytes),
            (2, Payload::default(), 0),
            (256, Payload { db: 3, ends_elsewhere: true, ..Payload::default() }, 0),
        ] {
            let mut bytes = Vec::new();
            transaction.push_part(&mut bytes, shard, payload);
            let entry = Entry::decode(&bytes).expect("it is well formed");
            assert_eq!((entry.len(), entry.weight()), (bytes.len(), weight), "{entry:?}");
            assert_eq!(entry.belongs_to(shard), Ok(()));
            let text = if payload.commands.is_empty() { "" } else { "SET a 1" };
            assert_eq!(text_of(&bytes), [alloc::format!("0: 300 of [2, 256]: {text}")]);
        }
    }

    #[test]
    fn units_in_other_databases_are_gathered_behind_selects() {
        let cases: [(&[usize], &str); 5] = [
            (&[0, 0], "0: 1 of [0]: DEL a; DEL a"),
            (&[2], "2: 1 of [0]: DEL a"),
            (&[2, 2, 0, 0], "2: 1 of [0]: DEL a; DEL a; SELECT 0; DEL a; DEL a"),
            (&[0, 3], "0: 1 of [0]: DEL a; SELECT 3; DEL a"),
            (&[], "0: 1 of [0]: "),
        ];
        let mut gathered = Gathered::default();
        for (dbs, expected) in cases {
            let mut units = Units::default();
            for db in dbs {
                units.push(*db, &["DEL", "a"]);
            }
            gathered.push_units(units.entries()).expect("they are units");
            assert_eq!(gathered.is_empty(), dbs.is_empty());
            let mut bytes = Vec::new();
            let transaction = Transaction { txid: 1, participants: &[0] };
            transaction.push_part(&mut bytes, 0, gathered.payload());
            assert_eq!(text_of(&bytes), [expected]);
            let header = Header::decode(&bytes).expect("it is well formed");
            assert_eq!(header.ends_elsewhere, dbs.last().is_some_and(|db| *db != 0));
            gathered.clear();
        }
    }
}
