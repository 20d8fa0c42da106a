//! All keys of a node, written to the sockets of replicas that are to have all of them.
//!
//! ```text
//! [+FULLRESYNC replid offset] $EOF:mark header .. keys .. end checksum mark
//! [+FULLRESYNC replid offset] $length   header .. keys .. end checksum
//! ```
//! Or as chunks, to several connections of each replica: see `persistence::chunks`.
//!
//! All is encoded once for all replicas. A replica that fails or takes too little is dropped,
//! and the others go on.
//!
//! The sender neither makes sockets wait nor sets timeouts on them: both belong to the open
//! connection, and the parent of a forked child has the same connection.

mod chunked;
mod peers;

use std::io;
use std::os::fd::OwnedFd;

use shards::base::crc64::crc64;
use shards::rdb::kind::{Kind, Version};
use shards::rdb::writer::Sink;
use shards::shard::Shard;

use crate::config::table::Config;
use crate::persistence::snapshot::Written;
use crate::persistence::walking::{
    self, BUFFER_BYTES, ENOUGH_BYTES, Manner, Origin, Records, Versions, gather, walk,
};
use crate::persistence::writing::Summing;
use crate::reactor::sockets;
use peers::{Peers, Told, Watch};

/// What tells where a transfer of unknown length ends.
pub const MARK_BYTES: usize = 40;
/// Bytes of the checksum behind the keys.
const SUM_BYTES: u64 = 8;

/// A replica that all keys are sent to.
#[derive(Debug)]
pub struct Target {
    /// The caller's name for it.
    pub id: u64,
    /// A descriptor of its connection, or of each of them that chunks go by. Nothing else sends on
    /// these while the transfer lasts.
    pub sockets: Vec<OwnedFd>,
    /// What it has asked by.
    pub asked: Asked,
}

impl Target {
    /// Ends its connections.
    pub fn shut(&self) {
        self.sockets.iter().for_each(sockets::shut);
    }
}

/// How a replica has asked for all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By PSYNC: it is told the point in the history.
    Psync,
    /// By SYNC: it is told nothing.
    Sync,
}

/// How a replica knows where the keys end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By these bytes, which are told before and stand behind them: `capa eof`. They are random.
    Marked([u8; MARK_BYTES]),
    /// By their length, for which all is encoded twice.
    Measured,
    /// By the end of each of its connections: all goes as chunks (`persistence::chunks`).
    Chunked,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All keys, and libraries of functions.
    All,
    /// Libraries of functions: `rdb-filter-only functions`.
    Functions,
}

/// What is sent to replicas that share one transfer.
#[derive(Clone, Debug)]
pub struct SyncPlan {
    manner: Manner,
    versions: Versions,
    form: Form,
    scope: Scope,
    patience_millis: u64,
    origin: Origin,
}

/// What replicas that share one transfer can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The version of the format: this one, or the lowest that holds all of every value.
    pub versions: Versions,
    /// How they know where the keys end.
    pub form: Form,
    /// What they have asked for.
    pub scope: Scope,
    /// A replica that takes less than 64 KiB in so many milliseconds is dropped. The others wait
    /// for it meanwhile.
    pub patience_millis: u64,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What each replica has taken that is left.
    pub written: Written,
    /// How many these are.
    pub left: usize,
    /// Bytes that all replicas together have taken, those included that were dropped.
    pub bytes_of_all: u64,
}

/// Why a replica did not get everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its connection failed with this error of the system.
    Failed(i32),
    /// It took too little for too long: see [`Terms::patience_millis`].
    Stalled,
    /// The transfer ended for all.
    Ended,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Failed(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                write!(f, "its connection failed: {}", crate::process::plain(&error))
            }
            Self::Stalled => write!(f, "it took too little for too long"),
            Self::Ended => write!(f, "the transfer ended before"),
        }
    }
}

/// Why no replica gets anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is a value of this kind, which the version does not have. Nothing was sent.
    Unknown(Kind),
    /// All replicas are lost.
    NoneLeft,
}

impl SyncPlan {
    /// By this configuration, for replicas with these terms, at this point in the history.
    pub fn new(config: &Config, functions: Vec<Vec<u8>>, terms: Terms, origin: Origin) -> Self {
        let Terms { versions, form, scope, patience_millis } = terms;
        let manner = Manner::new(config, functions);
        Self {
            manner: match form {
                // What is saved of the network costs both sides more of their processors.
                Form::Chunked => manner.uncompressed(),
                Form::Marked(_) | Form::Measured => manner,
            },
            versions,
            form,
            scope,
            patience_millis,
            origin,
        }
    }

    /// The highest version of the format that may be sent.
    pub fn highest_version(&self) -> Version {
        match self.versions {
            Versions::Lowest => Version::V80,
            Versions::Only(version) => version,
        }
    }

    /// The version that is sent.
    fn version(&self, shards: &[&mut Shard]) -> Result<Version, Refusal> {
        match (self.versions, self.scope) {
            (Versions::Lowest, Scope::All) => Ok(walking::lowest_version(shards)),
            (Versions::Lowest, Scope::Functions) => Ok(Version::V10),
            (Versions::Only(version), Scope::All) => {
                match walking::first_unknown(shards, version) {
                    Some(kind) => Err(Refusal::Unknown(kind)),
                    None => Ok(version),
                }
            }
            (Versions::Only(version), Scope::Functions) => Ok(version),
        }
    }

    /// [`Terms::patience_millis`].
    pub fn patience_millis(&self) -> u64 {
        self.patience_millis
    }

    /// Sends what these shards hold, which no thread changes meanwhile, to all replicas.
    /// `progress` is told with each piece, also of one value; and `lost` at once which replica, by
    /// its place, was dropped, and why.
    ///
    /// # Errors
    /// If the version has no kind for a value, and if no replica is left.
    pub fn send(
        &self,
        shards: &mut [&mut Shard],
        targets: &[Target],
        mut progress: impl FnMut(Progress) + Send,
        mut lost: impl FnMut(usize, Lost) + Send,
    ) -> Result<Written, Refusal> {
        let version = self.version(shards)?;
        let head = self.manner.head(version, Some(&self.origin));
        let opening = match &self.form {
            Form::Marked(mark) => [b"$EOF:", mark.as_slice(), b"\r\n"].concat(),
            Form::Measured => {
                let mut measure = Measure { bytes: head.len() as u64, section: None };
                self.fill(version, shards, &mut measure);
                format!("${}\r\n", measure.bytes + SUM_BYTES).into_bytes()
            }
            Form::Chunked => {
                let watch = Watch { progress: &mut progress, lost: &mut lost };
                return chunked::send(self, version, shards, targets, watch);
            }
        };
        let watch = Watch { progress: &mut progress, lost: &mut lost };
        let told = Told::new(1, targets.len(), watch);
        let mut sending = Sending {
            peers: Peers::new(0, targets, self.patience_millis, &told),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            section: None,
            summing: self.manner.summing,
            sum: 0,
        };
        let Origin { replid, offset, of: _ } = &self.origin;
        sending.peers.tell_psync(format!("+FULLRESYNC {replid} {offset}\r\n").as_bytes());
        sending.peers.send(&opening);
        sending.put(&head);
        let keys = self.fill(version, shards, &mut sending);
        let sum = if self.manner.summing == Summing::On { sending.sum } else { 0 };
        sending.peers.send(&sum.to_le_bytes());
        if let Form::Marked(mark) = &self.form {
            sending.peers.send(mark);
        }
        let Written { bytes, .. } = told.written().ok_or(Refusal::NoneLeft)?;
        Ok(Written { keys, bytes })
    }

    /// Writes what comes behind the head, except for the checksum. How many keys there are.
    fn fill(&self, version: Version, shards: &mut [&mut Shard], sink: &mut impl Records) -> u64 {
        let shards = match self.scope {
            Scope::All => shards,
            Scope::Functions => &mut [],
        };
        let walk = walk(&self.manner, Versions::Only(version), shards);
        walk.write(sink, |_| {});
        walking::end(sink);
        walk.keys()
    }
}

/// Counts bytes.
struct Measure {
    bytes: u64,
    section: Option<usize>,
}

impl Sink for Measure {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
    }
}

impl Records for Measure {
    fn begin_section(&mut self, section: usize, head: &[u8]) {
        if self.section.replace(section) != Some(section) {
            self.put(head);
        }
    }

    fn end_record(&mut self) {}

    fn has_failed(&self) -> bool {
        false
    }

    fn flush(&mut self) {}
}

/// An RDB for all replicas, as one sink.
struct Sending<'t, 'w> {
    peers: Peers<'t, 'w>,
    buffer: Vec<u8>,
    section: Option<usize>,
    summing: Summing,
    /// The checksum of all that was passed on.
    sum: u64,
}

impl Sending<'_, '_> {
    fn spill(&mut self) {
        if self.summing == Summing::On {
            self.sum = crc64(self.sum, &self.buffer);
        }
        self.peers.send(&self.buffer);
        self.buffer.clear();
    }
}

impl Sink for Sending<'_, '_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        gather(self, bytes, |sending| &mut sending.buffer, Self::spill);
    }
}

impl Records for Sending<'_, '_> {
    fn begin_section(&mut self, section: usize, head: &[u8]) {
        if self.section.replace(section) != Some(section) {
            self.put(head);
        }
    }

    #[inline]
    fn end_record(&mut self) {
        self.peers.sent.keys += 1;
        if ENOUGH_BYTES <= self.buffer.len() {
            self.spill();
        }
    }

    fn has_failed(&self) -> bool {
        self.peers.is_empty()
    }

    fn flush(&mut self) {
        self.spill();
    }
}

#[cfg(test)]
mod tests;
