//! All keys of a node, written into one RDB file.
//!
//! The file is of the lowest version that holds its values: every server can read most files. Which
//! one that is shows only at the end, so the first bytes are written again then.

use std::fs::{self, File};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use shards::keyspace::db::{Entry, Keyspace};
use shards::keyspace::evict;
use shards::rdb::kind::Version;
use shards::rdb::value;
use shards::rdb::writer::{Compression, Sink, Writer};
use shards::shard::Shard;

use crate::config::choices::MaxmemoryPolicy;
use crate::config::table::Config;
use crate::persistence::writing::{Part, Summing, Writing};
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
    /// Threads that write, if the configuration says how many; else 0.
    threads: usize,
    functions: Vec<Vec<u8>>,
}

/// What the shards do while a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stand still: their processors are free.
    Stand,
    /// They serve their clients.
    Work,
}

/// Beside shards at work, there is a thread that writes for so many of them, and one at least.
const SHARDS_PER_THREAD: usize = 4;

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
    pub fn new(config: &Config, functions: Vec<Vec<u8>>) -> Self {
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
            threads: usize::try_from(config.rdb_save_threads).unwrap_or(usize::MAX),
            functions,
        }
    }

    /// Writes all keys of these shards, which no thread changes meanwhile. `progress` is told from
    /// time to time how many keys were written.
    ///
    /// # Errors
    /// What failed. Then the file that was there before still is, and the temporary one is gone.
    pub fn write(
        &self,
        shards: &mut [&mut Shard],
        others: Others,
        progress: impl FnMut(u64),
    ) -> Result<Written, Failed> {
        let threads = match (self.threads, others) {
            (0, Others::Stand) => shards.len(),
            (0, Others::Work) => shards.len() / SHARDS_PER_THREAD,
            (threads, _) => threads,
        };
        let threads = threads.clamp(1, shards.len().max(1));
        let written = self.write_all(shards, threads, progress);
        if written.is_err() {
            // It may not even have been made.
            let _ = fs::remove_file(&self.temp);
        }
        written
    }

    fn write_all(
        &self,
        shards: &mut [&mut Shard],
        threads: usize,
        progress: impl FnMut(u64),
    ) -> Result<Written, Failed> {
        let failed = |step| move |error| Failed { step, error };
        let file = File::create(&self.temp).map_err(failed(Step::Open))?;
        let writing = Writing::new(file, self.summing);
        let written = self.fill(writing, shards, threads, progress).map_err(failed(Step::Write))?;
        fs::rename(&self.temp, &self.file).map_err(failed(Step::Rename))?;
        sync_folder(&self.dir).map_err(failed(Step::SyncFolder))?;
        Ok(written)
    }

    /// Writes what comes before the keys.
    fn begin(&self, writing: &Writing) {
        let mut part = writing.part();
        let mut writer = Writer::new(&mut part, Version::V10, self.compression);
        writer.header();
        write_aux(&mut writer);
        self.functions.iter().for_each(|code| writer.function(code));
        part.flush();
    }

    fn fill(
        &self,
        writing: Writing,
        shards: &mut [&mut Shard],
        threads: usize,
        mut progress: impl FnMut(u64),
    ) -> io::Result<Written> {
        self.begin(&writing);
        let job = Job {
            plan: self,
            writing: &writing,
            heads: heads(shards),
            keys: AtomicU64::new(0),
            left: Mutex::new(shards.iter_mut().map(|shard| &mut shard.keyspace)),
        };
        let highest = thread::scope(|scope| {
            // Where no further thread can be had, those there are do all of it.
            let others: Vec<_> = (1..threads)
                .map_while(|_| thread::Builder::new().spawn_scoped(scope, || job.work(|_| {})).ok())
                .collect();
            let mut highest = job.work(&mut progress);
            for other in others {
                while !other.is_finished() {
                    thread::park_timeout(LOOK_INTERVAL);
                    progress(job.keys.load(Ordering::Relaxed));
                }
                highest = highest.max(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            highest
        });
        let keys = job.keys.load(Ordering::Relaxed);
        end(&writing);
        let bytes = writing.finish(&magic(Version::V10), &magic(highest))?;
        Ok(Written { keys, bytes })
    }
}

/// Writes what comes after the keys.
fn end(writing: &Writing) {
    let mut part = writing.part();
    Writer::new(&mut part, Version::V10, Compression::Off).end();
    part.flush();
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

/// The file that a configuration names.
pub fn file_of(config: &Config) -> PathBuf {
    config.dir.join(&config.dbfilename)
}

/// After how many keys of a thread progress is told.
const PROGRESS_KEYS: u64 = 1024;
/// How often the first thread looks whether the others are done, when it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What the threads that write a file share.
struct Job<'j, I> {
    plan: &'j Plan,
    writing: &'j Writing,
    heads: Vec<Vec<u8>>,
    /// Keys written.
    keys: AtomicU64,
    /// Keyspaces that no thread has begun with.
    left: Mutex<I>,
}

impl<'k, I: Iterator<Item = &'k mut Keyspace>> Job<'_, I> {
    /// Writes keyspaces for as long as there are some. The lowest version that holds them.
    fn work(&self, progress: impl FnMut(u64)) -> Version {
        let mut part = self.writing.part();
        let writer = Writer::new(&mut part, Version::V10, self.plan.compression);
        let mut each = Each { job: self, writer, progress, keys: 0, highest: Version::V10 };
        while let Some(keyspace) = self.next() {
            for (index, (db, head)) in keyspace.dbs.iter().zip(&self.heads).enumerate() {
                if !db.is_empty() && !each.writer.sink.has_failed() {
                    each.writer.sink.begin_section(index, head.clone());
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

/// One thread at work.
struct Each<'a, 'j, 'w, P, I> {
    job: &'a Job<'j, I>,
    writer: Writer<'a, Part<'w>>,
    progress: P,
    /// Keys written that `job` does not know of.
    keys: u64,
    highest: Version,
}

impl<P: FnMut(u64), I> Each<'_, '_, '_, P, I> {
    fn write(&mut self, keyspace: &Keyspace, entry: &Entry) {
        let writer = &mut self.writer;
        let value = entry.value();
        let version = value::lowest_version(&value);
        writer.set_version(version);
        self.highest = version.max(self.highest);
        if let Some(at) = entry.expire() {
            writer.expire(at);
        }
        match self.job.plan.usage {
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
        let before = self.job.keys.fetch_add(self.keys, Ordering::Relaxed);
        (self.progress)(before + std::mem::take(&mut self.keys));
    }

    /// What `rdb-key-save-delay` asks for.
    fn delay(&mut self) {
        let delay = self.job.plan.key_delay;
        let each = u64::from(delay.unsigned_abs());
        if 0 < delay {
            pause(each);
            self.count();
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
