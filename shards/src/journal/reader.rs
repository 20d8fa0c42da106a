//! Entries as they are read.

use alloc::vec::Vec;

use crate::base::number::parse_u64;
use crate::journal::entry::{HEADER, Header, Kind, Malformed, Note, PART_PREFIX, PARTICIPANT};
use crate::resp::parser::{Limits, Parser, Range, Step};

/// Entries, one after the other. It ends at the first that is malformed.
#[derive(Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its header.
    pub header: Header,
    /// What it is, with what only its kind has.
    pub what: What<'a>,
    /// Its commands, as a client would send them. A note has none, nor has a part of a fence.
    pub commands: &'a [u8],
}

/// What an entry is.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// Commands that take effect at once.
    Unit,
    /// What a transaction over several shards does on this one.
    Part(Part<'a>),
    /// A word to replicas.
    Note(Note),
}

/// To which transaction a part belongs.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The transaction's number: it ascends in every log.
    pub txid: u64,
    /// The shards that have a part of it.
    pub participants: Participants<'a>,
}

/// Numbers of shards in ascending order, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participants<'a> {
    bytes: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Those in `bytes`.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = core::mem::take(&mut self.rest);
        Some(Entry::decode(rest).inspect(|entry| self.rest = &rest[entry.len_bytes()..]))
    }
}

impl<'a> Entry<'a> {
    /// The entry with which `bytes` begin. Its commands are not looked at.
    ///
    /// # Errors
    /// If they do not begin with one, or it is not all there.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = Header::decode(bytes)?;
        let len = usize::try_from(header.len).expect("so many bytes are there");
        let body = &bytes[HEADER..len];
        let (what, commands) = match header.kind {
            Kind::Unit => (What::Unit, body),
            Kind::Part => {
                let (part, commands) = Part::decode(body)?;
                (What::Part(part), commands)
            }
            Kind::Note => {
                let &[what] = body else { return Err(Malformed::Length) };
                (What::Note(Note::of_code(what)?), &[][..])
            }
        };
        if commands.is_empty() && (header.db != 0 || header.flags() != 0) {
            return Err(Malformed::Flags(header.flags()));
        }
        Ok(Self { header, what, commands })
    }

    /// Bytes of the whole entry.
    pub fn len_bytes(&self) -> usize {
        usize::try_from(self.header.len).expect("so many bytes are there")
    }

    /// How many bytes the entry adds to the stream of all logs.
    pub fn weight(&self) -> u64 {
        match self.what {
            What::Unit | What::Part(_) => self.header.weight(self.commands.len()),
            What::Note(note) => note.command().len() as u64,
        }
    }

    /// Tests whether the entry may stand in the log of this shard.
    ///
    /// # Errors
    /// If it is a part of a transaction in which the shard takes no part, or MULTI and EXEC are
    /// not weighed by the first participant that has commands.
    pub fn belongs_to(&self, shard: u16) -> Result<(), Malformed> {
        let What::Part(part) = self.what else { return Ok(()) };
        let is_first = part.participants.first() == shard;
        let has_multi = is_first && !self.commands.is_empty();
        if has_multi == self.header.has_multi && part.participants.contains(shard) {
            Ok(())
        } else {
            Err(Malformed::Place)
        }
    }
}

impl<'a> Part<'a> {
    /// What the body of a part begins with, and the commands behind it.
    fn decode(body: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (&[a, b, c, d, e, f, g, h, low, high], rest) =
            body.split_first_chunk::<PART_PREFIX>().ok_or(Malformed::Short)?;
        let count = usize::from(u16::from_le_bytes([low, high]));
        let (bytes, commands) =
            rest.split_at_checked(count * PARTICIPANT).ok_or(Malformed::Short)?;
        let participants = Participants { bytes };
        if bytes.is_empty() || !participants.iter().is_sorted_by(|one, next| one < next) {
            return Err(Malformed::Participants);
        }
        let txid = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Ok((Self { txid, participants }, commands))
    }
}

impl<'a> Participants<'a> {
    /// Them, in ascending order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = u16> + Clone + 'a {
        let (pairs, _) = self.bytes.as_chunks::<PARTICIPANT>();
        pairs.iter().map(|pair| u16::from_le_bytes(*pair))
    }

    /// The one with the smallest number.
    pub fn first(self) -> u16 {
        self.iter().next().expect("a part has a participant")
    }

    /// Whether this shard is one of them.
    pub fn contains(self, shard: u16) -> bool {
        let (pairs, _) = self.bytes.as_chunks::<PARTICIPANT>();
        pairs.binary_search_by_key(&shard, |pair| u16::from_le_bytes(*pair)).is_ok()
    }
}

/// Goes through commands, the first of which is in database `db`, with the database of each.
///
/// # Errors
/// If a command is none, or SELECT names no database. Those before it were gone through.
pub fn each_command(
    db: u16,
    commands: &[u8],
    mut with: impl FnMut(usize, &[&[u8]]),
) -> Result<(), Malformed> {
    let mut ranges = Vec::new();
    each_place(db, commands, &mut ranges, |db, place, ranges| {
        let command = &commands[place];
        let args: Vec<&[u8]> = ranges.drain(..).map(|range| range.of(command)).collect();
        with(db.into(), &args);
    })
}

/// The same, with the place of each command. The ranges of its arguments, in the command, stand
/// behind those that `ranges` had, and may stay there.
///
/// # Errors
/// Likewise.
pub fn each_place(
    mut db: u16,
    commands: &[u8],
    ranges: &mut Vec<Range>,
    mut with: impl FnMut(u16, core::ops::Range<usize>, &mut Vec<Range>),
) -> Result<(), Malformed> {
    const LIMITS: Limits = Limits { bulk_bytes_max: u32::MAX as u64, authenticated: true };
    let mut at = 0;
    while at < commands.len() {
        let (rest, first) = (&commands[at..], ranges.len());
        let step = Parser::default().step(rest, ranges, &LIMITS);
        let Ok(Step::Request { consumed }) = step else { return Err(Malformed::Command) };
        match ranges[first..] {
            [name, number] if name.of(rest) == b"SELECT" => {
                let number = parse_u64(number.of(rest));
                let number = number.and_then(|number| u16::try_from(number).ok());
                db = number.ok_or(Malformed::Command)?;
                ranges.truncate(first);
            }
            _ => with(db, at..at + consumed, ranges),
        }
        at += consumed;
    }
    Ok(())
}

#[cfg(test)]
#[expect(missing_docs, reason = "tests of others use it")]
pub mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    use crate::journal::part::{Payload, Transaction};
    use crate::journal::units::Units;

    /// Entries as text: the database of the first command, and the commands.
    pub fn text_of(bytes: &[u8]) -> Vec<String> {
        let words = |args: &[&[u8]]| {
            let words = args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned());
            words.collect::<Vec<_>>().join(" ")
        };
        let one = |entry: Result<Entry<'_>, Malformed>| {
            let entry = entry.expect("it is well formed");
            let mut commands = Vec::new();
            let mut last = usize::from(entry.header.db);
            each_command(entry.header.db, entry.commands, |db, args| {
                if core::mem::replace(&mut last, db) != db {
                    commands.push(format!("SELECT {db}"));
                }
                commands.push(words(args));
            })
            .expect("its commands are well formed");
            let commands = commands.join("; ");
            let db = entry.header.db;
            match entry.what {
                What::Unit => format!("{db}: {commands}"),
                What::Part(part) => {
                    let participants: Vec<u16> = part.participants.iter().collect();
                    format!("{db}: {} of {participants:?}: {commands}", part.txid)
                }
                What::Note(note) => format!("{note:?}"),
            }
        };
        Entries::of(bytes).map(one).collect()
    }

    #[test]
    fn what_is_no_entry_ends_it() {
        let mut units = Units::default();
        units.push(0, &["SET", "a", "1"]);
        units.push(0, &["DEL", "a"]);
        let bytes = units.entries();
        let first = Entries::of(bytes).next().expect("there is one").expect("it is well formed");
        let first_len = usize::try_from(first.header.len).expect("it is short");
        for cut in 0..bytes.len() {
            let mut entries = Entries::of(&bytes[..cut]);
            let whole = usize::from(first_len <= cut);
            assert_eq!(entries.by_ref().take_while(Result::is_ok).count(), whole, "{cut}");
            assert!(entries.next().is_none(), "{cut}");
        }
    }

    #[test]
    fn commands_that_are_none_are_refused() {
        for bad in [&b"*1\r\n"[..], b"PING\r\n", b"*0\r\n", b"*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n"] {
            let result = each_command(0, bad, |_, _| {});
            assert_eq!(result, Err(Malformed::Command), "{}", bad.escape_ascii());
        }
    }
    /// A part of shard 3, as bytes.
    fn part(participants: &[u16], payload: Payload<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        Transaction { txid: 7, participants }.push_part(&mut bytes, 3, payload);
        bytes
    }

    #[test]
    fn parts_and_notes_that_are_malformed_are_refused() {
        let command = b"*1\r\n$5\r\nRESET\r\n";
        let payload = Payload { commands: command, db: 0, ends_elsewhere: false };
        let first = part(&[3, 5], payload);
        let fence = part(&[3, 5], Payload::default());
        let ping = Note::Ping.encode().to_vec();
        let participants = HEADER + 8;
        for (good, at, byte, expected) in [
            (&first, participants, 0, Malformed::Participants),
            (&fence, participants, 3, Malformed::Short),
            (&first, participants + 1, 1, Malformed::Short),
            (&first, participants + 2, 5, Malformed::Participants),
            (&first, participants + 2, 9, Malformed::Participants),
            (&fence, 7, 1, Malformed::Flags(1)),
            (&fence, 7, 2, Malformed::Flags(2)),
            (&fence, 8, 1, Malformed::Flags(0)),
            (&ping, HEADER, 9, Malformed::Note(9)),
            (&ping, 7, 1, Malformed::Flags(1)),
        ] {
            assert!(Entry::decode(good).is_ok());
            let mut bad = good.clone();
            bad[at] = byte;
            let result = Entry::decode(&bad).map(|entry| entry.header);
            assert_eq!(result, Err(expected), "byte {at} is {byte}");
        }
        let mut long = ping.clone();
        long[0] += 1;
        long.push(0);
        let result = Entry::decode(&long).map(|entry| entry.header);
        assert_eq!(result, Err(Malformed::Length));
    }

    #[test]
    fn a_part_belongs_to_its_shard_alone() {
        let payload = Payload { commands: b"*1\r\n$4\r\nPING\r\n", ..Payload::default() };
        for (participants, payload, shard, belongs) in [
            (&[3, 5][..], payload, 3, true),
            (&[3, 5], payload, 5, false), // MULTI and EXEC would be weighed twice.
            (&[1, 3], payload, 3, true),
            (&[1, 3], payload, 1, false),
            (&[3, 5], Payload::default(), 3, true),
            (&[3, 5], Payload::default(), 5, true),
            (&[3, 5], Payload::default(), 4, false),
        ] {
            let bytes = part(participants, payload);
            let entry = Entry::decode(&bytes).expect("it is well formed");
            assert_eq!(entry.belongs_to(shard).is_ok(), belongs, "{participants:?} at {shard}");
        }
    }
}
