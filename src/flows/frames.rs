//! Frames: pieces of one log of a primary, on a connection of their own.
//!
//! ```text
//! 0   u32 len     bytes of the piece, at least 1, at most PIECE_BYTES_MAX
//! 4   u8  kind    1 piece of a log
//! 5   u8  0
//! 6   u16 flow    the log's number
//! 8   u64 offset  of the piece's first byte in the log
//! 16  u32 crc32c  of everything else in the frame
//! 20  the piece
//! ```
//! All numbers are little endian. A piece need not end where an entry ends.

use std::fmt;

use crate::replication::history::Offset;

/// Bytes in front of a piece.
pub const HEADER: usize = 20;
/// Bytes of a piece at most.
pub const PIECE_BYTES_MAX: usize = 256 << 10;

const PIECE: u8 = 1;
const SUM_AT: usize = 16;

/// Why bytes are no frame of this flow. The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The length is none that a frame has.
    Length(u32),
    /// The kind is unknown to this version.
    Kind(u8),
    /// The piece is of another log.
    Flow(u16),
    /// The piece is not the one that comes next.
    Offset {
        /// Where it says it begins.
        says: Offset,
        /// Where the next one begins.
        expected: Offset,
    },
    /// The checksum is another.
    Sum,
}

/// A frame that is being written.
#[derive(Debug)]
pub struct Frame<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

/// Takes frames apart as they come in.
#[derive(Debug)]
pub struct Frames {
    flow: u16,
    next: Offset,
    /// A frame that is not all there.
    partial: Vec<u8>,
}

impl<'a> Frame<'a> {
    /// Begins one behind what `out` has.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        Self { out, start }
    }

    /// Adds bytes of the log. No more than [`Self::room`] of them.
    pub fn push(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "the caller asks how much room there is");
        self.out.extend_from_slice(bytes);
    }

    /// Bytes that its piece may still have.
    pub fn room(&self) -> usize {
        PIECE_BYTES_MAX - self.len()
    }

    fn len(&self) -> usize {
        self.out.len() - self.start - HEADER
    }

    /// Ends it: its piece begins at `offset` of this log. Without a byte there is no frame.
    pub fn end(self, flow: u16, offset: Offset) {
        let len = self.len();
        if len == 0 {
            return self.out.truncate(self.start);
        }
        let len = u32::try_from(len).expect("a piece is short");
        let frame = &mut self.out[self.start..];
        frame[..4].copy_from_slice(&len.to_le_bytes());
        frame[4] = PIECE;
        frame[6..8].copy_from_slice(&flow.to_le_bytes());
        frame[8..SUM_AT].copy_from_slice(&offset.0.to_le_bytes());
        let sum = sum(frame);
        frame[SUM_AT..HEADER].copy_from_slice(&sum.to_le_bytes());
    }
}

impl Frames {
    /// Those of this log from `next` on.
    pub fn new(flow: u16, next: Offset) -> Self {
        Self { flow, next, partial: Vec::new() }
    }

    /// The offset behind the last piece that was whole.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Takes bytes, and puts the pieces that are whole behind what `log` has.
    ///
    /// # Errors
    /// If they are no frames, or not those that come next. Pieces in front of it were put.
    pub fn take(&mut self, bytes: &[u8], log: &mut Vec<u8>) -> Result<(), Broken> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.partial.is_empty() {
                // What is all there need not be copied twice.
                let wanted = self.check(rest)?;
                if wanted <= rest.len() {
                    let (frame, behind) = rest.split_at(wanted);
                    self.put(frame, log)?;
                    rest = behind;
                    continue;
                }
            }
            let wanted = self.check(&self.partial)?;
            let (missing, behind) = rest.split_at((wanted - self.partial.len()).min(rest.len()));
            self.partial.extend_from_slice(missing);
            rest = behind;
            let has_header = HEADER <= self.partial.len();
            if has_header && self.partial.len() == self.check(&self.partial)? {
                let frame = std::mem::take(&mut self.partial);
                self.put(&frame, log)?;
                self.partial = frame;
                self.partial.clear();
            }
        }
        Ok(())
    }

    /// How many bytes a frame needs that begins like this: a header's as long as it has none.
    fn check(&self, frame: &[u8]) -> Result<usize, Broken> {
        let Some(header) = frame.first_chunk::<HEADER>() else { return Ok(HEADER) };
        let [a, b, c, d, kind, _, low, high, offset @ .., _, _, _, _] = *header;
        let len = u32::from_le_bytes([a, b, c, d]);
        let bytes = usize::try_from(len).unwrap_or(usize::MAX);
        if bytes == 0 || PIECE_BYTES_MAX < bytes {
            return Err(Broken::Length(len));
        }
        if kind != PIECE {
            return Err(Broken::Kind(kind));
        }
        let flow = u16::from_le_bytes([low, high]);
        if flow != self.flow {
            return Err(Broken::Flow(flow));
        }
        let says = Offset(u64::from_le_bytes(offset));
        if says != self.next {
            return Err(Broken::Offset { says, expected: self.next });
        }
        Ok(HEADER + bytes)
    }

    /// Takes a frame that is all there, and was checked.
    fn put(&mut self, frame: &[u8], log: &mut Vec<u8>) -> Result<(), Broken> {
        let (header, piece) = frame.split_at(HEADER);
        if header[SUM_AT..] != sum(frame).to_le_bytes() {
            return Err(Broken::Sum);
        }
        self.next = self.next.after(piece.len() as u64);
        log.extend_from_slice(piece);
        Ok(())
    }
}

/// The checksum of a frame.
fn sum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..SUM_AT]), &frame[HEADER..])
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "a frame of {len} bytes"),
            Self::Kind(kind) => write!(f, "a frame of unknown kind {kind}"),
            Self::Flow(flow) => write!(f, "a frame of log {flow}"),
            Self::Offset { says, expected } => {
                write!(f, "a frame at offset {says} instead of {expected}")
            }
            Self::Sum => write!(f, "a frame whose checksum is wrong"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of log 3, which has these pieces from 100 on.
    fn frames(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut out, mut offset) = (Vec::new(), Offset(100));
        for piece in pieces {
            let mut frame = Frame::begin(&mut out);
            frame.push(piece);
            frame.end(3, offset);
            offset = offset.after(piece.len() as u64);
        }
        out
    }

    #[test]
    fn pieces_come_out_wherever_frames_are_cut() {
        let bytes = frames(&[b"one", b"", b"and another", &[7; 300]]);
        let whole = [&b"oneand another"[..], &[7; 300]].concat();
        for step in [1, 2, 19, 20, 21, 64, 1000] {
            let (mut frames, mut log) = (Frames::new(3, Offset(100)), Vec::new());
            bytes.chunks(step).for_each(|piece| frames.take(piece, &mut log).expect("whole"));
            assert_eq!((&log, frames.next()), (&whole, Offset(414)), "by {step}");
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        let bytes = frames(&[b"one", b"two"]);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            let (mut frames, mut log) = (Frames::new(3, Offset(100)), Vec::new());
            let result = frames.take(&bad, &mut log);
            // A length that has become longer waits for more.
            let is_longer = (at % 23) < 4 && result.is_ok();
            assert!(is_longer || result.is_err(), "byte {at} of {bad:?}");
            assert!(log.len() <= 3 && (log.is_empty() || 23 <= at), "byte {at}: {log:?}");
        }
    }

    #[test]
    fn what_does_not_come_next_is_refused() {
        let bytes = frames(&[b"one"]);
        let take = |mut frames: Frames| frames.take(&bytes, &mut Vec::new());
        assert_eq!(take(Frames::new(4, Offset(100))), Err(Broken::Flow(3)));
        let other = Broken::Offset { says: Offset(100), expected: Offset(101) };
        assert_eq!(take(Frames::new(3, Offset(101))), Err(other));
    }
}
