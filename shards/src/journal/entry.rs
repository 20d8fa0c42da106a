//! The layout of an entry, and how much it weighs.
//!
//! ```text
//! 0   u48 len     the whole entry, this header included
//! 6   u8  kind    1 unit: commands that take effect at once
//!                 2 part: what a transaction over several shards does on this one
//!                 3 note: a word to replicas, which changes nothing
//! 7   u8  flags   1 MULTI and EXEC are weighed here, 2 ends in a database other than 0
//! 8   u16 db      of the first command
//! 10  unit: commands, each as a client would send it
//!     part: u64 txid, u16 count, u16 participants[count] ascending, commands or none
//!     note: u8 1 ping, 2 getack
//! ```
//! All numbers are little endian. A command in another database than the one before it stands
//! behind a SELECT, the first one does not. MULTI and EXEC are weighed by a unit of several
//! commands, and by the part of a transaction's first participant. That part has a command unless
//! no part has one: such a transaction is a fence, which weighs nothing.

use core::fmt;

use crate::base::number::{DIGITS_MAX, format_u64};

/// Bytes of a header.
pub const HEADER: usize = 10;
/// Bytes that an entry may have: its length has 48 bits.
pub const BYTES_MAX: u64 = (1 << 48) - 1;
/// Bytes with which an entry says how long it is.
pub const LEN_BYTES: usize = 6;
/// Bytes of a part between its header and its participants: txid and count.
pub const PART_PREFIX: usize = 8 + 2;
/// Bytes of one participant.
pub const PARTICIPANT: usize = 2;

/// MULTI and EXEC are weighed here.
const MULTI: u8 = 1;
/// Behind it another database than 0 is selected.
const ENDS_ELSEWHERE: u8 = 2;
/// `*1 $5 MULTI` and `*1 $4 EXEC`, each line with its end.
pub const MULTI_AND_EXEC: u64 = 15 + 14;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands that take effect at once.
    Unit,
    /// What a transaction over several shards does on this one.
    Part,
    /// A word to replicas, which changes nothing.
    Note,
}

/// What a note says to replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The primary is there.
    Ping,
    /// The replica shall say at once up to where it is.
    GetAck,
}

/// What stands in front of everything else in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole entry: [`HEADER`] and more, up to [`BYTES_MAX`].
    pub len: u64,
    /// What the entry is.
    pub kind: Kind,
    /// MULTI and EXEC are weighed here: a unit of several commands, or a first part with commands.
    pub has_multi: bool,
    /// Behind it another database than 0 is selected.
    pub ends_elsewhere: bool,
    /// The database of its first command; 0 without commands.
    pub db: u16,
}

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end too early.
    Short,
    /// The kind is unknown to this version.
    Kind(u8),
    /// A flag is unknown to this version, or stands where it means nothing.
    Flags(u8),
    /// The length is less, or more, than an entry of its kind has.
    Length,
    /// A part's participants are none, or not in ascending order.
    Participants,
    /// A part is in the log of a shard that takes no part, or weighs what another part weighs.
    Place,
    /// A note says what is unknown to this version.
    Note(u8),
    /// A command is none.
    Command,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Unit => 1,
            Self::Part => 2,
            Self::Note => 3,
        }
    }

    /// Bytes that the shortest entry of this kind has: a unit has a command, whatever its length.
    const fn bytes_min(self) -> usize {
        match self {
            Self::Unit | Self::Note => HEADER + 1,
            Self::Part => HEADER + PART_PREFIX + PARTICIPANT,
        }
    }
}

impl Note {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Ping, Self::GetAck];

    /// The byte that says it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ping => 1,
            Self::GetAck => 2,
        }
    }

    /// What a byte says.
    ///
    /// # Errors
    /// If it says what this version does not know.
    pub fn of_code(code: u8) -> Result<Self, Malformed> {
        match code {
            1 => Ok(Self::Ping),
            2 => Ok(Self::GetAck),
            _ => Err(Malformed::Note(code)),
        }
    }

    /// The command that says it in a stream.
    pub const fn command(self) -> &'static [u8] {
        match self {
            Self::Ping => b"*1\r\n$4\r\nPING\r\n",
            Self::GetAck => b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n",
        }
    }

    /// The whole entry.
    pub fn encode(self) -> [u8; HEADER + 1] {
        let header = Header {
            len: HEADER as u64 + 1,
            kind: Kind::Note,
            has_multi: false,
            ends_elsewhere: false,
            db: 0,
        };
        let mut entry = [self.code(); HEADER + 1];
        entry[..HEADER].copy_from_slice(&header.encode());
        entry
    }
}

/// How long an entry is that begins like this.
pub const fn len_of([a, b, c, d, e, f]: [u8; LEN_BYTES]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

impl Header {
    /// As bytes.
    ///
    /// # Panics
    /// If the length is above [`BYTES_MAX`].
    pub fn encode(self) -> [u8; HEADER] {
        assert!(self.len <= BYTES_MAX, "an entry is in memory, which is smaller");
        let [a, b, c, d, e, f, _, _] = self.len.to_le_bytes();
        let multi = if self.has_multi { MULTI } else { 0 };
        let elsewhere = if self.ends_elsewhere { ENDS_ELSEWHERE } else { 0 };
        let [low, high] = self.db.to_le_bytes();
        [a, b, c, d, e, f, self.kind.code(), multi | elsewhere, low, high]
    }

    /// The header with which `bytes` begin.
    ///
    /// # Errors
    /// If they do not begin with one, or there are fewer bytes than it says.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(&[a, b, c, d, e, f, kind, flags, low, high]) = bytes.first_chunk() else {
            return Err(Malformed::Short);
        };
        let kind = match kind {
            1 => Kind::Unit,
            2 => Kind::Part,
            3 => Kind::Note,
            _ => return Err(Malformed::Kind(kind)),
        };
        if flags & !(MULTI | ENDS_ELSEWHERE) != 0 {
            return Err(Malformed::Flags(flags));
        }
        let len = len_of([a, b, c, d, e, f]);
        if len < kind.bytes_min() as u64 {
            return Err(Malformed::Length);
        }
        if (bytes.len() as u64) < len {
            return Err(Malformed::Short);
        }
        Ok(Self {
            len,
            kind,
            has_multi: flags & MULTI != 0,
            ends_elsewhere: flags & ENDS_ELSEWHERE != 0,
            db: u16::from_le_bytes([low, high]),
        })
    }

    /// The flags as they are written.
    pub(super) fn flags(self) -> u8 {
        self.encode()[7]
    }

    /// What `commands_len` bytes of commands behind this header add to the stream of all logs, in
    /// which every entry begins and ends in database 0: the commands, a SELECT in front and behind
    /// if need be, and MULTI and EXEC if they are weighed here.
    pub(super) fn weight(self, commands_len: usize) -> u64 {
        let before = if self.db == 0 { 0 } else { select_bytes(self.db) };
        let behind = if self.ends_elsewhere { select_bytes(0) } else { 0 };
        let around = if self.has_multi { MULTI_AND_EXEC } else { 0 };
        commands_len as u64 + before + behind + around
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("it ends too early"),
            Self::Kind(kind) => write!(f, "its kind {kind} is unknown"),
            Self::Flags(flags) => write!(f, "its flags {flags} make no sense"),
            Self::Length => f.write_str("no entry of its kind has its length"),
            Self::Participants => f.write_str("its participants are not in ascending order"),
            Self::Place => f.write_str("it is the part of another shard"),
            Self::Note(what) => write!(f, "its note {what} is unknown"),
            Self::Command => f.write_str("it has a command that is none"),
        }
    }
}

impl core::error::Error for Malformed {}

/// Bytes of `*2 $6 SELECT $n db`, each line with its end.
fn select_bytes(db: u16) -> u64 {
    let digits = format_u64(&mut [0; DIGITS_MAX], db.into()).len() as u64;
    // A number of at most five digits has a length of one.
    4 + 4 + 8 + 4 + digits + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request;
    use alloc::vec::Vec;

    const UNIT: Header =
        Header { len: 11, kind: Kind::Unit, has_multi: false, ends_elsewhere: false, db: 0 };

    #[test]
    fn headers_survive() {
        for (len, db) in [(22, 0), (266, 15), (70_000, u16::MAX)] {
            for (flags, kind) in (0..4).zip([Kind::Unit, Kind::Part, Kind::Note].iter().cycle()) {
                let (has_multi, ends_elsewhere) = (flags & 1 != 0, flags & 2 != 0);
                let header = Header { len: len as u64, kind: *kind, has_multi, ends_elsewhere, db };
                let mut bytes = header.encode().to_vec();
                bytes.resize(len - 1, 0);
                assert_eq!(Header::decode(&bytes), Err(Malformed::Short), "{header:?}");
                bytes.resize(len + 5, 0);
                assert_eq!(Header::decode(&bytes), Ok(header));
                assert_eq!(header.flags(), flags);
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let mut good = UNIT.encode().to_vec();
        for cut in 0..HEADER {
            assert_eq!(Header::decode(&good[..cut]), Err(Malformed::Short));
        }
        good.push(b'*');
        assert_eq!(Header::decode(&good), Ok(UNIT));
        for (at, byte, expected) in [
            (6, 0, Malformed::Kind(0)),
            (6, 4, Malformed::Kind(4)),
            (6, 2, Malformed::Length),
            (7, 4, Malformed::Flags(4)),
            (0, 10, Malformed::Length),
            (0, 12, Malformed::Short),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(Header::decode(&bad), Err(expected), "byte {at} is {byte}");
        }
    }

    #[test]
    fn weights_are_lengths_in_a_stream() {
        for db in [0, 1, 9, 10, 65535] {
            let mut select = Vec::new();
            request::write(&mut select, &[&b"SELECT"[..], alloc::format!("{db}").as_bytes()]);
            assert_eq!(select_bytes(db), select.len() as u64, "{db}");
        }
        let mut around = Vec::new();
        request::write(&mut around, &["MULTI"]);
        request::write(&mut around, &["EXEC"]);
        assert_eq!(around.len() as u64, MULTI_AND_EXEC);
        let header = Header { has_multi: true, ends_elsewhere: true, db: 12, ..UNIT };
        assert_eq!(header.weight(100), 100 + 29 + 24 + 23);
        assert_eq!(UNIT.weight(100), 100);
    }

    #[test]
    fn notes_are_the_commands_that_replicas_know() {
        let commands: [&[&str]; 2] = [&["PING"], &["REPLCONF", "GETACK", "*"]];
        for (note, (args, len)) in Note::ALL.into_iter().zip(commands.into_iter().zip([14, 37])) {
            let mut command = Vec::new();
            request::write(&mut command, args);
            assert_eq!((note.command(), command.len()), (&command[..], len));
            assert_eq!(Note::of_code(note.code()), Ok(note));
        }
        assert_eq!(Note::of_code(3), Err(Malformed::Note(3)));
    }
}
