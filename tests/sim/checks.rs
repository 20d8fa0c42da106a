//! What is right, as one knows it who sees all nodes: what each log and each stream says, and what
//! a replica may hold, acknowledge and be sent.
//!
//! A **tape** is a stream by its name: its bytes, and what each key holds behind which of them. It
//! is written where logs are merged, and wherever else that name is read or kept, it must say the
//! same. **Logs** are those of one node from the moment on at which they begin. A **track** says
//! which of both the keys of a replica follow, and where each key is in it: each change must be the
//! next one of its key.

use std::collections::BTreeMap;

use keylane::replication::history::{Fence, Offset, Scalar, Vector};
use keylane::replication::link::events::Position;
use keylane::replication::replid::ReplId;
use shards::journal::reader::each_place;

use crate::keyspace::{Change, DeedId, Image, KEYS, Values};
use crate::network::ConnId;

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI";

/// The logs of one node, from where they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogsId(pub usize);

/// A snapshot that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotId(pub usize);

/// What is known of all nodes.
#[derive(Debug, Default)]
pub struct Checks {
    pub deeds: Vec<Deed>,
    logs: Vec<Logs>,
    tapes: BTreeMap<ReplId, Tape>,
    pub snapshots: Vec<Snapshot>,
    /// By the name of a session's logs: which logs they are, unless they had ended by then.
    flows: BTreeMap<ReplId, Option<LogsId>>,
    /// By connection: the last acknowledgement that was sent.
    acks: BTreeMap<ConnId, Scalar>,
    /// Waits that were answered by at least one replica, by node and run.
    pub promises: Vec<Promise>,
    /// What a node is to have when it is a primary.
    expected: Vec<(usize, Vec<DeedId>)>,
    pub counts: Counts,
}

/// What a client has done.
#[derive(Clone, Debug)]
pub struct Deed {
    /// The keys that it changes.
    pub keys: Vec<usize>,
    /// Logs that are to have a part of it and have none yet.
    pub missing: usize,
}

/// A WAIT that some replicas have confirmed.
#[derive(Clone, Debug)]
pub struct Promise {
    pub node: usize,
    pub run: u64,
    /// The history in which it is.
    pub replid: ReplId,
    pub deed: DeedId,
}

/// All keys at a place of a stream.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub image: Image,
    /// The database that is selected there.
    pub db: u16,
}

/// What has happened in all of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub events: u64,
    pub full: u64,
    pub partial: u64,
    pub in_logs: u64,
    pub commits: u64,
    pub emptied: u64,
    pub promotions: u64,
    pub handovers: u64,
    pub promises: u64,
    pub kept_promises: u64,
    pub reads: u64,
    pub restarts: u64,
    pub refused: u64,
    pub fell: u64,
    pub renewals: u64,
    pub waits: u64,
    pub stored: u64,
    pub full_stores: u64,
}

macro_rules! sum {
    ($to:ident, $from:ident, $($name:ident),*) => { $($to.$name += $from.$name;)* };
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        sum!(self, other, events, full, partial, in_logs, commits, emptied, promotions, handovers);
        sum!(self, other, promises, kept_promises, reads, restarts, refused, fell, renewals, waits);
        sum!(self, other, stored, full_stores);
    }
}

/// Of each key: behind which place it holds what.
#[derive(Clone, Debug)]
struct Versions(Vec<Vec<(u64, u64)>>);

#[derive(Debug)]
struct Logs {
    owners: [u16; KEYS],
    base: Scalar,
    versions: Versions,
    /// By log: behind which offset it weighs how much.
    weights: Vec<Vec<(u64, u64)>>,
    /// By log: its entries.
    entries: Vec<Vec<EntryNote>>,
}

/// An entry of a log, as clients know it.
#[derive(Clone, Copy, Debug)]
pub struct EntryNote {
    pub end: u64,
    /// It is the whole of what a client did, and not a part, a fence or a note.
    pub is_unit: bool,
    /// When its client sent it.
    pub begun: u64,
    /// When it was logged: its client has its answer later.
    pub logged: u64,
}

#[derive(Clone, Debug)]
struct Tape {
    /// What was merged without a gap, with its place.
    pieces: Vec<(u64, Vec<u8>)>,
    versions: Versions,
}

/// What the keys of a replica follow, and how far each is.
#[derive(Clone, Debug)]
pub struct Track {
    of: Of,
    at: [usize; KEYS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Tape(ReplId),
    Logs(LogsId),
    /// Logs that had ended when they were announced, so that nothing comes of them.
    Ended,
    /// Something in front of a tape, of which nothing is known.
    Nothing,
}

impl Versions {
    fn start(place: u64, values: &Values) -> Self {
        Self(values.iter().map(|value| vec![(place, *value)]).collect())
    }

    fn note(&mut self, place: u64, change: Change) {
        for (key, versions) in self.0.iter_mut().enumerate() {
            if change.key().is_none_or(|changed| changed == key) {
                let before = versions.last().expect("a key has a first value").1;
                versions.push((place, change.on(before)));
            }
        }
    }

    /// The last version of a key up to a place.
    fn index(&self, key: usize, place: u64) -> usize {
        let upto = self.0[key].partition_point(|(at, _)| *at <= place);
        upto.checked_sub(1).expect("the place is not before the beginning")
    }

    fn value(&self, key: usize, place: u64) -> u64 {
        self.0[key][self.index(key, place)].1
    }
}

impl Logs {
    fn values(&self, vector: &Vector) -> Values {
        std::array::from_fn(|key| {
            let Offset(offset) = vector.offsets()[usize::from(self.owners[key])];
            self.versions.value(key, offset)
        })
    }

    /// What a log weighs in front of what begins or ends behind this offset.
    fn weight(&self, log: usize, offset: u64) -> u64 {
        let weights = &self.weights[log];
        let upto = weights.partition_point(|(end, _)| *end <= offset);
        upto.checked_sub(1).map_or(0, |last| weights[last].1)
    }

    fn scalar(&self, vector: &Vector) -> Scalar {
        let logs = vector.offsets().iter().enumerate();
        self.base.after(logs.map(|(log, offset)| self.weight(log, offset.0)).sum())
    }
}

impl Tape {
    fn start(&self) -> u64 {
        self.pieces.first().map_or(0, |(start, _)| *start)
    }

    fn end(&self) -> u64 {
        self.pieces.last().map_or(0, |(start, bytes)| start + bytes.len() as u64)
    }

    /// Asserts that it says this at a place, as far as it is known there. How much is known.
    fn compare(&self, name: &ReplId, place: u64, bytes: &[u8]) -> usize {
        let mut known = 0;
        for (start, piece) in &self.pieces {
            let end = start + piece.len() as u64;
            let (from, to) = (place.max(*start), (place + bytes.len() as u64).min(end));
            if from < to {
                let part = |at: u64, of: u64| usize::try_from(at - of).expect("it is short");
                let theirs = &piece[part(from, *start)..part(to, *start)];
                let ours = &bytes[part(from, place)..part(to, place)];
                assert!(theirs == ours, "stream {name} says two things at {from}");
                known += ours.len();
            }
        }
        known
    }
}

impl Checks {
    /// A deed that changes these keys.
    pub fn begin_deed(&mut self, keys: Vec<usize>) -> DeedId {
        self.deeds.push(Deed { keys, missing: 0 });
        DeedId(u32::try_from(self.deeds.len() - 1).expect("deeds are few"))
    }

    pub fn deed(&mut self, DeedId(id): DeedId) -> &mut Deed {
        &mut self.deeds[usize::try_from(id).expect("it is small")]
    }

    // --- logs

    /// A node begins to keep logs, with these values in its keys.
    pub fn begin_logs(
        &mut self,
        (count, owners): (usize, [u16; KEYS]),
        base: Scalar,
        values: &Values,
    ) -> LogsId {
        let versions = Versions::start(0, values);
        let weights = vec![Vec::new(); count];
        let entries = vec![Vec::new(); count];
        self.logs.push(Logs { owners, base, versions, weights, entries });
        LogsId(self.logs.len() - 1)
    }

    /// A log ends here now, which weighs so much, and has changed its keys.
    pub fn logged(
        &mut self,
        LogsId(id): LogsId,
        log: u16,
        (end, weight): (u64, u64),
        changes: &[Change],
    ) {
        let Logs { owners, versions, weights, .. } = &mut self.logs[id];
        weights[usize::from(log)].push((end, weight));
        for change in changes {
            match change.key() {
                Some(key) => {
                    assert_eq!(owners[key], log, "a key is logged by its shard");
                    versions.note(end, *change);
                }
                None => {
                    for key in (0..KEYS).filter(|key| owners[*key] == log) {
                        versions.0[key].push((end, 0));
                    }
                }
            }
        }
    }

    /// A log has an entry now.
    pub fn note_entry(&mut self, LogsId(id): LogsId, log: u16, entry: EntryNote) {
        self.logs[id].entries[usize::from(log)].push(entry);
    }

    /// A merge goes on from one vector to the next. What was acknowledged before a unit began
    /// stands before it, unless a part stands before that.
    pub fn merged(&self, LogsId(id): LogsId, before: &Vector, after: &Vector) {
        let logs = &self.logs[id];
        let pairs = || before.offsets().iter().zip(after.offsets());
        let mut moved = pairs().enumerate().filter(|(_, (before, after))| before != after);
        let (Some((log, (_, Offset(end)))), None) = (moved.next(), moved.next()) else { return };
        let is_it = |entry: &&EntryNote| entry.end == *end;
        let entry = logs.entries[log].iter().rfind(is_it).expect("what is merged was logged");
        if !entry.is_unit {
            return;
        }
        for (other, (_, Offset(at))) in pairs().enumerate().filter(|(other, _)| *other != log) {
            let entries = &logs.entries[other];
            let next = entries.partition_point(|entry| entry.end <= *at);
            for waiting in entries[next..].iter().take_while(|entry| entry.is_unit) {
                let is_later = entry.begun <= waiting.logged;
                assert!(is_later, "what was acknowledged before stands behind, in log {other}");
            }
        }
    }

    /// Asserts that logs say this up to a fence.
    pub fn check_fence(&self, LogsId(id): LogsId, fence: &Fence, values: &Values) {
        let logs = &self.logs[id];
        assert_eq!(logs.scalar(&fence.vector), fence.scalar, "a fence adds up to its scalar");
        assert_eq!(&logs.values(&fence.vector), values, "logs say what is there at a fence");
    }

    /// A session's logs have this name. A relay that has not heard that they have ended announces
    /// them, too.
    pub fn announce(&mut self, name: ReplId, logs: Option<LogsId>) {
        self.flows.insert(name, logs);
    }

    /// A replica begins to follow logs, and has these values.
    pub fn follow_logs(&self, name: ReplId, vector: &Vector, values: &Values) -> Track {
        let Some(id) = self.flows[&name] else {
            return Track { of: Of::Ended, at: [0; KEYS] };
        };
        let logs = &self.logs[id.0];
        assert_eq!(&logs.values(vector), values, "a replica is where it says it is in logs");
        let at = std::array::from_fn(|key| {
            let Offset(offset) = vector.offsets()[usize::from(logs.owners[key])];
            logs.versions.index(key, offset)
        });
        Track { of: Of::Logs(id), at }
    }

    /// A replica that followed logs is held, and is here.
    pub fn held(&self, track: &Track, at: Scalar, vector: &Vector, values: &Values) {
        let id = match track.of {
            Of::Logs(LogsId(id)) => id,
            Of::Ended => return,
            Of::Tape(_) | Of::Nothing => panic!("it did not follow logs"),
        };
        let logs = &self.logs[id];
        assert_eq!(logs.scalar(vector), at, "a vector adds up to its scalar");
        assert_eq!(&logs.values(vector), values, "what is held is what logs say up to there");
    }

    // --- tapes

    /// A stream begins at a fence of logs.
    pub fn begin_tape(&mut self, name: ReplId, LogsId(id): LogsId, fence: &Fence) {
        let values = self.logs[id].values(&fence.vector);
        let place = fence.scalar.0;
        match self.tapes.get_mut(&name) {
            None => {
                let versions = Versions::start(place, &values);
                self.tapes.insert(name, Tape { pieces: vec![(place, Vec::new())], versions });
            }
            Some(tape) if tape.end() == place => {
                let now = |key| tape.versions.value(key, place);
                assert_eq!(values, std::array::from_fn(now), "a stream is what logs say");
            }
            Some(tape) => {
                assert!(tape.end() < place, "stream {name} begins anew before its end");
                tape.pieces.push((place, Vec::new()));
                for (versions, value) in tape.versions.0.iter_mut().zip(values) {
                    versions.push((place, value));
                }
            }
        }
    }

    /// A stream goes on from another one, up to whose place they are the same.
    pub fn fork_tape(&mut self, name: ReplId, from: ReplId, until: Scalar) {
        assert!(!self.tapes.contains_key(&name), "a name is given once");
        let Some(former) = self.tapes.get(&from) else { return };
        let Scalar(until) = until;
        let mut tape = former.clone();
        tape.pieces.retain(|(start, _)| *start <= until);
        if let Some((start, bytes)) = tape.pieces.last_mut() {
            let most = usize::try_from(until - *start).expect("it is short");
            if bytes.len() < most {
                return; // What was between was never sent to anybody.
            }
            bytes.truncate(most);
        }
        for versions in &mut tape.versions.0 {
            versions.retain(|(place, _)| *place <= until);
        }
        if tape.versions.0.iter().all(|versions| !versions.is_empty()) {
            self.tapes.insert(name, tape);
        }
    }

    /// A node writes a unit of a stream.
    pub fn append(&mut self, name: ReplId, place: Scalar, unit: &[u8]) {
        let Scalar(place) = place;
        let tape = self.tapes.get_mut(&name).expect("a stream begins somewhere");
        let known = tape.compare(&name, place, unit);
        assert!(known == 0, "stream {name} is written twice at {place}");
        assert_eq!(tape.end(), place, "units of a stream follow each other");
        let (_, bytes) = tape.pieces.last_mut().expect("it has a piece");
        bytes.extend_from_slice(unit);
        // What is in no transaction is applied as soon as it has come, whatever follows it.
        let is_whole = unit.starts_with(MULTI);
        each_place(0, unit, &mut Vec::new(), |db, command, ranges| {
            let end = if is_whole { unit.len() } else { command.end };
            let bytes = &unit[command];
            let args: Vec<&[u8]> = ranges.drain(..).map(|range| range.of(bytes)).collect();
            for change in Change::of(db.into(), &args) {
                tape.versions.note(place + end as u64, change);
            }
        })
        .expect("units are commands");
    }

    /// A replica takes a unit of a stream.
    pub fn check_unit(&self, name: ReplId, place: Scalar, unit: &[u8]) {
        let tape = self.tapes.get(&name).expect("a stream that is sent is one");
        if place.0 < tape.start() {
            return;
        }
        let known = tape.compare(&name, place.0, unit);
        assert_eq!(known, unit.len(), "stream {name} has no such bytes at {place}");
    }

    /// Whether a stream says what keys hold at a place.
    pub fn knows(&self, name: ReplId, Scalar(place): Scalar) -> bool {
        let within = |(start, bytes): &(u64, Vec<u8>)| {
            *start <= place && place <= start + bytes.len() as u64
        };
        self.tapes.get(&name).is_some_and(|tape| tape.pieces.iter().any(within))
    }

    /// Asserts that a stream says this at a place.
    pub fn check_place(&self, name: ReplId, place: Scalar, values: &Values) {
        let versions = &self.tapes[&name].versions;
        for (key, value) in values.iter().enumerate() {
            let said = versions.value(key, place.0);
            assert_eq!(said, *value, "key {key} is not what stream {name} says at {place}");
        }
    }

    /// A replica begins to follow a stream, and has these values.
    pub fn follow_tape(&self, name: ReplId, place: Scalar, values: &Values) -> Track {
        if place.0 < self.tapes[&name].start() {
            return Track { of: Of::Nothing, at: [0; KEYS] };
        }
        self.check_place(name, place, values);
        let versions = &self.tapes[&name].versions;
        let at = std::array::from_fn(|key| versions.index(key, place.0));
        Track { of: Of::Tape(name), at }
    }

    /// Asserts that both names mean the same up to here, and goes on under the other one. If that
    /// one's stream is known from a later place on only, nothing is known of what comes next.
    pub fn rename(&self, track: &mut Track, to: ReplId, until: Scalar) {
        let Of::Tape(from) = track.of else { return };
        track.of = Of::Tape(to);
        let (Some(from), Some(to_tape)) = (self.tapes.get(&from), self.tapes.get(&to)) else {
            return;
        };
        for (start, bytes) in &from.pieces {
            let most = usize::try_from(until.0.saturating_sub(*start)).expect("it is short");
            to_tape.compare(&to, *start, &bytes[..most.min(bytes.len())]);
        }
        let version = |tape: &Tape, key: usize| tape.versions.0[key].get(track.at[key]).copied();
        if (0..KEYS).any(|key| version(from, key) != version(to_tape, key)) {
            track.of = Of::Nothing;
        }
    }

    /// A replica that is promoted is where it says.
    pub fn check_end(&self, track: &Track, position: Option<Position>, values: &Values) {
        let name = match track.of {
            Of::Nothing => return,
            Of::Tape(name) => name,
            Of::Logs(_) | Of::Ended => panic!("it follows logs that are not held"),
        };
        let position = position.expect("who follows a stream has a place in it");
        assert_eq!(position.id, name, "a replica knows the name of its stream");
        self.check_place(name, position.offset, values);
    }

    // --- promises

    /// A node is to have these when it is a primary.
    pub fn expect(&mut self, node: usize, deeds: Vec<DeedId>) {
        self.expected.push((node, deeds));
    }

    /// A node is to be something else than was thought.
    pub fn expect_nothing_of(&mut self, node: usize) {
        self.expected.retain(|(other, _)| *other != node);
    }

    /// A node becomes a primary, with these keys.
    pub fn check_expected(&mut self, node: usize, image: &Image) {
        for (_, deeds) in self.expected.extract_if(.., |(other, _)| *other == node) {
            for deed in deeds {
                assert!(image.has(deed), "{deed:?}, which WAIT confirmed, is lost");
                self.counts.kept_promises += 1;
            }
        }
    }

    // --- what replicas do

    /// A replica has applied a change.
    pub fn advance(&self, track: &mut Track, change: Change, values: &Values) {
        let versions = match track.of {
            Of::Nothing => return,
            Of::Ended => panic!("logs that have ended say something: {change:?}"),
            Of::Tape(name) => &self.tapes[&name].versions,
            Of::Logs(LogsId(id)) => &self.logs[id].versions,
        };
        for key in (0..KEYS).filter(|key| change.key().is_none_or(|changed| changed == *key)) {
            track.at[key] += 1;
            let next = versions.0[key].get(track.at[key]);
            let (_, value) = next.unwrap_or_else(|| panic!("key {key} is changed by nothing"));
            assert_eq!(*value, values[key], "key {key} is not what comes next: {change:?}");
        }
    }

    /// A replica is about to acknowledge so much.
    pub fn check_ack(&mut self, track: Option<&Track>, conn: ConnId, upto: Scalar) {
        let before = self.acks.entry(conn).or_default();
        *before = (*before).max(upto);
        let Some(Track { of, at }) = track else { return };
        match of {
            Of::Nothing | Of::Ended => {}
            Of::Tape(name) => {
                let versions = &self.tapes[name].versions;
                for (key, at) in at.iter().enumerate() {
                    let next = versions.0[key].get(at + 1).map_or(u64::MAX, |(place, _)| *place);
                    assert!(upto.0 < next, "{upto} is acknowledged before key {key} is there");
                }
            }
            Of::Logs(LogsId(id)) => {
                let most = self.logs[*id].reached(at);
                assert!(upto <= most, "{upto} is acknowledged, but {most} is applied");
            }
        }
    }

    /// A primary takes note of an acknowledgement.
    pub fn check_acked(&self, conn: ConnId, upto: Scalar, resumed: Scalar) {
        let sent = self.acks.get(&conn).copied().unwrap_or_default().max(resumed);
        assert!(upto <= sent, "{upto} counts as acknowledged, but only {sent} was");
    }
}

impl Logs {
    /// What replicas may acknowledge at most whose keys are there.
    fn reached(&self, at: &[usize; KEYS]) -> Scalar {
        let mut ends = vec![u64::MAX; self.weights.len()];
        for (key, at) in at.iter().enumerate() {
            if let Some((next, _)) = self.versions.0[key].get(at + 1) {
                let end = &mut ends[usize::from(self.owners[key])];
                *end = (*end).min(next - 1);
            }
        }
        let ends = ends.iter().enumerate();
        self.base.after(ends.map(|(log, end)| self.weight(log, *end)).sum())
    }
}
