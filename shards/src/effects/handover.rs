//! Keys on their way to another server, which stay here until that has taken them.

use alloc::vec::Vec;

/// What a command hands over to another server.
#[derive(Debug)]
pub struct Consignment {
    /// To whom.
    pub target: Target,
    /// The database there.
    pub db: i64,
    /// Milliseconds until the target must have taken all.
    pub timeout_millis: u64,
    /// The keys.
    pub keys: Vec<Vec<u8>>,
    /// A request for each of them, in their order: its reply says whether the target has the key.
    pub requests: Vec<u8>,
}

/// A server that is handed keys, and what is to be said to it first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// A name or an address.
    pub host: Vec<u8>,
    /// The port; 0 if what was said is none.
    pub port: u16,
    /// Arguments of AUTH: a password, or a user and a password. Empty: it is not said.
    pub auth: Vec<Vec<u8>>,
}

/// What became of a consignment.
#[derive(Debug, Default)]
pub struct Receipt {
    /// Keys that the target says it has.
    pub taken: Vec<Vec<u8>>,
    /// Why it has not said so of others.
    pub failure: Option<Failure>,
}

/// Why a target has not taken a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was not reached in time.
    Connecting,
    /// The connection ended, or the time, before all requests were sent.
    Writing,
    /// The connection ended, or the time, before all replies were there.
    Reading,
    /// It has replied with this error, without `-` and line end.
    Refused(Vec<u8>),
}
