//! A primary's snapshot on its way into the staging of all shards.

use std::io;
use std::time::Duration;

use shards::base::slot::Slot;

use crate::config::table::Config;
use crate::flows::dispatch::Routing;
use crate::mail::mailbox::Mailbox;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::mail::upstream::{Brought, SnapshotWord, Staged};
use crate::persistence::loader::Rules;
use crate::persistence::receiving::{End, Made, Receiving};
use crate::reactor::wake::Awaited;
use crate::replication::history::Vector;
use crate::replication::link::events::Generation;

/// Bytes that have come and are not read, from which on no more are taken.
const BACKLOG_BYTES_MAX: u64 = 4 << 20;
/// Chunks that a shard may have before it, on the average.
const CHUNKS_PER_SHARD: usize = 8;

/// A snapshot that is being taken in.
#[derive(Debug)]
pub struct Intake {
    generation: Generation,
    receiving: Receiving,
    /// Chunks that shards were sent and have not reported on.
    outstanding: usize,
    keys: u64,
    /// All was read.
    end: Option<End>,
    /// Why it came to nothing.
    failed: Option<String>,
}

/// Where the snapshot of a primary is.
#[derive(Debug, Default)]
pub struct Behind {
    /// The database that is selected in the stream behind it.
    pub db: u16,
    /// Its place in each log of the primary, if that is no place of a stream.
    pub vector: Option<Vector>,
}

impl Intake {
    /// Begins to take in the snapshot of an attempt to follow `primary`.
    ///
    /// # Errors
    /// The system's, for want of a thread.
    pub fn begin(
        generation: Generation,
        primary: &str,
        config: &Config,
        routing: &Routing,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> io::Result<Self> {
        let slots = routing.slots.clone();
        let owner = move |key: &[u8]| usize::from(slots.owner_of(Slot::of(key)));
        let rules = Rules::of(config, mailbox.shards());
        let receiving = Receiving::begin(format!("the snapshot of {primary}"), rules, owner)?;
        tell_all(mailbox, || SnapshotWord::Begin);
        Ok(Self { generation, receiving, outstanding: 0, keys: 0, end: None, failed: None })
    }

    /// Takes the next bytes of it.
    pub fn give(&mut self, bytes: Vec<u8>) {
        self.receiving.give(bytes);
    }

    /// Notes that there are no more.
    pub fn end(&mut self) {
        self.receiving.end();
    }

    /// Whether no more bytes are to be taken for now.
    pub fn is_full(&self) -> bool {
        BACKLOG_BYTES_MAX <= self.receiving.backlog()
    }

    /// Hands chunks to shards. Once all of it is staged, what it has brought besides and where it
    /// is; or why it came to nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn go_on(
        &mut self,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> Result<Option<(Brought, Behind)>, String> {
        // It was rung for what is looked at now; that it cannot be reset costs a look more.
        let _ = self.receiving.news().wait([], Duration::ZERO);
        let chunks_max = CHUNKS_PER_SHARD * mailbox.shards();
        while self.end.is_none() && self.failed.is_none() && self.outstanding < chunks_max {
            match self.receiving.take() {
                Some(Made::Chunk(shard, chunk)) => {
                    self.outstanding += 1;
                    let word = SnapshotWord::Chunk(self.generation, Box::new(chunk));
                    mailbox.send(shard, ToShard::Snapshot(word));
                }
                Some(Made::End(end)) => self.end = Some(end),
                Some(Made::Failed(why)) => self.failed = Some(why),
                None => break,
            }
        }
        if let Some(why) = &self.failed {
            return Err(why.clone());
        }
        if 0 < self.outstanding {
            return Ok(None);
        }
        let Some(End { functions, stream_db, vector, keys: _ }) = self.end.take() else {
            return Ok(None);
        };
        let place = |text: String| {
            Vector::parse(text.as_bytes()).ok_or_else(|| format!("it names no place: {text}"))
        };
        let vector = vector.map(place).transpose()?;
        let brought = Brought { functions, keys: self.keys, is_native: false };
        Ok(Some((brought, Behind { db: stream_db, vector })))
    }

    /// Notes what a shard made of a chunk.
    pub fn staged(&mut self, staged: Staged) {
        let Staged { generation, keys, error } = staged;
        if generation != self.generation {
            return;
        }
        self.outstanding -= 1;
        self.keys += keys;
        if let Some(error) = error {
            self.failed.get_or_insert_with(|| error.to_string());
        }
    }

    /// What is waited for.
    pub fn awaited(&self) -> Awaited<'_> {
        Awaited::Readable(self.receiving.news().fd())
    }
}

/// Has all shards drop what they have staged.
pub fn drop_staging(mailbox: &mut Mailbox<ToRelay>) {
    tell_all(mailbox, || SnapshotWord::Drop);
}

pub(super) fn tell_all(mailbox: &mut Mailbox<ToRelay>, word: impl Fn() -> SnapshotWord) {
    (0..mailbox.shards()).for_each(|shard| mailbox.send(shard, ToShard::Snapshot(word())));
}
