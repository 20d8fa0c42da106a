//! All keys of a node, written into one RDB file.
//!
//! The file is of the lowest version that holds its values: most can be read by everybody. Which
//! one that is shows only at the end, so the first bytes are written again then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shards::keyspace::db::{Entry, Keyspace};
use shards::keyspace::evict;
use shards::rdb::kind::Version;
use shards::rdb::value;
use shards::rdb::writer::{Compression, Sink, Writer};
use shards::shard::Shard;

use crate::config::choices::MaxmemoryPolicy;
use crate::config::table::Config;
use crate::persistence::writing::{Summing, Writing};
use crate::process::{VALKEY_VERSION, snapshot_temp};
use crate::reactor::allocator::used_memory;
use crate::reactor::clock::{self, pause};

/// Where and how to write.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder.
    pub dir: PathBuf,
    /// The file in it.
    pub file: PathBuf,
    /// The file until it is complete.
    pub temp: PathBuf,
    compression: Compression,
    summing: Summing,
    /// Microseconds to wait after each key; below zero, for one microsecond each so many keys.
    key_delay: i32,
    usage: Usage,
    functions: Arc<[Vec<u8>]>,
}

/// What of its use is written with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    Nothing,
    Idle,
    Frequency,
}

/// Which step of writing failed, and why.
#[derive(Debug)]
pub struct Failed {
    /// The step.
    pub step: Step,
    /// The system's reason.
    pub error: io::Error,
}

/// The steps of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making the temporary file.
    Open,
    /// Writing it and having the disk keep it.
    Write,
    /// Giving it its name.
    Rename,
    /// Having the disk keep the name.
    SyncFolder,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Open, Self::Write, Self::Rename, Self::SyncFolder];
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Keys.
    pub keys: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Plan {
    /// By this configuration, at this moment, with these libraries of functions.
    pub fn new(config: &Config, functions: Arc<[Vec<u8>]>) -> Self {
        let policy = config.maxmemory_policy;
        let usage = match policy {
            MaxmemoryPolicy::AllKeysLru | MaxmemoryPolicy::VolatileLru => Usage::Idle,
            MaxmemoryPolicy::AllKeysLfu | MaxmemoryPolicy::VolatileLfu => Usage::Frequency,
            _ => Usage::Nothing,
        };
        Self {
            file: file_of(config),
            temp: config.dir.join(snapshot_temp()),
            dir: config.dir.clone(),
            compression: if config.rdbcompression { Compression::Lzf } else { Compression::Off },
            summing: if config.rdbchecksum { Summing::On } else { Summing::Off },
            key_delay: config.rdb_key_save_delay,
            usage,
            functions,
        }
    }

    /// Writes all keys of these shards, which nobody changes meanwhile. `progress` is told from
    /// time to time how many keys were written.
    ///
    /// # Errors
    /// What failed. Then the file that was there before still is, and the temporary one is gone.
    pub fn write(
        &self,
        shards: &[&mut Shard],
        progress: impl FnMut(u64),
    ) -> Result<Written, Failed> {
        let written = self.write_all(shards, progress);
        if written.is_err() {
            // It may not even have been made.
            let _ = fs::remove_file(&self.temp);
        }
        written
    }

    fn write_all(
        &self,
        shards: &[&mut Shard],
        progress: impl FnMut(u64),
    ) -> Result<Written, Failed> {
        let failed = |step| move |error| Failed { step, error };
        let file = File::create(&self.temp).map_err(failed(Step::Open))?;
        let writing = Writing::new(file, self.summing);
        let written = self.fill(writing, shards, progress).map_err(failed(Step::Write))?;
        fs::rename(&self.temp, &self.file).map_err(failed(Step::Rename))?;
        sync_folder(&self.dir).map_err(failed(Step::SyncFolder))?;
        Ok(written)
    }

    fn fill(
        &self,
        mut writing: Writing,
        shards: &[&mut Shard],
        progress: impl FnMut(u64),
    ) -> io::Result<Written> {
        let mut highest = Version::V10;
        let mut keys = 0;
        let mut writer = Writer::new(&mut writing, highest, self.compression);
        writer.header();
        write_aux(&mut writer);
        self.functions.iter().for_each(|code| writer.function(code));
        let keyspaces = shards.iter().map(|shard| &shard.keyspace);
        let databases = keyspaces.clone().map(|keyspace| keyspace.dbs.len()).max().unwrap_or(0);
        let mut each = Each { plan: self, progress, keys: &mut keys, highest: &mut highest };
        for index in 0..databases {
            let dbs = keyspaces.clone().filter_map(|keyspace| keyspace.dbs.get(index));
            let (len, volatile) = dbs.fold((0, 0), |(len, volatile), db| {
                (len + db.len() as u64, volatile + db.volatile_len() as u64)
            });
            if len != 0 {
                writer.database(index as u64, len, volatile);
            }
            let _ = keyspaces.clone().try_for_each(|keyspace| {
                let db = keyspace.dbs.get(index)?;
                db.table().for_each(|entry| each.write(&mut writer, keyspace, entry));
                (!writer.sink.has_failed()).then_some(())
            });
        }
        writer.end();
        let bytes = writing.finish(&magic(Version::V10), &magic(highest))?;
        Ok(Written { keys, bytes })
    }
}

/// The file that a configuration names.
pub fn file_of(config: &Config) -> PathBuf {
    config.dir.join(&config.dbfilename)
}

struct Each<'a, P> {
    plan: &'a Plan,
    progress: P,
    keys: &'a mut u64,
    highest: &'a mut Version,
}

/// After how many keys progress is told.
const PROGRESS_KEYS: u64 = 1024;

impl<P: FnMut(u64)> Each<'_, P> {
    fn write<S: Sink>(&mut self, writer: &mut Writer<'_, S>, keyspace: &Keyspace, entry: &Entry) {
        let value = entry.value();
        let version = value::lowest_version(&value);
        writer.set_version(version);
        *self.highest = version.max(*self.highest);
        if let Some(at) = entry.expire() {
            writer.expire(at);
        }
        match self.plan.usage {
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
        *self.keys += 1;
        if self.keys.is_multiple_of(PROGRESS_KEYS) {
            (self.progress)(*self.keys);
        }
        self.delay();
    }

    /// What `rdb-key-save-delay` asks for.
    fn delay(&mut self) {
        let delay = self.plan.key_delay;
        let each = u64::from(delay.unsigned_abs());
        if 0 < delay {
            pause(each);
            (self.progress)(*self.keys);
        } else if delay < 0 && self.keys.is_multiple_of(each) {
            pause(1);
        }
    }
}

/// What a file says of itself.
fn write_aux<S: Sink>(writer: &mut Writer<'_, S>) {
    writer.aux("valkey-ver", VALKEY_VERSION.as_bytes());
    writer.aux("redis-bits", usize::BITS.to_string().as_bytes());
    writer.aux("ctime", clock::wall().seconds().to_string().as_bytes());
    writer.aux("used-mem", used_memory().to_string().as_bytes());
    writer.aux("aof-base", b"0");
}

/// What a file of this version begins with.
fn magic(version: Version) -> [u8; 9] {
    let mut magic = Vec::new();
    Writer::new(&mut magic, version, Compression::Off).header();
    magic.try_into().expect("every version's is of nine bytes")
}

/// Has the disk keep the names of a folder.
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
