//! Buffers and batches that are kept for their room, from one use to the next.

use crate::batches::batch::Batch;
use crate::clients::client::Client;
use crate::clients::client::ReplyMode;
use crate::shard::core::Core;

/// How many of a kind are kept, and how many bytes they may take together.
const KEPT_MAX: usize = 64;
const KEPT_BYTES_MAX: usize = 1 << 20;
/// How many bytes a buffer may take that is kept, and a batch, which has several.
pub(crate) const BYTES_MAX: usize = 64 << 10;
const BATCH_BYTES_MAX: usize = 4 * BYTES_MAX;

/// What is kept.
#[derive(Debug, Default)]
pub struct Spare {
    buffers: Pool<Vec<u8>>,
    batches: Pool<Box<Batch>>,
}

/// What is kept of a kind, each with the bytes that it takes.
#[derive(Debug)]
struct Pool<T> {
    kept: Vec<(T, usize)>,
    bytes: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), bytes: 0 }
    }
}

impl<T> Pool<T> {
    #[inline]
    fn take(&mut self) -> Option<T> {
        let (item, bytes) = self.kept.pop()?;
        self.bytes -= bytes;
        Some(item)
    }

    #[inline]
    fn keep(&mut self, item: T, bytes: usize, bytes_max: usize) {
        let has_place = self.kept.len() < KEPT_MAX && self.bytes + bytes <= KEPT_BYTES_MAX;
        if has_place && (1..=bytes_max).contains(&bytes) {
            self.bytes += bytes;
            self.kept.push((item, bytes));
        }
    }
}

impl Core {
    /// A buffer for replies, with room from an earlier use if there is one.
    #[inline]
    pub fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare.buffers.take().unwrap_or_default()
    }

    /// Keeps a buffer for reuse.
    #[inline]
    pub fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        let bytes = buffer.capacity();
        self.spare.buffers.keep(buffer, bytes, BYTES_MAX);
    }

    /// An empty batch that sets out for a client, with room from an earlier journey if there is
    /// one.
    pub(crate) fn new_batch(&mut self, client: &Client) -> Box<Batch> {
        let mut batch = self.spare.batches.take().unwrap_or_default();
        batch.home = self.me();
        batch.token = client.token;
        batch.client = client.id;
        batch.peer = client.peer;
        batch.is_muted = client.session.reply != ReplyMode::On;
        batch.passport = client.passport(&self.node.config);
        batch.epoch = Some(self.quiesce.epochs.begin());
        batch
    }

    /// Keeps a batch for its room whose requests are done, or will never be.
    pub(crate) fn recycle(&mut self, mut batch: Box<Batch>) {
        if let Some(epoch) = batch.epoch.take()
            && batch.home == self.me()
        {
            self.quiesce.epochs.end(epoch);
        }
        batch.clear();
        let bytes = batch.capacity();
        self.spare.batches.keep(batch, bytes, BATCH_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_by_number_size_and_sum() {
        let mut pool = Pool::default();
        for (bytes, kept) in [(0, 0), (BYTES_MAX + 1, 0), (1, KEPT_MAX), (BYTES_MAX, 16)] {
            (0..100).for_each(|number| pool.keep(number, bytes, BYTES_MAX));
            let taken: Vec<i32> = std::iter::from_fn(|| pool.take()).collect();
            assert_eq!((taken.len(), pool.bytes), (kept, 0), "{bytes} bytes each");
        }
    }
}
