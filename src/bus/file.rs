//! The file nodes.conf: its lock, and the thread that writes it.
//!
//! Two locks protect it. One is on `<file>.lock`, for the life of the process. The other is on the
//! file itself, for a Valkey locks that one; each new file is locked before it takes the place of
//! the old one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use crate::cluster::machine::action::Durability;
use crate::process::plain;
use crate::reactor::wake::Wake;

/// How long the end of the process waits for the last save.
const LAST_SAVE: Duration = Duration::from_secs(2);

/// The file, locked for this process.
#[derive(Debug)]
pub struct NodesFile {
    path: PathBuf,
    /// Locked as long as it is open.
    lock: File,
    /// The file as it is, locked as long as it is open; `None` if there is none.
    current: Option<File>,
}

/// The thread that writes it.
#[derive(Debug)]
pub struct Saver {
    requests: Sender<Request>,
    outcomes: Receiver<Outcome>,
}

/// What the file is to say.
#[derive(Debug)]
struct Request {
    text: String,
    durability: Durability,
}

/// What came of a save.
#[derive(Debug)]
pub struct Outcome {
    /// What was asked for.
    pub durability: Durability,
    /// What came of it.
    pub result: io::Result<()>,
}

impl NodesFile {
    /// Locks the file, and reads what it says; nothing if there is none.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn open(path: &Path) -> Result<(Self, String), String> {
        let failed = |error: io::Error| {
            let (path, error) = (path.display(), plain(&error));
            format!("Can't open the cluster configuration file {path}: {error}.")
        };
        let lock_path = beside(path, ".lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock_path);
        let lock = lock.map_err(failed)?;
        hold(&lock, path)?;
        let mut current = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        if let Some(file) = &mut current {
            hold(file, path)?;
            file.read_to_string(&mut text).map_err(failed)?;
        }
        Ok((Self { path: path.to_owned(), lock, current }, text))
    }

    /// Starts the thread that writes the file; it rings the bell when a save has ended.
    ///
    /// # Errors
    /// The system's, if there can be no thread.
    pub fn start(mut self, bell: Wake) -> io::Result<Saver> {
        let (requests, asked) = channel::<Request>();
        let (tell, outcomes) = channel();
        let run = move || {
            for Request { text, durability } in asked {
                let result = self.save(&text, durability);
                if tell.send(Outcome { durability, result }).is_err() {
                    break;
                }
                bell.ring();
            }
        };
        Builder::new().name("nodes".to_owned()).spawn(run)?;
        Ok(Saver { requests, outcomes })
    }

    /// Writes a new file and puts it in the place of the old one.
    fn save(&mut self, text: &str, durability: Durability) -> io::Result<()> {
        let new = beside(&self.path, ".tmp");
        let mut file = File::create(&new)?;
        file.try_lock().map_err(io::Error::from)?;
        file.write_all(text.as_bytes())?;
        if durability == Durability::Durable {
            file.sync_all()?;
        }
        fs::rename(&new, &self.path)?;
        self.current = Some(file);
        if durability == Durability::Durable {
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for NodesFile {
    fn drop(&mut self) {
        // A process that is starting may ask for the lock before the descriptors are closed.
        let _ = self.lock.unlock();
    }
}

impl Saver {
    /// Has the file say this.
    pub fn save(&self, text: String, durability: Durability) {
        // The thread ends only after this end of the channel does.
        let _ = self.requests.send(Request { text, durability });
    }

    /// The next save that has ended.
    pub fn next_outcome(&self) -> Option<Outcome> {
        self.outcomes.try_recv().ok()
    }

    /// Has the file say this and ends the thread: the process ends. A disk that hangs is not waited
    /// for.
    ///
    /// # Errors
    /// If that could not be written in time.
    pub fn close(self, text: String) -> io::Result<()> {
        let Self { requests, outcomes } = self;
        let durability = Durability::Durable;
        // See `save`.
        let _ = requests.send(Request { text, durability });
        drop(requests);
        let mut last = Ok(());
        loop {
            match outcomes.recv_timeout(LAST_SAVE) {
                Ok(Outcome { result, .. }) => last = result,
                Err(RecvTimeoutError::Disconnected) => return last,
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }
}

fn hold(file: &File, path: &Path) -> Result<(), String> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => format!(
            "Sorry, the cluster configuration file {} is already used by a different Cluster node. \
             Please make sure that different nodes use different cluster configuration files.",
            path.display()
        ),
        TryLockError::Error(error) => {
            let (path, error) = (path.display(), plain(&error));
            format!("Can't lock the cluster configuration file {path}: {error}.")
        }
    })
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}
