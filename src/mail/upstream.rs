//! What the relay, shards and control tell each other of the primary that this node follows.

use std::sync::Arc;

use shards::rdb::error::Error as RdbError;

use crate::batches::batch::BatchNumber;
use crate::clients::leaving::Known;
use crate::config::table::Config;
use crate::flows::dispatch::Routing;
use crate::persistence::chunks::taking::Keys;
use crate::persistence::loader::Chunk;
use crate::replication::address::Address;
use crate::replication::failover;
use crate::replication::history::{Fence, Scalar, Vector};
use crate::replication::link::events::{By, Generation, Point, Position};
use crate::replication::link::report::Status;
use crate::replication::moment::Moment;
use crate::replication::replid::ReplId;

/// What control tells the relay of the primary.
#[derive(Debug)]
pub enum UpstreamWord {
    /// Follow it.
    Follow {
        /// Where it is.
        primary: Address,
        /// What decided it.
        by: By,
        /// What this node's data are, if the relay does not know it.
        point: Option<Point>,
        /// Where that place of a stream is in each log of its history, if that is known.
        fence: Option<Vector>,
        /// How commands are routed here.
        routing: Box<Routing>,
        /// The configuration in force.
        config: Arc<Config>,
    },
    /// A failover is over, and the target is a primary: it is asked to promote itself no more.
    AskPlainly,
    /// Follow none: [`LinkWord::Ended`] answers.
    Unfollow(By),
    /// This node writes by itself: its data are part of no primary's stream any more.
    Forget,
    /// The snapshot of this attempt is the data of all shards.
    Committed(Generation),
    /// The answer to [`LinkWord::Empty`]: whether all keys are gone. They stay if no primary is
    /// followed any more.
    Emptied(bool),
    /// No shard logs any more: the answer to [`LinkWord::Resumed`]. Where the logs ended, if shards
    /// keep them.
    LogsEnded(Option<Fence>),
    /// Whether the data are kept when the primary has less of them; not, when another one is
    /// followed.
    Keep(bool),
    /// Apply nothing of the stream: [`LinkWord::Held`] answers when nothing is under way.
    Hold,
    /// Go on applying it.
    GoOn,
    /// CLIENT KILL has met the connection.
    Cut,
}

/// What the relay tells control of the primary.
#[derive(Debug)]
pub enum LinkWord {
    /// The snapshot of this attempt is staged on all shards, and nothing of the stream before it is
    /// under way: it is to become the data.
    Commit(Generation, Box<Brought>),
    /// There is no memory for the primary's keys beside those of this node, or they are not to stay
    /// beside each other: these are to go. [`UpstreamWord::Emptied`] answers.
    Empty,
    /// The primary's stream goes on where this node's own had ended: shards are to log no more.
    Resumed,
    /// Nothing of the stream is under way, nor will be until [`UpstreamWord::GoOn`]. What the data
    /// are then.
    Held(Option<Box<Held>>),
    /// No primary is followed, and all that came of one is applied.
    Ended,
    /// The primary has less than this node, and its snapshot is not taken.
    Refused,
    /// What the target of a failover says.
    Handover(failover::News),
    /// What there is to show.
    View(Box<LinkView>),
}

/// What the data are while nothing of a primary is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where they are.
    pub point: Point,
    /// The name of the stream of which that is a place: the history's, or that which this node
    /// makes of the primary's logs.
    pub stream: ReplId,
}

/// What a snapshot has brought besides keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Libraries of functions.
    pub functions: Vec<Vec<u8>>,
    /// Keys that were staged.
    pub keys: u64,
    /// Whether the primary is a Keylane: behind it that one tells which slots are on their way.
    pub is_native: bool,
}

/// The link to the primary, as INFO and ROLE show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// The primary; `None` if there is none.
    pub primary: Option<Address>,
    /// What the link is about.
    pub status: Status,
    /// When the primary last sent something.
    pub last_io: Option<Moment>,
    /// Since when the primary is not followed; `None` while it is.
    pub down_since: Option<Moment>,
    /// Attempts since the stream last ran.
    pub attempts: u32,
    /// Why the last one failed.
    pub last_failure: Option<String>,
    /// Bytes of a snapshot that have come.
    pub snapshot_bytes: u64,
    /// The connection to the primary, as CLIENT LIST shows it while the stream runs.
    pub known: Option<Known>,
    /// What the data are, with what is still being applied.
    pub position: Option<Position>,
    /// Where the data are in each log of the primary, if that is perhaps no place of its stream.
    /// While logs come each by a connection of its own: where they began.
    pub vector: Option<Vector>,
    /// Logs that come each by a connection of its own.
    pub logs: usize,
    /// The offset behind all that has come of the stream.
    pub read: Scalar,
    /// The offset behind all that is applied.
    pub applied: Scalar,
}

/// What the relay tells a shard of a snapshot.
#[derive(Debug)]
pub enum SnapshotWord {
    /// One begins; another that was not committed is dropped.
    Begin,
    /// Keys of it.
    Chunk(Generation, Box<Chunk>),
    /// Likewise; those of other shards are to be passed.
    Keys(Generation, Box<Keys>),
    /// It came to nothing.
    Drop,
}

/// What a shard made of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The attempt that it belongs to.
    pub generation: Generation,
    /// Keys taken in.
    pub keys: u64,
    /// What was wrong with the first that was not taken in.
    pub error: Option<RdbError>,
}

/// A batch of a stream has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Which.
    pub number: BatchNumber,
    /// The first error that it answered, a line as it stands in a reply.
    pub error: Option<String>,
}
