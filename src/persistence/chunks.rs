//! Chunks: all keys of a node on their way to a replica, by several connections at once.
//!
//! ```text
//! 0   u32 len     bytes of the payload, at most PAYLOAD_BYTES_MAX
//! 4   u8  kind    1 head, 2 keys, 3 library of functions, 4 end
//! 5   u8  flags   1: the next chunk goes on with what this one begins
//! 6   u16 db      of the keys
//! 8   u16 first   \ slots that the keys are in, both included
//! 10  u16 last    /
//! 12  u32 keys    how many end in it
//! 16  u32 crc32c  of everything else in the chunk
//! 20  the payload
//! ```
//! All numbers are little endian.
//!
//! - The head comes first, by the first connection: the history's name of forty digits, the place
//!   in it as u64, and the u16 of the database that is selected there. Behind it stand the offsets
//!   of all logs, with commas between them, if that is no place of a stream.
//! - Keys are records of an RDB of version 80, without a file around them, as a rule whole ones.
//!   One that is longer than a chunk has chunks of its own.
//! - The end comes last, by each connection: how many keys it has brought, as u64.
//!
//! Slots let a receiver hand a chunk to whom it concerns without looking into it, however many
//! shards both sides have.

pub mod taking;

use std::fmt;

use shards::base::slot::SLOTS;

/// Bytes in front of a payload.
pub const HEADER: usize = 20;
/// Bytes of a payload at most.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;

const SUM_AT: usize = 16;
const GOES_ON: u8 = 1;
/// A record has a kind, a key and a value: a byte of each at least.
const RECORD_BYTES_MIN: usize = 3;

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The point in a history that all keys are of.
    Head,
    /// Keys and values.
    Keys,
    /// A library of functions.
    Function,
    /// How many keys the connection has brought.
    End,
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it holds.
    pub kind: Kind,
    /// The next chunk goes on with what this one begins.
    pub goes_on: bool,
    /// The database of its keys.
    pub db: u16,
    /// The lowest and the highest slot that its keys are in.
    pub slots: (u16, u16),
    /// Keys that end in it.
    pub keys: u32,
}

/// Why bytes are no chunk that can come here. The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The length is none that a chunk has.
    Length(u32),
    /// The kind is unknown to this version.
    Kind(u8),
    /// So are the flags.
    Flags(u8),
    /// There are no such slots.
    Slots(u16, u16),
    /// So many keys do not fit into it, or it has none.
    Keys(u32),
    /// The checksum is another.
    Sum,
    /// It does not go on with what the one before it has begun.
    Torn,
    /// A payload is not what it should be.
    Payload(Kind),
    /// More, or fewer, keys have come than the end says.
    Count {
        /// How many it says.
        says: u64,
        /// How many have come.
        came: u64,
    },
    /// Something comes behind the end.
    Behind,
}

impl Kind {
    const ALL: [(u8, Self); 4] =
        [(1, Self::Head), (2, Self::Keys), (3, Self::Function), (4, Self::End)];

    fn of(code: u8) -> Option<Self> {
        Self::ALL.iter().find(|(listed, _)| *listed == code).map(|(_, kind)| *kind)
    }

    fn code(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Keys => 2,
            Self::Function => 3,
            Self::End => 4,
        }
    }
}

impl Header {
    /// That of a chunk without keys.
    pub fn of(kind: Kind) -> Self {
        Self { kind, goes_on: false, db: 0, slots: (0, 0), keys: 0 }
    }

    /// Writes it in front of a payload, for which `chunk` has room.
    ///
    /// # Panics
    /// If the payload is longer than one may be.
    pub fn seal(&self, chunk: &mut [u8]) {
        let len = chunk.len() - HEADER;
        assert!(len <= PAYLOAD_BYTES_MAX, "a sender's chunks are short");
        let len = u32::try_from(len).expect("it is short");
        let (first, last) = self.slots;
        chunk[..4].copy_from_slice(&len.to_le_bytes());
        (chunk[4], chunk[5]) = (self.kind.code(), if self.goes_on { GOES_ON } else { 0 });
        chunk[6..8].copy_from_slice(&self.db.to_le_bytes());
        chunk[8..10].copy_from_slice(&first.to_le_bytes());
        chunk[10..12].copy_from_slice(&last.to_le_bytes());
        chunk[12..SUM_AT].copy_from_slice(&self.keys.to_le_bytes());
        let (head, payload) = chunk.split_at(HEADER);
        let sum = sum(head, payload);
        chunk[SUM_AT..HEADER].copy_from_slice(&sum.to_le_bytes());
    }

    /// Reads one: what it says, and how many bytes its payload has.
    ///
    /// # Errors
    /// If no chunk begins like this.
    fn read(header: &[u8; HEADER]) -> Result<(Self, usize), Broken> {
        let [a, b, c, d, kind, flags, rest @ ..] = *header;
        let word = |at: usize| u16::from_le_bytes([rest[at], rest[at + 1]]);
        let len = u32::from_le_bytes([a, b, c, d]);
        let bytes = usize::try_from(len).unwrap_or(usize::MAX);
        let keys = u32::from_le_bytes([rest[6], rest[7], rest[8], rest[9]]);
        let (db, first, last) = (word(0), word(2), word(4));
        let kind = Kind::of(kind).ok_or(Broken::Kind(kind))?;
        if PAYLOAD_BYTES_MAX < bytes || bytes == 0 {
            return Err(Broken::Length(len));
        }
        let flags_known = match kind {
            Kind::Keys | Kind::Function => GOES_ON,
            Kind::Head | Kind::End => 0,
        };
        if flags & !flags_known != 0 {
            return Err(Broken::Flags(flags));
        }
        let goes_on = flags == GOES_ON;
        let keys_max = match (kind, goes_on) {
            (Kind::Keys, false) => bytes.div_ceil(RECORD_BYTES_MIN),
            (Kind::Keys, true) | (Kind::Head | Kind::Function | Kind::End, _) => 0,
        };
        let fits = usize::try_from(keys).is_ok_and(|keys| keys <= keys_max);
        if !fits || (keys == 0) != (keys_max == 0) {
            return Err(Broken::Keys(keys));
        }
        if last < first || SLOTS <= last {
            return Err(Broken::Slots(first, last));
        }
        Ok((Self { kind, goes_on, db, slots: (first, last), keys }, bytes))
    }
}

/// The checksum of a chunk.
fn sum(header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..SUM_AT]), payload)
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "a chunk of {len} bytes"),
            Self::Kind(kind) => write!(f, "a chunk of unknown kind {kind}"),
            Self::Flags(flags) => write!(f, "a chunk with unknown flags {flags}"),
            Self::Slots(first, last) => write!(f, "a chunk of slots {first} to {last}"),
            Self::Keys(keys) => write!(f, "a chunk that says it has {keys} keys"),
            Self::Sum => write!(f, "a chunk whose checksum is wrong"),
            Self::Torn => write!(f, "a chunk that does not go on with the one before it"),
            Self::Payload(kind) => write!(f, "a chunk of the kind {kind:?} with another content"),
            Self::Count { says, came } => {
                write!(f, "an end that says {says} keys where {came} have come")
            }
            Self::Behind => write!(f, "something behind the end"),
        }
    }
}

#[cfg(test)]
mod tests;
