//! All keys of a node, written as chunks to several connections of each replica, by a thread for
//! each of them.

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use shards::base::slot::Slot;
use shards::rdb::kind::Version;
use shards::rdb::writer::Sink;
use shards::shard::Shard;

use super::peers::{Peers, Told, Watch};
use super::{Refusal, SyncPlan, Target};
use crate::persistence::chunks::taking::head;
use crate::persistence::chunks::{HEADER, Header, Kind, PAYLOAD_BYTES_MAX};
use crate::persistence::snapshot::Written;
use crate::persistence::walking::{Records, Versions, walk};

/// From so many bytes on a chunk gets no further record.
const ENOUGH_BYTES: usize = 64 << 10;

/// Sends what these shards hold, as [`SyncPlan::send`] does.
pub(super) fn send(
    plan: &SyncPlan,
    version: Version,
    shards: &mut [&mut Shard],
    targets: &[Target],
    watch: Watch<'_>,
) -> Result<Written, Refusal> {
    let connections = targets.iter().map(|target| target.sockets.len()).min().unwrap_or(0);
    let told = Told::new(connections, targets.len(), watch);
    let chunks = |number| Chunks::new(Peers::new(number, targets, plan.patience_millis, &told));
    let walk = walk(&plan.manner, Versions::Only(version), shards);
    let work = |mut chunks: Chunks<'_, '_>| {
        walk.write(&mut chunks, |_| {});
        chunks.end();
    };
    let (chunks, work) = (&chunks, &work);
    let mut first = chunks(0);
    first.send_all(Kind::Head, &head(&plan.origin));
    plan.manner.functions().for_each(|code| first.send_all(Kind::Function, code));
    thread::scope(|scope| {
        // Where no further thread can be had, those there are do all of it.
        let spawn = |number| {
            let work = move || work(chunks(number));
            thread::Builder::new().spawn_scoped(scope, work).ok()
        };
        let others: Vec<_> = (1..connections).map_while(spawn).collect();
        work(first);
        (others.len() + 1..connections).for_each(|number| chunks(number).end());
        let end = |other: ScopedJoinHandle<'_, ()>| {
            other.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        others.into_iter().for_each(end);
    });
    told.written().ok_or(Refusal::NoneLeft)
}

/// What goes by one connection of each replica.
struct Chunks<'t, 'w> {
    peers: Peers<'t, 'w>,
    /// Room for a header, whole records, and the beginning of one.
    buffer: Vec<u8>,
    /// Where that one begins.
    record: usize,
    slot: u16,
    /// The whole ones.
    whole: Header,
    /// All keys that were sent.
    keys: u64,
    /// The beginning of the record was sent.
    is_begun: bool,
}

impl<'t, 'w> Chunks<'t, 'w> {
    fn new(peers: Peers<'t, 'w>) -> Self {
        let mut buffer = Vec::with_capacity(HEADER + PAYLOAD_BYTES_MAX);
        buffer.resize(HEADER, 0);
        let whole = Header::of(Kind::Keys);
        Self { peers, buffer, record: HEADER, slot: 0, whole, keys: 0, is_begun: false }
    }

    /// Sends these bytes, in pieces if need be.
    fn send_all(&mut self, kind: Kind, payload: &[u8]) {
        let mut pieces = payload.chunks(PAYLOAD_BYTES_MAX).peekable();
        while let Some(piece) = pieces.next() {
            self.buffer.extend_from_slice(piece);
            let header = Header { goes_on: pieces.peek().is_some(), ..Header::of(kind) };
            self.send(header);
        }
    }

    /// Sends what there is. Nothing but records was put in front of one that is whole.
    fn send(&mut self, header: Header) {
        header.seal(&mut self.buffer);
        self.peers.send(&self.buffer);
        self.buffer.truncate(HEADER);
        self.record = HEADER;
    }

    /// Sends the whole records.
    fn send_whole(&mut self) {
        let header = self.whole;
        self.whole.keys = 0;
        self.note_sent(header.keys);
        let (chunk, _) = self.buffer.split_at_mut(self.record);
        header.seal(chunk);
        self.peers.send(chunk);
        self.buffer.drain(HEADER..self.record);
        self.record = HEADER;
    }

    /// Sends a piece of a record.
    fn send_piece(&mut self, goes_on: bool) {
        let slots = (self.slot, self.slot);
        let keys = u32::from(!goes_on);
        self.note_sent(keys);
        self.send(Header { goes_on, slots, keys, ..self.whole });
        self.is_begun = goes_on;
    }

    fn note_sent(&mut self, keys: u32) {
        self.keys += u64::from(keys);
        self.peers.sent.keys = self.keys;
    }

    /// Puts what does not fit.
    #[cold]
    fn put_in_pieces(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let room = HEADER + PAYLOAD_BYTES_MAX - self.buffer.len();
            if rest.len() <= room {
                return self.buffer.extend_from_slice(rest);
            }
            if 0 < self.whole.keys {
                self.send_whole();
                continue;
            }
            let (now, later) = rest.split_at(room);
            self.buffer.extend_from_slice(now);
            self.send_piece(true);
            rest = later;
        }
    }

    /// Says that this was all.
    fn end(&mut self) {
        self.flush();
        self.send_all(Kind::End, &self.keys.to_le_bytes());
    }
}

impl Sink for Chunks<'_, '_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() <= HEADER + PAYLOAD_BYTES_MAX {
            self.buffer.extend_from_slice(bytes);
        } else {
            self.put_in_pieces(bytes);
        }
    }
}

impl Records for Chunks<'_, '_> {
    fn begin_section(&mut self, section: usize, _: &[u8]) {
        self.flush();
        self.whole.db = u16::try_from(section).expect("logs know no more databases");
    }

    #[inline]
    fn begin_record(&mut self, key: &[u8]) {
        self.record = self.buffer.len();
        self.slot = Slot::of(key).number();
    }

    #[inline]
    fn end_record(&mut self) {
        if self.is_begun {
            return self.send_piece(false);
        }
        self.record = self.buffer.len();
        let (first, last) = match self.whole.keys {
            0 => (self.slot, self.slot),
            _ => self.whole.slots,
        };
        self.whole.slots = (first.min(self.slot), last.max(self.slot));
        self.whole.keys += 1;
        if HEADER + ENOUGH_BYTES <= self.buffer.len() {
            self.send_whole();
        }
    }

    fn has_failed(&self) -> bool {
        self.peers.is_empty()
    }

    fn flush(&mut self) {
        if 0 < self.whole.keys {
            self.send_whole();
        }
    }
}

#[cfg(test)]
mod tests;
