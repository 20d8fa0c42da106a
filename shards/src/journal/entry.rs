//! The layout of an entry, and how much it weighs.
//!
//! ```text
//! 0   u48 len     the whole entry, this header included
//! 6   u8  kind    1 unit: commands that take effect at once
//! 7   u8  flags   1 several commands, 2 ends in a database other than 0
//! 8   u16 db      of the first command
//! 10  commands, each as a client would send it
//! ```
//! All numbers are little endian. A command in another database than the one before it stands
//! behind a SELECT, the first one does not.

use crate::base::number::{DIGITS_MAX, format_u64};

/// Bytes of a header.
pub const HEADER: usize = 10;
/// Bytes that an entry may have: its length has 48 bits.
pub const BYTES_MAX: u64 = (1 << 48) - 1;
/// The kind of an entry whose commands take effect at once.
const UNIT: u8 = 1;
/// It has several commands.
const SEVERAL: u8 = 1;
/// Behind it another database than 0 is selected.
const ENDS_ELSEWHERE: u8 = 2;
/// `*1 $5 MULTI` and `*1 $4 EXEC`, each line with its end.
const MULTI_AND_EXEC: u64 = 15 + 14;

/// What stands in front of an entry's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole entry: [`HEADER`] to [`BYTES_MAX`].
    pub len: u64,
    /// It has several commands.
    pub is_several: bool,
    /// Behind it another database than 0 is selected.
    pub ends_elsewhere: bool,
    /// The database of its first command.
    pub db: u16,
}

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end too early.
    Short,
    /// It is of a kind, or has a flag, that this version does not know.
    Unknown,
    /// Its length is less than that of a header.
    Length,
    /// A command is none.
    Command,
}

impl Header {
    /// As bytes.
    ///
    /// # Panics
    /// If the length is above [`BYTES_MAX`].
    pub fn encode(self) -> [u8; HEADER] {
        assert!(self.len <= BYTES_MAX, "an entry is in memory, which is smaller");
        let [a, b, c, d, e, f, _, _] = self.len.to_le_bytes();
        let several = if self.is_several { SEVERAL } else { 0 };
        let elsewhere = if self.ends_elsewhere { ENDS_ELSEWHERE } else { 0 };
        let [low, high] = self.db.to_le_bytes();
        [a, b, c, d, e, f, UNIT, several | elsewhere, low, high]
    }

    /// The header with which `bytes` begin.
    ///
    /// # Errors
    /// If they do not begin with one, or there are fewer bytes than it says.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(&[a, b, c, d, e, f, kind, flags, low, high]) = bytes.first_chunk() else {
            return Err(Malformed::Short);
        };
        if kind != UNIT || flags & !(SEVERAL | ENDS_ELSEWHERE) != 0 {
            return Err(Malformed::Unknown);
        }
        let len = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        if len < HEADER as u64 {
            return Err(Malformed::Length);
        }
        if (bytes.len() as u64) < len {
            return Err(Malformed::Short);
        }
        Ok(Self {
            len,
            is_several: flags & SEVERAL != 0,
            ends_elsewhere: flags & ENDS_ELSEWHERE != 0,
            db: u16::from_le_bytes([low, high]),
        })
    }

    /// How many bytes the entry adds to the stream of all logs, in which every entry begins and
    /// ends in database 0: its commands, a SELECT in front and behind if need be, and MULTI and
    /// EXEC around several.
    pub fn weight(self) -> u64 {
        let commands = self.len - HEADER as u64;
        let before = if self.db == 0 { 0 } else { select_bytes(self.db) };
        let behind = if self.ends_elsewhere { select_bytes(0) } else { 0 };
        let around = if self.is_several { MULTI_AND_EXEC } else { 0 };
        commands + before + behind + around
    }
}

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

    #[test]
    fn headers_survive() {
        for (len, db) in [(10, 0), (266, 15), (70_000, u16::MAX)] {
            for flags in 0..4 {
                let (is_several, ends_elsewhere) = (flags & 1 != 0, flags & 2 != 0);
                let header = Header { len: len as u64, is_several, ends_elsewhere, db };
                let mut bytes = header.encode().to_vec();
                bytes.resize(len - 1, 0);
                assert_eq!(Header::decode(&bytes), Err(Malformed::Short), "{header:?}");
                bytes.resize(len + 5, 0);
                assert_eq!(Header::decode(&bytes), Ok(header));
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let good = Header { len: 10, is_several: false, ends_elsewhere: false, db: 0 }.encode();
        for cut in 0..HEADER {
            assert_eq!(Header::decode(&good[..cut]), Err(Malformed::Short));
        }
        for (at, byte, expected) in [
            (6, 0, Malformed::Unknown),
            (6, 2, Malformed::Unknown),
            (7, 4, Malformed::Unknown),
            (0, 9, Malformed::Length),
            (0, 11, Malformed::Short),
        ] {
            let mut bad = good;
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
        let header = Header { len: 110, is_several: true, ends_elsewhere: true, db: 12 };
        assert_eq!(header.weight(), 100 + 29 + 24 + 23);
        let plain = Header { len: 110, is_several: false, ends_elsewhere: false, db: 0 };
        assert_eq!(plain.weight(), 100);
    }
}
