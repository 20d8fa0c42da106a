//! What has come of a primary's log and waits for the snapshot that it goes on from: bytes in
//! blocks outside of the heap, first in, first out.

use std::collections::VecDeque;
use std::io;

use crate::config::table::Config;
use crate::reactor::blocks::{BLOCK_BYTES, Block};

/// Bytes that a node may store, unless `repl-sync-log-limit` says how many: these, or a tenth of
/// `maxmemory` if that is more.
const LIMIT_BYTES: u64 = 256 << 20;
/// Blocks freed at once: each takes the system a few microseconds.
const FREED_MAX: usize = 4;

/// Bytes of a log.
#[derive(Debug, Default)]
pub struct Stored {
    blocks: VecDeque<Block>,
    bytes: u64,
}

/// Bytes that all shards may store together: `repl-sync-log-limit`.
pub fn limit(config: &Config) -> u64 {
    match config.repl_sync_log_limit {
        0 => LIMIT_BYTES.max(config.maxmemory / 10),
        bytes => bytes,
    }
}

impl Stored {
    /// Stores bytes behind those that there are.
    ///
    /// # Errors
    /// The system's, for want of memory. Then some of them are missing.
    pub fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.blocks.back().is_none_or(|last| last.room() == 0) {
                self.blocks.push_back(Block::new()?);
            }
            let Some(last) = self.blocks.back_mut() else { break };
            let (fits, rest) = bytes.split_at(bytes.len().min(last.room()));
            last.append(fits);
            self.bytes += fits.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Moves the first block's bytes behind what `into` has. False: there are none.
    pub fn pop(&mut self, into: &mut Vec<u8>) -> bool {
        let Some(first) = self.blocks.pop_front() else { return false };
        into.extend_from_slice(first.bytes());
        self.bytes -= first.bytes().len() as u64;
        true
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Bytes of memory that they take.
    pub fn memory_bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES + self.blocks.capacity() * size_of::<Block>()
    }

    /// Drops some of them. True if there are more.
    pub fn free_some(&mut self) -> bool {
        self.blocks.truncate(self.blocks.len().saturating_sub(FREED_MAX));
        !self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let (mut stored, mut out) = (Stored::default(), Vec::new());
        let all: Vec<u8> = (0..3 * BLOCK_BYTES + 7).map(|at| at.to_le_bytes()[0]).collect();
        for piece in all.chunks(50_001) {
            stored.push(piece).expect("there is memory");
        }
        assert_eq!(stored.bytes(), all.len() as u64);
        assert!(4 * BLOCK_BYTES <= stored.memory_bytes());
        assert!(stored.pop(&mut out));
        assert_eq!((out.len(), stored.bytes()), (BLOCK_BYTES, (all.len() - BLOCK_BYTES) as u64));
        while stored.pop(&mut out) {}
        assert_eq!((out, stored.bytes()), (all, 0));
        assert!(stored.is_empty());
    }

    #[test]
    fn what_is_dropped_goes_little_by_little() {
        let mut stored = Stored::default();
        stored.push(&vec![7; 2 * FREED_MAX * BLOCK_BYTES + 1]).expect("there is memory");
        assert!(stored.free_some() && stored.free_some() && !stored.free_some());
        assert!(stored.is_empty());
    }

    #[test]
    fn the_limit_grows_with_the_memory_of_the_node() {
        let config = |maxmemory, repl_sync_log_limit| Config {
            maxmemory,
            repl_sync_log_limit,
            ..Config::default()
        };
        assert_eq!(limit(&config(0, 0)), 256 << 20);
        assert_eq!(limit(&config(10 << 30, 0)), 1 << 30);
        assert_eq!(limit(&config(10 << 30, 5)), 5);
    }
}
