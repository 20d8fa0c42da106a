//! The stream of all logs: merged from what shards show, and kept for those who resume.

use crate::config::table::Config;
use crate::journal::backlog::{Backlog, Limits};
use crate::journal::log::Shortened;
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::LogWord;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::replication::history::{Fence, Offset, ReplId, Scalar};
use crate::replication::merge::{Broken, Merge, Piece, Rest, Segment, Stamp};

/// Bytes that a shard may show before what it has shown is merged.
const CREDIT_BYTES: u64 = 1 << 20;
/// Of these so many are given again in one letter.
const CREDIT_STEP: u64 = CREDIT_BYTES / 4;

/// The stream, from the fence on at which it began here.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub replid: ReplId,
    /// What is kept of it.
    pub backlog: Backlog,
    merge: Merge,
    /// Up to where each shard has got credit again.
    credited: Vec<Offset>,
    /// More can be written as soon as the clock is later.
    is_due: bool,
}

impl Stream {
    /// A stream that begins at a fence: all shards show their logs from there on.
    pub fn begin(
        replid: ReplId,
        fence: Fence,
        config: &Config,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> Self {
        let credited = fence.vector.offsets().to_vec();
        for (shard, offset) in credited.iter().enumerate() {
            let word = LogWord::Open(offset.0, CREDIT_BYTES);
            mailbox.send(shard, ToShard::Log(word));
        }
        let backlog = Backlog::new(fence.scalar.0, limits(config));
        Self { replid, backlog, merge: Merge::new(fence), credited, is_due: false }
    }

    /// Keeps what the configuration says from now on.
    pub fn configure(&mut self, config: &Config) {
        self.backlog.resize(limits(config));
    }

    /// Takes what a shard shows.
    ///
    /// # Errors
    /// If it does not fit what the shard has shown before.
    pub fn take(&mut self, segment: Segment) -> Result<(), Broken> {
        self.is_due = true;
        self.merge.take(segment)
    }

    /// Writes what may be written: `clock` was read before the last segments were taken. Shards
    /// get credit for what is merged.
    ///
    /// # Errors
    /// If a log is not what shards write.
    pub fn go_on(
        &mut self,
        clock: Stamp,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> Result<Result<(), Shortened>, Broken> {
        if !self.is_due {
            return Ok(Ok(()));
        }
        let Self { backlog, merge, .. } = self;
        let mut kept = Ok(());
        let rest = merge.round(clock, |piece| match piece {
            Piece::Bytes(bytes) => kept = kept.and(backlog.write(bytes)),
            Piece::End(_) => backlog.end_unit(),
        })?;
        self.is_due = rest == Rest::Clock;
        self.give_credit(mailbox);
        Ok(kept)
    }

    /// Whether more can be written as soon as the clock is later.
    pub fn is_due(&self) -> bool {
        self.is_due
    }

    /// The place up to which it is written.
    pub fn end(&self) -> Scalar {
        Scalar(self.backlog.end())
    }

    fn give_credit(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let merged = self.merge.vector().offsets();
        for (shard, (merged, credited)) in merged.iter().zip(&mut self.credited).enumerate() {
            let bytes = merged.0 - credited.0;
            if CREDIT_STEP <= bytes {
                *credited = *merged;
                mailbox.send(shard, ToShard::Log(LogWord::Credit(bytes)));
            }
        }
    }
}

/// What the backlog keeps: so much that replicas resume from, and what they were not sent yet.
fn limits(config: &Config) -> Limits {
    let hard = config.client_output_buffer_limit.replica.hard;
    let held_bytes_max = if hard == 0 { u64::MAX } else { hard };
    Limits { size_bytes: config.repl_backlog_size, held_bytes_max }
}
