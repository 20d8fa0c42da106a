//! The walk over all keys of a node: each is written as a record, to a file or to sockets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use shards::keyspace::db::{Entry, Keyspace};
use shards::keyspace::evict;
use shards::rdb::kind::{Kind, Version};
use shards::rdb::value;
use shards::rdb::writer::{Compression, Sink, Writer};
use shards::shard::Shard;

use crate::config::choices::MaxmemoryPolicy;
use crate::config::table::Config;
use crate::persistence::writing::Summing;
use crate::process::VALKEY_VERSION;
use crate::reactor::allocator::used_memory;
use crate::reactor::clock::{self, pause};

/// A sink that takes whole records, in sections.
pub trait Records: Sink {
    /// The records that follow are of this section, which `head` begins.
    fn begin_section(&mut self, section: usize, head: &[u8]);

    /// What follows is the record of this key.
    fn begin_record(&mut self, _key: &[u8]) {}

    /// A record is complete.
    fn end_record(&mut self);

    /// Whether the sink takes no more.
    fn has_failed(&self) -> bool;

    /// Passes on what was gathered: whole records.
    fn flush(&mut self);
}

/// Bytes that a sink gathers before it passes them on.
pub const BUFFER_BYTES: usize = 256 << 10;
/// From how many on it begins no further record.
pub const ENOUGH_BYTES: usize = BUFFER_BYTES / 2;

/// Adds bytes to a sink's buffer, which `spill` empties each time it is full.
#[inline]
pub fn gather<S>(
    sink: &mut S,
    bytes: &[u8],
    buffer: impl Fn(&mut S) -> &mut Vec<u8>,
    spill: impl Fn(&mut S),
) {
    let mut rest = bytes;
    while BUFFER_BYTES < buffer(sink).len() + rest.len() {
        let (now, later) = rest.split_at(BUFFER_BYTES - buffer(sink).len());
        buffer(sink).extend_from_slice(now);
        spill(sink);
        rest = later;
    }
    buffer(sink).extend_from_slice(rest);
}

/// What is written besides keys and values, and how.
#[derive(Clone, Debug)]
pub struct Manner {
    compression: Compression,
    /// Whether the checksum at the end is made.
    pub summing: Summing,
    /// Microseconds to wait after each key; below zero, for one microsecond each so many keys.
    key_delay: i32,
    usage: Usage,
    functions: Vec<Vec<u8>>,
}

/// What of its use is written with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    Nothing,
    Idle,
    Frequency,
}

/// The point in a history that the keys are of, named in what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The history: 40 hexadecimal digits.
    pub replid: String,
    /// The offset in its stream, in bytes; or what the logs weigh there.
    pub offset: u64,
    /// Of what it is a point.
    pub of: OriginOf,
}

/// Of what a point in a history is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginOf {
    /// Of its stream, and so of all logs. This database is selected there.
    Stream(u16),
    /// Of logs alone: these are the offsets, with commas between them. Servers that know no logs
    /// must not go on there.
    Logs(String),
}

impl Manner {
    /// By this configuration, with these libraries of functions.
    pub fn new(config: &Config, functions: Vec<Vec<u8>>) -> Self {
        let policy = config.maxmemory_policy;
        let usage = match policy {
            MaxmemoryPolicy::AllKeysLru | MaxmemoryPolicy::VolatileLru => Usage::Idle,
            MaxmemoryPolicy::AllKeysLfu | MaxmemoryPolicy::VolatileLfu => Usage::Frequency,
            _ => Usage::Nothing,
        };
        Self {
            compression: if config.rdbcompression { Compression::Lzf } else { Compression::Off },
            summing: if config.rdbchecksum { Summing::On } else { Summing::Off },
            key_delay: config.rdb_key_save_delay,
            usage,
            functions,
        }
    }

    /// Likewise, but values stay as long as they are.
    pub fn uncompressed(self) -> Self {
        Self { compression: Compression::Off, ..self }
    }

    /// The libraries of functions.
    pub fn functions(&self) -> impl Iterator<Item = &[u8]> {
        self.functions.iter().map(Vec::as_slice)
    }

    /// What comes before the keys, from the header on.
    pub fn head(&self, version: Version, origin: Option<&Origin>) -> Vec<u8> {
        let mut head = Vec::new();
        let mut writer = Writer::new(&mut head, version, self.compression);
        writer.header();
        writer.aux("valkey-ver", VALKEY_VERSION.as_bytes());
        writer.aux("redis-bits", usize::BITS.to_string().as_bytes());
        writer.aux("ctime", clock::wall().seconds().to_string().as_bytes());
        writer.aux("used-mem", used_memory().to_string().as_bytes());
        if let Some(Origin { replid, offset, of }) = origin {
            let offset = offset.to_string();
            match of {
                OriginOf::Stream(db) => {
                    writer.aux("repl-stream-db", db.to_string().as_bytes());
                    writer.aux("repl-id", replid.as_bytes());
                    writer.aux("repl-offset", offset.as_bytes());
                }
                OriginOf::Logs(vector) => {
                    writer.aux("keylane-id", replid.as_bytes());
                    writer.aux("keylane-offset", offset.as_bytes());
                    writer.aux("keylane-vector", vector.as_bytes());
                }
            }
        }
        writer.aux("aof-base", b"0");
        self.functions.iter().for_each(|code| writer.function(code));
        head
    }
}

/// Writes what comes after the keys, except for the checksum.
pub fn end<S: Records>(sink: &mut S) {
    Writer::new(sink, Version::V10, Compression::Off).end();
    sink.flush();
}

/// For readers of which versions values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// For those of the lowest version that holds all of it.
    Lowest,
    /// For those of this version, which has a kind for every value: see [`first_unknown`].
    Only(Version),
}

/// A kind of value that readers of `version` do not know; `None` if they know all that is there.
pub fn first_unknown(shards: &[&mut Shard], version: Version) -> Option<Kind> {
    if version == Version::V80 {
        return None;
    }
    let mut unknown = None;
    for db in shards.iter().flat_map(|shard| &shard.keyspace.dbs) {
        db.table().for_each(|entry| {
            let value = entry.value();
            if unknown.is_none() && value::kind(&value, version).is_none() {
                unknown = value::kind(&value, Version::V80);
            }
        });
    }
    unknown
}

/// The lowest version that holds all of what is there.
pub fn lowest_version(shards: &[&mut Shard]) -> Version {
    let mut lowest = Version::V10;
    for db in shards.iter().flat_map(|shard| &shard.keyspace.dbs) {
        if lowest == Version::V80 {
            break;
        }
        db.table().for_each(|entry| lowest = lowest.max(value::lowest_version(&entry.value())));
    }
    lowest
}

/// What begins the keys of each database: its number, and how many it has.
fn heads(shards: &[&mut Shard]) -> Vec<Vec<u8>> {
    let databases = shards.iter().map(|shard| shard.keyspace.dbs.len()).max().unwrap_or(0);
    let head = |index: usize| {
        let dbs = shards.iter().filter_map(|shard| shard.keyspace.dbs.get(index));
        let (len, volatile) = dbs.fold((0, 0), |(len, volatile), db| {
            (len + db.len() as u64, volatile + db.volatile_len() as u64)
        });
        let mut head = Vec::new();
        let mut writer = Writer::new(&mut head, Version::V10, Compression::Off);
        writer.database(index as u64, len, volatile);
        head
    };
    (0..databases).map(head).collect()
}

/// After how many keys of a thread progress is told.
const PROGRESS_KEYS: u64 = 1024;

/// One walk, for one thread or for several.
pub struct Walk<'m, I> {
    manner: &'m Manner,
    versions: Versions,
    heads: Vec<Vec<u8>>,
    /// Keys written.
    keys: AtomicU64,
    /// Keyspaces that no thread has begun with.
    left: Mutex<I>,
}

/// Begins a walk over the keys of these shards, which no thread changes meanwhile.
pub fn walk<'m, 'k>(
    manner: &'m Manner,
    versions: Versions,
    shards: &'k mut [&mut Shard],
) -> Walk<'m, impl Iterator<Item = &'k mut Keyspace>> {
    let heads = heads(shards);
    let left = Mutex::new(shards.iter_mut().map(|shard| &mut shard.keyspace));
    Walk { manner, versions, heads, keys: AtomicU64::new(0), left }
}

impl<'k, I: Iterator<Item = &'k mut Keyspace>> Walk<'_, I> {
    /// Writes keyspaces to a thread's sink for as long as there are some. `progress` is told from
    /// time to time how many keys were written. The lowest version that holds them.
    pub fn write(&self, sink: &mut impl Records, progress: impl FnMut(u64)) -> Version {
        let writer = Writer::new(sink, Version::V10, self.manner.compression);
        let mut each = Each { walk: self, writer, progress, keys: 0, highest: Version::V10 };
        while let Some(keyspace) = self.next() {
            for (index, (db, head)) in keyspace.dbs.iter().zip(&self.heads).enumerate() {
                if !db.is_empty() && !each.writer.sink.has_failed() {
                    each.writer.sink.begin_section(index, head);
                    db.table().for_each(|entry| each.write(keyspace, entry));
                }
            }
        }
        each.writer.sink.flush();
        each.count();
        each.highest
    }

    fn next(&self) -> Option<&'k mut Keyspace> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl<I> Walk<'_, I> {
    /// Keys that all threads have written so far.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }
}

/// One thread at work.
struct Each<'a, 'm, S, P, I> {
    walk: &'a Walk<'m, I>,
    writer: Writer<'a, S>,
    progress: P,
    /// Keys written that `walk` does not know of.
    keys: u64,
    highest: Version,
}

impl<S: Records, P: FnMut(u64), I> Each<'_, '_, S, P, I> {
    fn write(&mut self, keyspace: &Keyspace, entry: &Entry) {
        let writer = &mut self.writer;
        if writer.sink.has_failed() {
            return;
        }
        let value = entry.value();
        let version = match self.walk.versions {
            Versions::Lowest => value::lowest_version(&value),
            Versions::Only(version) => version,
        };
        writer.set_version(version);
        self.highest = version.max(self.highest);
        writer.sink.begin_record(entry.key());
        if let Some(at) = entry.expire() {
            writer.expire(at);
        }
        match self.walk.manner.usage {
            Usage::Nothing => {}
            Usage::Idle => writer.idle(evict::idle_seconds(entry, keyspace.now)),
            Usage::Frequency => {
                writer.frequency(evict::frequency(entry, &keyspace.settings, keyspace.now));
            }
        }
        let kind = value::kind(&value, version).expect("the version was chosen to hold it");
        writer.kind(kind);
        writer.text(entry.key());
        value::write(writer, &value);
        writer.sink.end_record();
        self.keys += 1;
        if self.keys == PROGRESS_KEYS {
            self.count();
        }
        self.delay();
    }

    /// Adds this thread's keys to all, and tells how many there are.
    fn count(&mut self) {
        let before = self.walk.keys.fetch_add(self.keys, Ordering::Relaxed);
        (self.progress)(before + std::mem::take(&mut self.keys));
    }

    /// What `rdb-key-save-delay` asks for.
    fn delay(&mut self) {
        let delay = self.walk.manner.key_delay;
        let each = u64::from(delay.unsigned_abs());
        if 0 < delay {
            pause(each);
            self.count();
        } else if delay < 0 && self.keys.is_multiple_of(each) {
            pause(1);
        }
    }
}
