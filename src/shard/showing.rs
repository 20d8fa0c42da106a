//! What commands have logged goes into the shard's log at the end of a turn, and is shown to the
//! relay before any letter or reply of the same turn.
//!
//! ```text
//! commands --> effects.log --take--> Log --segments, while there is credit--> relay
//!                                       `-- without credit: one empty segment, and the rest later
//! ```
//! The relay gives credit again when it has merged what it was shown. What it was not shown in time
//! falls out of the log: then the relay begins anew. The shard never waits for it.

use std::collections::VecDeque;

use crate::config::table::Config;
use crate::journal::cursors::{CursorId, Hold};
use crate::journal::log::{Limits, Log, Read, Shortened};
use crate::log;
use crate::mail::replica::LogWord;
use crate::mail::to_relay::ToRelay;
use crate::reactor::clock::Monotonic;
use crate::replication::history::Offset;
use crate::replication::merge::{Segment, Stamp};
use crate::shard::core::Core;

/// Bytes of one segment, and an entry.
const SEGMENT_BYTES: u64 = 64 << 10;
/// Room that is kept for what the next turn logs.
const ROOM_MAX: usize = 256 << 10;

/// A shard's log, and who reads it.
#[derive(Debug, Default)]
pub struct Showing {
    log: Option<Log>,
    relay: Option<Shown>,
}

/// What the relay is shown.
#[derive(Debug)]
struct Shown {
    cursor: CursorId,
    /// Bytes that it may still be shown; the last entry may be more than that.
    credit: u64,
    /// Up to where each turn has logged that was not shown yet, and when it would have been.
    turns: VecDeque<(u64, Stamp)>,
    /// It knows that something is kept back.
    is_marked: bool,
}

impl Showing {
    /// Bytes of memory that the log takes.
    pub fn memory_bytes(&self) -> usize {
        self.log.as_ref().map_or(0, Log::memory_bytes)
    }

    /// Keeps what the configuration says from now on.
    pub fn resize(&mut self, config: &Config, shards: u16) {
        if let Some(log) = &mut self.log {
            log.resize(limits(config, shards));
        }
    }
}

/// What each of so many logs keeps. What the relay was not shown yet is kept up to the limit that
/// replicas have: one large command may be longer than any window.
fn limits(config: &Config, shards: u16) -> Limits {
    let window_bytes = config.repl_backlog_size / u64::from(shards);
    let held_bytes_max = match config.client_output_buffer_limit.replica.hard {
        0 => u64::MAX,
        hard => hard,
    };
    Limits { window_bytes, held_bytes_max }
}

impl Core {
    /// Takes into the log what this turn has left, and shows it.
    #[inline]
    pub fn show_log(&mut self) {
        if self.shard.effects.keeps_log && !self.shard.effects.log.are_taken() {
            self.take_log();
        }
    }

    fn take_log(&mut self) {
        let (config, shards) = (&self.node.config, self.node.slots.shards());
        let showing = &mut self.showing;
        let mut took = Ok(());
        self.shard.effects.log.take(ROOM_MAX, |offset, entries, weight| {
            // A history begins, or goes on behind a time without a log.
            let is_other = |log: &Log| log.end() != offset;
            if showing.log.as_ref().is_none_or(is_other) {
                *showing = Showing::default();
            }
            let log = showing.log.get_or_insert_with(|| Log::new(offset, limits(config, shards)));
            took = log.append(entries, weight);
        });
        if let Err(Shortened) = took {
            log::warning("There is no memory for the log of a shard: replicas may have to sync");
        }
        let stamp = self.stamp();
        if let Showing { log: Some(log), relay: Some(shown) } = &mut self.showing {
            shown.turns.push_back((log.end(), stamp));
            self.show_relay();
        }
    }

    /// The moment as all threads count it.
    fn stamp(&self) -> Stamp {
        Stamp(Monotonic::now().nanos_since(self.node.started))
    }

    /// Shows the relay as much as there is credit for.
    fn show_relay(&mut self) {
        let log_number = self.shard_number();
        let Showing { log: Some(log), relay: Some(shown) } = &mut self.showing else { return };
        while let Some(&(upto, stamp)) = shown.turns.front() {
            let next = log.next(shown.cursor);
            let mut bytes = Vec::new();
            if 0 < shown.credit {
                let wanted = (upto - next).min(SEGMENT_BYTES);
                match log.copy_entries(shown.cursor, wanted, &mut bytes) {
                    Ok(Read::Bytes(count)) => {
                        log.advance(shown.cursor, count);
                        shown.credit = shown.credit.saturating_sub(count);
                        if next + count == upto {
                            shown.turns.pop_front();
                        }
                    }
                    Ok(Read::Fallen | Read::Nothing) | Err(_) => {
                        log.close(shown.cursor);
                        self.showing.relay = None;
                        return self.mailbox.tell_relay(ToRelay::Fell(log_number));
                    }
                }
            } else if std::mem::replace(&mut shown.is_marked, true) {
                return;
            }
            let is_last = bytes.is_empty();
            shown.is_marked = is_last;
            let segment = Segment { log: log_number, offset: Offset(next), stamp, bytes };
            self.mailbox.tell_relay(ToRelay::Segment(Box::new(segment)));
            if is_last {
                return;
            }
        }
    }

    /// The relay, or control, says something about this shard's log.
    pub(crate) fn hear_of_log(&mut self, word: LogWord) {
        match word {
            LogWord::Note(note) => self.shard.effects.log.push_note(note),
            LogWord::Close => self.showing = Showing::default(),
            LogWord::Open(offset, credit) => {
                self.show_log();
                self.open_to_relay(offset, credit);
                self.show_relay();
            }
            LogWord::Credit(bytes) => {
                self.show_log();
                if let Some(shown) = &mut self.showing.relay {
                    shown.credit = shown.credit.saturating_add(bytes);
                }
                self.show_relay();
            }
        }
    }

    /// Shows the relay the log from this offset on.
    fn open_to_relay(&mut self, offset: u64, credit: u64) {
        let (stamp, number) = (self.stamp(), self.shard_number());
        let Showing { log: Some(log), relay } = &mut self.showing else { return };
        if let Some(shown) = relay.take() {
            log.close(shown.cursor);
        }
        let Some(cursor) = log.open(offset, Hold::Unread) else {
            return self.mailbox.tell_relay(ToRelay::Fell(number));
        };
        let mut turns = VecDeque::new();
        if offset < log.end() {
            turns.push_back((log.end(), stamp));
        }
        *relay = Some(Shown { cursor, credit, turns, is_marked: false });
    }
}
