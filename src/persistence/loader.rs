//! A snapshot that is being read: keys and values as they lie in the file, in chunks for the shards
//! that are to have them.

use std::fs::File as DiskFile;
use std::io;
use std::path::Path;

use shards::base::time::UnixMs;
use shards::keyspace::evict::Usage;
use shards::rdb::error::{Error, Problem};
use shards::rdb::file::{Event, File, Key};
use shards::rdb::kind::{Dialect, Kind};
use shards::rdb::reader::{Reader, Source};

use crate::config::choices::VersionCheck;
use crate::config::table::Config;
use crate::log;
use crate::persistence::reading::Reading;
use crate::persistence::walking::{Origin, OriginOf};
use crate::process::plain;
use crate::reactor::clock;

/// Bytes of a chunk: what a shard takes in at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Keys with their values, for one shard.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    keys: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    db: usize,
    kind: Kind,
    expire: Option<UnixMs>,
    usage: Option<Usage>,
    /// Where the name begins, where the value does, and where that ends.
    name: usize,
    value: usize,
    end: usize,
    /// Where the value begins in the file.
    offset: u64,
}

/// A key as it lies in a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<'c> {
    /// Its database.
    pub db: usize,
    /// The key.
    pub name: &'c [u8],
    /// What the value is.
    pub kind: Kind,
    /// The value's bytes.
    pub value: &'c [u8],
    /// When it expires.
    pub expire: Option<UnixMs>,
    /// How it was used.
    pub usage: Option<Usage>,
    /// Where the value begins in the file.
    pub offset: u64,
}

impl Chunk {
    /// Its keys, in the file's order.
    pub fn keys(&self) -> impl Iterator<Item = Loaded<'_>> {
        self.keys.iter().map(|key| Loaded {
            db: key.db,
            name: &self.bytes[key.name..key.value],
            kind: key.kind,
            value: &self.bytes[key.value..key.end],
            expire: key.expire,
            usage: key.usage,
            offset: key.offset,
        })
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// A snapshot that is being read, from a file as a rule.
#[derive(Debug)]
pub struct Loader<S = Reading> {
    /// Where it comes from, for the log.
    name: String,
    file: File<S>,
    /// Bytes that it has; 0 if that is not known.
    pub total: u64,
    databases: usize,
    db: usize,
    /// What is gathered for each shard.
    chunks: Vec<Chunk>,
    /// What the file says of the memory it came from.
    pub used_memory: u64,
    /// Keys seen.
    pub keys: u64,
    /// Libraries of functions, as they lie in the file.
    pub functions: Vec<Vec<u8>>,
    /// The database that is selected in the stream behind it, if it says so.
    stream_db: Option<u16>,
    replid: Option<String>,
    offset: Option<u64>,
    /// The same in logs of a history.
    logs: LogsPlace,
    has_ended: bool,
}

/// A point of logs, as far as a file says one.
#[derive(Debug, Default)]
struct LogsPlace {
    replid: Option<String>,
    offset: Option<u64>,
    vector: Option<String>,
}

/// What is at hand after a step.
#[derive(Debug)]
pub enum Step {
    /// A chunk for a shard.
    Chunk(usize, Chunk),
    /// Nothing yet.
    More,
    /// All was read.
    End,
}

/// Keys read in one step, at most.
const STEP_KEYS: usize = 512;

impl Loader<Reading> {
    /// Opens the snapshot at `path` for so many shards; `None` if there is no file.
    ///
    /// # Errors
    /// Why it cannot be loaded, in a sentence.
    pub fn open(path: &Path, shards: usize, config: &Config) -> Result<Option<Self>, String> {
        let name = path.display().to_string();
        let file = match DiskFile::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(told(&name, &plain(&error))),
        };
        let metadata = file.metadata().map_err(|error| told(&name, &plain(&error)))?;
        if metadata.is_dir() {
            return Err(told(&name, "it is a folder"));
        }
        let rules = Rules::of(config, shards);
        Self::of(name, Reading::new(file), metadata.len(), rules).map(Some)
    }

    /// A sentence that says what is wrong with the file.
    pub fn told(&self, error: &Error) -> String {
        let disk = self.file.source().error().map(plain);
        told(&self.name, &disk.unwrap_or_else(|| error.to_string()))
    }
}

/// What a snapshot has to comply with.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    shards: usize,
    databases: usize,
    version_check: VersionCheck,
}

impl Rules {
    /// Those of a configuration and of so many shards.
    pub fn of(config: &Config, shards: usize) -> Self {
        let databases = usize::try_from(config.database_count()).unwrap_or(usize::MAX);
        Self { shards, databases, version_check: config.rdb_version_check }
    }
}

impl<S: Source> Loader<S> {
    /// Begins to read what the log calls `name`: `total` bytes, or 0 if that is not known.
    ///
    /// # Errors
    /// Why it cannot be loaded, in a sentence.
    pub fn of(name: String, source: S, total: u64, rules: Rules) -> Result<Self, String> {
        let reader = Reader::summing(source);
        let file = File::open(reader).map_err(|error| told(&name, &error.to_string()))?;
        let header = file.header();
        if !Dialect::knows(header.version) && rules.version_check == VersionCheck::Strict {
            let writer = match header.dialect {
                Dialect::Redis => "Redis later than 7.2",
                Dialect::Valkey => "Valkey later than 9",
            };
            let why = format!(
                "RDB version {} is of a {writer}: set `rdb-version-check relaxed` to try",
                header.version
            );
            return Err(told(&name, &why));
        }
        let chunks = (0..rules.shards).map(|_| Chunk::default()).collect();
        Ok(Self {
            name,
            file,
            total,
            databases: rules.databases,
            db: 0,
            chunks,
            used_memory: 0,
            keys: 0,
            functions: Vec::new(),
            stream_db: None,
            replid: None,
            offset: None,
            logs: LogsPlace::default(),
            has_ended: false,
        })
    }

    /// Bytes read.
    pub fn offset(&self) -> u64 {
        self.file.offset()
    }

    /// The database that is selected in the stream behind it.
    pub fn stream_db(&self) -> u16 {
        self.stream_db.unwrap_or(0)
    }

    /// Its place in logs of a history, if it is at one.
    pub fn vector(&self) -> Option<String> {
        self.logs.vector.clone()
    }

    /// The point in a history that the keys are of, as far as it was read. `None`: it says none, as
    /// Valkey reads it.
    pub fn origin(&self) -> Option<Origin> {
        if let LogsPlace { replid: Some(replid), offset: Some(offset), vector: Some(vector) } =
            &self.logs
        {
            let (replid, of) = (replid.clone(), OriginOf::Logs(vector.clone()));
            return Some(Origin { replid, offset: *offset, of });
        }
        let of = OriginOf::Stream(self.stream_db?);
        Some(Origin { replid: self.replid.clone()?, offset: self.offset?, of })
    }

    /// A sentence that says what is wrong with what came.
    pub fn told_of(&self, error: &Error) -> String {
        told(&self.name, &error.to_string())
    }

    /// Reads on. `owner` knows the shard of a key.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn step(&mut self, owner: impl Fn(&[u8]) -> usize) -> Result<Step, Error> {
        if self.has_ended {
            let full = self.chunks.iter().position(|chunk| !chunk.is_empty());
            return Ok(full.map_or(Step::End, |shard| self.take(shard)));
        }
        for _ in 0..STEP_KEYS {
            match self.file.next_event()? {
                Some(Event::Key(key)) => {
                    let shard = owner(&key.name);
                    self.gather(shard, key)?;
                    if CHUNK_BYTES <= self.chunks[shard].bytes.len() {
                        return Ok(self.take(shard));
                    }
                }
                Some(Event::SelectDb(number)) => {
                    let db = usize::try_from(number).ok().filter(|&db| db < self.databases);
                    self.db = db.ok_or(Error {
                        offset: self.file.offset(),
                        problem: Problem::Encoding("number of a database (raise `databases`?)"),
                    })?;
                }
                Some(Event::Aux { name, value }) => self.note(&name, &value),
                Some(Event::Function(code)) => self.functions.push(code),
                Some(Event::ResizeDb { .. } | Event::Slot { .. } | Event::SlotImport { .. }) => {}
                Some(Event::End(_)) | None => {
                    self.has_ended = true;
                    return Ok(Step::More);
                }
            }
        }
        Ok(Step::More)
    }

    fn take(&mut self, shard: usize) -> Step {
        Step::Chunk(shard, std::mem::take(&mut self.chunks[shard]))
    }

    fn gather(&mut self, shard: usize, key: Key) -> Result<(), Error> {
        let chunk = &mut self.chunks[shard];
        let name = chunk.bytes.len();
        chunk.bytes.extend_from_slice(&key.name);
        let (value, offset) = (chunk.bytes.len(), self.file.offset());
        self.file.raw_value(&mut chunk.bytes)?;
        let idle = key.idle_seconds.map(Usage::Idle);
        chunk.keys.push(Place {
            db: self.db,
            kind: key.kind,
            expire: key.expire,
            usage: idle.or(key.frequency.map(Usage::Frequency)),
            name,
            value,
            end: chunk.bytes.len(),
            offset,
        });
        self.keys += 1;
        Ok(())
    }

    /// Says in the log what the file says of itself.
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        let number = || text.parse::<u64>().unwrap_or(0);
        match name {
            b"valkey-ver" => {
                log::notice(&format!("Loading RDB produced by Valkey version {text}"));
            }
            b"redis-ver" => log::notice(&format!("Loading RDB produced by Redis version {text}")),
            b"ctime" => {
                let age = clock::wall().seconds().saturating_sub(number());
                log::notice(&format!("RDB age {age} seconds"));
            }
            b"used-mem" => {
                self.used_memory = number();
                let megabytes = self.used_memory as f64 / f64::from(1 << 20);
                log::notice(&format!("RDB memory usage when created {megabytes:.2} Mb"));
            }
            b"repl-stream-db" => self.stream_db = text.parse().ok(),
            b"repl-id" => self.replid = Some(text.into_owned()),
            b"repl-offset" => self.offset = text.parse().ok(),
            b"keylane-id" => self.logs.replid = Some(text.into_owned()),
            b"keylane-offset" => self.logs.offset = text.parse().ok(),
            b"keylane-vector" => self.logs.vector = Some(text.into_owned()),
            // Others know what the rest is for.
            _ => {}
        }
    }
}

/// What is wrong, with the name of the file.
fn told(name: &str, why: &str) -> String {
    format!("Can't load {name}: {why}")
}
