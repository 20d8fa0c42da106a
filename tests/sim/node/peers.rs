//! Replicas at their primary's relay: their connections, and the logs that some of them take. This
//! stands for `relay::peer` and `relay::flows`; the session is the real machine.

use keylane::journal::backlog::Backlog;
use keylane::journal::cursors::CursorId;
use keylane::journal::log::Read;
use keylane::replication::handshake::LogsOffered;
use keylane::replication::history::{Fence, Scalar};
use keylane::replication::moment::Moment;
use keylane::replication::replid::ReplId;
use keylane::replication::session::{Action, Event, Session, SessionId};
use shards::resp::request;

use crate::agenda::Env;
use crate::faults::Fault;
use crate::network::{ConnId, Tried};
use crate::node::letters::{Arrival, Lent};
use crate::node::snapshots::Connections;
use crate::node::stream::Stream;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const BEAT_MILLIS: u64 = 1000;

/// A replica and its connection.
#[derive(Debug)]
pub struct Peer {
    pub id: SessionId,
    pub session: Session,
    pub conn: ConnId,
    /// It takes each log by a connection of its own, and no stream.
    pub flows: Option<Flows>,
    /// What is to be written before the stream.
    pub out: Vec<u8>,
    reads: Reads,
    came: Vec<u8>,
    is_over: bool,
    pub has_acked: bool,
    pub has_ended: bool,
    /// Where it said that it is, when it went on.
    pub resumed: Scalar,
}

#[derive(Clone, Copy, Debug)]
enum Reads {
    Nothing,
    From(Scalar),
    StreamFrom(Scalar),
    Held(CursorId),
    Stream(CursorId),
}

/// The logs of a session.
#[derive(Debug)]
pub struct Flows {
    pub name: ReplId,
    /// Connections that its snapshot goes by, until that is over.
    pub snapshot: Option<Connections>,
    /// Where they begin; `None` before that is known.
    pub at: Option<Fence>,
    is_connected: Vec<bool>,
    beat: Option<Moment>,
    /// The replica stores them while its snapshot comes, and was told where they begin.
    pub is_storing: bool,
    is_told: bool,
    progress: (Scalar, Moment),
}

/// A replica that wants to go on, while shards look whether their logs reach back so far.
#[derive(Debug)]
pub struct Resuming {
    pub session: SessionId,
    pub arrival: Arrival,
    pub at: Fence,
    pub missing: usize,
    pub is_there: bool,
}

impl Peer {
    pub fn new(id: SessionId, session: Session, conn: ConnId) -> Self {
        Self {
            id,
            session,
            conn,
            flows: None,
            out: Vec::new(),
            reads: Reads::Nothing,
            came: Vec::new(),
            is_over: false,
            has_acked: false,
            has_ended: false,
            resumed: Scalar(0),
        }
    }

    /// Holds the stream from here on.
    pub fn hold_from(&mut self, place: Scalar) {
        self.reads = Reads::From(place);
    }

    /// Sends the stream from here on, as soon as it gets there. False if that is there no more.
    pub fn stream_from(&mut self, stream: &mut Stream, place: Scalar, env: &Env) -> bool {
        self.reads = match self.reads {
            Reads::Held(cursor) | Reads::Stream(cursor) => Reads::Stream(cursor),
            Reads::Nothing | Reads::From(_) | Reads::StreamFrom(_) => {
                Reads::StreamFrom(Scalar(misplaced(stream, place.0, env)))
            }
        };
        self.catch_up(&mut stream.backlog)
    }

    /// Opens its cursor if the stream has got to where it is to begin. False if that place is there
    /// no more.
    pub fn catch_up(&mut self, backlog: &mut Backlog) -> bool {
        let (place, opened): (Scalar, fn(CursorId) -> Reads) = match self.reads {
            Reads::From(place) => (place, Reads::Held),
            Reads::StreamFrom(place) => (place, Reads::Stream),
            Reads::Nothing | Reads::Held(_) | Reads::Stream(_) => return true,
        };
        if backlog.end() < place.0 {
            return true;
        }
        let cursor = backlog.open(place.0);
        self.reads = cursor.map_or(Reads::Nothing, opened);
        cursor.is_some()
    }

    /// Sees to its logs, if it takes each by a connection of its own.
    pub fn see_to_flows(&mut self, now: Moment, end: Scalar, todo: &mut Vec<Action>) {
        let Some(flows) = &mut self.flows else { return };
        if flows.snapshot.as_ref().is_some_and(|connections| connections.are_late(now)) {
            let why = Err("a connection for its snapshot did not come".to_owned());
            self.session.handle(now, Event::ChildEnded(why), todo);
        }
        let are_connected = !flows.is_connected.is_empty() && !flows.is_connected.contains(&false);
        if self.session.is_online() || are_connected {
            self.session.handle(now, Event::Sent(end), todo);
        }
        if flows.beats(now) {
            self.out.extend_from_slice(PING);
        }
        let Some(acked) = self.session.acked() else { return };
        if self.session.silence_ms() < flows.stalled_ms(acked, end, now) {
            self.session.handle(now, Event::Closed, todo);
        }
    }

    /// Writes what there is room for.
    pub fn write(
        &mut self,
        node: usize,
        backlog: Option<&mut Backlog>,
        env: &mut Env,
        todo: &mut Vec<Action>,
    ) {
        let now = env.moment();
        while !self.out.is_empty() {
            match env.write(self.conn, node, &self.out) {
                Tried::Moved(count) => drop(self.out.drain(..count)),
                Tried::Later => return,
                Tried::Over => return self.session.handle(now, Event::Closed, todo),
            }
        }
        let (Reads::Stream(cursor), Some(backlog)) = (self.reads, backlog) else { return };
        loop {
            match backlog.read(cursor, 1000) {
                Read::Bytes(bytes) => match env.write(self.conn, node, bytes) {
                    Tried::Moved(count) => backlog.advance(cursor, count as u64),
                    Tried::Later => break,
                    Tried::Over => return self.session.handle(now, Event::Closed, todo),
                },
                Read::Nothing => break,
                Read::Fallen => return self.session.handle(now, Event::FellOut, todo),
            }
        }
        let sent = Scalar(backlog.next(cursor));
        self.session.handle(now, Event::Sent(sent), todo);
    }

    /// Receives what the replica says.
    pub fn receive(&mut self, node: usize, env: &mut Env) {
        loop {
            match env.read(self.conn, node, 1000) {
                Tried::Moved(bytes) => self.came.extend(bytes),
                Tried::Later => return,
                Tried::Over => return self.is_over = true,
            }
        }
    }

    /// Acts on what the replica has said.
    pub fn hear(&mut self, now: Moment, todo: &mut Vec<Action>) {
        if !self.came.is_empty() {
            self.session.handle(now, Event::Received(&self.came), todo);
            self.came.clear();
        }
        if self.is_over {
            self.session.handle(now, Event::Closed, todo);
        }
    }

    /// What a child is to write its snapshot to.
    pub fn lend(&self) -> Lent {
        let snapshot = self.flows.as_ref().and_then(|flows| flows.snapshot.as_ref());
        let conns = match snapshot {
            Some(snapshot) => snapshot.conns.iter().copied().flatten().collect(),
            None => vec![self.conn],
        };
        Lent { session: self.id, conns, is_by_chunks: snapshot.is_some() }
    }

    /// Ends what it has of the backlog.
    pub fn forget(&self, backlog: Option<&mut Backlog>) {
        if let (Reads::Held(cursor) | Reads::Stream(cursor), Some(backlog)) = (self.reads, backlog)
        {
            backlog.close(cursor);
        }
    }
}

/// Where a replica is sent the stream from: from its place, unless something is wrong.
fn misplaced(stream: &Stream, place: u64, env: &Env) -> u64 {
    let wrong = match env.fault {
        Some(Fault::ResumesLate) => stream.next_end(place),
        Some(Fault::ResumesEarly) => stream.end_before(place),
        Some(Fault::BacklogLies) => Some(place.max(stream.backlog.first())),
        _ => None,
    };
    wrong.unwrap_or(place)
}

impl Flows {
    /// Of a replica that waits for its snapshot.
    pub fn waiting(name: ReplId) -> Self {
        let (snapshot, at, beat) = (None, None, None);
        let (is_connected, progress) = (Vec::new(), Default::default());
        let (is_storing, is_told) = (false, false);
        Self { name, snapshot, at, is_connected, beat, is_storing, is_told, progress }
    }

    pub fn start_at(&mut self, at: Fence) {
        self.is_connected = vec![false; at.vector.offsets().len()];
        self.at = Some(at);
    }

    /// What a replica is told of them while its snapshot comes, if it stores what comes of them.
    pub fn offer(&mut self, history: ReplId) -> Option<Vec<u8>> {
        let at = self.at.clone().filter(|_| self.is_storing)?;
        self.is_told = true;
        Some(LogsOffered { name: self.name, history, at }.line())
    }

    /// What the replica is told of them in place of the stream.
    pub fn announcement(&mut self, now: Moment) -> Option<Vec<u8>> {
        let Fence { scalar, vector } = self.at.as_ref()?;
        self.beat = Some(now.after(BEAT_MILLIS));
        self.progress = (*scalar, now);
        let (name, scalar, vector) =
            (self.name.to_string(), scalar.to_string(), vector.to_string());
        Some(request::encode(&["KEYLANE", "FLOWS", &name, &scalar, &vector]))
    }

    fn beats(&mut self, now: Moment) -> bool {
        let is_due = self.beat.is_some_and(|beat| beat <= now);
        if is_due {
            self.beat = Some(now.after(BEAT_MILLIS));
        }
        is_due
    }

    fn stalled_ms(&mut self, acked: Scalar, end: Scalar, now: Moment) -> u64 {
        let (before, since) = &mut self.progress;
        if *before < acked || end <= acked {
            (*before, *since) = (acked, now);
        }
        now.since(*since)
    }

    /// Takes a connection for one of them: true if the log waits for it.
    pub fn connect(&mut self, flow: u16, offset: u64) -> bool {
        let flow = usize::from(flow);
        let starts = self.at.as_ref().and_then(|at| at.vector.offsets().get(flow));
        let is_announced = self.is_told || self.beat.is_some();
        let fits = is_announced && starts.is_some_and(|start| start.0 == offset);
        fits && !std::mem::replace(&mut self.is_connected[flow], true)
    }
}
