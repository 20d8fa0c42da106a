//! What shards of the model show to its relay, and what is checked of what the relay writes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shards::base::number::parse_u64;
use shards::journal::reader::Entry;
use shards::resp::parser::{Limits, Parser, Step};

use super::*;
use crate::replication::history::{Offset, Vector};
use crate::replication::merge::{Broken, Merge, Piece, Rest, Segment, Stamp};

impl World {
    /// The relay has fallen behind: it reads on at the ends of the logs.
    pub(super) fn restart(&mut self) {
        for (shard, inbox) in self.shards.iter_mut().zip(&mut self.relay.inboxes) {
            (shard.next, shard.next_offset) = (shard.log.len(), shard.log_bytes);
            (shard.credit, shard.says_more) = (CREDIT, false);
            *inbox = Inbox { segments: VecDeque::new(), credited: shard.log_bytes };
        }
        (self.relay.merge, self.relay.round) = (None, None);
        if self.has(Rule::Fence) {
            self.relay.wants_fence = true;
        } else {
            self.begin_merge(self.shards.iter().map(|shard| shard.log_bytes).collect());
        }
    }

    /// The merge begins at this place, of which a replica has got a snapshot.
    pub(super) fn begin_merge(&mut self, ends: Vec<u64>) {
        self.stream.clear();
        let count = self.shards.len();
        for (log, end) in ends.iter().enumerate() {
            let last = self.shards[log].index_at(*end);
            for logged in &self.shards[log].log[..last] {
                let entry = Entry::decode(&logged.bytes).expect("a shard wrote it");
                let stream = &mut self.stream;
                match logged.flushes {
                    Some(id) => push_all(stream, id, |key| key % count == log),
                    None => commands(entry.commands).iter().for_each(|args| apply(stream, args)),
                }
            }
        }
        let vector = Vector::new(ends.into_iter().map(Offset).collect());
        self.relay.merge = Some(Merge::new(vector));
        self.relay.is_idle = false;
    }

    /// A shard shows what it has credit for.
    pub(super) fn show(&mut self, index: usize) {
        let (overdraws, says_more) = (self.has(Rule::Overdraw), self.has(Rule::More));
        let clock = self.clock;
        let shard = &mut self.shards[index];
        let stamp_at = |shown: u64| Stamp(shown.saturating_sub(shard.lag));
        let segments = &mut self.relay.inboxes[index].segments;
        let log = u16::try_from(index).expect("it is small");
        // What is shown as it is logged has the moment of that, what is shown late that of showing.
        let is_late = self.off == Some(Rule::Show);
        while let Some(logged) = shard.log.get(shard.next) {
            let len = i64::try_from(logged.bytes.len()).expect("it is small");
            let offset = Offset(shard.next_offset);
            let stamp = stamp_at(if is_late { clock } else { logged.shown });
            let has_credit = if overdraws { 0 < shard.credit } else { len <= shard.credit };
            if !has_credit {
                if says_more && !shard.says_more {
                    segments.push_back(Segment { log, offset, stamp, bytes: Vec::new() });
                    shard.says_more = true;
                    self.relay.is_idle = false;
                }
                return;
            }
            segments.push_back(Segment { log, offset, stamp, bytes: logged.bytes.clone() });
            shard.credit -= len;
            shard.next += 1;
            shard.next_offset += logged.bytes.len() as u64;
            shard.says_more = false;
            self.relay.is_idle = false;
        }
    }

    /// The relay takes the segments of one log, or ends its round.
    pub(super) fn relay_step(&mut self) {
        let count = self.shards.len();
        let turns = if self.has(Rule::Round) { count } else { 2 * count };
        let (clock, turn) = self.relay.round.unwrap_or((self.clock, 0));
        self.relay.round = Some((clock, turn + 1));
        let Some(mut merge) = self.relay.merge.take() else { return };
        let result = if turn < turns {
            let mut segments = self.relay.inboxes[turn % count].segments.drain(..);
            segments.try_for_each(|segment| merge.take(segment))
        } else {
            self.relay.round = None;
            let clock = if self.has(Rule::Round) { Stamp(clock) } else { Stamp(u64::MAX) };
            self.round(&mut merge, clock)
        };
        if let Err(broken) = result {
            self.fail(broken.to_string());
        }
        self.relay.merge = Some(merge);
    }

    pub(super) fn round(&mut self, merge: &mut Merge, clock: Stamp) -> Result<(), Broken> {
        let mut bytes = Vec::new();
        let mut before = merge.vector().clone();
        let rest = merge.round(clock, |piece| match piece {
            Piece::Bytes(more) => bytes.extend_from_slice(more),
            Piece::End(vector) => {
                self.written(&bytes, &before, vector);
                before = vector.clone();
                bytes.clear();
            }
        })?;
        self.relay.is_idle = rest == Rest::Segments;
        for (log, offset) in merge.vector().offsets().iter().enumerate() {
            let credited = &mut self.relay.inboxes[log].credited;
            self.shards[log].credit += i64::try_from(offset.0 - *credited).expect("it is small");
            *credited = offset.0;
        }
        Ok(())
    }

    /// Something is complete in the stream.
    pub(super) fn written(&mut self, bytes: &[u8], before: &Vector, vector: &Vector) {
        let mut seen: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
        for args in commands(bytes) {
            apply(&mut self.stream, &args);
            if let Some((id, keys)) = written_by(&args) {
                seen.entry(id).or_default().extend(keys);
            }
        }
        for (id, keys) in seen {
            if self.deeds[&id] != keys {
                self.fail(format!("half of {id} is written"));
            }
        }
        let mut unit_begun = 0;
        for (log, shard) in self.shards.iter().enumerate() {
            let (from, to) = (before.offsets()[log].0, vector.offsets()[log].0);
            if from < to {
                let index = shard.index_at(from);
                if shard.log[index].is_unit {
                    unit_begun = shard.log[index].begun;
                }
            }
        }
        for (log, shard) in self.shards.iter().enumerate() {
            let missing = shard.log[shard.index_at(vector.offsets()[log].0)..].iter();
            let mut units = missing.take_while(|logged| logged.is_unit);
            if units.any(|logged| logged.shown < unit_begun) {
                return self.fail("what was acknowledged before stands behind");
            }
        }
    }
}

impl Shard {
    /// Which entry begins at an offset.
    pub(super) fn index_at(&self, offset: u64) -> usize {
        let mut at = 0;
        let is_before = |logged: &&Logged| {
            let is_before = at < offset;
            at += logged.bytes.len() as u64;
            is_before
        };
        self.log.iter().take_while(is_before).count()
    }
}

/// Adds a number to the keys that it was written to.
pub(super) fn push_all(
    values: &mut BTreeMap<usize, Vec<u64>>,
    id: u64,
    is_written: impl Fn(usize) -> bool,
) {
    for key in (0..KEYS).filter(|key| is_written(*key)) {
        values.entry(key).or_default().push(id);
    }
}

/// Does to the keys what a command says.
fn apply(values: &mut BTreeMap<usize, Vec<u64>>, args: &[Vec<u8>]) {
    if let Some((id, keys)) = written_by(args) {
        push_all(values, id, |key| keys.contains(&key));
    }
}

/// The number of the deed whose command this is, and the keys that the command writes.
fn written_by(args: &[Vec<u8>]) -> Option<(u64, BTreeSet<usize>)> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let number = |text| parse_u64(text).expect("a deed wrote it");
    match args[..] {
        [b"SET", key, id, _] => {
            let key = usize::try_from(number(key)).expect("it is small");
            Some((number(id), BTreeSet::from([key])))
        }
        [b"FLUSHALL", id] => Some((number(id), (0..KEYS).collect())),
        _ => None,
    }
}

/// The commands of a piece of the stream, of which none is cut.
fn commands(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    const LIMITS: Limits = Limits { bulk_bytes_max: 1000, authenticated: true };
    let (mut commands, mut ranges) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        ranges.clear();
        let step = Parser::default().step(bytes, &mut ranges, &LIMITS);
        let Ok(Step::Request { consumed }) = step else { panic!("{}", bytes.escape_ascii()) };
        commands.push(ranges.iter().map(|range| range.of(bytes).to_vec()).collect());
        bytes = &bytes[consumed..];
    }
    commands
}
