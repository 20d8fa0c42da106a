//! Why an attempt to follow a primary ended: the text for the log and for INFO.

use std::fmt::{Display, Formatter, Result};

use shards::resp::error::ProtocolError;

use crate::replication::history::Scalar;
use crate::replication::link::room::Lack;
use crate::replication::replid::ReplId;

/// Characters of a peer's text that are kept.
const TEXT_CHARS_MAX: usize = 256;

/// Why a link ended. Texts are Valkey's where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The socket could not be connected.
    Connect(String),
    /// A limit passed.
    TimedOut(Limit),
    /// The primary closed the connection, or the system did; the text says how, if there is one.
    Lost(String),
    /// PING was answered by this error.
    Ping(String),
    /// AUTH was answered by this error.
    Auth(String),
    /// A reply is neither a status nor an error.
    Unexpected(String),
    /// A line is longer than a reply can be.
    LineTooLong,
    /// The primary cannot serve a stream now, but will later.
    NotYet(String),
    /// PSYNC was answered by an error that SYNC would not help.
    Psync(String),
    /// By the topology of the primary this node is none of its replicas.
    Stranger(String),
    /// The target of a failover does not become primary.
    FailoverRefused(String),
    /// It is one already.
    FailoverIsOver(String),
    /// `+FULLRESYNC` or `+CONTINUE` is malformed.
    Syntax(String),
    /// The primary has lost what it had: it offers a snapshot of this history, at this offset.
    Younger(ReplId, Scalar),
    /// An error stands where a snapshot should begin.
    Aborted(String),
    /// Something else stands there.
    NoSnapshot(String),
    /// The snapshot cannot be taken in.
    Staging(String),
    /// There is too little memory for it.
    NoRoom(Lack),
    /// More of the stream came than can be kept while a snapshot becomes the data.
    Flooded,
    /// The stream is malformed.
    Stream(Malformed),
    /// A command of the stream cannot be applied here: why.
    Unappliable(String),
}

/// A limit that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Of connecting.
    Connect,
    /// Of a step of the handshake.
    Step(&'static str),
    /// Of the time until a snapshot begins.
    FirstByte,
    /// Of silence in that time.
    Silence,
    /// Of a snapshot's progress.
    Progress,
    /// Of a stream's silence.
    Idle,
}

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is no RESP.
    Protocol(ProtocolError),
    /// An inline command: primaries send arrays only, so bytes were lost or added.
    Inline,
    /// SELECT without a database's number.
    Select,
    /// MULTI inside of a transaction.
    Nested,
    /// EXEC or DISCARD that nothing explains.
    Unopened,
    /// A unit is longer than may be held.
    TooLong,
}

/// What a peer sent, fit for a line of the log: printable, and not too long.
pub fn printable(text: &[u8]) -> String {
    let shown = text.iter().take(TEXT_CHARS_MAX);
    shown.map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' }).collect()
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Connect(text) => write!(f, "Error condition on socket for SYNC: {text}"),
            Self::TimedOut(limit) => limit.fmt(f),
            Self::Lost(text) if text.is_empty() => f.write_str("Connection with primary lost."),
            Self::Lost(text) => write!(f, "Connection with primary lost: {text}"),
            Self::Ping(text) => write!(f, "Error reply to PING from primary: '{text}'"),
            Self::Auth(text) => write!(f, "Unable to AUTH to PRIMARY: {text}"),
            Self::Unexpected(text) => write!(f, "Unexpected reply from primary: {text}"),
            Self::LineTooLong => f.write_str("A reply of the primary has no end."),
            Self::NotYet(text) => {
                write!(
                    f,
                    "Primary is currently unable to PSYNC but should be in the future: {text}"
                )
            }
            Self::Psync(text) => write!(f, "Unexpected reply to PSYNC from primary: {text}"),
            Self::Stranger(text) => write!(f, "The primary refuses this node: {text}"),
            Self::FailoverRefused(text) | Self::FailoverIsOver(text) => {
                write!(f, "Failover target rejected psync request: {text}")
            }
            Self::Syntax(text) => write!(f, "Primary replied with wrong syntax: {text}"),
            Self::Younger(id, offset) => write!(
                f,
                "The primary has less than this replica, which keeps its data and asks to take \
                 over (see `cluster-empty-restart`): it offers a full resync of {id}:{offset}"
            ),
            Self::Aborted(text) => write!(f, "PRIMARY aborted replication with an error: {text}"),
            Self::NoSnapshot(text) => write!(
                f,
                "Bad protocol from PRIMARY, the first byte is not '$' (we received '{text}'), are \
                 you sure the host and port are right?"
            ),
            Self::Staging(text) => {
                write!(f, "Failed trying to load the PRIMARY synchronization DB: {text}")
            }
            Self::NoRoom(lack) => write!(f, "Too little memory for the keys of PRIMARY: {lack}"),
            Self::Flooded => f.write_str("The primary sent too much before it was acknowledged."),
            Self::Stream(malformed) => {
                write!(f, "Protocol error in the stream of the primary: {malformed}")
            }
            Self::Unappliable(why) => {
                write!(f, "The stream of the primary can't be applied here: {why}")
            }
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Connect => f.write_str("Timeout connecting to the PRIMARY..."),
            Self::Step(step) => write!(f, "Timeout waiting for the PRIMARY's reply to {step}"),
            Self::FirstByte => {
                f.write_str("Timeout waiting for the first byte of a snapshot from PRIMARY")
            }
            Self::Silence => f.write_str("PRIMARY is silent before its snapshot begins"),
            Self::Progress => f.write_str(
                "Timeout receiving bulk data from PRIMARY... If the problem persists try to set \
                 the 'repl-progress-timeout' parameter to a larger value.",
            ),
            Self::Idle => f.write_str("PRIMARY timeout: no data nor PING received..."),
        }
    }
}

impl Display for Malformed {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Protocol(error) => {
                let mut reply = Vec::new();
                error.write(&mut reply);
                f.write_str(printable(reply.trim_ascii()).trim_start_matches('-'))
            }
            Self::Inline => f.write_str("an inline command"),
            Self::Select => f.write_str("SELECT without a database's number"),
            Self::Nested => f.write_str("MULTI inside of MULTI"),
            Self::Unopened => f.write_str("EXEC or DISCARD without MULTI"),
            Self::TooLong => f.write_str("a transaction or command is too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_cannot_break_a_line_of_the_log() {
        assert_eq!(printable(b"-ERR a\r\nb\x00\xffc"), "-ERR a??b??c");
        assert_eq!(printable(&[b'x'; 1000]).len(), TEXT_CHARS_MAX);
    }

    #[test]
    fn a_malformed_stream_is_named() {
        let malformed = Malformed::Protocol(ProtocolError::BulkLength);
        let text = Failure::Stream(malformed).to_string();
        let expected = "Protocol error in the stream of the primary: \
                        ERR Protocol error: invalid bulk length";
        assert_eq!(text, expected);
    }
}
