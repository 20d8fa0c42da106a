//! Buffers and batches that are kept for their room, from one use to the next.

use crate::batches::batch::Batch;
use crate::clients::client::Client;
use crate::clients::client::ReplyMode;
use crate::shard::core::Core;

/// How many of each are kept, and how large they may be.
const KEPT_MAX: usize = 64;
pub(crate) const BYTES_MAX: usize = 64 << 10;

/// What is kept.
#[derive(Debug, Default)]
pub struct Spare {
    buffers: Vec<Vec<u8>>,
    batches: Vec<Box<Batch>>,
}

impl Core {
    /// A buffer for replies, with room from an earlier use if there is one.
    #[inline]
    pub fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare.buffers.pop().unwrap_or_default()
    }

    /// Keeps a buffer for reuse.
    #[inline]
    pub fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        let buffers = &mut self.spare.buffers;
        if buffers.len() < KEPT_MAX && (1..=BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// An empty batch that sets out for a client, with room from an earlier journey if there is
    /// one.
    pub(crate) fn new_batch(&mut self, client: &Client) -> Box<Batch> {
        let mut batch = self.spare.batches.pop().unwrap_or_default();
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
        if self.spare.batches.len() < KEPT_MAX && batch.clear(BYTES_MAX) {
            self.spare.batches.push(batch);
        }
    }
}
