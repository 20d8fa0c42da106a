//! What can happen to a link, and what it asks for.

use std::borrow::Cow;

use super::report::Line;
use super::room::Lack;
use crate::replication::address::Address;
use crate::replication::failover;
use crate::replication::handshake::{LogsOffered, SnapshotOffered};
use crate::replication::history::{Fence, Scalar, Vector};
use crate::replication::payload::Form;
use crate::replication::replid::ReplId;

/// Which attempt something belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// What the data of this node are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stream that brought them.
    pub id: ReplId,
    /// How many bytes of it they have.
    pub offset: Scalar,
    /// The database that was selected there.
    pub db: u16,
}

/// What the data of this node are, also if they are at no place of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The history, and what the data add up to in it.
    pub position: Position,
    /// Where they are in each log of the history, if that is no place of its stream.
    pub vector: Option<Vector>,
}

/// What decided whom this node follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `REPLICAOF`
    Replicaof,
    /// The configuration, at start.
    Configuration,
    /// `CLUSTER REPLICATE`, and what the cluster decides.
    Cluster,
    /// `CLUSTERX`
    Clusterx,
    /// `CLUSTER RESET`
    Reset,
    /// `FAILOVER`: the peer is to become primary first.
    Failover,
    /// The end of the process.
    Shutdown,
}

/// Whom this node is to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// `None`: it is a primary.
    pub primary: Option<Address>,
    /// What decided it.
    pub by: By,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// This node is to follow that primary.
    Follow {
        /// Where it is.
        primary: Address,
        /// What decided it.
        by: By,
        /// What this node's data are; `None` if the link knows. Read while the link is idle; else
        /// the link knows better.
        point: Option<Point>,
        /// Where that place of a stream is in each log of its history, if that is known.
        fence: Option<Vector>,
    },
    /// What this node tells of itself is another thing, or was confirmed.
    Retry,
    /// A target is a primary already: it is asked without FAILOVER from now on.
    AskPlainly,
    /// This node is to follow none.
    Unfollow(By),
    /// The data are part of no stream of others any more: this node writes by itself, or has none.
    Forget,
    /// All units up to this offset are applied.
    Applied(Scalar),
    /// The primary sends each log by a connection of its own from here on.
    FlowsBegan(Fence),
    /// All that has come of its logs is applied, up to here, and no more comes.
    FlowsHeld(Scalar, Vector),
    /// Whether the data are kept when the primary has less of them, so that this node takes over.
    Keep(bool),
    /// The primary asks for an acknowledgement of what is applied.
    GetAck,
    /// A unit that was given out holds what cannot be applied: why. Data and stream part there.
    Unappliable(String),
    /// Time has passed.
    Tick,
    /// Something of an attempt.
    Of(Generation, News<'a>),
}

/// What can happen to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// The socket is connected.
    Connected,
    /// It will not be: why.
    ConnectFailed(String),
    /// The primary has sent these.
    Bytes(&'a [u8]),
    /// The connection has ended: the system's word for it, empty if the primary closed it.
    Closed(String),
    /// This node takes no more bytes for now: what is silent is not the primary's fault.
    Full,
    /// It does again.
    Room,
    /// So many bytes of the snapshot have come by connections of its own.
    Moved(u64),
    /// All of it has come by them, and is taken in and right. Behind it a stream of this name goes
    /// on at this offset.
    Brought(ReplId, Scalar),
    /// The whole snapshot is taken in and right.
    Staged,
    /// It cannot be taken in: why.
    StagingFailed(String),
    /// There is too little memory for it.
    NoRoom(Lack),
    /// It is the data now.
    Committed {
        /// The database that is selected where the snapshot ends.
        db: u16,
        /// Where it is in each log of the primary, if that is no place of a stream.
        vector: Option<Vector>,
    },
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Connect a socket; its news carry this generation.
    Connect(Generation, Address),
    /// Send these bytes.
    Send(Vec<u8>),
    /// Shut and forget this generation's socket, connected or not.
    Shut(Generation),
    /// Read no more of the socket for now.
    HoldReads,
    /// Read again.
    ResumeReads,
    /// A snapshot comes by other connections: open them, and take it in beside the data.
    OpenConnections(Generation, SnapshotOffered),
    /// Logs go on behind that snapshot, and may come while it does: open their connections, and
    /// store what comes.
    StoreLogs(Generation, Box<LogsOffered>),
    /// A snapshot of this form begins: take it in beside the data.
    BeginStaging(Generation, Form),
    /// Bytes of it.
    Snapshot(Cow<'a, [u8]>),
    /// It has no more: say when it is taken in.
    EndSnapshot,
    /// Drop it.
    DropStaging(Generation),
    /// Make it the data, at this place of this stream; `None` after SYNC, which tells neither.
    Commit(Generation, Option<(ReplId, Scalar)>),
    /// Bytes of the stream have come: take units by [`super::Link::next_unit`].
    Stream,
    /// The stream that this node has goes on under another name.
    Renamed {
        /// The name so far.
        from: ReplId,
        /// The name from here on.
        to: ReplId,
    },
    /// Say that the primary has less than this node, and that its snapshot is not taken.
    Refused,
    /// Tell the failover what its target says. Without an answer it is asked again.
    Handover(failover::News),
    /// Write this into the log.
    Log(Line),
}
