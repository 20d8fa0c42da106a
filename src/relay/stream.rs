//! The stream: what all shards log, merged, or the bytes of the primary that this node follows. It
//! is kept for those who resume.
//!
//! ```text
//! logs of all shards --merge--\
//!                              >--> backlog --> replicas
//! units of a primary ---------/   (those that are applied)
//! ```
//! With the role of the node the source changes, and the backlog goes on: up to that place both
//! names of the stream mean the same bytes.

use shards::journal::entry::{HEADER, PART_PREFIX, PARTICIPANT};

use crate::config::table::Config;
use crate::journal::backlog::{Backlog, Limits};
use crate::journal::log::Shortened;
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::LogWord;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::replication::history::{Fence, LogId, Offset, Scalar, Whose};
use crate::replication::link::events::Position;
use crate::replication::merge::{Broken, Merge, Piece, Reading, Rest, SELECT_0, Segment, Stamp};
use crate::replication::psync::{Foreign, Former};
use crate::replication::replid::ReplId;
use crate::replication::split::Unit;

/// Bytes that a shard may show before what it has shown is merged.
const CREDIT_BYTES: u64 = 1 << 20;
/// Of these so many are given again in one letter.
const CREDIT_STEP: u64 = CREDIT_BYTES / 4;
/// What a replica has not read is kept at least this long: so much of a primary's stream may be
/// taken and not applied.
const HELD_BYTES_MIN: u64 = 8 << 20;

/// The stream, from where it began here.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub replid: ReplId,
    /// The name that it had before.
    pub former: Option<Former>,
    /// The stream that another node made of the same history.
    pub foreign: Option<Foreign>,
    /// What is kept of it.
    pub backlog: Backlog,
    source: Source,
    /// More can be freed of what was kept for a replica.
    has_spare: bool,
}

/// What is added to a stream.
#[derive(Debug)]
enum Source {
    /// What shards log, or apply of a primary's logs.
    Logs(Box<Merging>),
    /// What a primary has sent.
    Primary,
}

#[derive(Debug)]
struct Merging {
    reading: Reading,
    whose: Whose,
    merge: Merge,
    /// Up to where each shard has got credit again.
    credited: Vec<Offset>,
    /// More can be written as soon as the clock is later.
    is_due: bool,
}

impl Stream {
    /// A stream of logs that begins behind a fence, which all shards show first.
    pub fn of_logs(
        replid: ReplId,
        whose: Whose,
        fence: Fence,
        reading: Reading,
        config: &Config,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> Self {
        let backlog = Backlog::new(fence.scalar.0, limits(config));
        let source = Source::Logs(Box::new(Merging::begin(whose, fence, reading, mailbox)));
        let (former, foreign) = (None, None);
        Self { replid, former, foreign, backlog, source, has_spare: false }
    }

    /// The stream of a primary that goes on at this place, and had another name before, if any.
    pub fn of_primary(position: Position, former: Option<Former>, config: &Config) -> Self {
        let Position { id, offset, db: _ } = position;
        let backlog = Backlog::new(offset.0, limits(config));
        let (foreign, source) = (None, Source::Primary);
        Self { replid: id, former, foreign, backlog, source, has_spare: false }
    }

    /// Whether what shards log is added to it.
    pub fn is_of_own_logs(&self) -> bool {
        matches!(&self.source, Source::Logs(merging) if merging.whose == Whose::Own)
    }

    /// Whether it is made here of logs that are kept of a primary.
    pub fn is_of_kept_logs(&self) -> bool {
        matches!(&self.source, Source::Logs(merging) if merging.whose != Whose::Own)
    }

    /// Whether a primary's stream is added to it.
    pub fn is_of_primary(&self) -> bool {
        matches!(self.source, Source::Primary)
    }

    /// Keeps what the configuration says from now on.
    pub fn configure(&mut self, config: &Config) {
        self.backlog.resize(limits(config));
    }

    /// The logs have ended here, and a primary's stream goes on.
    pub fn follow(&mut self) {
        self.source = Source::Primary;
    }

    /// The stream goes on with logs from this fence on. If the primary had selected another
    /// database, the fence is behind a SELECT.
    pub fn lead(
        &mut self,
        whose: Whose,
        fence: Fence,
        reading: Reading,
        config: &Config,
        mailbox: &mut Mailbox<ToRelay>,
    ) {
        let Fence { scalar, .. } = fence;
        if self.end().after(SELECT_0.len() as u64) == scalar {
            // Without memory less is kept, and who needed that syncs.
            let _ = self.backlog.write(SELECT_0);
            self.backlog.end_unit();
        }
        if self.end() != scalar {
            self.backlog = Backlog::new(scalar.0, limits(config));
        }
        self.source = Source::Logs(Box::new(Merging::begin(whose, fence, reading, mailbox)));
    }

    /// Adds a unit of the primary, which is shown when it is applied.
    ///
    /// # Errors
    /// There was no memory: less is kept.
    ///
    /// # Panics
    /// If it does not follow the last one.
    pub fn append(&mut self, unit: &Unit<'_>) -> Result<(), Shortened> {
        assert_eq!(self.backlog.written(), unit.offset.0, "units follow each other");
        self.backlog.write(unit.raw)
    }

    /// All units of the primary up to this place are applied.
    pub fn applied(&mut self, upto: Scalar) {
        if self.end() < upto {
            self.backlog.end_units(upto.0);
        }
    }

    /// Takes what a shard shows, unless it shows that for a stream that was before. What it shows
    /// of a log that has ended is in the stream already.
    ///
    /// # Errors
    /// If it does not fit what the shard has shown before.
    pub fn take(&mut self, reading: Reading, segment: Segment) -> Result<(), Broken> {
        match &mut self.source {
            Source::Logs(merging) if merging.reading == reading => {
                merging.is_due = true;
                merging.merge.take(segment)
            }
            Source::Logs(_) | Source::Primary => Ok(()),
        }
    }

    /// Writes what may be written of logs: `clock` was read before the last segments were taken.
    /// Shards get credit for what is merged.
    ///
    /// # Errors
    /// If a log is not what shards write.
    pub fn go_on(
        &mut self,
        clock: Stamp,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> Result<Result<(), Shortened>, Broken> {
        let Self { backlog, source, .. } = self;
        let Source::Logs(merging) = source else { return Ok(Ok(())) };
        if !merging.is_due {
            return Ok(Ok(()));
        }
        let mut kept = Ok(());
        let rest = merging.merge.round(clock, |piece| match piece {
            Piece::Bytes(bytes) => kept = kept.and(backlog.write(bytes)),
            Piece::End(_) => backlog.end_unit(),
        })?;
        merging.is_due = rest == Rest::Clock;
        merging.give_credit(mailbox);
        Ok(kept)
    }

    /// Frees some of what was kept for replicas that have read it, or are gone.
    pub fn trim(&mut self) {
        self.has_spare = self.backlog.trim();
    }

    /// Whether there is more to do: to write, as soon as the clock is later, or to free.
    pub fn is_due(&self) -> bool {
        match &self.source {
            Source::Logs(merging) => merging.is_due || self.has_spare,
            Source::Primary => self.has_spare,
        }
    }

    /// The place up to which it can be read.
    pub fn end(&self) -> Scalar {
        Scalar(self.backlog.end())
    }
}

impl Merging {
    /// Has these logs shown from a fence on: of this node's own from the part on that it has there.
    fn begin(whose: Whose, fence: Fence, reading: Reading, mailbox: &mut Mailbox<ToRelay>) -> Self {
        let credited = fence.vector.offsets().to_vec();
        let (merge, part_bytes) = match whose {
            // All shards show the fence itself, so that it is known which have begun.
            Whose::Own => {
                let part_bytes = HEADER + PART_PREFIX + credited.len() * PARTICIPANT;
                (Merge::behind(fence.vector), part_bytes as u64)
            }
            Whose::Kept(_) => (Merge::new(fence.vector), 0),
        };
        for (number, offset) in (0..).zip(&credited) {
            let from = offset.0.saturating_sub(part_bytes);
            let word = LogWord::Open(reading, LogId { whose, number }, from, CREDIT_BYTES);
            mailbox.send(mailbox.shard_of(number), ToShard::Log(word));
        }
        Self { reading, whose, merge, credited, is_due: false }
    }

    fn give_credit(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let merged = self.merge.vector().offsets();
        for (number, (merged, credited)) in (0..).zip(merged.iter().zip(&mut self.credited)) {
            let bytes = merged.0 - credited.0;
            if CREDIT_STEP <= bytes {
                *credited = *merged;
                let id = LogId { whose: self.whose, number };
                mailbox.send(mailbox.shard_of(number), ToShard::Log(LogWord::Credit(id, bytes)));
            }
        }
    }
}

/// What the backlog keeps: so much that replicas resume from, and what they were not sent yet.
fn limits(config: &Config) -> Limits {
    let hard = config.client_output_buffer_limit.replica.hard_max();
    let held_bytes_max = hard.max(HELD_BYTES_MIN);
    Limits { size_bytes: config.repl_backlog_size, held_bytes_max }
}
