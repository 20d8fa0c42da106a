//! Parts as they are made: what a transaction over several shards leaves in the log of each.

use alloc::vec::Vec;

use crate::journal::entry::{HEADER, Header, Kind, PART_PREFIX, PARTICIPANT};

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

impl Transaction<'_> {
    /// Adds the part of this shard to `entries`. Its weight: how many bytes it adds to the stream
    /// of all logs.
    ///
    /// # Panics
    /// If the shard takes no part, or the participants do not ascend.
    pub fn push_part(self, entries: &mut Vec<u8>, shard: u16, payload: Payload<'_>) -> u64 {
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
        header.weight(commands.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::entry::MULTI_AND_EXEC;
    use crate::journal::reader::Entry;
    use crate::journal::reader::tests::text_of;
    use crate::journal::units::Unit;

    #[test]
    fn the_first_part_weighs_multi_and_exec_unless_it_is_of_a_fence() {
        let transaction = Transaction { txid: 300, participants: &[2, 256] };
        let mut unit = Unit::default();
        unit.push(0, &["SET", "a", "1"]);
        let set_bytes = unit.commands.len() as u64;
        for (shard, payload, weight) in [
            (2, unit.payload(), set_bytes + MULTI_AND_EXEC),
            (256, unit.payload(), set_bytes),
            (2, Payload::default(), 0),
            (256, Payload { db: 3, ends_elsewhere: true, ..Payload::default() }, 0),
        ] {
            let mut bytes = Vec::new();
            assert_eq!(transaction.push_part(&mut bytes, shard, payload), weight);
            let entry = Entry::decode(&bytes).expect("it is well formed");
            assert_eq!((entry.len_bytes(), entry.weight()), (bytes.len(), weight), "{entry:?}");
            assert_eq!(entry.belongs_to(shard), Ok(()));
            let text = if payload.commands.is_empty() { "" } else { "SET a 1" };
            assert_eq!(text_of(&bytes), [alloc::format!("0: 300 of [2, 256]: {text}")]);
        }
    }
}
