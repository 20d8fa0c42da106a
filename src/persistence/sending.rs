//! All keys of a node, written to the sockets of replicas that are to have all of them.
//!
//! ```text
//! [+FULLRESYNC replid offset] $EOF:mark header .. keys .. end checksum mark
//! [+FULLRESYNC replid offset] $length   header .. keys .. end checksum
//! ```
//! One thread encodes once for all replicas. A replica that fails or takes too little is dropped,
//! and the others go on.
//!
//! The sender neither makes sockets wait nor sets timeouts on them: both belong to the open
//! connection, and the parent of a forked child has the same connection.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;

use shards::base::crc64::crc64;
use shards::rdb::kind::{Kind, Version};
use shards::rdb::writer::Sink;
use shards::shard::Shard;

use crate::config::table::Config;
use crate::persistence::snapshot::Written;
use crate::persistence::walking::{self, Manner, Origin, Records, Versions, walk};
use crate::persistence::writing::Summing;
use crate::reactor::clock::Monotonic;
use crate::reactor::sockets;

/// Bytes that are gathered before they are sent to all.
const BUFFER_BYTES: usize = 256 << 10;
/// From how many on no further record is begun.
const ENOUGH_BYTES: usize = BUFFER_BYTES / 2;
/// A replica takes so many bytes, or all there are, in each time of patience; else it is dropped.
const PROGRESS_BYTES: usize = 64 << 10;
/// What tells where a transfer of unknown length ends.
pub const MARK_BYTES: usize = 40;
/// Bytes of the checksum behind the keys.
const SUM_BYTES: u64 = 8;

/// A replica that all keys are sent to.
#[derive(Debug)]
pub struct Target {
    /// The caller's name for it.
    pub id: u64,
    /// A descriptor of its connection. Nothing else sends on this while the transfer lasts.
    pub socket: OwnedFd,
    /// What it has asked by.
    pub asked: Asked,
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
    version: Version,
    form: Form,
    scope: Scope,
    patience_millis: u64,
    origin: Origin,
}

/// What replicas that share one transfer can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The version of the format: see [`version_for`].
    pub version: Version,
    /// How they know where the keys end.
    pub form: Form,
    /// What they have asked for.
    pub scope: Scope,
    /// A replica that takes less than 64 KiB in so many milliseconds is dropped. The others wait
    /// for it meanwhile.
    pub patience_millis: u64,
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

/// The version that a replica reads, by the major version in its `REPLCONF version`; `None` if it
/// said none.
///
/// Redis 7.0 says none and reads version 10. Valkey says its own from 8.0 on, and reads its own
/// format from 9.0 on (`spec/wire.md` 6, probed).
pub fn version_for(major: Option<u32>) -> Version {
    match major {
        None => Version::V10,
        Some(..9) => Version::V11,
        Some(9..) => Version::V80,
    }
}

impl SyncPlan {
    /// By this configuration, for replicas with these terms, at this point in the history.
    pub fn new(config: &Config, functions: Vec<Vec<u8>>, terms: Terms, origin: Origin) -> Self {
        let Terms { version, form, scope, patience_millis } = terms;
        Self {
            manner: Manner::new(config, functions),
            version,
            form,
            scope,
            patience_millis,
            origin,
        }
    }

    /// The version of the format that is sent.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sends what these shards hold, which no thread changes meanwhile, to all replicas.
    /// `progress` is told from time to time how many keys and bytes were sent, and `lost` at once
    /// which replica, by its place, was dropped, and why.
    ///
    /// # Errors
    /// If the version has no kind for a value, and if no replica is left.
    pub fn send(
        &self,
        shards: &mut [&mut Shard],
        targets: &[Target],
        mut progress: impl FnMut(Written),
        mut lost: impl FnMut(usize, Lost),
    ) -> Result<Written, Refusal> {
        if self.scope == Scope::All {
            walking::first_unknown(shards, self.version)
                .map_or(Ok(()), |kind| Err(Refusal::Unknown(kind)))?;
        }
        let head = self.manner.head(self.version, Some(&self.origin));
        let opening = match &self.form {
            Form::Marked(mark) => [b"$EOF:", mark.as_slice(), b"\r\n"].concat(),
            Form::Measured => {
                let mut measure = Measure { bytes: head.len() as u64, section: None };
                self.fill(shards, &mut measure, |_| {});
                format!("${}\r\n", measure.bytes + SUM_BYTES).into_bytes()
            }
        };
        let sent = Cell::new(0);
        let mut sending = Sending::new(self, targets, &sent, &mut lost);
        let Origin { replid, offset } = &self.origin;
        sending.tell_psync(format!("+FULLRESYNC {replid} {offset}\r\n").as_bytes());
        sending.send(&opening);
        sending.put(&head);
        let keys = self.fill(shards, &mut sending, |keys| {
            progress(Written { keys, bytes: sent.get() });
        });
        let sum = if self.manner.summing == Summing::On { sending.sum } else { 0 };
        sending.send(&sum.to_le_bytes());
        if let Form::Marked(mark) = &self.form {
            sending.send(mark);
        }
        if sending.has_failed() {
            return Err(Refusal::NoneLeft);
        }
        Ok(Written { keys, bytes: sent.get() })
    }

    /// Writes what comes behind the head, except for the checksum. How many keys there are.
    fn fill(
        &self,
        shards: &mut [&mut Shard],
        sink: &mut impl Records,
        progress: impl FnMut(u64),
    ) -> u64 {
        let shards = match self.scope {
            Scope::All => shards,
            Scope::Functions => &mut [],
        };
        let walk = walk(&self.manner, Versions::Only(self.version), shards);
        walk.write(sink, progress);
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

/// The sockets of all replicas, as one sink.
struct Sending<'t> {
    peers: Vec<Peer<'t>>,
    buffer: Vec<u8>,
    section: Option<usize>,
    summing: Summing,
    /// The checksum of all that was passed on.
    sum: u64,
    patience_millis: u64,
    /// Bytes that were sent to those that are left.
    sent: &'t Cell<u64>,
    lost: &'t mut dyn FnMut(usize, Lost),
}

/// A replica that is left.
struct Peer<'t> {
    place: usize,
    target: &'t Target,
    /// Bytes of the present piece that it took.
    taken: usize,
    /// Bytes that it took since then.
    moved: usize,
    since: Monotonic,
}

impl Peer<'_> {
    /// Sends what the connection takes.
    fn advance(&mut self, bytes: &[u8], patience_millis: u64) -> Result<(), Lost> {
        while self.taken < bytes.len() {
            match sockets::send_some(&self.target.socket, &bytes[self.taken..]) {
                Ok(0) => break,
                Ok(len) => {
                    self.taken += len;
                    self.moved += len;
                }
                Err(error) => return Err(Lost::Failed(error.raw_os_error().unwrap_or(0))),
            }
        }
        let now = Monotonic::now();
        if self.taken == bytes.len() || PROGRESS_BYTES <= self.moved {
            (self.moved, self.since) = (0, now);
        } else if patience_millis <= now.millis_since(self.since) {
            return Err(Lost::Stalled);
        }
        Ok(())
    }
}

impl<'t> Sending<'t> {
    fn new(
        plan: &SyncPlan,
        targets: &'t [Target],
        sent: &'t Cell<u64>,
        lost: &'t mut dyn FnMut(usize, Lost),
    ) -> Self {
        let since = Monotonic::now();
        let peer = |(place, target)| Peer { place, target, taken: 0, moved: 0, since };
        let peers = targets.iter().enumerate().map(peer).collect();
        Self {
            peers,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            section: None,
            summing: plan.manner.summing,
            sum: 0,
            patience_millis: plan.patience_millis,
            sent,
            lost,
        }
    }

    /// Tells those that have asked by PSYNC.
    fn tell_psync(&mut self, line: &[u8]) {
        self.send_to(line, |target| target.asked == Asked::Psync);
    }

    /// Sends to all, and waits until those that are left have taken it.
    fn send(&mut self, bytes: &[u8]) {
        self.send_to(bytes, |_| true);
        self.sent.set(self.sent.get() + bytes.len() as u64);
    }

    fn send_to(&mut self, bytes: &[u8], is_meant: impl Fn(&Target) -> bool) {
        let now = Monotonic::now();
        for peer in &mut self.peers {
            let taken = if is_meant(peer.target) { 0 } else { bytes.len() };
            (peer.taken, peer.moved, peer.since) = (taken, 0, now);
        }
        let patience = self.patience_millis;
        loop {
            let lost = &mut self.lost;
            self.peers.retain_mut(|peer| match peer.advance(bytes, patience) {
                Ok(()) => true,
                Err(why) => {
                    // Nothing else may be sent behind a piece that is cut off.
                    sockets::shut(&peer.target.socket);
                    lost(peer.place, why);
                    false
                }
            });
            let waiting = || self.peers.iter().filter(|peer| peer.taken < bytes.len());
            let now = Monotonic::now();
            let left = |peer: &Peer<'_>| patience.saturating_sub(now.millis_since(peer.since));
            let Some(millis) = waiting().map(left).min() else { return };
            // One more, so that the time is over when the wait is.
            sockets::wait_for_room(waiting().map(|peer| &peer.target.socket), millis + 1);
        }
    }

    fn spill(&mut self) {
        let bytes = std::mem::take(&mut self.buffer);
        if self.summing == Summing::On {
            self.sum = crc64(self.sum, &bytes);
        }
        self.send(&bytes);
        self.buffer = bytes;
        self.buffer.clear();
    }
}

impl Sink for Sending<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while BUFFER_BYTES < self.buffer.len() + rest.len() {
            let (now, later) = rest.split_at(BUFFER_BYTES - self.buffer.len());
            self.buffer.extend_from_slice(now);
            self.spill();
            rest = later;
        }
        self.buffer.extend_from_slice(rest);
    }
}

impl Records for Sending<'_> {
    fn begin_section(&mut self, section: usize, head: &[u8]) {
        if self.section.replace(section) != Some(section) {
            self.put(head);
        }
    }

    #[inline]
    fn end_record(&mut self) {
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
