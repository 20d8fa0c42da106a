//! A shard's log: its last bytes in blocks, and the places at which it is read.
//!
//! ```text
//!        start            window                                        end
//!          |                 |  at least `window_bytes`, always readable |
//!   [ block ][ block ][ block ][ block ][ block ][ block ][ block  ...   ]
//!               |  kept for the cursor that has read least,
//!                  at most `held_bytes_max` before the end
//! ```
//! Blocks are freed whole, so a little more can be read than is promised. An entry may cross
//! blocks: all of them but the last are full, so a place is found by a division.

use std::collections::VecDeque;
use std::io;

use shards::journal::entry::{HEADER, LEN_BYTES, Malformed, len_of};

use crate::journal::cursors::{CursorId, Cursors, State};
use crate::reactor::blocks::{BLOCK_BYTES, Block};

/// Bytes of a window at least, whatever is configured: so much is written in a few milliseconds.
pub const WINDOW_BYTES_MIN: u64 = 1 << 20;
/// The highest offset at which a log may begin: what follows never overflows.
pub const START_MAX: u64 = 1 << 62;
/// Empty blocks kept for what is appended next, so that a window that moves on maps nothing.
const SPARE_MAX: usize = 2;
/// Blocks freed at once: each takes the system a few microseconds.
const FREED_MAX: usize = 4;
const BLOCK: u64 = BLOCK_BYTES as u64;

/// How much a log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes before the end that can always be read; [`WINDOW_BYTES_MIN`] if that is more.
    pub window_bytes: u64,
    /// Bytes before the end that cursors may make it keep; no less than the window.
    pub held_bytes_max: u64,
}

/// There was no memory for a block: the log has lost its oldest bytes, or all of them, and goes on
/// behind them. Cursors that had not read them have fallen out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortened;

/// What a cursor finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<T> {
    /// This, at least one byte.
    Bytes(T),
    /// Nothing that it has not read, or it was told already that it has fallen out.
    Nothing,
    /// What it would read next is in the log no more. It is told once, and finds nothing from then
    /// on.
    Fallen,
}

/// The bytes of a history that one shard's changes left, from some offset to the end.
#[derive(Debug)]
pub struct Log {
    /// All full but the last, which may be.
    blocks: VecDeque<Block>,
    spare: Vec<Block>,
    /// The offset of the first byte of the first block.
    start: u64,
    /// The offset behind the last byte.
    end: u64,
    limits: Limits,
    cursors: Cursors,
    /// Maps a block. Tests let it fail.
    map: fn() -> io::Result<Block>,
}

impl Log {
    /// An empty log whose next byte has the offset `start`, 0 for a new history.
    ///
    /// # Panics
    /// If `start` is above [`START_MAX`]: an offset that a peer sent is looked at before.
    pub fn new(start: u64, limits: Limits) -> Self {
        assert!(start <= START_MAX, "offsets are looked at where they come in");
        Self {
            blocks: VecDeque::new(),
            spare: Vec::new(),
            start,
            end: start,
            limits,
            cursors: Cursors::default(),
            map: Block::new,
        }
    }

    /// Appends whole entries.
    ///
    /// # Errors
    /// The entries are counted, and what of the log can still be read is shorter than its window.
    #[inline]
    pub fn append(&mut self, entries: &[u8]) -> Result<(), Shortened> {
        self.end += entries.len() as u64;
        match self.blocks.back_mut() {
            Some(last) if entries.len() <= last.room() => {
                last.append(entries);
                Ok(())
            }
            Some(_) | None => self.append_across(entries),
        }
    }

    /// The offset of the first byte that can be read.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The offset behind the last byte, which the next one will have.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        (self.blocks.len() + self.spare.len()) * BLOCK_BYTES
            + self.blocks.capacity() * size_of::<Block>()
    }

    /// Keeps more or less from now on. What is too much goes as [`Self::trim`] says.
    pub fn resize(&mut self, limits: Limits) {
        self.limits = limits;
        self.trim();
    }

    /// A cursor that reads from `offset` on, and holds what it has not read. `None`: that offset is
    /// not in the log, or not yet.
    pub fn open(&mut self, offset: u64) -> Option<CursorId> {
        let is_here = self.start <= offset && offset <= self.end;
        is_here.then(|| self.cursors.open(offset))
    }

    /// The offset of what a cursor reads next.
    pub fn next(&self, cursor: CursorId) -> u64 {
        self.cursors.get(cursor).next
    }

    /// Ends a cursor.
    pub fn close(&mut self, cursor: CursorId) {
        self.cursors.close(cursor);
        self.trim();
    }

    /// The next bytes of a cursor, at most so many, and at most up to the end of a block. It is
    /// still there that it reads until [`Self::advance`].
    pub fn read(&mut self, cursor: CursorId, bytes_max: usize) -> Read<&[u8]> {
        match self.readable(cursor) {
            Read::Bytes(next) if 0 < bytes_max => {
                let found = self.piece(next);
                Read::Bytes(&found[..found.len().min(bytes_max)])
            }
            Read::Bytes(_) | Read::Nothing => Read::Nothing,
            Read::Fallen => Read::Fallen,
        }
    }

    /// Copies the next whole entries of a cursor behind what `into` has, up to the one with which
    /// there are at least `bytes_min` bytes of them; answers how many bytes there are. An entry
    /// that is not all there stays. The cursor goes on by [`Self::advance`].
    ///
    /// The entries are copied since another thread reads them, which has to be given bytes of its
    /// own; so an entry that crosses blocks costs nothing more.
    ///
    /// # Errors
    /// The cursor stands before something that is no entry; nothing is copied.
    pub fn copy_entries(
        &mut self,
        cursor: CursorId,
        bytes_min: u64,
        into: &mut Vec<u8>,
    ) -> Result<Read<u64>, Malformed> {
        let from = match self.readable(cursor) {
            Read::Bytes(from) => from,
            other @ (Read::Nothing | Read::Fallen) => return Ok(other),
        };
        let mut to = from;
        while to - from < bytes_min {
            match self.entry_len(to) {
                Ok(len) if len <= self.end - to => to += len,
                Ok(_) | Err(Malformed::Short) => break,
                // The entries in front of it are whole: it is found again behind them.
                Err(_) if from < to => break,
                Err(malformed) => return Err(malformed),
            }
        }
        if to == from {
            return Ok(Read::Nothing);
        }
        self.copy(from, to, into);
        Ok(Read::Bytes(to - from))
    }

    /// Copies all between a cursor and `to`, behind what `into` has; answers how many bytes that
    /// is. The cursor goes on by [`Self::advance`].
    ///
    /// # Panics
    /// If the log has not so much.
    pub fn copy_upto(&mut self, cursor: CursorId, to: u64, into: &mut Vec<u8>) -> Read<u64> {
        match self.readable(cursor) {
            Read::Bytes(from) if from < to => {
                assert!(to <= self.end, "a cursor reads what is there");
                self.copy(from, to, into);
                Read::Bytes(to - from)
            }
            Read::Bytes(_) | Read::Nothing => Read::Nothing,
            Read::Fallen => Read::Fallen,
        }
    }

    /// Copies what stands between two offsets that are in the log.
    fn copy(&self, from: u64, to: u64, into: &mut Vec<u8>) {
        let mut at = from;
        while at < to {
            let piece = self.piece(at);
            let wanted = usize::try_from(to - at).map_or(piece.len(), |left| left.min(piece.len()));
            into.extend_from_slice(&piece[..wanted]);
            at += wanted as u64;
        }
    }

    /// A cursor has read so many bytes. One that has fallen out goes nowhere.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn advance(&mut self, cursor: CursorId, bytes: u64) {
        let end = self.end;
        let cursor = self.cursors.get_mut(cursor);
        let State::Reads = cursor.state else { return };
        assert!(bytes <= end - cursor.next, "a cursor reads what is there");
        let block_before = (cursor.next - self.start) / BLOCK;
        cursor.next += bytes;
        let block = (cursor.next - self.start) / BLOCK;
        if block_before < block {
            self.trim();
        }
    }

    /// Frees some of the blocks that need not be kept. True if there are more of them: then it is
    /// to be called again, between other work. What is appended frees some, too.
    pub fn trim(&mut self) -> bool {
        let kept_from = self.kept_from();
        for _ in 0..FREED_MAX {
            if self.blocks.len() < 2 || kept_from - self.start < BLOCK {
                return false;
            }
            self.free_first();
        }
        2 <= self.blocks.len() && BLOCK <= kept_from - self.start
    }

    /// The offset from which on everything is kept.
    fn kept_from(&self) -> u64 {
        let window_bytes = self.limits.window_bytes.max(WINDOW_BYTES_MIN);
        let held_bytes_max = self.limits.held_bytes_max.max(window_bytes);
        let window = self.end.saturating_sub(window_bytes);
        let lowest = self.end.saturating_sub(held_bytes_max);
        let held = self.cursors.lowest().unwrap_or(window);
        held.clamp(lowest, window).max(self.start)
    }

    /// Forgets the first block, which stays as a spare one if there are few.
    fn free_first(&mut self) {
        let Some(mut block) = self.blocks.pop_front() else { return };
        self.start += block.bytes().len() as u64;
        self.cursors.fall_before(self.start);
        if self.spare.len() < SPARE_MAX {
            block.clear();
            self.spare.push(block);
        }
    }

    /// Appends what does not fit into the last block. The end is already behind it.
    #[cold]
    fn append_across(&mut self, mut entries: &[u8]) -> Result<(), Shortened> {
        let mut result = Ok(());
        if let Some(last) = self.blocks.back_mut() {
            let (fits, rest) = entries.split_at(last.room());
            last.append(fits);
            entries = rest;
        }
        while !entries.is_empty() {
            // Before a block is taken, so that the one that leaves the window is it.
            self.trim();
            let mut block = match self.spare.pop().map_or_else(self.map, Ok) {
                Ok(block) => block,
                Err(_) => {
                    result = Err(Shortened);
                    self.free_first();
                    let Some(block) = self.spare.pop() else {
                        self.start = self.end;
                        self.cursors.fall_before(self.start);
                        return result;
                    };
                    block
                }
            };
            let (fits, rest) = entries.split_at(entries.len().min(block.room()));
            block.append(fits);
            self.blocks.push_back(block);
            entries = rest;
        }
        result
    }

    /// The offset of what a cursor reads next, if that is in the log.
    fn readable(&mut self, cursor: CursorId) -> Read<u64> {
        let end = self.end;
        let cursor = self.cursors.get_mut(cursor);
        match cursor.state {
            State::Reads if cursor.next < end => Read::Bytes(cursor.next),
            State::Reads | State::Told => Read::Nothing,
            State::Fell => {
                cursor.state = State::Told;
                Read::Fallen
            }
        }
    }

    /// What stands at `offset`, which is in the log and before its end, up to the end of the block.
    fn piece(&self, offset: u64) -> &[u8] {
        let place = offset - self.start;
        let block = usize::try_from(place / BLOCK).expect("blocks are in memory");
        let within = usize::try_from(place % BLOCK).expect("a block is small");
        &self.blocks[block].bytes()[within..]
    }

    /// How long the entry says it is that stands at `offset`: its first six bytes, little endian.
    /// Its kind does not matter here, nor whether all of it is there: `Header::decode` asks both.
    #[inline]
    fn entry_len(&self, offset: u64) -> Result<u64, Malformed> {
        if self.end - offset < HEADER as u64 {
            return Err(Malformed::Short);
        }
        let mut bytes = [0; LEN_BYTES];
        let piece = self.piece(offset);
        let here = piece.len().min(LEN_BYTES);
        bytes[..here].copy_from_slice(&piece[..here]);
        if here < LEN_BYTES {
            let rest = &self.piece(offset + here as u64)[..LEN_BYTES - here];
            bytes[here..LEN_BYTES].copy_from_slice(rest);
        }
        let len = len_of(bytes);
        if len < HEADER as u64 { Err(Malformed::Length) } else { Ok(len) }
    }
}

#[cfg(test)]
mod tests;
