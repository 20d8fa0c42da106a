//! A lane: what one log has shown and the stream does not have yet.

use std::collections::VecDeque;

use shards::journal::entry::Malformed;
use shards::journal::reader::{Entry, Part, What};

use super::{Fault, Segment, Stamp};
use crate::replication::history::Offset;

/// What stands first in a lane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// Nothing: what the shard has not shown by now is later than this round.
    Nothing,
    /// What the shard keeps back from this stamp on.
    KeptBack(Stamp),
    /// A unit or a note.
    Plain(Stamp),
    /// A part of a transaction.
    Part {
        stamp: Stamp,
        txid: u64,
        /// The first participant, in whose lane the transaction is looked after.
        first: u16,
        /// The participant whose part was missing last; at first this one.
        waits_for: u16,
    },
}

#[derive(Debug)]
pub(super) struct Lane {
    /// None is empty. Of the first, the bytes before `at` are in the stream.
    segments: VecDeque<Shown>,
    at: usize,
    /// What the shard keeps back behind all segments.
    kept_back: Option<Stamp>,
    /// The stamp of what was shown last.
    stamp: Stamp,
    /// Where the next segment begins.
    end: Offset,
    /// Nothing was taken yet, so the next segment may begin in front of `end`.
    is_new: bool,
    /// The number of the last part that was a head.
    txid: Option<u64>,
}

#[derive(Debug)]
struct Shown {
    stamp: Stamp,
    bytes: Vec<u8>,
}

impl Lane {
    /// Keeps everything back until the log shows something.
    pub(super) fn await_fence(&mut self) {
        self.kept_back = Some(Stamp::default());
    }

    pub(super) fn new(start: Offset) -> Self {
        Self {
            segments: VecDeque::new(),
            at: 0,
            kept_back: None,
            stamp: Stamp::default(),
            end: start,
            is_new: true,
            txid: None,
        }
    }

    /// Takes what the log shows.
    pub(super) fn take(&mut self, segment: Segment) -> Result<(), Fault> {
        let Segment { offset, stamp, bytes, .. } = segment;
        if stamp < self.stamp {
            return Err(Fault::Stamp);
        }
        self.stamp = stamp;
        if bytes.is_empty() {
            self.kept_back = Some(stamp);
            return Ok(());
        }
        let end = offset.after(bytes.len() as u64);
        if self.is_new && offset < self.end {
            if self.end < end {
                self.at = usize::try_from(self.end.0 - offset.0).expect("it is within the bytes");
            } else {
                self.kept_back = None;
                return Ok(());
            }
        } else if offset != self.end {
            return Err(Fault::Gap(self.end));
        }
        (self.is_new, self.kept_back, self.end) = (false, None, end);
        self.segments.push_back(Shown { stamp, bytes });
        Ok(())
    }

    /// What stands first now. To be called once for each head: numbers of transactions ascend.
    pub(super) fn look(&mut self, log: u16, logs: usize) -> Result<Head, Fault> {
        let Some(shown) = self.segments.front() else {
            return Ok(self.kept_back.map_or(Head::Nothing, Head::KeptBack));
        };
        let stamp = shown.stamp;
        let entry = Entry::decode(&shown.bytes[self.at..]).map_err(Fault::Malformed)?;
        let What::Part(Part { txid, participants }) = entry.what else {
            return Ok(Head::Plain(stamp));
        };
        entry.belongs_to(log).map_err(Fault::Malformed)?;
        if let Some(stranger) = participants.iter().find(|log| logs <= usize::from(*log)) {
            return Err(Fault::Participant(stranger));
        }
        match self.txid {
            Some(last) if txid <= last => return Err(Fault::Txid(last)),
            Some(_) | None => self.txid = Some(txid),
        }
        Ok(Head::Part { stamp, txid, first: participants.first(), waits_for: log })
    }

    /// The entry that stands first. `None`: nothing is there.
    pub(super) fn entry(&self) -> Option<Result<Entry<'_>, Malformed>> {
        self.segments.front().map(|shown| Entry::decode(&shown.bytes[self.at..]))
    }

    /// The part that stands first, and whether it has no commands. `None`: none stands there.
    pub(super) fn part(&self) -> Option<(Part<'_>, bool)> {
        let entry = self.entry()?.ok()?;
        match entry.what {
            What::Part(part) => Some((part, entry.commands.is_empty())),
            What::Unit | What::Note(_) => None,
        }
    }

    /// The number of the last part that stood first or stands there. `None`: there was none.
    pub(super) fn last_txid(&self) -> Option<u64> {
        self.txid
    }

    /// So many bytes are in the stream. True: that was the last of the segment.
    pub(super) fn advance(&mut self, len: usize) -> bool {
        self.at += len;
        let is_done = self.segments.front().is_none_or(|shown| shown.bytes.len() <= self.at);
        if is_done {
            self.segments.pop_front();
            self.at = 0;
        }
        is_done
    }
}
