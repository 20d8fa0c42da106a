//! All keys of a node, written into one RDB file.
//!
//! The file is of the lowest version that holds its values: every server can read most files. Which
//! one that is shows only at the end, so the first bytes are written again then.

use std::fs::{self, File};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use shards::rdb::kind::Version;
use shards::rdb::writer::{Compression, Sink, Writer};
use shards::shard::Shard;

use crate::config::table::Config;
use crate::persistence::walking::{self, Manner, Origin, Records, Versions, walk};
use crate::persistence::writing::Writing;
use crate::process::snapshot_temp;

/// Where and how to write.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder.
    pub dir: PathBuf,
    /// The file in it.
    pub file: PathBuf,
    /// The file until it is complete.
    pub temp: PathBuf,
    /// The point in a history that the keys are of, if they are of one.
    pub origin: Option<Origin>,
    manner: Manner,
    /// Threads that write, if the configuration says how many; else 0.
    threads: usize,
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

/// Threads of a child that writes while so many shards serve their clients.
pub fn threads_beside(shards: usize) -> usize {
    (shards / SHARDS_PER_THREAD).max(1)
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
        Self {
            file: file_of(config),
            temp: config.dir.join(snapshot_temp()),
            dir: config.dir.clone(),
            origin: None,
            manner: Manner::new(config, functions),
            threads: usize::try_from(config.rdb_save_threads).unwrap_or(usize::MAX),
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
            (0, Others::Work) => threads_beside(shards.len()),
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
        let writing = Writing::new(file, self.manner.summing);
        let written = self.fill(writing, shards, threads, progress).map_err(failed(Step::Write))?;
        fs::rename(&self.temp, &self.file).map_err(failed(Step::Rename))?;
        sync_folder(&self.dir).map_err(failed(Step::SyncFolder))?;
        Ok(written)
    }

    fn fill(
        &self,
        writing: Writing,
        shards: &mut [&mut Shard],
        threads: usize,
        mut progress: impl FnMut(u64),
    ) -> io::Result<Written> {
        let mut head = writing.part();
        head.put(&self.manner.head(Version::V10, self.origin.as_ref()));
        head.flush();
        drop(head);
        let walk = walk(&self.manner, Versions::Lowest, shards);
        let highest = thread::scope(|scope| {
            // Where no further thread can be had, those there are do all of it.
            let others: Vec<_> = (1..threads)
                .map_while(|_| {
                    let work = || walk.write(&mut writing.part(), |_| {});
                    thread::Builder::new().spawn_scoped(scope, work).ok()
                })
                .collect();
            let mut highest = walk.write(&mut writing.part(), &mut progress);
            for other in others {
                while !other.is_finished() {
                    thread::park_timeout(LOOK_INTERVAL);
                    progress(walk.keys());
                }
                highest = highest.max(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            highest
        });
        let keys = walk.keys();
        walking::end(&mut writing.part());
        let bytes = writing.finish(&magic(Version::V10), &magic(highest))?;
        Ok(Written { keys, bytes })
    }
}

/// The file that a configuration names.
pub fn file_of(config: &Config) -> PathBuf {
    config.dir.join(&config.dbfilename)
}

/// Removes the file of a snapshot, if it is there, so that it stays away.
///
/// # Errors
/// The system's.
pub fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    file.parent().map_or(Ok(()), sync_folder)
}

/// How often the first thread looks whether the others are done, when it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

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
