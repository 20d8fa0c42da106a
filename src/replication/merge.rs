//! The logs of all shards as one stream of commands, for replicas that know no logs.
//!
//! ```text
//!  log 0  [segment][segment] ---> lane 0 \
//!  log 1  [segment] kept back --> lane 1 - round(clock) ---> bytes, End | bytes, bytes, End | ...
//!  log 2  ----------------------> lane 2 /
//! ```
//! A shard shows what a turn has logged as a segment, with the moment at which it shows it: its
//! stamp. A shard that has no credit shows an empty segment instead: something is kept back from
//! that stamp on. Of what stands first in each lane, the entry with the smallest stamp is written
//! next. A part waits for the other parts of its transaction, which has the largest of their
//! stamps; the other lanes go on up to theirs. All logs have transactions in one order, so none
//! waits for a later one.
//!
//! A round writes only what has a smaller stamp than its clock, which was read before the segments
//! were taken. What has such a stamp and is not there yet was not acknowledged when the round
//! began, so nothing in the round can depend on it.
//!
//! Logs of a former history, whose stamps are not known, are merged with one stamp for all: any
//! order is as good as another, if only it is decided once.
//!
//! Promised: each log's order, transactions whole, and what was acknowledged before something else
//! began stands before it, unless a part that waits stands before it. Nothing here waits, reads a
//! clock or allocates per entry. What lanes hold is limited by the credit that shards are given.

mod lane;

use std::fmt;

use shards::journal::entry::{Malformed, Note};
use shards::journal::reader::{Entry, What};
use shards::resp::request;

use crate::replication::history::{Offset, Vector};
use lane::{Head, Lane};

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
/// What brings a stream that was in another database to where those of logs are between units.
pub const SELECT_0: &[u8] = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";

/// A moment of a clock that all threads share and that never goes back, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

/// What a shard shows of its log.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The log.
    pub log: u16,
    /// The place of the first byte; without bytes, of what is kept back.
    pub offset: Offset,
    /// When the shard showed it, or would have if it had had credit. Within a log stamps do not
    /// descend.
    pub stamp: Stamp,
    /// Whole entries. None: something is kept back from this stamp on. What the shard shows next
    /// replaces that.
    pub bytes: Vec<u8>,
}

/// A piece of the stream.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// The next bytes.
    Bytes(&'a [u8]),
    /// What takes effect at once is complete: a unit, a transaction, a fence or a note. Up to here
    /// each log is in the stream.
    End(&'a Vector),
}

/// What a round leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing goes on until more segments are taken.
    Segments,
    /// The next round writes more, if its clock is later.
    Clock,
}

/// Why a log cannot be merged: it is not what a shard writes. The stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The log.
    pub log: u16,
    /// Where in it.
    pub offset: Offset,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The history has no such log.
    NoSuchLog,
    /// The segment does not begin where the one before it ended, which is here.
    Gap(Offset),
    /// The segment has a smaller stamp than one before it.
    Stamp,
    /// An entry is malformed.
    Malformed(Malformed),
    /// A part's transaction has no greater number than the one before it, which is this.
    Txid(u64),
    /// A part names a participant that is no log of the history.
    Participant(u16),
    /// Parts of this transaction name other participants than the first one.
    Participants(u64),
    /// The part of this transaction does not come: the log is behind it.
    Missing(u64),
    /// The first part of this transaction has no command, but this one has.
    Unweighed(u64),
}

/// The merge of a history's logs, from a fence on.
#[derive(Debug)]
pub struct Merge {
    lanes: Vec<Lane>,
    /// What stands first in each lane.
    heads: Vec<Head>,
    vector: Vector,
    select: Select,
    /// The participants of the transaction that is written.
    members: Vec<u16>,
}

/// `SELECT db`, as it was written last.
#[derive(Debug)]
struct Select {
    db: u16,
    bytes: Vec<u8>,
}

/// For which stream, one after the other, logs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading(pub u64);

impl Merge {
    /// A merge that begins at the beginning of a history, or where nothing of it is under way.
    pub fn new(vector: Vector) -> Self {
        let lanes: Vec<Lane> = vector.offsets().iter().map(|start| Lane::new(*start)).collect();
        let select = Select { db: 0, bytes: SELECT_0.to_vec() };
        let heads = vec![Head::Nothing; lanes.len()];
        Self { lanes, heads, vector, select, members: Vec::new() }
    }

    /// A merge that begins behind a fence. Nothing is written before each log has shown the fence:
    /// a shard that was not asked for its log yet may have acknowledged something behind it.
    pub fn behind(fence: Vector) -> Self {
        let mut merge = Self::new(fence);
        merge.lanes.iter_mut().for_each(Lane::await_fence);
        merge.heads.fill(Head::KeptBack(Stamp::default()));
        merge
    }

    /// Takes a segment. Bytes in front of the fence are dropped: a reader of a log is placed before
    /// the fence is written.
    ///
    /// # Errors
    /// If it does not follow what the log has shown, or begins with what is no entry.
    pub fn take(&mut self, segment: Segment) -> Result<(), Broken> {
        let (log, offset) = (segment.log, segment.offset);
        let lane = self.lanes.get_mut(usize::from(log));
        let lane = lane.ok_or(Broken { log, offset, fault: Fault::NoSuchLog })?;
        lane.take(segment).map_err(|fault| Broken { log, offset, fault })?;
        if let Head::Nothing | Head::KeptBack(_) = self.heads[usize::from(log)] {
            self.look(log)?;
        }
        Ok(())
    }

    /// Writes what may be written. `clock` was read before the last segments were taken.
    ///
    /// # Errors
    /// If a log is broken. Up to the last [`Piece::End`] the stream is right; it ends there.
    ///
    /// # Panics
    /// If something is not as long as it weighs: then replicas would differ in their offsets.
    pub fn round(&mut self, clock: Stamp, mut emit: impl FnMut(Piece<'_>)) -> Result<Rest, Broken> {
        loop {
            let log = match self.next(clock)? {
                Ok(log) => log,
                Err(rest) => return Ok(rest),
            };
            match self.heads[usize::from(log)] {
                Head::Part { .. } => self.write_transaction(log, &mut emit)?,
                Head::Plain(_) => self.write_plain(log, &mut emit)?,
                Head::Nothing | Head::KeptBack(_) => unreachable!("it has an entry"),
            }
        }
    }

    /// Up to where each log is in the stream. A shard gets credit for what lies before.
    pub fn vector(&self) -> &Vector {
        &self.vector
    }

    /// The log whose head is written next, or what that waits for.
    fn next(&mut self, clock: Stamp) -> Result<Result<u16, Rest>, Broken> {
        let (mut kept_back, mut first) = (None, None);
        for log in (0..).take(self.heads.len()) {
            let stamp = match self.heads[usize::from(log)] {
                Head::Nothing => continue,
                Head::KeptBack(stamp) => {
                    kept_back = Some(kept_back.map_or(stamp, |other: Stamp| other.min(stamp)));
                    continue;
                }
                Head::Plain(stamp) => stamp,
                Head::Part { first, txid, .. } if first != log => {
                    // It is written with the first part, unless that log is behind it already.
                    self.stamp_of_part(first, txid)?;
                    continue;
                }
                Head::Part { txid, waits_for, .. } => match self.gathered(log, txid, waits_for)? {
                    Some(stamp) => stamp,
                    None => continue,
                },
            };
            if first.is_none_or(|(smallest, _)| stamp < smallest) {
                first = Some((stamp, log));
            }
        }
        let allowed = first.filter(|(stamp, _)| kept_back.is_none_or(|bound| *stamp < bound));
        Ok(match allowed {
            Some((stamp, log)) if stamp < clock => Ok(log),
            Some(_) => Err(Rest::Clock),
            None => Err(Rest::Segments),
        })
    }

    /// The stamp of a transaction whose first part is a head. `None`: not all others are.
    fn gathered(&mut self, first: u16, txid: u64, waits_for: u16) -> Result<Option<Stamp>, Broken> {
        // Most of the time the part that was missing is missing still.
        if self.stamp_of_part(waits_for, txid)?.is_none() {
            return Ok(None);
        }
        let lane = &self.lanes[usize::from(first)];
        let Some((part, is_fence)) = lane.part() else { return Ok(None) };
        let mut largest = Stamp::default();
        for member in part.participants.iter() {
            let Some(stamp) = self.stamp_of_part(member, txid)? else {
                if let Head::Part { waits_for, .. } = &mut self.heads[usize::from(first)] {
                    *waits_for = member;
                }
                return Ok(None);
            };
            largest = largest.max(stamp);
            let other = self.lanes[usize::from(member)].part();
            let fault = match other {
                Some((other, _)) if other.participants != part.participants => {
                    Fault::Participants(txid)
                }
                Some((_, false)) if is_fence => Fault::Unweighed(txid),
                Some(_) => continue,
                None => Fault::Missing(txid),
            };
            return Err(self.broken(member, fault));
        }
        Ok(Some(largest))
    }

    /// The stamp of a log's head if it is the part of this transaction. `None`: it is not there.
    fn stamp_of_part(&self, log: u16, wanted: u64) -> Result<Option<Stamp>, Broken> {
        match self.heads[usize::from(log)] {
            Head::Part { stamp, txid, .. } if txid == wanted => Ok(Some(stamp)),
            Head::Part { .. } | Head::Plain(_) | Head::KeptBack(_) | Head::Nothing => {
                match self.lanes[usize::from(log)].last_txid() {
                    Some(last) if wanted <= last => Err(self.broken(log, Fault::Missing(wanted))),
                    Some(_) | None => Ok(None),
                }
            }
        }
    }

    /// Writes the units and notes that stand first in a lane, up to the end of the segment or a
    /// part. They have one stamp, so none of another lane comes between them.
    fn write_plain(&mut self, log: u16, emit: &mut impl FnMut(Piece<'_>)) -> Result<(), Broken> {
        let Self { lanes, vector, select, .. } = self;
        let lane = &mut lanes[usize::from(log)];
        let broken = |vector: &Vector, malformed| {
            let offset = vector.offsets()[usize::from(log)];
            Broken { log, offset, fault: Fault::Malformed(malformed) }
        };
        while let Some(entry) = lane.entry() {
            let entry = entry.map_err(|malformed| broken(vector, malformed))?;
            let (len, weight) = (entry.len_bytes(), entry.weight());
            let written = match entry.what {
                What::Unit => write_unit(&entry, select, emit),
                What::Note(note) => write_note(note, emit),
                What::Part(_) => break,
            };
            assert_eq!(written, weight, "an entry is as long in a stream as it weighs");
            let offset = &mut vector.offsets_mut()[usize::from(log)];
            *offset = offset.after(len as u64);
            emit(Piece::End(vector));
            if lane.advance(len) {
                break;
            }
        }
        self.look(log)
    }

    /// Writes a transaction all of whose parts are heads.
    fn write_transaction(
        &mut self,
        first: u16,
        emit: &mut impl FnMut(Piece<'_>),
    ) -> Result<(), Broken> {
        let Self { lanes, vector, select, members, .. } = self;
        let Some((part, is_fence)) = lanes[usize::from(first)].part() else { return Ok(()) };
        members.clear();
        members.extend(part.participants.iter());
        let mut written = if is_fence { 0 } else { put(MULTI, emit) };
        let mut weight = 0;
        for member in members.iter().map(|member| usize::from(*member)) {
            let lane = &mut lanes[member];
            let Some(Ok(entry)) = lane.entry() else { unreachable!("it was looked at") };
            weight += entry.weight();
            written += write_commands(&entry, select, emit);
            let len = entry.len_bytes();
            let offset = &mut vector.offsets_mut()[member];
            *offset = offset.after(len as u64);
            lane.advance(len);
        }
        written += if is_fence { 0 } else { put(EXEC, emit) };
        assert_eq!(written, weight, "a transaction is as long in a stream as its parts weigh");
        emit(Piece::End(vector));
        for index in 0..self.members.len() {
            self.look(self.members[index])?;
        }
        Ok(())
    }

    /// Finds what stands first in a lane now.
    fn look(&mut self, log: u16) -> Result<(), Broken> {
        let logs = self.heads.len();
        match self.lanes[usize::from(log)].look(log, logs) {
            Ok(head) => self.heads[usize::from(log)] = head,
            Err(fault) => return Err(self.broken(log, fault)),
        }
        Ok(())
    }

    /// A fault at what stands first in a lane.
    fn broken(&self, log: u16, fault: Fault) -> Broken {
        Broken { log, offset: self.vector.offsets()[usize::from(log)], fault }
    }
}

/// Writes bytes, and answers how many.
fn put(bytes: &[u8], emit: &mut impl FnMut(Piece<'_>)) -> u64 {
    emit(Piece::Bytes(bytes));
    bytes.len() as u64
}

fn write_note(note: Note, emit: &mut impl FnMut(Piece<'_>)) -> u64 {
    put(note.command(), emit)
}

fn write_unit(entry: &Entry<'_>, select: &mut Select, emit: &mut impl FnMut(Piece<'_>)) -> u64 {
    if entry.header.has_multi {
        put(MULTI, emit) + write_commands(entry, select, emit) + put(EXEC, emit)
    } else {
        write_commands(entry, select, emit)
    }
}

/// Writes commands, from database 0 back to database 0.
fn write_commands(entry: &Entry<'_>, select: &mut Select, emit: &mut impl FnMut(Piece<'_>)) -> u64 {
    let mut written = 0;
    if entry.header.db != 0 {
        written += put(select.of(entry.header.db), emit);
    }
    if !entry.commands.is_empty() {
        written += put(entry.commands, emit);
    }
    if entry.header.ends_elsewhere {
        written += put(SELECT_0, emit);
    }
    written
}

impl Select {
    fn of(&mut self, db: u16) -> &[u8] {
        if self.db != db {
            self.db = db;
            self.bytes.clear();
            let name = db.to_string();
            request::write(&mut self.bytes, &["SELECT", name.as_str()]);
        }
        &self.bytes
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {} at {}: {}", self.log, self.offset, self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchLog => f.write_str("the history has no such log"),
            Self::Gap(expected) => write!(f, "{expected} comes next"),
            Self::Stamp => f.write_str("the segment is older than the one before it"),
            Self::Malformed(malformed) => write!(f, "not an entry: {malformed}"),
            Self::Txid(last) => write!(f, "the transaction does not follow number {last}"),
            Self::Participant(log) => write!(f, "participant {log} is no log of the history"),
            Self::Participants(txid) => {
                write!(f, "participants of {txid} are not those of its first part")
            }
            Self::Missing(txid) => write!(f, "the part of transaction {txid} is missing"),
            Self::Unweighed(txid) => {
                write!(f, "transaction {txid} has commands, but not in its first part")
            }
        }
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
mod tests;
