//! A stock replica's session at its primary, as a machine.
//!
//! ```text
//!            Lent          SyncBegan            ChildEnded          ACK
//! waiting ---------> lent -----------> receiving ---------> loading ---> online
//!    |                                     '--- a form without ACK ------^
//!    '------------------------ Resumed ----------------------------------^
//!    from each of them: ended, with a reason
//! ```
//! While it waits for a snapshot the replica gets an empty line each second. From `Lent` on the
//! socket belongs to the child that writes the snapshot, and not a byte may be written here: the
//! child answers the PSYNC, too. `Lent` comes before `SyncBegan`, which comes
//! before `ChildEnded` if there was a child at all.
//!
//! Writers never wait for a replica. What waits for it lies in the backlog; a replica that is too
//! far behind is cut. Nothing here reads a clock or writes a socket.

pub mod input;
pub mod ended;
pub mod shown;
pub mod sync;

use std::mem;

use crate::config::choices::LogLevel;
use crate::config::output_limits::OutputLimit;
use crate::replication::address::Address;
use crate::replication::greeting::{Asked, Sequel, Terms};
use crate::replication::history::Scalar;
use crate::replication::moment::Moment;
use crate::replication::session::ended::{Cut, Ended, Phase, Verdict};
use crate::replication::session::input::{Ack, Input, Malformed, Said};
use crate::replication::session::shown::PRIORITY_USUAL;
use crate::replication::session::sync::{Shortage, Sync, bytes};

/// Milliseconds between the empty lines that a waiting replica gets.
const LINE_MS: u64 = 1000;
/// Bytes of a snapshot that a replica must take within [`Limits::progress_ms`].
pub const PROGRESS_BYTES_MIN: u64 = 64 << 10;

/// A number of a session, which no other has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a session may use and how long it may take. It may change at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `repl-timeout` in milliseconds: a replica that acknowledges is silent for no longer.
    pub silence_ms: u64,
    /// Milliseconds in each of which some of a snapshot is written: more than the time in which
    /// the child that writes it gives a replica up.
    pub progress_ms: u64,
    /// `client-output-buffer-limit replica`, in bytes of the backlog that were not sent yet.
    pub output: OutputLimit,
    /// `repl-backlog-size`. A hard limit below it saves no memory, and counts as this.
    pub backlog_bytes: u64,
}

impl Limits {
    /// Bytes of the backlog that may wait for a replica for long: below this one is never cut.
    pub fn log_bytes_max(&self) -> u64 {
        self.hard_bytes().min(self.output.soft_max())
    }

    /// Bytes of the backlog that may wait for a replica: with more it is cut, so who lacks more is
    /// not to go on where it is.
    pub fn hard_bytes(&self) -> u64 {
        self.output.hard_max().max(self.backlog_bytes)
    }
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Time has passed.
    Tick,
    /// The socket was lent to the child that will write the snapshot.
    Lent,
    /// The child writes.
    SyncBegan {
        /// Where the stream goes on behind the snapshot.
        cut: Scalar,
    },
    /// The child gets on.
    Progress(Progress),
    /// The child is gone: it has written all, or not, and why.
    ChildEnded(Result<(), String>),
    /// FLUSHALL ended the child.
    Flushed,
    /// No snapshot is needed: the replica has all up to this scalar.
    Resumed(Scalar),
    /// These bytes came from the replica.
    Received(&'a [u8]),
    /// The backlog reaches up to this scalar.
    Backlog(Scalar),
    /// The socket has taken the stream up to this scalar.
    Sent(Scalar),
    /// The backlog does not reach back any more to what the replica needs.
    FellOut,
    /// The connection is gone.
    Closed,
    /// The node ends the session.
    Cut(Cut),
}

/// How far the child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that it has written to each replica.
    pub written: u64,
    /// Bytes that the whole snapshot will have, by the keys that are written; 0 before the first.
    pub expected: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes.
    Send(&'static [u8]),
    /// Send the stream from this scalar on.
    Stream(Scalar),
    /// The replica is so far. It is online, and was sent that much.
    Acked(Ack),
    /// A full sync came to its end.
    SyncOver(Outcome),
    /// Write this line into the log.
    Log(LogLevel, String),
    /// Close the connection, and count why.
    Close(Ended),
}

/// How a full sync came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The replica has the snapshot, and has stayed.
    Succeeded,
    /// It has not.
    Failed,
    /// It has not, or not for long, for want of memory for the log that came meanwhile.
    Short(Shortage),
}

/// The machine.
#[derive(Debug)]
pub struct Session {
    address: Address,
    terms: Terms,
    limits: Limits,
    input: Input,
    state: State,
    /// How far the backlog reaches.
    backlog_end: Scalar,
    /// Since when more waits than the soft limit allows.
    soft_since: Option<Moment>,
    /// Whether the log has been told that the replica acknowledges what it cannot have.
    ahead_told: bool,
    /// What the replica tells as its priority.
    priority: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting {
        line_due: Moment,
    },
    /// How far the replica says it is, which may have all before this node knows of its beginning.
    Lent {
        acked: Option<Scalar>,
    },
    Receiving {
        sync: Sync,
        window: Window,
        acked: bool,
    },
    Loading {
        sync: Sync,
        heard: Moment,
    },
    Online(Online),
    Ended,
}

/// The present span in which a replica must take some of its snapshot.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Moment,
    written: u64,
}

#[derive(Clone, Copy, Debug)]
struct Online {
    sent: Scalar,
    acked: Option<Scalar>,
    heard: Moment,
    /// The sync that brought it here, until it is a success.
    unproved: Option<Sync>,
}

impl Session {
    /// Of a replica that asked at `now`, and waits.
    pub fn new(now: Moment, address: Address, terms: Terms, limits: Limits) -> Self {
        Self {
            address,
            terms,
            limits,
            input: Input::default(),
            state: State::Waiting { line_due: now.after(LINE_MS) },
            backlog_end: Scalar(0),
            soft_since: None,
            ahead_told: false,
            priority: PRIORITY_USUAL,
        }
    }

    /// Has other limits from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Its snapshot goes as chunks.
    pub fn take_chunks(&mut self) {
        self.terms = self.terms.by_chunks();
    }

    /// Milliseconds for which it may be silent.
    pub fn silence_ms(&self) -> u64 {
        self.limits.silence_ms
    }

    /// Acts on what has happened.
    pub fn handle(&mut self, now: Moment, event: Event<'_>, actions: &mut Vec<Action>) {
        match event {
            // What comes all the time takes no other state.
            Event::Tick => {}
            Event::Backlog(end) => self.backlog_end = self.backlog_end.max(end),
            Event::Sent(upto) => self.note_sent(upto),
            event => self.go_on(now, event, actions),
        }
        self.look(now, actions);
    }

    fn note_sent(&mut self, upto: Scalar) {
        match &mut self.state {
            State::Receiving { sync, .. } | State::Loading { sync, .. } => {
                sync.sent = sync.sent.max(upto);
            }
            State::Online(online) => online.sent = online.sent.max(upto),
            State::Waiting { .. } | State::Lent { .. } | State::Ended => {}
        }
    }

    fn go_on(&mut self, now: Moment, event: Event<'_>, actions: &mut Vec<Action>) {
        self.state = match (mem::replace(&mut self.state, State::Ended), event) {
            (State::Ended, _) => State::Ended,
            (state, Event::Closed) => self.end(state, now, Ended::Closed, actions),
            (state, Event::Cut(cut)) => self.end(state, now, Ended::Cut(cut), actions),
            (state, Event::Received(bytes)) => self.hear(state, now, bytes, actions),
            (State::Waiting { .. }, Event::Lent) => State::Lent { acked: None },
            (state @ (State::Waiting { .. } | State::Lent { .. }), Event::SyncBegan { cut }) => {
                let sync = Sync::new(now, cut);
                let window = Window { began: now, written: 0 };
                let acked = matches!(state, State::Lent { acked: Some(acked) } if cut <= acked);
                State::Receiving { sync, window, acked }
            }
            (State::Waiting { .. }, Event::Resumed(from)) => {
                self.go_online(Online { acked: Some(from), ..Online::new(now, from) }, actions)
            }
            (
                state @ (State::Waiting { .. } | State::Lent { .. } | State::Receiving { .. }),
                Event::ChildEnded(Err(why)),
            ) => self.end(state, now, Ended::SyncFailed(why), actions),
            (state @ (State::Lent { .. } | State::Receiving { .. }), Event::Flushed) => {
                self.end(state, now, Ended::Flushed, actions)
            }
            (State::Receiving { mut sync, window, acked }, Event::Progress(progress)) => {
                sync.written = sync.written.max(progress.written);
                sync.expected = progress.expected;
                State::Receiving { sync, window, acked }
            }
            (state @ State::Receiving { .. }, Event::ChildEnded(Ok(()))) => {
                self.note_written(state, now, actions)
            }
            (
                state @ (State::Receiving { .. } | State::Loading { .. } | State::Online(_)),
                Event::FellOut,
            ) => self.end(state, now, Ended::FellOut, actions),
            // News of a part of its life that is over or never was.
            (state, _) => state,
        };
    }

    /// When to [`Event::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        let own = match self.state {
            State::Waiting { line_due } => Some(line_due),
            State::Lent { .. } | State::Ended => None,
            State::Receiving { window, .. } => Some(window.began.after(self.limits.progress_ms)),
            State::Loading { heard, .. } => Some(self.silent_from(heard)),
            State::Online(Online { heard, unproved, .. }) => {
                let silent = self.acknowledges().then(|| self.silent_from(heard));
                silent.into_iter().chain(unproved.and_then(Sync::success_due)).min()
            }
        };
        let soft = self.soft_since.map(|since| since.after(self.soft_ms().saturating_add(1)));
        [own, soft].into_iter().flatten().min()
    }

    /// Where the replica can be reached.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What was agreed on for a full sync.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The child has written all.
    fn note_written(&self, state: State, now: Moment, actions: &mut Vec<Action>) -> State {
        let State::Receiving { sync, acked, .. } = state else { return state };
        let online = Online::new(now, sync.sent);
        match self.terms.sequel {
            Sequel::End => self.end(state, now, Ended::FileSent, actions),
            Sequel::AwaitAck if acked => self.go_online(online.acked_with(sync), actions),
            Sequel::AwaitAck => State::Loading { sync, heard: now },
            Sequel::Stream => self.go_online(Online { unproved: Some(sync), ..online }, actions),
            Sequel::StreamUnacked => {
                actions.push(Action::SyncOver(Outcome::Succeeded));
                self.go_online(online, actions)
            }
        }
    }

    fn go_online(&self, mut online: Online, actions: &mut Vec<Action>) -> State {
        actions.push(Action::Stream(online.sent));
        if let Some(applied) = online.acked {
            actions.push(Action::Acked(Ack { applied, durable: None }));
            self.prove(&mut online, actions);
        }
        State::Online(online)
    }

    /// The replica has acknowledged: a sync up to there has brought it its snapshot.
    fn prove(&self, online: &mut Online, actions: &mut Vec<Action>) {
        let Online { acked, heard, unproved, .. } = online;
        if let Some(sync) = unproved
            && sync.acked.is_none()
            && Some(sync.cut) <= *acked
        {
            sync.acked = Some(*heard);
            let text = format!("Synchronization with replica {} succeeded", self.address);
            actions.push(Action::Log(LogLevel::Notice, text));
        }
    }

    /// Reads what the replica says.
    fn hear(
        &mut self,
        mut state: State,
        now: Moment,
        bytes: &[u8],
        actions: &mut Vec<Action>,
    ) -> State {
        let mut said = Vec::new();
        let result = self.input.take(bytes, &mut said);
        for word in said {
            state = match word {
                Said::Ack(ack, priority) => {
                    self.priority = priority;
                    self.acknowledge(state, now, ack, actions)
                }
                Said::Alive => note_alive(state, now),
                Said::Idle => state,
                Said::Quit => return self.end(state, now, Ended::Quit, actions),
                Said::Command(name) => {
                    return self.end(state, now, Ended::Unexpected(name), actions);
                }
            };
        }
        match result {
            Ok(()) => state,
            Err(Malformed::Protocol(how)) => self.end(state, now, Ended::Protocol(how), actions),
            Err(Malformed::TooLong) => {
                self.end(state, now, Ended::Protocol("too long".to_string()), actions)
            }
        }
    }

    fn acknowledge(
        &mut self,
        state: State,
        now: Moment,
        ack: Ack,
        actions: &mut Vec<Action>,
    ) -> State {
        let Ack { applied, durable } = ack;
        match state {
            // The replica may have read all before this node knows that all is written. Tools
            // acknowledge each second, and say less then.
            State::Receiving { sync, window, acked } => {
                State::Receiving { sync, window, acked: acked || sync.cut <= applied }
            }
            State::Loading { sync, .. } if sync.cut <= applied => {
                self.go_online(Online::new(now, sync.sent).acked_with(sync), actions)
            }
            // As in Valkey any offset begins the stream. It proves nothing.
            State::Loading { sync, .. } => {
                let online = Online::new(now, sync.sent);
                self.go_online(Online { unproved: Some(sync), ..online }, actions)
            }
            State::Online(mut online) => {
                online.heard = now;
                if applied <= online.sent {
                    let applied = online.acked.map_or(applied, |before| before.max(applied));
                    online.acked = Some(applied);
                    let durable = durable.filter(|durable| *durable <= online.sent);
                    actions.push(Action::Acked(Ack { applied, durable }));
                    self.prove(&mut online, actions);
                } else if !mem::replace(&mut self.ahead_told, true) {
                    // What it cannot have does not count for WAIT. It is a sign of life.
                    let (address, sent) = (&self.address, online.sent);
                    let text = format!(
                        "Replica {address} acknowledges offset {applied}, but was sent {sent}"
                    );
                    actions.push(Action::Log(LogLevel::Warning, text));
                }
                State::Online(online)
            }
            State::Lent { .. } => State::Lent { acked: Some(applied) },
            State::Waiting { .. } | State::Ended => state,
        }
    }

    /// Looks whether time or memory is up.
    fn look(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let next = match self.state {
            State::Waiting { line_due } if line_due <= now => {
                actions.push(Action::Send(b"\n"));
                Some(State::Waiting { line_due: now.after(LINE_MS) })
            }
            State::Receiving { sync, window, acked }
                if self.limits.progress_ms <= now.since(window.began) =>
            {
                if sync.written.saturating_sub(window.written) < PROGRESS_BYTES_MIN {
                    Some(self.end(self.state, now, Ended::Stalled(sync.written), actions))
                } else {
                    let window = Window { began: now, written: sync.written };
                    Some(State::Receiving { sync, window, acked })
                }
            }
            State::Loading { heard, .. } if self.silent_from(heard) <= now => {
                Some(self.end(self.state, now, Ended::Silent(now.since(heard)), actions))
            }
            State::Online(Online { heard, .. })
                if self.acknowledges() && self.silent_from(heard) <= now =>
            {
                Some(self.end(self.state, now, Ended::Silent(now.since(heard)), actions))
            }
            State::Online(online @ Online { unproved: Some(sync), .. })
                if sync.success_due().is_some_and(|due| due <= now) =>
            {
                actions.push(Action::SyncOver(Outcome::Succeeded));
                Some(State::Online(Online { unproved: None, ..online }))
            }
            _ => None,
        };
        if let Some(next) = next {
            self.state = next;
        }
        if let Some(ended) = self.output_ended(now) {
            self.state = self.end(self.state, now, ended, actions);
        }
    }

    /// Looks whether too much waits for the replica.
    fn output_ended(&mut self, now: Moment) -> Option<Ended> {
        let waits = self.waits();
        if self.limits.hard_bytes() < waits {
            return Some(Ended::OutputHard(waits));
        }
        if waits <= self.limits.output.soft_max() {
            self.soft_since = None;
            return None;
        }
        let since = *self.soft_since.get_or_insert(now);
        (self.soft_ms() < now.since(since)).then_some(Ended::OutputSoft(waits))
    }

    /// Bytes of the backlog that wait for the replica.
    fn waits(&self) -> u64 {
        match self.state {
            State::Receiving { sync, .. } | State::Loading { sync, .. } => {
                bytes(sync.sent, self.backlog_end)
            }
            State::Online(online) => bytes(online.sent, self.backlog_end),
            State::Waiting { .. } | State::Lent { .. } | State::Ended => 0,
        }
    }

    fn soft_ms(&self) -> u64 {
        u64::from(self.limits.output.soft_seconds) * 1000
    }

    /// When a replica that was last heard at `heard` has been silent for too long.
    fn silent_from(&self, heard: Moment) -> Moment {
        heard.after(self.limits.silence_ms.saturating_add(1))
    }

    /// Whether it acknowledges at all: replicas that asked by SYNC do not.
    fn acknowledges(&self) -> bool {
        self.terms.asked == Asked::Psync
    }

    /// Ends the session.
    fn end(&self, state: State, now: Moment, ended: Ended, actions: &mut Vec<Action>) -> State {
        let (phase, sync) = match state {
            State::Waiting { .. } | State::Lent { .. } => (Phase::Before, None),
            State::Receiving { sync, .. } | State::Loading { sync, .. } => {
                (Phase::During, Some(sync))
            }
            State::Online(Online { unproved: Some(sync), .. }) => {
                (if sync.acked.is_none() { Phase::During } else { Phase::Fresh }, Some(sync))
            }
            State::Online(Online { unproved: None, .. }) | State::Ended => (Phase::After, None),
        };
        // A tool is no replica that asks again and again.
        let is_tool = self.terms.sequel == Sequel::End;
        match (ended.case(phase).gives, sync) {
            (Verdict::Failed | Verdict::ShortOfMemory, _) if is_tool => {}
            (Verdict::ShortOfMemory, Some(sync)) => {
                let shortage = sync.shortage(now, self.backlog_end);
                actions.push(Action::SyncOver(Outcome::Short(shortage)));
            }
            (Verdict::Failed | Verdict::ShortOfMemory, _) => {
                actions.push(Action::SyncOver(Outcome::Failed));
            }
            (Verdict::Succeeded, _) => actions.push(Action::SyncOver(Outcome::Succeeded)),
            (Verdict::Neutral, _) => {}
        }
        let level = if ended.is_warning() { LogLevel::Warning } else { LogLevel::Notice };
        actions.push(Action::Log(level, self.farewell(phase, &ended)));
        if let (Phase::Before, Ended::SyncFailed(_)) = (phase, &ended) {
            // No child has the socket, so the replica can be told.
            actions.push(Action::Send(b"-ERR BGSAVE failed, replication can't continue\r\n"));
        }
        actions.push(Action::Close(ended));
        State::Ended
    }

    /// The last line of the log about it; operators know some of Valkey's.
    fn farewell(&self, phase: Phase, ended: &Ended) -> String {
        let address = &self.address;
        match (ended, phase) {
            (Ended::Closed, _) => format!("Connection with replica {address} lost."),
            (Ended::Silent(_), Phase::Fresh | Phase::After) => {
                format!("Disconnecting timedout replica (streaming sync): {address}")
            }
            (Ended::Silent(_), Phase::Before | Phase::During) => {
                format!("Disconnecting timedout replica (full sync): {address}")
            }
            (ended, _) => format!("Replica {address} is disconnected: {ended}"),
        }
    }
}

/// The replica lives.
fn note_alive(state: State, now: Moment) -> State {
    match state {
        State::Loading { sync, .. } => State::Loading { sync, heard: now },
        State::Online(online) => State::Online(Online { heard: now, ..online }),
        State::Waiting { .. } | State::Lent { .. } | State::Receiving { .. } | State::Ended => {
            state
        }
    }
}

impl Online {
    /// Of a replica that has all before `from`.
    const fn new(now: Moment, from: Scalar) -> Self {
        Self { sent: from, acked: None, heard: now, unproved: None }
    }

    /// It has acknowledged the snapshot of `sync`.
    const fn acked_with(self, sync: Sync) -> Self {
        Self { acked: Some(sync.cut), unproved: Some(sync), ..self }
    }
}

#[cfg(test)]
mod tests;
