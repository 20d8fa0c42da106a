//! A replica's connection: what its session wants is written to it, and what it says is read.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::clients::leaving::Known;
use crate::config::table::Config;
use crate::journal::backlog::Backlog;
use crate::journal::cursors::CursorId;
use crate::journal::log::Read;
use crate::log;
use crate::mail::board::Traffic;
use crate::mail::replica::SessionView;
use crate::reactor::clock::Monotonic;
use crate::reactor::streams::{Stream as Socket, Tried};
use crate::reactor::wake::Awaited;
use crate::relay::flows::Flows;
use crate::relay::snapshots::Connections;
use crate::replication::greeting::member::Identity;
use crate::replication::history::Scalar;
use crate::replication::moment::Moment;
use crate::replication::session::SessionId;
use crate::replication::session::ended::Cut;
use crate::replication::session::{Action, Event, Limits, Session};

/// Bytes that are read at once: replicas say little.
const READ_BYTES: usize = 4096;
/// Bytes that are written to one replica before the next has its turn.
const WRITE_BYTES: usize = 1 << 20;

/// What a replica whose logs come by connections of their own hears each second.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// By what replicas acknowledge.
const ACK_COMMAND: &str = "replconf";

/// A replica and its connection.
#[derive(Debug)]
pub struct Peer {
    /// Its session's number.
    pub id: SessionId,
    /// Its session.
    pub session: Session,
    /// Who it was as a client, and what it has done since.
    known: Known,
    /// Which node it is, as far as it has told.
    identity: Identity,
    socket: Socket,
    /// It takes each log by a connection of its own, and no stream.
    pub flows: Option<Flows>,
    /// What is to be written before the stream.
    out: Vec<u8>,
    /// Where in the backlog it reads. A replica that receives its snapshot holds what it is going
    /// to need.
    reads: Reads,
    /// What it has said that was not acted on.
    came: Vec<u8>,
    /// It says no more.
    is_over: bool,
    /// The socket has no room at present.
    is_full: bool,
    /// It has acknowledged something.
    pub has_acked: bool,
    /// Its session has ended: it is closed at the end of the turn.
    pub has_ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Reads {
    /// Nothing yet.
    Nothing,
    /// From here on, as soon as the stream gets there, but held.
    From(Scalar),
    /// From here on, as soon as the stream gets there.
    StreamFrom(Scalar),
    /// By this cursor, which does not go on while the snapshot is on its way.
    Held(CursorId),
    /// By this cursor.
    Stream(CursorId),
}

impl Peer {
    /// A session and its connection.
    pub fn new(
        id: SessionId,
        session: Session,
        (known, identity): (Known, Identity),
        socket: Socket,
    ) -> Self {
        Self {
            id,
            session,
            known,
            identity,
            socket,
            flows: None,
            out: Vec::new(),
            reads: Reads::Nothing,
            came: Vec::new(),
            is_over: false,
            is_full: false,
            has_acked: false,
            has_ended: false,
        }
    }

    /// As CLIENT LIST and the metrics show it, until its session has ended.
    pub fn view(&self, now: Moment, backlog: Option<&Backlog>) -> Option<SessionView> {
        let standing = self.session.shown(now)?;
        let unsent_bytes = match (self.reads, backlog) {
            (Reads::Held(cursor) | Reads::Stream(cursor), Some(backlog)) => {
                backlog.end().saturating_sub(backlog.next(cursor))
            }
            (Reads::Nothing | Reads::From(_) | Reads::StreamFrom(_), _) | (_, None) => 0,
        };
        let (known, identity) = (self.known.clone(), self.identity.clone());
        Some(SessionView { session: self.id, known, identity, standing, unsent_bytes })
    }

    /// Writes this before the stream.
    pub fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Descriptors of the connection, or of those that its snapshot goes by, for another process.
    ///
    /// # Errors
    /// The system's, for want of descriptors.
    pub fn lend(&self) -> std::io::Result<Vec<OwnedFd>> {
        match self.flows.as_ref().and_then(|flows| flows.snapshot.as_ref()) {
            Some(connections) => connections.lend(),
            None => Ok(vec![self.socket.as_fd().try_clone_to_owned()?]),
        }
    }

    /// Holds the stream from here on.
    pub fn hold_from(&mut self, place: Scalar) {
        self.reads = Reads::From(place);
    }

    /// Sends the stream from here on, as soon as it gets there. False if that place is there no
    /// more.
    pub fn stream_from(&mut self, backlog: &mut Backlog, place: Scalar) -> bool {
        self.reads.stream_from(backlog, place)
    }

    /// Opens its cursor if the stream has got to where it is to begin. False if that place is there
    /// no more.
    pub fn catch_up(&mut self, backlog: &mut Backlog) -> bool {
        self.reads.catch_up(backlog)
    }

    /// Sees to its logs, if it takes each by a connection of its own; together they reach up to
    /// `end`. It hears a PING each second, and its session ends if one of them brings nothing.
    pub fn see_to_flows(&mut self, now: Moment, end: Scalar, todo: &mut Vec<Action>) {
        let Some(flows) = &mut self.flows else { return };
        if flows.snapshot.as_ref().is_some_and(|connections| connections.are_late(now)) {
            let why = "a connection for its snapshot did not come".to_owned();
            self.session.handle(now, Event::ChildEnded(Err(why)), todo);
        }
        let end = flows.end(end);
        if self.session.is_online() || flows.are_connected() {
            self.session.handle(now, Event::Sent(end), todo);
        }
        if flows.have_ended(self.session.acked()) {
            return self.session.handle(now, Event::Cut(Cut::History), todo);
        }
        if flows.beats(now) {
            self.out.extend_from_slice(PING);
        }
        let Some(acked) = self.session.acked() else { return };
        let stalled_ms = flows.stalled_ms(acked, end, now);
        if self.session.silence_ms() < stalled_ms {
            let address = self.session.address();
            log::warning(&format!(
                "Replica {address} has applied nothing for {} seconds, and lacks something",
                stalled_ms / 1000
            ));
            self.session.handle(now, Event::Closed, todo);
        }
    }

    /// Writes what there is room for.
    pub fn write(
        &mut self,
        now: Moment,
        backlog: Option<&mut Backlog>,
        traffic: &mut Traffic,
        todo: &mut Vec<Action>,
    ) {
        self.is_full = false;
        let mut left = WRITE_BYTES;
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Tried::Moved(bytes) => {
                    self.known.figures.bytes_out += bytes as u64;
                    traffic.written_to_replica(bytes);
                    self.out.drain(..bytes);
                }
                Tried::Later => return self.is_full = true,
                Tried::Over => return self.session.handle(now, Event::Closed, todo),
            }
        }
        let (Reads::Stream(cursor), Some(backlog)) = (self.reads, backlog) else { return };
        while 0 < left {
            match backlog.read(cursor, left) {
                Read::Bytes(bytes) => match self.socket.write(bytes) {
                    Tried::Moved(bytes) => {
                        backlog.advance(cursor, bytes as u64);
                        self.known.figures.bytes_out += bytes as u64;
                        traffic.written_to_replica(bytes);
                        left -= bytes;
                    }
                    Tried::Later => {
                        self.is_full = true;
                        break;
                    }
                    Tried::Over => return self.session.handle(now, Event::Closed, todo),
                },
                Read::Nothing => break,
                Read::Fallen => return self.session.handle(now, Event::FellOut, todo),
            }
        }
        if left < WRITE_BYTES {
            let sent = Scalar(backlog.next(cursor));
            self.session.handle(now, Event::Sent(sent), todo);
        }
    }

    /// Receives what the replica says. [`Self::hear`] acts on it.
    pub fn receive(&mut self, traffic: &mut Traffic) {
        let mut bytes = [0; READ_BYTES];
        match self.socket.read(&mut bytes) {
            Tried::Moved(count) => {
                self.known.figures.bytes_in += count as u64;
                traffic.read_from_replica(count);
                self.known.figures.active = Monotonic::now();
                self.came.extend_from_slice(&bytes[..count]);
            }
            Tried::Later => {}
            Tried::Over => self.is_over = true,
        }
    }

    /// Acts on what the replica has said.
    pub fn hear(&mut self, now: Moment, todo: &mut Vec<Action>) {
        if !self.came.is_empty() {
            self.session.handle(now, Event::Received(&self.came), todo);
            self.came.clear();
            let acks = todo.iter().filter(|action| matches!(action, Action::Acked(_))).count();
            if acks != 0 {
                self.known.figures.commands += acks as u64;
                self.known.figures.last_command = ACK_COMMAND;
            }
        }
        if self.is_over {
            self.session.handle(now, Event::Closed, todo);
        }
    }

    /// What is waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        let fd: BorrowedFd<'_> = self.socket.as_fd();
        let writable = self.is_full.then_some(Awaited::Writable(fd));
        [Awaited::Readable(fd)].into_iter().chain(writable)
    }

    /// Ends its connection, also for a child that has a descriptor of it.
    pub fn close(mut self, backlog: Option<&mut Backlog>) {
        if let (Reads::Held(cursor) | Reads::Stream(cursor), Some(backlog)) = (self.reads, backlog)
        {
            backlog.close(cursor);
        }
        if !self.out.is_empty() {
            // Why it ends, as a rule: a replica that has no room for that is gone.
            let _ = self.socket.write(&self.out);
        }
        let snapshot = self.flows.and_then(|flows| flows.snapshot);
        snapshot.into_iter().for_each(Connections::end);
        self.socket.end();
    }
}

impl Reads {
    fn stream_from(&mut self, backlog: &mut Backlog, place: Scalar) -> bool {
        *self = match *self {
            Self::Held(cursor) | Self::Stream(cursor) => Self::Stream(cursor),
            // A replica may have its snapshot before what is in front of it is merged.
            Self::Nothing | Self::From(_) | Self::StreamFrom(_) => Self::StreamFrom(place),
        };
        self.catch_up(backlog)
    }

    fn catch_up(&mut self, backlog: &mut Backlog) -> bool {
        let (place, opened): (Scalar, fn(CursorId) -> Self) = match *self {
            Self::From(place) => (place, Self::Held),
            Self::StreamFrom(place) => (place, Self::Stream),
            Self::Nothing | Self::Held(_) | Self::Stream(_) => return true,
        };
        if backlog.end() < place.0 {
            return true;
        }
        let cursor = backlog.open(place.0);
        *self = cursor.map_or(Self::Nothing, opened);
        cursor.is_some()
    }
}

/// What sessions may use, by the configuration.
pub fn limits(config: &Config) -> Limits {
    Limits {
        silence_ms: u64::from(config.repl_timeout) * 1000,
        // The child drops a replica by itself that takes too little, while others wait for it.
        progress_ms: u64::from(config.repl_progress_timeout) * 2000,
        output: config.client_output_buffer_limit.replica,
        backlog_bytes: config.repl_backlog_size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::backlog::Limits as BacklogLimits;

    #[test]
    fn a_replica_may_be_ahead_of_the_stream_for_a_moment() {
        let limits = BacklogLimits { size_bytes: 1 << 20, held_bytes_max: 1 << 20 };
        let mut backlog = Backlog::new(100, limits);
        let write = |backlog: &mut Backlog, bytes: usize| {
            backlog.write(&vec![7; bytes]).expect("there is memory");
            backlog.end_unit();
        };
        // One waits for its snapshot, one has it, and one went on.
        let mut all = [Reads::From(Scalar(130)), Reads::From(Scalar(130)), Reads::Nothing];
        assert!(all.iter_mut().all(|reads| reads.catch_up(&mut backlog)));
        assert!(all[1..].iter_mut().all(|reads| reads.stream_from(&mut backlog, Scalar(130))));
        write(&mut backlog, 29);
        assert!(all.iter_mut().all(|reads| reads.catch_up(&mut backlog)));
        assert!(matches!(all, [Reads::From(_), Reads::StreamFrom(_), Reads::StreamFrom(_)]));
        write(&mut backlog, 3);
        assert!(all.iter_mut().all(|reads| reads.catch_up(&mut backlog)));
        assert!(matches!(all, [Reads::Held(_), Reads::Stream(_), Reads::Stream(_)]));
        assert!(all[0].stream_from(&mut backlog, Scalar(130)));
        for reads in all {
            let Reads::Stream(cursor) = reads else { panic!("{reads:?}") };
            assert_eq!(backlog.next(cursor), 130);
        }
        assert!(!Reads::Nothing.stream_from(&mut backlog, Scalar(99)), "that is not kept");
    }
}
