//! A log that a shard has, and who reads it: the relay, and replicas that take it by a connection
//! of their own.
//!
//! ```text
//! entries --> Log --segments, while there is credit--> relay
//!              |  `-- without credit: one empty segment, and the rest later
//!              `--frames--> replicas
//! ```
//! The relay gives credit again when it has merged what it was shown. The log keeps what the relay
//! was not shown yet, up to the limits of bytes and of turns. Beyond these the log has fallen out,
//! and the relay begins anew. The shard never waits for the relay.

use std::collections::VecDeque;

use crate::config::table::Config;
use crate::flows::outgoing::{Next, Outgoing};
use crate::journal::cursors::CursorId;
use crate::journal::log::{Limits, Log, Read, Shortened};
use crate::reactor::clock::Monotonic;
use crate::reactor::ring::Token;
use crate::replication::history::Offset;
use crate::replication::merge::{Reading, Segment, Stamp};
use crate::replication::session::SessionId;

/// Bytes of one segment, and an entry.
const SEGMENT_BYTES: u64 = 64 << 10;
/// Turns of which it is remembered when they logged: the relay asks for a log from a fence on that
/// was written a little earlier, and what was acknowledged meanwhile is to have its order.
const RECENT_MAX: usize = 4096;
/// Turns that have logged and were not shown: one that writes a byte takes memory, too.
const TURNS_MAX: usize = 1 << 20;

/// A log, and who reads it.
#[derive(Debug)]
pub struct Served {
    number: u16,
    log: Log,
    relay: Option<Shown>,
    /// Up to where the last turns have logged, and when.
    recent: VecDeque<(u64, Stamp)>,
    outgoing: Vec<Outgoing>,
}

/// What the relay is shown.
#[derive(Debug)]
struct Shown {
    reading: Reading,
    cursor: CursorId,
    /// Bytes that it may still be shown; the last entry may be more than that.
    credit: u64,
    /// Up to where turns have logged.
    noted: u64,
    /// Up to where each turn has logged that was not shown yet, and when it would have been.
    turns: VecDeque<(u64, Stamp)>,
    /// It knows that something is kept back.
    is_marked: bool,
}

/// The log has no more what the relay was not shown yet of what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fell(pub Reading);

/// A replica whose log is over, and its connection if it had one.
pub type Ended = (SessionId, Option<Token>);

/// What each of so many logs keeps. What a reader was not given yet is kept up to the limit that
/// replicas have: one large command may be longer than any window.
pub fn limits(config: &Config, logs: u16) -> Limits {
    let window_bytes = config.repl_backlog_size / u64::from(logs);
    let held_bytes_max = config.client_output_buffer_limit.replica.hard_max();
    Limits { window_bytes, held_bytes_max }
}

impl Shown {
    /// Notes that a turn has logged up to here. False if too many turns were not shown.
    fn note_turn(&mut self, end: u64, stamp: Stamp) -> bool {
        if self.noted < end {
            self.noted = end;
            self.turns.push_back((end, stamp));
        }
        self.turns.len() <= TURNS_MAX
    }
}

impl Served {
    /// The log of this number, which none reads.
    pub fn new(number: u16, log: Log) -> Self {
        Self { number, log, relay: None, recent: VecDeque::new(), outgoing: Vec::new() }
    }

    /// The log's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The place behind the last entry.
    pub fn end(&self) -> Offset {
        Offset(self.log.end())
    }

    /// Appends whole entries.
    ///
    /// # Errors
    /// For want of memory less can be read than was promised.
    #[inline]
    pub fn append(&mut self, entries: &[u8]) -> Result<(), Shortened> {
        self.log.append(entries)
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.log.memory_bytes()
    }

    /// Keeps more or less from now on.
    pub fn resize(&mut self, limits: Limits) {
        self.log.resize(limits);
    }

    /// Frees some of what was kept for readers. True if there is more of it.
    pub fn trim(&mut self) -> bool {
        self.log.trim()
    }

    /// Those it was sent to, when it ends.
    pub fn end_all(self) -> impl Iterator<Item = Ended> {
        self.outgoing.into_iter().map(|outgoing| (outgoing.session, outgoing.token()))
    }
}

/// For replicas.
impl Served {
    /// Keeps the log from here on for a replica. False: it does not have that.
    pub fn open(&mut self, session: SessionId, offset: Offset) -> bool {
        let opened = Outgoing::open(session, &mut self.log, offset);
        let is_there = opened.is_some();
        self.outgoing.extend(opened);
        is_there
    }

    /// Sends it to a replica by this connection. False if it has one, or its session is over.
    pub fn connect(&mut self, session: SessionId, token: Token) -> bool {
        let mut outgoing = self.outgoing.iter_mut();
        let outgoing = outgoing.find(|outgoing| outgoing.session == session);
        outgoing.is_some_and(|outgoing| outgoing.connect(token))
    }

    /// Ends it for a replica; its connection, if it had one.
    pub fn close(&mut self, session: SessionId) -> Option<Token> {
        let at = self.outgoing.iter().position(|outgoing| outgoing.session == session)?;
        let outgoing = self.outgoing.swap_remove(at);
        let token = outgoing.token();
        outgoing.close(&mut self.log);
        token
    }

    /// Whether it goes to replicas.
    #[inline]
    pub fn has_replicas(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The replica to which it goes by this connection.
    pub fn session_of(&self, token: Token) -> Option<SessionId> {
        let mut outgoing = self.outgoing.iter();
        let outgoing = outgoing.find(|outgoing| outgoing.token() == Some(token));
        outgoing.map(|outgoing| outgoing.session)
    }

    /// The system has taken what was sent by this connection.
    pub fn sent(&mut self, token: Token, buffer: Vec<u8>) {
        let mut outgoing = self.outgoing.iter_mut();
        if let Some(outgoing) = outgoing.find(|outgoing| outgoing.token() == Some(token)) {
            outgoing.sent(buffer);
        }
    }

    /// Gives what is to be sent now, and the replicas that have fallen out.
    pub fn send(
        &mut self,
        now: Monotonic,
        mut send: impl FnMut(Token, Vec<u8>),
        mut fell: impl FnMut(SessionId),
    ) {
        for outgoing in &mut self.outgoing {
            match outgoing.next(&mut self.log, self.number, now) {
                Next::Nothing => {}
                Next::Send(token, bytes) => send(token, bytes),
                Next::Fallen => fell(outgoing.session),
            }
        }
    }

    /// Control waits until replicas have what the log has now: they are sent it without delay.
    pub fn hurry(&mut self) {
        self.outgoing.iter_mut().for_each(Outgoing::hurry);
    }

    /// In how many microseconds replicas are to be sent something.
    pub fn due_micros(&self, now: Monotonic) -> Option<u64> {
        self.outgoing.iter().filter_map(|outgoing| outgoing.due_micros(now)).min()
    }
}

/// For the relay.
impl Served {
    /// Shows the relay the log from this offset on, so many bytes at first.
    ///
    /// # Errors
    /// It does not have that.
    pub fn open_to_relay(
        &mut self,
        reading: Reading,
        offset: u64,
        credit: u64,
        now: Stamp,
    ) -> Result<(), Fell> {
        self.close_to_relay();
        let cursor = self.log.open(offset).ok_or(Fell(reading))?;
        let (noted, turns) = (self.log.end(), self.turns_behind(offset, now));
        self.relay = Some(Shown { reading, cursor, credit, noted, turns, is_marked: false });
        Ok(())
    }

    /// The turns that have logged behind an offset. Of those that are not remembered one stands
    /// for all.
    fn turns_behind(&self, offset: u64, now: Stamp) -> VecDeque<(u64, Stamp)> {
        let is_behind = |turn: &&(u64, Stamp)| offset < turn.0;
        let mut turns: VecDeque<_> = self.recent.iter().filter(is_behind).copied().collect();
        if turns.is_empty() && offset < self.log.end() {
            turns.push_back((self.log.end(), now));
        }
        turns
    }

    /// The relay may be shown so many bytes more.
    pub fn give_credit(&mut self, bytes: u64) {
        if let Some(shown) = &mut self.relay {
            shown.credit = shown.credit.saturating_add(bytes);
        }
    }

    /// Whether the relay is shown it.
    pub fn is_shown(&self) -> bool {
        self.relay.is_some()
    }

    /// Whether the relay may be shown more than it was.
    #[inline]
    pub fn has_news(&self) -> bool {
        let has_news = |shown: &Shown| shown.noted < self.log.end() || !shown.turns.is_empty();
        self.relay.as_ref().is_some_and(has_news)
    }

    /// Notes that a turn has added to it what commands have logged.
    ///
    /// # Errors
    /// The relay was not shown too many turns.
    pub fn note_turn(&mut self, now: Stamp) -> Result<(), Fell> {
        if RECENT_MAX <= self.recent.len() {
            self.recent.pop_front();
        }
        self.recent.push_back((self.log.end(), now));
        self.note_applied(now)
    }

    /// Notes that a turn has added to it what was applied, if anything was.
    ///
    /// # Errors
    /// The relay was not shown too many turns.
    pub fn note_applied(&mut self, now: Stamp) -> Result<(), Fell> {
        let Some(shown) = &mut self.relay else { return Ok(()) };
        if shown.note_turn(self.log.end(), now) { Ok(()) } else { Err(Fell(shown.reading)) }
    }

    /// Gives what the relay is to be shown, as much as there is credit for.
    ///
    /// # Errors
    /// What it would be shown next is there no more.
    pub fn show(&mut self, mut tell: impl FnMut(Reading, Segment)) -> Result<(), Fell> {
        let Self { number, log, relay: Some(shown), .. } = self else { return Ok(()) };
        while let Some(&(upto, stamp)) = shown.turns.front() {
            let next = log.next(shown.cursor);
            let mut bytes = Vec::new();
            if 0 < shown.credit {
                // A turn ends behind a whole entry: nearly always nothing is looked for.
                let copied = if upto - next <= SEGMENT_BYTES {
                    Ok(log.copy_upto(shown.cursor, upto, &mut bytes))
                } else {
                    log.copy_entries(shown.cursor, SEGMENT_BYTES, &mut bytes)
                };
                match copied {
                    Ok(Read::Bytes(count)) => {
                        log.advance(shown.cursor, count);
                        shown.credit = shown.credit.saturating_sub(count);
                        if next + count == upto {
                            shown.turns.pop_front();
                        }
                    }
                    Ok(Read::Fallen | Read::Nothing) | Err(_) => return Err(Fell(shown.reading)),
                }
            } else if std::mem::replace(&mut shown.is_marked, true) {
                return Ok(());
            }
            let is_kept_back = bytes.is_empty();
            shown.is_marked = is_kept_back;
            tell(shown.reading, Segment { log: *number, offset: Offset(next), stamp, bytes });
            if is_kept_back {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Shows the relay nothing more.
    pub fn close_to_relay(&mut self) {
        if let Some(shown) = self.relay.take() {
            self.log.close(shown.cursor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_before_a_stream_begins_keep_their_moments() {
        let limits = Limits { window_bytes: 1 << 20, held_bytes_max: 1 << 20 };
        let served = || Served::new(0, Log::new(0, limits));
        let append = |served: &mut Served| served.append(&[7; 10]).expect("there is memory");
        let mut known = served();
        for turn in 1..=RECENT_MAX as u64 + 2 {
            append(&mut known);
            known.note_turn(Stamp(turn)).expect("the relay wants nothing");
        }
        assert_eq!(known.recent.len(), RECENT_MAX);
        let (end, last) = (known.end().0, RECENT_MAX as u64 + 2);
        let turns = known.turns_behind(end - 20, Stamp(u64::MAX));
        assert_eq!(turns, [(end - 10, Stamp(last - 1)), (end, Stamp(last))]);
        assert_eq!(known.turns_behind(end, Stamp(9)), []);
        let mut unknown = served();
        append(&mut unknown);
        assert_eq!(unknown.turns_behind(9, Stamp(9)), [(10, Stamp(9))]);
    }

    #[test]
    fn turns_that_were_not_shown_are_bounded() {
        let limits = Limits { window_bytes: 1 << 20, held_bytes_max: 1 << 20 };
        let (mut served, reading) = (Served::new(0, Log::new(0, limits)), Reading(1));
        let turn = |served: &mut Served, stamp| {
            served.append(b"x").expect("there is memory");
            served.note_turn(Stamp(stamp))
        };
        assert_eq!(turn(&mut served, 0), Ok(()), "the relay wants nothing");
        served.open_to_relay(reading, 1, 0, Stamp(0)).expect("it is there");
        let mut turns = 1..=TURNS_MAX as u64;
        assert!(turns.all(|stamp| turn(&mut served, stamp).is_ok()));
        assert_eq!(served.note_applied(Stamp(u64::MAX)), Ok(()), "nothing was added");
        assert_eq!(turn(&mut served, u64::MAX), Err(Fell(reading)));
    }
}
