//! The stream that a relay has: what its logs say, merged, or the bytes of its primary. This stands
//! for `relay::stream`; merge and backlog are the real ones.

use std::collections::VecDeque;

use keylane::journal::backlog::Backlog;
use keylane::replication::history::{Fence, Offset, Scalar};
use keylane::replication::link::events::Position;
use keylane::replication::merge::{Merge, Piece, Rest, SELECT_0, Segment, Stamp};
use keylane::replication::psync::Former;
use keylane::replication::replid::ReplId;
use keylane::replication::split::Unit;
use shards::journal::entry::{HEADER, PART_PREFIX, PARTICIPANT};

use crate::agenda::Env;
use crate::checks::LogsId;
use crate::faults::Fault;

/// The stream, from where it began here.
#[derive(Debug)]
pub struct Stream {
    pub replid: ReplId,
    pub former: Option<Former>,
    pub backlog: Backlog,
    source: Source,
    /// The name under which its logs are merged: a primary may rename the stream while some of
    /// what is in front of its own is not merged.
    tape: ReplId,
    /// The name that it had up to here, while no replica was told of the present one.
    untold: Option<(ReplId, Scalar)>,
    /// Where units end, as far as that is known.
    ends: VecDeque<u64>,
}

#[derive(Debug)]
enum Source {
    Logs(Box<Merging>),
    Primary,
}

#[derive(Debug)]
struct Merging {
    merge: Merge,
    logs: LogsId,
    /// Up to where each shard has got credit again.
    credited: Vec<Offset>,
    is_due: bool,
}

impl Stream {
    /// A stream of logs that begins at a fence. Shards are to show their logs from there on.
    pub fn of_logs(replid: ReplId, logs: LogsId, fence: Fence, env: &mut Env) -> Self {
        env.checks.begin_tape(replid, logs, &fence);
        let backlog = Backlog::new(fence.scalar.0, env.setup.backlog_limits());
        let source = Source::Logs(Box::new(Merging::begin(logs, fence, env)));
        let (former, untold) = (None, None);
        Self { replid, former, backlog, source, tape: replid, untold, ends: VecDeque::new() }
    }

    /// The stream of a primary that goes on at this place.
    pub fn of_primary(position: Position, former: Option<Former>, env: &Env) -> Self {
        let Position { id: replid, offset, .. } = position;
        let backlog = Backlog::new(offset.0, env.setup.backlog_limits());
        let (source, ends) = (Source::Primary, VecDeque::new());
        Self { replid, former, backlog, source, tape: replid, untold: None, ends }
    }

    pub fn is_of_logs(&self) -> bool {
        matches!(self.source, Source::Logs(_))
    }

    /// The logs have ended here, and a primary's stream goes on.
    pub fn follow(&mut self) {
        self.source = Source::Primary;
    }

    /// The stream goes on with logs, under another name.
    pub fn lead(&mut self, replid: ReplId, logs: LogsId, fence: Fence, env: &mut Env) {
        let end = self.end();
        let needs_select = end.after(SELECT_0.len() as u64) == fence.scalar;
        self.rename(replid, None);
        if needs_select || end == fence.scalar {
            self.tell(env);
        }
        if needs_select && env.checks.knows(replid, end) {
            env.checks.append(replid, end, SELECT_0);
        }
        if needs_select {
            self.backlog.write(SELECT_0).expect("there is memory");
            self.backlog.end_unit();
        }
        if self.end() != fence.scalar {
            self.backlog = Backlog::new(fence.scalar.0, env.setup.backlog_limits());
        }
        env.checks.begin_tape(replid, logs, &fence);
        (self.tape, self.untold) = (replid, None);
        self.source = Source::Logs(Box::new(Merging::begin(logs, fence, env)));
    }

    /// Has another name from now on.
    pub fn rename(&mut self, replid: ReplId, former: Option<Former>) {
        if replid != self.replid {
            self.untold.get_or_insert((self.replid, self.end()));
        }
        (self.replid, self.former) = (replid, former);
    }

    /// Others are told of its name.
    pub fn tell(&mut self, env: &mut Env) {
        if let Some((from, until)) = self.untold.take() {
            // A name that came of a later place says nothing of this one.
            let from = if env.checks.knows(from, until) { from } else { self.tape };
            env.checks.fork_tape(self.replid, from, until);
            self.tape = self.replid;
        }
    }

    /// Adds a unit of the primary, which is shown when it is applied.
    pub fn append(&mut self, unit: &Unit<'_>) {
        assert_eq!(self.backlog.written(), unit.offset.0, "units follow each other");
        self.backlog.write(unit.raw).expect("there is memory");
        self.note_end(self.backlog.written());
    }

    /// All units of the primary up to this place are applied.
    pub fn applied(&mut self, upto: Scalar) {
        if self.end() < upto {
            self.backlog.end_units(upto.0);
        }
    }

    /// Takes what a shard shows.
    pub fn take(&mut self, segment: Segment) {
        if let Source::Logs(merging) = &mut self.source {
            merging.is_due = true;
            merging.merge.take(segment).expect("shards show what follows");
        }
    }

    /// Writes what may be written of logs: `clock` was read before the last segments were taken.
    /// Shards that get credit, and how much.
    pub fn go_on(&mut self, clock: Stamp, env: &mut Env) -> Vec<(usize, u64)> {
        if self.is_due() {
            self.tell(env);
        }
        let Self { tape, backlog, source, ends, .. } = self;
        let Source::Logs(merging) = source else { return Vec::new() };
        if !merging.is_due {
            return Vec::new();
        }
        let Merging { merge, logs, .. } = &mut **merging;
        let (mut before, mut unit) = (merge.vector().clone(), Vec::new());
        let rest = merge.round(clock, |piece| match piece {
            Piece::Bytes(bytes) => unit.extend_from_slice(bytes),
            Piece::End(vector) => {
                env.checks.merged(*logs, &before, vector);
                if !unit.is_empty() {
                    env.checks.append(*tape, Scalar(backlog.written()), &unit);
                }
                backlog.write(&unit).expect("there is memory");
                backlog.end_unit();
                ends.push_back(backlog.end());
                before = vector.clone();
                unit.clear();
            }
        });
        merging.is_due = rest.expect("logs are what shards write") == Rest::Clock;
        while 1000 < ends.len() {
            ends.pop_front();
        }
        merging.credit(env.setup.credit / 4)
    }

    pub fn is_due(&self) -> bool {
        matches!(&self.source, Source::Logs(merging) if merging.is_due)
    }

    pub fn end(&self) -> Scalar {
        Scalar(self.backlog.end())
    }

    /// The end of the first unit that ends behind this place.
    pub fn next_end(&self, place: u64) -> Option<u64> {
        self.ends.iter().copied().find(|end| place < *end)
    }

    /// The end of the last unit that ends before this place.
    pub fn end_before(&self, place: u64) -> Option<u64> {
        self.ends.iter().copied().rfind(|end| *end < place)
    }

    fn note_end(&mut self, end: u64) {
        self.ends.push_back(end);
    }
}

/// Where a log is shown from on, so that it shows the part that a fence has there.
pub fn in_front(fence: &Fence, log: usize) -> Offset {
    let offsets = fence.vector.offsets();
    let part_bytes = HEADER + PART_PREFIX + offsets.len() * PARTICIPANT;
    Offset(offsets[log].0.saturating_sub(part_bytes as u64))
}

impl Merging {
    fn begin(logs: LogsId, fence: Fence, env: &Env) -> Self {
        let credited = fence.vector.offsets().to_vec();
        let is_hasty = env.has(Fault::HastyMerge);
        let begin = if is_hasty { Merge::new } else { Merge::behind };
        Self { merge: begin(fence.vector), logs, credited, is_due: false }
    }

    fn credit(&mut self, step: u64) -> Vec<(usize, u64)> {
        let merged = self.merge.vector().offsets();
        let mut given = Vec::new();
        for (shard, (merged, credited)) in merged.iter().zip(&mut self.credited).enumerate() {
            let bytes = merged.0 - credited.0;
            if step <= bytes {
                *credited = *merged;
                given.push((shard, bytes));
            }
        }
        given
    }
}
