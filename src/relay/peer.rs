//! A replica's connection: what its session wants is written to it, and what it says is read.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::clients::leaving::Known;
use crate::config::table::Config;
use crate::journal::backlog::Backlog;
use crate::journal::cursors::{CursorId, Hold};
use crate::journal::log::Read;
use crate::mail::replica::{SessionId, SessionView};
use crate::reactor::clock::Monotonic;
use crate::reactor::streams::{Stream as Socket, Tried};
use crate::reactor::wake::Awaited;
use crate::replication::history::Scalar;
use crate::replication::moment::Moment;
use crate::replication::session::{Action, Event, Limits, Session};

/// Bytes that are read at once: replicas say little.
const READ_BYTES: usize = 4096;
/// Bytes that are written to one replica before the next has its turn.
const WRITE_BYTES: usize = 1 << 20;

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
    socket: Socket,
    /// What is to be written before the stream.
    out: Vec<u8>,
    /// Where in the backlog it reads. A replica that receives its snapshot holds what it is going
    /// to need.
    reads: Reads,
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
    /// From here on, as soon as the stream gets there.
    From(Scalar),
    /// By this cursor, which does not go on while the snapshot is on its way.
    Held(CursorId),
    /// By this cursor.
    Stream(CursorId),
}

impl Peer {
    /// A session and its connection.
    pub fn new(id: SessionId, session: Session, known: Known, socket: Socket) -> Self {
        Self {
            id,
            session,
            known,
            socket,
            out: Vec::new(),
            reads: Reads::Nothing,
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
            (Reads::Nothing | Reads::From(_), _) | (_, None) => 0,
        };
        Some(SessionView { session: self.id, known: self.known.clone(), standing, unsent_bytes })
    }

    /// Writes this before the stream.
    pub fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A descriptor of the connection for another process.
    ///
    /// # Errors
    /// The system's, for want of descriptors.
    pub fn lend(&self) -> std::io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// Holds the stream from here on.
    pub fn hold_from(&mut self, place: Scalar) {
        self.reads = Reads::From(place);
    }

    /// Sends the stream from here on.
    pub fn stream_from(&mut self, backlog: &mut Backlog, place: Scalar) -> bool {
        self.catch_up(backlog);
        let cursor = match self.reads {
            Reads::Held(cursor) | Reads::Stream(cursor) => Some(cursor),
            Reads::Nothing | Reads::From(_) => backlog.open(place.0, Hold::Unread),
        };
        self.reads = cursor.map_or(Reads::Nothing, Reads::Stream);
        cursor.is_some()
    }

    /// Opens its cursor if the stream has got to where it is to begin. False if that place is there
    /// no more.
    pub fn catch_up(&mut self, backlog: &mut Backlog) -> bool {
        let Reads::From(place) = self.reads else { return true };
        if backlog.end() < place.0 {
            return true;
        }
        let cursor = backlog.open(place.0, Hold::Unread);
        self.reads = cursor.map_or(Reads::Nothing, Reads::Held);
        cursor.is_some()
    }

    /// Writes what there is room for.
    pub fn write(&mut self, now: Moment, backlog: Option<&mut Backlog>, todo: &mut Vec<Action>) {
        self.is_full = false;
        let mut left = WRITE_BYTES;
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Tried::Moved(bytes) => {
                    self.known.figures.bytes_out += bytes as u64;
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

    /// Reads what the replica says.
    pub fn read(&mut self, now: Moment, todo: &mut Vec<Action>) {
        let mut bytes = [0; READ_BYTES];
        match self.socket.read(&mut bytes) {
            Tried::Moved(count) => {
                self.known.figures.bytes_in += count as u64;
                self.known.figures.active = Monotonic::now();
                self.session.handle(now, Event::Received(&bytes[..count]), todo);
                let acks = todo.iter().filter(|action| matches!(action, Action::Acked(_))).count();
                if acks != 0 {
                    self.known.figures.commands += acks as u64;
                    self.known.figures.last_command = ACK_COMMAND;
                }
            }
            Tried::Later => {}
            Tried::Over => self.session.handle(now, Event::Closed, todo),
        }
    }

    /// What is waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        let fd: BorrowedFd<'_> = self.socket.as_fd();
        let writable = self.is_full.then_some(Awaited::Writable(fd));
        [Awaited::Readable(fd)].into_iter().chain(writable)
    }

    /// Ends its connection, also for a child that has a descriptor of it.
    pub fn close(self, backlog: Option<&mut Backlog>) {
        if let (Reads::Held(cursor) | Reads::Stream(cursor), Some(backlog)) = (self.reads, backlog)
        {
            backlog.close(cursor);
        }
        self.socket.end();
    }
}

/// What sessions may use, by the configuration.
pub fn limits(config: &Config) -> Limits {
    Limits {
        silence_ms: u64::from(config.repl_timeout) * 1000,
        progress_ms: u64::from(config.repl_progress_timeout) * 1000,
        output: config.client_output_buffer_limit.replica,
        backlog_bytes: config.repl_backlog_size,
    }
}
