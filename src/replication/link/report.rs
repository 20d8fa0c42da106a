//! What a link says of itself: lines of the log, and what INFO shows. Texts of lines are Valkey's
//! where tools look for them.

use std::fmt::{Display, Formatter, Result};

use super::events::{Desired, Generation};
use super::{Link, State};
use crate::replication::address::Address;
use crate::replication::failure::Failure;
use crate::replication::handshake::Step;
use crate::replication::history::Scalar;
use crate::replication::moment::Moment;
use crate::replication::payload::Form;
use crate::replication::replid::ReplId;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The first attempt begins.
    Connecting(Address),
    /// A later one does.
    Reconnecting(Address),
    /// What both of them lead to.
    Started,
    /// The socket is connected.
    Connected,
    /// The primary is one.
    PingReplied,
    /// It does not know an option; its error.
    Unknown(Step, String),
    /// PSYNC is sent: for this stream behind this offset, or for a snapshot.
    Asking(Option<(ReplId, Scalar)>),
    /// PSYNC is refused; its error.
    NoPsync(String),
    /// The stream goes on.
    Resumed,
    /// It has another name.
    Renamed(ReplId),
    /// A snapshot comes; the stream has this name and goes on at this offset.
    FullResync(ReplId, Scalar),
    /// It begins.
    Receiving(Form),
    /// So many logs may come meanwhile, and are stored.
    Storing(usize),
    /// It was not complete, or not wanted any more.
    Discarding,
    /// It becomes the data.
    Swapping,
    /// It is the data.
    Finished,
    /// The attempt failed.
    Failed(Failure),
}

/// What a link is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It follows none.
    Idle,
    /// The socket is not connected yet.
    Connecting,
    /// The reply to this step comes next.
    Greeting(Step),
    /// The answer to PSYNC does.
    Asking,
    /// A snapshot comes; `None` before its form is known.
    Receiving(Option<Form>),
    /// It becomes the data.
    Committing,
    /// The stream runs.
    Following,
    /// The next attempt begins then.
    Waiting(Moment),
}

/// What can be seen of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed<'a> {
    /// Whom it is to follow.
    pub desired: &'a Desired,
    /// What it is about.
    pub status: Status,
    /// Since when.
    pub since: Moment,
    /// Which attempt this is, of all.
    pub generation: Generation,
    /// How many attempts there were since the stream last ran.
    pub attempts: u32,
    /// Why the last attempt ended; `None` if the link was never down since a primary is desired.
    pub last_failure: Option<&'a Failure>,
    /// When the primary last sent something.
    pub last_io: Option<Moment>,
    /// Since when a primary is desired and not followed; `None` while it is, and on a primary.
    pub down_since: Option<Moment>,
    /// Bytes of the snapshot that have come; 0 unless one comes.
    pub snapshot_bytes: u64,
    /// The offset behind all that has come of the stream.
    pub read: Scalar,
    /// The offset behind all that is applied.
    pub applied: Scalar,
}

impl Link {
    /// What can be seen of it.
    #[inline]
    pub fn observed(&self) -> Observed<'_> {
        let status = self.status();
        let snapshot_bytes = match &self.state {
            State::Receiving(receiving) => receiving.body.map_or(0, |body| body.done),
            State::Staging(arrived) => arrived.done,
            _ => 0,
        };
        let read = match &self.state {
            State::Following(following) if following.has_flows => self.applied,
            State::Following(following) => following.split.read(),
            _ => self.position.map_or(Scalar(0), |position| position.offset),
        };
        Observed {
            desired: &self.desired,
            status,
            since: self.since,
            generation: self.generation,
            attempts: self.attempts,
            last_failure: self.last_failure.as_ref(),
            last_io: self.last_io,
            down_since: self.down_since,
            snapshot_bytes,
            read,
            applied: self.applied,
        }
    }

    fn status(&self) -> Status {
        match &self.state {
            State::Idle => Status::Idle,
            State::Connecting => Status::Connecting,
            State::Greeting { asked: Some(_), .. } => Status::Asking,
            State::Greeting { handshake, .. } => Status::Greeting(handshake.step()),
            State::Receiving(receiving) => Status::Receiving(receiving.body.map(|body| body.form)),
            State::Staging(arrived) => Status::Receiving(Some(arrived.form)),
            State::Committing(_) => Status::Committing,
            State::Following(_) => Status::Following,
            State::Waiting { until } => Status::Waiting(*until),
        }
    }
}

impl Status {
    /// All words of [`Self::name`].
    pub const NAMES: [&str; 8] = [
        "idle",
        "connecting",
        "greeting",
        "asking",
        "receiving",
        "committing",
        "following",
        "waiting",
    ];

    /// As INFO calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => Self::NAMES[0],
            Self::Connecting => Self::NAMES[1],
            Self::Greeting(_) => Self::NAMES[2],
            Self::Asking => Self::NAMES[3],
            Self::Receiving(_) => Self::NAMES[4],
            Self::Committing => Self::NAMES[5],
            Self::Following => Self::NAMES[6],
            Self::Waiting(_) => Self::NAMES[7],
        }
    }

    /// `master_link_status` is `up`.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Following)
    }

    /// `master_sync_in_progress` is 1.
    pub const fn is_sync(self) -> bool {
        matches!(self, Self::Receiving(_) | Self::Committing)
    }
}

impl Line {
    /// Whether an operator should look at it.
    pub const fn is_warning(&self) -> bool {
        match self {
            // These pass by themselves.
            Self::Failed(Failure::Lost(_) | Failure::NotYet(_)) => false,
            Self::Failed(_) => true,
            Self::Connecting(_)
            | Self::Reconnecting(_)
            | Self::Started
            | Self::Connected
            | Self::PingReplied
            | Self::Unknown(..)
            | Self::Asking(_)
            | Self::NoPsync(_)
            | Self::Resumed
            | Self::Renamed(_)
            | Self::FullResync(..)
            | Self::Receiving(_)
            | Self::Storing(_)
            | Self::Discarding
            | Self::Swapping
            | Self::Finished => false,
        }
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Connecting(primary) => write!(f, "Connecting to PRIMARY {primary}"),
            Self::Reconnecting(primary) => write!(f, "Reconnecting to PRIMARY {primary}"),
            Self::Started => f.write_str("PRIMARY <-> REPLICA sync started"),
            Self::Connected => f.write_str("Non blocking connect for SYNC fired the event."),
            Self::PingReplied => {
                f.write_str("Primary replied to PING, replication can continue...")
            }
            Self::Unknown(step, text) => {
                let step = step.name();
                write!(f, "(Non critical) Primary does not understand {step}: {text}")
            }
            Self::Asking(Some((id, offset))) => {
                let first = offset.after(1);
                write!(f, "Trying a partial resynchronization (request {id}:{first}).")
            }
            Self::Asking(None) => {
                f.write_str("Partial resynchronization not possible (no cached primary)")
            }
            Self::NoPsync(text) => write!(
                f,
                "Primary does not support PSYNC or is in error state (reply: {text}). \
                 Retrying with SYNC..."
            ),
            Self::Resumed => f.write_str("Successful partial resynchronization with primary."),
            Self::Renamed(id) => write!(f, "Primary replication ID changed to {id}"),
            Self::FullResync(id, offset) => write!(f, "Full resync from primary: {id}:{offset}"),
            Self::Receiving(Form::Length(length)) => write!(
                f,
                "PRIMARY <-> REPLICA sync: receiving {length} bytes from primary to parser"
            ),
            Self::Receiving(Form::Connections(connections)) => write!(
                f,
                "PRIMARY <-> REPLICA sync: receiving keys from primary by connections of their \
                 own: {connections}"
            ),
            Self::Receiving(Form::Mark) => f.write_str(
                "PRIMARY <-> REPLICA sync: receiving streamed RDB from primary with EOF to parser",
            ),
            Self::Storing(logs) => write!(
                f,
                "PRIMARY <-> REPLICA sync: storing what comes of logs meanwhile, by connections of \
                 their own: {logs}"
            ),
            Self::Discarding => {
                f.write_str("PRIMARY <-> REPLICA sync: Discarding the half-loaded data")
            }
            Self::Swapping => {
                f.write_str("PRIMARY <-> REPLICA sync: Swapping active DB with loaded DB")
            }
            Self::Finished => f.write_str("PRIMARY <-> REPLICA sync: Finished with success"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}
