//! What a primary's bytes do, in each state of a link.

use shards::base::number::{DIGITS_MAX, format_u64};
use shards::resp::request;

use super::events::{Action, Position};
use super::report::Line;
use super::{Arrived, Body, Following, Link, Receiving, Source, Start, State};
use crate::replication::failover;
use crate::replication::failure::{Failure, printable};
use crate::replication::handshake::{Answer, Heard, Hello, LogsOffered, Purpose, Step};
use crate::replication::history::Scalar;
use crate::replication::limits::Limits;
use crate::replication::lines::Lines;
use crate::replication::moment::Moment;
use crate::replication::payload::{Form, Payload, Piece};
use crate::replication::replid::ReplId;
use crate::replication::split::Split;

/// Bytes behind a snapshot that are kept until it is the data. Reading is held there, so these are
/// what was received with its end.
const EARLY_BYTES_MAX: usize = 4 << 20;

/// Acknowledges what is applied.
pub(super) fn acknowledge(
    following: &mut Following,
    now: Moment,
    applied: Scalar,
    (hello, limits): (&Hello, &Limits),
    actions: &mut Vec<Action<'_>>,
) {
    following.ack = now.after(limits.ack_ms);
    actions.push(Action::Send(ack(applied, hello.priority)));
}

/// An acknowledgement of everything in front of `offset`, and this node's priority if it is not the
/// usual one. No server reads what stands behind an offset and is not known to it.
fn ack(offset: Scalar, priority: Option<u32>) -> Vec<u8> {
    let (mut digits, mut more) = ([0; DIGITS_MAX], [0; DIGITS_MAX]);
    let offset = format_u64(&mut digits, offset.0);
    match priority {
        None => request::encode(&[b"REPLCONF", &b"ACK"[..], offset]),
        Some(priority) => {
            let priority = format_u64(&mut more, priority.into());
            request::encode(&[b"REPLCONF", &b"ACK"[..], offset, b"keylane-priority", priority])
        }
    }
}

/// What stands behind lines that a primary says while a snapshot comes by other connections: that
/// it lives, and that logs may come meanwhile. Without lines the stream has begun: all is of it.
fn without_lines<'a>(lines: &mut Option<Lines>, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
    let mut at = 0;
    while let (Some(said), Some(byte)) = (lines.as_mut(), bytes.get(at)) {
        if said.is_between() && !matches!(byte, b'\n' | b'+') {
            *lines = None;
        } else {
            said.take(bytes, &mut at)?;
        }
    }
    Ok(&bytes[at..])
}

impl Receiving {
    /// Whether what has come, or is to come, is put beside the data.
    pub(super) fn has_staging(&self) -> bool {
        match self.source {
            Source::Here(_) => self.body.is_some(),
            Source::Connections(..) => true,
        }
    }
}

impl Link {
    /// Takes bytes that the primary has sent.
    pub(super) fn take<'a>(&mut self, now: Moment, bytes: &'a [u8], actions: &mut Vec<Action<'a>>) {
        self.last_io = Some(now);
        let mut rest = bytes;
        // An answer or the end of a snapshot changes the state; what follows belongs to the next.
        while !rest.is_empty() {
            let taken = match &mut self.state {
                State::Greeting { .. } => self.hear(now, rest, actions),
                State::Receiving(_) => self.receive(now, rest, actions),
                State::Staging(arrived) | State::Committing(arrived) => {
                    if EARLY_BYTES_MAX - arrived.early.len() < rest.len() {
                        // What has come is not given up; the link begins anew behind it.
                        arrived.lose(Failure::Flooded, self.generation, actions);
                        return;
                    }
                    arrived.early.extend_from_slice(rest);
                    Ok(rest.len())
                }
                State::Following(_) => self.take_stream(now, rest, actions),
                // No socket is open.
                State::Idle | State::Connecting | State::Waiting { .. } => return,
            };
            match taken {
                Ok(taken) => rest = &rest[taken..],
                Err(failure) => return self.fail(now, failure, actions),
            }
        }
    }

    /// Takes bytes of the stream.
    fn take_stream(
        &mut self,
        now: Moment,
        bytes: &[u8],
        actions: &mut Vec<Action<'_>>,
    ) -> Result<usize, Failure> {
        let State::Following(following) = &mut self.state else { return Ok(bytes.len()) };
        let stream = without_lines(&mut following.lines, bytes)?;
        following.split.push(stream);
        following.fresh += bytes.len() as u64;
        if self.limits.progress_bytes <= following.fresh {
            (following.progress, following.fresh) = (now, 0);
        }
        actions.push(Action::Stream);
        Ok(bytes.len())
    }

    /// Takes replies.
    fn hear(
        &mut self,
        now: Moment,
        bytes: &[u8],
        actions: &mut Vec<Action<'_>>,
    ) -> Result<usize, Failure> {
        let State::Greeting { handshake, .. } = &mut self.state else { return Ok(0) };
        let mut heard = Vec::new();
        let taken = handshake.take(bytes, &mut heard);
        // What was said in front of an error is said all the same.
        for heard in heard {
            self.hear_one(now, heard, actions)?;
        }
        taken
    }

    fn hear_one(
        &mut self,
        now: Moment,
        heard: Heard,
        actions: &mut Vec<Action<'_>>,
    ) -> Result<(), Failure> {
        let State::Greeting { step, asked, .. } = &mut self.state else { return Ok(()) };
        match heard {
            Heard::Alive => {}
            Heard::Reply(Step::Ping) => {
                *step = now;
                actions.push(Action::Log(Line::PingReplied));
            }
            Heard::Reply(_) => *step = now,
            Heard::Unknown(unknown, text) => {
                *step = now;
                actions.push(Action::Log(Line::Unknown(unknown, text)));
            }
            Heard::NoPsync(text) => actions.push(Action::Log(Line::NoPsync(text))),
            Heard::Send(bytes) => actions.push(Action::Send(bytes)),
            Heard::Ask(bytes) => {
                *asked = Some(now);
                let resume = self.position.map(|at| (at.id, at.offset));
                actions.push(Action::Log(Line::Asking(resume)));
                actions.push(Action::Send(bytes));
                if self.purpose == Purpose::Failover {
                    actions.push(Action::Handover(failover::News::Asked));
                }
            }
            Heard::Answer(answer) => {
                let asked = asked.unwrap_or(now);
                return self.answer(now, asked, answer, actions);
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        now: Moment,
        asked: Moment,
        answer: Answer,
        actions: &mut Vec<Action<'_>>,
    ) -> Result<(), Failure> {
        if std::mem::replace(&mut self.purpose, Purpose::Follow) == Purpose::Failover {
            actions.push(Action::Handover(failover::News::Accepted));
        }
        let offered = match &answer {
            Answer::Continue(_) => None,
            Answer::Full(at) => *at,
            Answer::Chunks(offered) => offered.at,
        };
        if let Some((id, offset)) = offered.filter(|at| self.outdoes(*at)) {
            actions.push(Action::Refused);
            return Err(Failure::Younger(id, offset));
        }
        match (answer, &mut self.position) {
            (Answer::Continue(id), Some(position)) => {
                actions.push(Action::Log(Line::Resumed));
                let from = position.id;
                let to = id.filter(|id| *id != from);
                let next_id = to.filter(|_| self.vector.is_some());
                if let Some(to) = to.filter(|_| self.vector.is_none()) {
                    position.id = to;
                    self.fence = None;
                    actions.push(Action::Log(Line::Renamed(to)));
                    actions.push(Action::Renamed { from, to });
                }
                let db = position.db;
                self.sync_failures = 0;
                self.run(now, db, Start::Resumed, actions);
                if let State::Following(following) = &mut self.state {
                    following.next_id = next_id;
                }
            }
            // Nothing was asked for that could go on.
            (Answer::Continue(_), None) => return Err(Failure::Syntax("+CONTINUE".to_string())),
            (Answer::Full(at), _) => {
                if let Some((id, offset)) = at {
                    actions.push(Action::Log(Line::FullResync(id, offset)));
                }
                let source = Source::Here(Payload::new());
                let receiving = Receiving { source, at, asked, body: None };
                self.enter(now, State::Receiving(Box::new(receiving)));
            }
            (Answer::Chunks(offered), _) => {
                let source = Source::Connections(offered.connections, Lines::default());
                let receiving = Receiving { source, at: None, asked, body: None };
                self.enter(now, State::Receiving(Box::new(receiving)));
                actions.push(Action::OpenConnections(self.generation, offered));
            }
        }
        Ok(())
    }

    /// Whether the data are to be kept rather than what a primary offers that is at this place.
    fn outdoes(&self, (id, offset): (ReplId, Scalar)) -> bool {
        let is_ahead = |has: Position| has.id != id && offset < has.offset;
        self.keeps && self.position.is_some_and(is_ahead)
    }

    /// Notes that some of a snapshot has come by connections of its own.
    pub(super) fn note_moved(&mut self, now: Moment, bytes: u64, actions: &mut Vec<Action<'_>>) {
        let State::Receiving(receiving) = &mut self.state else { return };
        let Source::Connections(connections, _) = receiving.source else { return };
        let body = receiving.body.get_or_insert_with(|| {
            let form = Form::Connections(connections);
            actions.push(Action::Log(Line::Receiving(form)));
            Body { form, done: 0, fresh: 0, since: now }
        });
        body.done += bytes;
        body.fresh += bytes;
        self.last_io = Some(now);
    }

    /// Takes bytes of a snapshot.
    fn receive<'a>(
        &mut self,
        now: Moment,
        bytes: &'a [u8],
        actions: &mut Vec<Action<'a>>,
    ) -> Result<usize, Failure> {
        let State::Receiving(receiving) = &mut self.state else { return Ok(0) };
        let mut pieces = Vec::new();
        let payload = match &mut receiving.source {
            Source::Here(payload) => payload,
            Source::Connections(_, lines) => {
                let mut at = 0;
                while let Some(line) = lines.take(bytes, &mut at)? {
                    match line.as_slice() {
                        // The primary prepares the snapshot.
                        [] => {}
                        [b'-', text @ ..] => return Err(Failure::Aborted(printable(text))),
                        _ => {
                            let offered = LogsOffered::parse(&line)?;
                            let none = || Failure::NoSnapshot(printable(&line));
                            let offered = Box::new(offered.ok_or_else(none)?);
                            let logs = offered.at.vector.offsets().len();
                            actions.push(Action::Log(Line::Storing(logs)));
                            actions.push(Action::StoreLogs(self.generation, offered));
                        }
                    }
                }
                return Ok(at);
            }
        };
        let taken = payload.take(bytes, &mut pieces);
        let mut is_whole = false;
        for piece in pieces {
            match (piece, &mut receiving.body) {
                (Piece::Begins(form), body) => {
                    *body = Some(Body { form, done: 0, fresh: 0, since: now });
                    actions.push(Action::Log(Line::Receiving(form)));
                    actions.push(Action::BeginStaging(self.generation, form));
                }
                (Piece::Bytes(bytes), Some(body)) => {
                    body.done += bytes.len() as u64;
                    body.fresh += bytes.len() as u64;
                    actions.push(Action::Snapshot(bytes));
                }
                (Piece::Whole, _) => is_whole = true,
                (Piece::Alive | Piece::Bytes(_), _) => {}
            }
        }
        if is_whole {
            self.arrive(now, actions);
        }
        taken
    }

    /// Goes on when the whole snapshot has come.
    pub(super) fn arrive(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        let State::Receiving(receiving) = &mut self.state else { return };
        let Receiving { at, asked, body: Some(Body { form, done, .. }), .. } = **receiving else {
            return;
        };
        let lines = match &mut receiving.source {
            Source::Here(_) => None,
            Source::Connections(_, lines) => Some(std::mem::take(lines)),
        };
        let Some(primary) = self.desired.primary.clone() else { return };
        let beat = now.after(self.limits.ack_ms);
        let arrived =
            Arrived { primary, at, form, done, asked, lines, early: Vec::new(), beat, lost: None };
        self.enter(now, State::Staging(Box::new(arrived)));
        actions.push(Action::HoldReads);
        actions.push(Action::EndSnapshot);
    }

    /// Begins to follow the stream at `self.position`.
    pub(super) fn run(
        &mut self,
        now: Moment,
        db: u16,
        start: Start,
        actions: &mut Vec<Action<'_>>,
    ) {
        let (bulk_max, unit_max) = (self.limits.bulk_bytes_max, self.limits.unit_bytes_max);
        let id = self.position.map(|Position { id, .. }| id);
        let offset = self.position.map_or(Scalar(0), |Position { offset, .. }| offset);
        let split = Split::new(offset, db, bulk_max, unit_max);
        let (form, sync_ms, lines, early) = match start {
            Start::Resumed => (None, None, None, Vec::new()),
            Start::Synced { form, sync_ms, lines, early } => {
                (Some(form), Some(sync_ms), lines, early)
            }
        };
        let mut following = Following {
            id,
            split,
            sync_ms,
            progress: now,
            fresh: 0,
            ack: now,
            owed: None,
            has_flows: false,
            left_out: None,
            lines,
            next_id: None,
        };
        // A primary that sent a mark waits for an acknowledgement, also after SYNC.
        if id.is_some() || form == Some(Form::Mark) {
            acknowledge(&mut following, now, self.applied, (&self.hello, &self.limits), actions);
        }
        (self.attempts, self.down_since, self.last_io) = (0, None, Some(now));
        self.enter(now, State::Following(Box::new(following)));
        if !early.is_empty() {
            let taken = self.take_stream(now, &early, actions);
            taken.map_or_else(|failure| self.fail(now, failure, actions), drop);
        }
    }
}
