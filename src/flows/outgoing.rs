//! A shard's log on its way to replicas that take it as it is.
//!
//! A flow has a cursor from the moment on at which it is promised, and a connection when the
//! replica has opened it. One send of a flow is under way at a time. The next begins when
//! [`SEND_BYTES`] wait for it, or [`PACE_MICROS`] after the one before began, so that what comes
//! seldom goes at once: a send, with the replica that it wakes, costs the system some ten
//! microseconds, a SET half of one.

use crate::flows::frames::Frame;
use crate::journal::cursors::CursorId;
use crate::journal::log::{Log, Read};
use crate::reactor::clock::Monotonic;
use crate::reactor::ring::Token;
use crate::replication::history::Offset;
use crate::replication::session::SessionId;

/// Bytes of a log that are sent without delay.
const SEND_BYTES: u64 = 64 << 10;
/// Bytes of a log in a frame: a replica takes none of a frame that is not all there, so that over a
/// connection that is lost again and again it gets on by short ones alone.
const FRAME_BYTES: usize = 32 << 10;
/// Bytes of a log that are sent at once, at most.
const SENT_BYTES_MAX: usize = 256 << 10;
/// Microseconds from the begin of a send to the next one of fewer bytes. With 500 a replica costs
/// its primary 1.15 of the CPU per SET, with 1000 up to 1.09, with 2000 up to 1.04; what waits is
/// lost if the process is killed.
const PACE_MICROS: u64 = 1000;

/// A log on its way to one replica.
#[derive(Debug)]
pub struct Outgoing {
    /// The replica.
    pub session: SessionId,
    cursor: CursorId,
    connection: Connection,
    /// When the last send began.
    began: Option<Monotonic>,
    /// Something waits to be sent.
    waits: bool,
    /// Control waits until the replica has it.
    is_awaited: bool,
    /// A buffer, kept for its room.
    spare: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    /// The replica has not opened it yet.
    None,
    /// Nothing is being sent.
    Idle(Token),
    /// Something is.
    Sending(Token),
}

/// What there is to send.
#[derive(Debug)]
pub enum Next {
    /// Nothing, or not yet.
    Nothing,
    /// This.
    Send(Token, Vec<u8>),
    /// What the replica needs next is not in the log any more.
    Fallen,
}

impl Outgoing {
    /// The log from this offset on. `None`: it does not have that.
    pub fn open(session: SessionId, log: &mut Log, offset: Offset) -> Option<Self> {
        let cursor = log.open(offset.0)?;
        let connection = Connection::None;
        Some(Self {
            session,
            cursor,
            connection,
            began: None,
            waits: false,
            is_awaited: false,
            spare: Vec::new(),
        })
    }

    /// Goes by this connection from now on. False if it has one.
    pub fn connect(&mut self, token: Token) -> bool {
        let is_first = self.connection == Connection::None;
        if is_first {
            self.connection = Connection::Idle(token);
        }
        is_first
    }

    /// Its connection, once it has one.
    pub fn token(&self) -> Option<Token> {
        match self.connection {
            Connection::None => None,
            Connection::Idle(token) | Connection::Sending(token) => Some(token),
        }
    }

    /// Control waits until replicas have what the log has now: it is sent without delay.
    pub fn hurry(&mut self) {
        self.is_awaited = true;
    }

    /// The system has taken what was sent.
    pub fn sent(&mut self, buffer: Vec<u8>) {
        if let Connection::Sending(token) = self.connection {
            self.connection = Connection::Idle(token);
        }
        self.spare = buffer;
    }

    /// What is to be sent now.
    pub fn next(&mut self, log: &mut Log, flow: u16, now: Monotonic) -> Next {
        let token = match self.connection {
            Connection::Idle(token) => token,
            // What it will need may go before it comes for it, or has taken what it was sent.
            Connection::None | Connection::Sending(_) => match log.read(self.cursor, 1) {
                Read::Fallen => return Next::Fallen,
                Read::Bytes(_) | Read::Nothing => return Next::Nothing,
            },
        };
        let waiting = log.end().saturating_sub(log.next(self.cursor));
        self.waits = 0 < waiting;
        let is_early = !self.is_awaited && 0 < self.pause_micros(now);
        if !self.waits || waiting < SEND_BYTES && is_early {
            return Next::Nothing;
        }
        (self.began, self.waits, self.is_awaited) = (Some(now), false, false);
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        for _ in 0..SENT_BYTES_MAX / FRAME_BYTES {
            match self.add_frame(log, flow, &mut bytes) {
                Read::Bytes(FRAME_BYTES) => {}
                // The log has no more.
                Read::Bytes(_) | Read::Nothing => break,
                Read::Fallen => return Next::Fallen,
            }
        }
        if bytes.is_empty() {
            return Next::Nothing;
        }
        self.connection = Connection::Sending(token);
        Next::Send(token, bytes)
    }

    /// Adds a frame of what there is, and says how many bytes of the log it holds.
    fn add_frame(&self, log: &mut Log, flow: u16, bytes: &mut Vec<u8>) -> Read<usize> {
        let offset = Offset(log.next(self.cursor));
        let mut frame = Frame::begin(bytes);
        let mut left = FRAME_BYTES;
        while 0 < left {
            match log.read(self.cursor, left) {
                Read::Bytes(piece) => {
                    frame.push(piece);
                    left -= piece.len();
                    let len = piece.len() as u64;
                    log.advance(self.cursor, len);
                }
                Read::Nothing => break,
                Read::Fallen => return Read::Fallen,
            }
        }
        frame.end(flow, offset);
        if left < FRAME_BYTES { Read::Bytes(FRAME_BYTES - left) } else { Read::Nothing }
    }

    /// In how many microseconds something is to be sent.
    pub fn due_micros(&self, now: Monotonic) -> Option<u64> {
        let is_idle = matches!(self.connection, Connection::Idle(_));
        (is_idle && self.waits).then(|| self.pause_micros(now))
    }

    /// Microseconds until the next send of few bytes.
    fn pause_micros(&self, now: Monotonic) -> u64 {
        self.began.map_or(0, |began| PACE_MICROS.saturating_sub(now.micros_since(began)))
    }

    /// Ends it. The connection is the caller's to close.
    pub fn close(self, log: &mut Log) {
        log.close(self.cursor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::frames::Frames;
    use crate::journal::log::Limits;

    const FLOW: u16 = 3;
    const MIB: u64 = 1 << 20;

    fn log() -> Log {
        Log::new(700, Limits { window_bytes: MIB, held_bytes_max: 2 * MIB })
    }

    fn append(log: &mut Log, bytes: usize) {
        log.append(&vec![7; bytes]).expect("there is memory");
    }

    #[test]
    fn the_first_and_much_are_sent_at_once_and_little_after_a_while() {
        let (mut log, token) = (log(), Token::from_bits(5));
        let mut outgoing =
            Outgoing::open(SessionId(1), &mut log, Offset(700)).expect("it is there");
        assert!(Outgoing::open(SessionId(2), &mut log, Offset(699)).is_none());
        append(&mut log, 100);
        let now = Monotonic::now();
        assert!(matches!(outgoing.next(&mut log, FLOW, now), Next::Nothing), "no connection");
        assert!(outgoing.connect(token));
        assert!(!outgoing.connect(Token::from_bits(6)), "it has one");
        let mut frames = Frames::new(FLOW, Offset(700));
        let mut take = |next: Next| {
            let Next::Send(to, bytes) = next else { panic!("{next:?}") };
            assert_eq!(to, token);
            let mut came = Vec::new();
            frames.take(&bytes, &mut came).expect("they are frames");
            (came.len(), bytes)
        };
        let (count, buffer) = take(outgoing.next(&mut log, FLOW, now));
        assert_eq!((count, outgoing.due_micros(now)), (100, None));
        outgoing.sent(buffer);
        append(&mut log, 100);
        assert!(matches!(outgoing.next(&mut log, FLOW, now), Next::Nothing), "too early");
        assert_eq!(outgoing.due_micros(now), Some(PACE_MICROS));
        let later = now.after_millis(PACE_MICROS / 1000).expect("it is soon");
        assert_eq!(outgoing.due_micros(later), Some(0));
        let (count, buffer) = take(outgoing.next(&mut log, FLOW, later));
        assert_eq!((count, outgoing.due_micros(later)), (100, None));
        // More than a frame holds, and than a block of the log.
        append(&mut log, 340 << 10);
        assert!(matches!(outgoing.next(&mut log, FLOW, later), Next::Nothing), "one at a time");
        let mut counts = Vec::new();
        let mut sent = buffer;
        for _ in 0..2 {
            outgoing.sent(sent);
            let (count, buffer) = take(outgoing.next(&mut log, FLOW, later));
            counts.push(count);
            sent = buffer;
        }
        assert_eq!(counts, [SENT_BYTES_MAX, (340 << 10) - SENT_BYTES_MAX]);
    }

    #[test]
    fn what_is_awaited_is_sent_at_once() {
        let mut log = log();
        let mut outgoing =
            Outgoing::open(SessionId(1), &mut log, Offset(700)).expect("it is there");
        outgoing.connect(Token::from_bits(5));
        let now = Monotonic::now();
        append(&mut log, 100);
        let Next::Send(_, bytes) = outgoing.next(&mut log, FLOW, now) else { panic!("late") };
        outgoing.sent(bytes);
        for _ in 0..2 {
            append(&mut log, 100);
            assert!(matches!(outgoing.next(&mut log, FLOW, now), Next::Nothing), "too early");
            outgoing.hurry();
            let Next::Send(_, bytes) = outgoing.next(&mut log, FLOW, now) else { panic!("late") };
            outgoing.sent(bytes);
        }
    }

    #[test]
    fn a_replica_that_does_not_come_in_time_has_fallen() {
        let mut log = log();
        let mut outgoing =
            Outgoing::open(SessionId(1), &mut log, Offset(700)).expect("it is there");
        let now = Monotonic::now();
        (0..4).for_each(|_| append(&mut log, 1 << 20));
        assert!(matches!(outgoing.next(&mut log, FLOW, now), Next::Fallen));
        outgoing.close(&mut log);
    }

    #[test]
    fn a_replica_that_takes_nothing_of_what_it_was_sent_falls_too() {
        let mut log = log();
        let mut outgoing =
            Outgoing::open(SessionId(1), &mut log, Offset(700)).expect("it is there");
        outgoing.connect(Token::from_bits(5));
        append(&mut log, 1 << 20);
        let now = Monotonic::now();
        assert!(matches!(outgoing.next(&mut log, FLOW, now), Next::Send(..)));
        (0..4).for_each(|_| append(&mut log, 1 << 20));
        assert!(matches!(outgoing.next(&mut log, FLOW, now), Next::Fallen));
    }
}
