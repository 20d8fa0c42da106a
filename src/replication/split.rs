//! The stream of a stock primary, taken apart: bytes in whatever pieces, whole units out.
//!
//! ```text
//! SELECT n            kept: the database of what follows, also after a reconnect
//! MULTI .. EXEC       one unit, held until EXEC is there
//! PING, REPLCONF      units that change nothing; GETACK wants an answer
//! other commands      a unit each
//! ```
//! Every byte belongs to one unit, so offsets are exact. [`Split::received`] is the end of the last
//! unit that was given out: there a reconnect asks for more, and what stands behind is dropped.
//! Which shards a unit touches is not decided here.

pub mod gathered;

use shards::base::number::parse_u64;
use shards::resp::parser::{Limits, Parser, Range, Step};

use crate::replication::failure::Malformed;
use crate::replication::history::Scalar;

/// Bytes of units that were given out that may lie in front of what comes.
const SPENT_BYTES_MAX: usize = 64 << 10;
/// Room that is kept while no bytes wait.
const IDLE_ROOM_MAX: usize = 1 << 20;

/// Takes a stream apart.
#[derive(Debug)]
pub struct Split {
    parser: Parser,
    limits: Limits,
    unit_bytes_max: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the unit begins that is gathered or whole.
    start: usize,
    /// Where in the buffer the parser goes on: behind the last whole command.
    at: usize,
    /// The offset of the buffer's first byte.
    base: Scalar,
    /// The database of what comes next.
    db: u16,
    /// The same at the beginning of the unit.
    first_db: u16,
    phase: Phase,
    commands: Vec<Place>,
    ranges: Vec<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between units: nothing of the next one is taken.
    Between,
    /// Behind a MULTI.
    Gathering,
    /// The unit from `start` to `at` is whole.
    Whole(Kind),
    /// Behind the last whole unit the stream is malformed.
    Broken(Malformed),
}

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands that take effect at once.
    Commands,
    /// Nothing that changes keys: PING, SELECT, an empty line or transaction.
    Nothing,
    /// The primary asks for an acknowledgement of all in front of it.
    GetAck,
}

/// A command's place in the buffer.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
    db: u16,
    /// Where its arguments end in the list of all of the unit.
    ranges_end: usize,
}

/// What takes effect at once.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// What it is.
    pub kind: Kind,
    /// The database of its first command.
    pub db: u16,
    /// The offset of its first byte.
    pub offset: Scalar,
    /// All of its bytes, MULTI and EXEC included: what a backlog keeps.
    pub raw: &'a [u8],
    buffer: &'a [u8],
    places: &'a [Place],
    ranges: &'a [Range],
}

/// A command of a unit.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// In which database it runs.
    pub db: u16,
    /// It as it came: a RESP array.
    pub raw: &'a [u8],
    ranges: &'a [Range],
}

impl Split {
    /// Of a stream that goes on at `offset`, in this database.
    pub fn new(offset: Scalar, db: u16, bulk_bytes_max: u64, unit_bytes_max: usize) -> Self {
        Self {
            parser: Parser::default(),
            limits: Limits { bulk_bytes_max, authenticated: true },
            unit_bytes_max,
            buffer: Vec::new(),
            start: 0,
            at: 0,
            base: offset,
            db,
            first_db: db,
            phase: Phase::Between,
            commands: Vec::new(),
            ranges: Vec::new(),
        }
    }

    /// The end of the last unit that was given out.
    pub fn received(&self) -> Scalar {
        let end = if self.phase == Phase::Gathering { self.start } else { self.at };
        self.base.after(end as u64)
    }

    /// The database there.
    pub fn db(&self) -> u16 {
        if self.phase == Phase::Gathering { self.first_db } else { self.db }
    }

    /// The offset behind all bytes that have come.
    pub fn read(&self) -> Scalar {
        self.base.after(self.buffer.len() as u64)
    }

    /// Adds bytes, and forgets the unit that was given out.
    pub fn push(&mut self, bytes: &[u8]) {
        self.release();
        if self.start == self.buffer.len() || SPENT_BYTES_MAX <= self.start {
            self.forget_spent();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Goes on to the next unit, and forgets the one before it. False if it is not complete.
    ///
    /// # Errors
    /// If the stream is malformed. It stays so.
    pub fn advance(&mut self) -> Result<bool, Malformed> {
        self.release();
        if let Phase::Broken(malformed) = self.phase {
            return Err(malformed);
        }
        let advanced = self.gather();
        if let Err(malformed) = advanced {
            // Where it broke off nothing is whole, so what was given out ends where it did.
            self.at = self.start;
            self.db = self.first_db;
            self.phase = Phase::Broken(malformed);
        }
        advanced
    }

    fn gather(&mut self) -> Result<bool, Malformed> {
        while self.at < self.buffer.len() {
            let first = self.ranges.len();
            let input = &self.buffer[self.at..];
            let step = self.parser.step(input, &mut self.ranges, &self.limits);
            let kind = match step.map_err(Malformed::Protocol)? {
                Step::Request { consumed } => self.take(first, consumed)?,
                // A transaction goes on behind it; elsewhere these bytes are a unit.
                Step::Nothing { consumed } => {
                    self.at += consumed;
                    (self.phase == Phase::Between).then_some(Kind::Nothing)
                }
                Step::Inline { .. } => return Err(Malformed::Inline),
                Step::More { at_least } => {
                    self.check_bytes(self.at.saturating_add(at_least))?;
                    return Ok(false);
                }
            };
            self.check_bytes(self.at)?;
            if let Some(kind) = kind {
                self.phase = Phase::Whole(kind);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The unit to which [`Self::advance`] went on, until it goes on again. `None` if that was
    /// not complete.
    pub fn unit(&self) -> Option<Unit<'_>> {
        let Phase::Whole(kind) = self.phase else { return None };
        Some(Unit {
            kind,
            db: self.commands.first().map_or(self.first_db, |place| place.db),
            offset: self.base.after(self.start as u64),
            raw: &self.buffer[self.start..self.at],
            buffer: &self.buffer,
            places: &self.commands,
            ranges: &self.ranges,
        })
    }

    /// Takes the command at `self.at`, whose arguments begin at `first`. What the unit is, if that
    /// makes it whole.
    fn take(&mut self, first: usize, consumed: usize) -> Result<Option<Kind>, Malformed> {
        let start = self.at;
        self.at += consumed;
        let input = &self.buffer[start..self.at];
        let name = self.ranges[first].of(input);
        let is_gathering = self.phase == Phase::Gathering;
        let word = Word::of(name);
        if word != Word::Command {
            let arg = self.ranges.get(first + 1).map(|range| range.of(input));
            let kind = match (word, is_gathering) {
                (Word::Select, _) => {
                    let count = self.ranges.len() - first;
                    let db = arg.filter(|_| count == 2).and_then(parse_u64);
                    let db = db.and_then(|db| u16::try_from(db).ok());
                    self.db = db.ok_or(Malformed::Select)?;
                    Kind::Nothing
                }
                (Word::Replconf, _) if arg.is_some_and(is_getack) => Kind::GetAck,
                (Word::Ping | Word::Replconf, _) => Kind::Nothing,
                (Word::Multi, true) => return Err(Malformed::Nested),
                (Word::Multi, false) => {
                    self.phase = Phase::Gathering;
                    Kind::Nothing
                }
                (Word::Exec, true) if self.commands.is_empty() => Kind::Nothing,
                (Word::Exec, true) => Kind::Commands,
                (Word::Exec, false) | (Word::Discard, _) => return Err(Malformed::Unopened),
                (Word::Command, _) => Kind::Commands,
            };
            self.ranges.truncate(first);
            let is_whole = self.phase == Phase::Between || word == Word::Exec;
            return Ok(is_whole.then_some(kind));
        }
        let ranges_end = self.ranges.len();
        self.commands.push(Place { start, end: self.at, db: self.db, ranges_end });
        Ok((!is_gathering).then_some(Kind::Commands))
    }

    fn check_bytes(&self, end: usize) -> Result<(), Malformed> {
        if end - self.start <= self.unit_bytes_max { Ok(()) } else { Err(Malformed::TooLong) }
    }

    /// Begins the next unit behind the one that was given out.
    fn release(&mut self) {
        if let Phase::Between | Phase::Whole(_) = self.phase {
            (self.start, self.first_db, self.phase) = (self.at, self.db, Phase::Between);
            self.commands.clear();
            self.ranges.clear();
        }
    }

    /// Drops the bytes in front of the unit.
    fn forget_spent(&mut self) {
        let spent = std::mem::take(&mut self.start);
        if spent == self.buffer.len() && IDLE_ROOM_MAX < self.buffer.capacity() {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..spent);
        }
        self.base = self.base.after(spent as u64);
        self.at -= spent;
        for place in &mut self.commands {
            place.start -= spent;
            place.end -= spent;
        }
    }
}

impl<'a> Unit<'a> {
    /// The offset behind its last byte.
    pub fn end(&self) -> Scalar {
        self.offset.after(self.raw.len() as u64)
    }

    /// Its commands in their order, without SELECT, MULTI, EXEC and whatever else is not applied.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = Command<'a>> + use<'a> {
        let Self { buffer, places, ranges, .. } = *self;
        let mut first = 0;
        places.iter().map(move |place| {
            let ranges = &ranges[first..place.ranges_end];
            first = place.ranges_end;
            Command { db: place.db, raw: &buffer[place.start..place.end], ranges }
        })
    }
}

impl<'a> Command<'a> {
    /// The places of its arguments in `raw`, its name first.
    pub fn ranges(&self) -> &'a [Range] {
        self.ranges
    }

    /// Its arguments, its name first.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let raw = self.raw;
        self.ranges.iter().map(move |range| range.of(raw))
    }

    /// Puts its arguments in `args`, and nothing else.
    pub fn put_args(&self, args: &mut Vec<&'a [u8]>) {
        args.clear();
        args.extend(self.args());
    }
}

/// Commands that are not applied as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Command,
    Select,
    Multi,
    Exec,
    Discard,
    Ping,
    Replconf,
}

impl Word {
    fn of(name: &[u8]) -> Self {
        let words: [(&[u8], Self); 6] = [
            (b"SELECT", Self::Select),
            (b"MULTI", Self::Multi),
            (b"EXEC", Self::Exec),
            (b"DISCARD", Self::Discard),
            (b"PING", Self::Ping),
            (b"REPLCONF", Self::Replconf),
        ];
        let found = words.iter().find(|(word, _)| name.eq_ignore_ascii_case(word));
        found.map_or(Self::Command, |(_, word)| *word)
    }
}

fn is_getack(arg: &[u8]) -> bool {
    arg.eq_ignore_ascii_case(b"GETACK")
}

#[cfg(test)]
pub mod tests;
