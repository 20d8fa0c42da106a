//! The file nodes.conf: its lock, and the thread that writes it.
//!
//! Two locks protect it. One is on `<file>.lock`, for the life of the process. The other is on the
//! file itself, for a Valkey locks that one; each new file is locked before it takes the place of
//! the old one.
//!
//! A machine may lose power between any two steps of a save. So the bytes of a new file are on the
//! disk before it takes the place of the old one, also if the save may be lost: else both would be.

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
        let file = self.create(text)?;
        Step::of(durability).iter().try_for_each(|step| self.take(*step, &file))?;
        self.current = Some(file);
        Ok(())
    }

    /// Writes a new file beside the old one.
    fn create(&self, text: &str) -> io::Result<File> {
        let mut file = File::create(self.new_path())?;
        file.try_lock().map_err(io::Error::from)?;
        file.write_all(text.as_bytes())?;
        Ok(file)
    }

    fn take(&self, step: Step, file: &File) -> io::Result<()> {
        match step {
            Step::SyncFile => file.sync_all(),
            Step::Rename => fs::rename(self.new_path(), &self.path),
            Step::SyncFolder => {
                let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
            }
        }
    }

    fn new_path(&self) -> PathBuf {
        beside(&self.path, ".tmp")
    }
}

/// What a save does when the new file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Its bytes reach the disk.
    SyncFile,
    /// It takes the place of the old one.
    Rename,
    /// That reaches the disk.
    SyncFolder,
}

impl Step {
    const fn of(durability: Durability) -> &'static [Self] {
        match durability {
            Durability::Durable => &[Self::SyncFile, Self::Rename, Self::SyncFolder],
            Durability::Lazy => &[Self::SyncFile, Self::Rename],
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::machine::action::Durability::{Durable, Lazy};

    /// What a disk keeps when the power fails behind these steps: each name leads to a file that
    /// was synced, or to an empty one.
    fn after_power_loss(steps: &[Step]) -> &'static [&'static str] {
        let place = |wanted: Step| steps.iter().position(|step| *step == wanted);
        let (synced, renamed) = (place(Step::SyncFile), place(Step::Rename));
        match (synced, renamed, place(Step::SyncFolder)) {
            (_, None, _) => &["old"],
            (Some(synced), Some(renamed), Some(_)) if synced < renamed => &["new"],
            (Some(synced), Some(renamed), None) if synced < renamed => &["old", "new"],
            (_, Some(_), _) => &[""],
        }
    }

    #[test]
    fn a_power_loss_at_any_step_leaves_a_whole_file() {
        for durability in [Durable, Lazy] {
            let steps = Step::of(durability);
            for count in 0..=steps.len() {
                let kept = after_power_loss(&steps[..count]);
                assert!(!kept.contains(&""), "{durability:?}, {:?}", &steps[..count]);
            }
            let kept = after_power_loss(steps);
            assert_eq!(kept.contains(&"old"), durability == Lazy, "{durability:?}");
        }
    }

    #[test]
    fn a_kill_at_any_step_leaves_the_old_text_or_the_new_one() {
        let folder = std::env::temp_dir().join(format!("keylane-nodes-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder for tests takes one more");
        let path = folder.join("nodes.conf");
        for durability in [Durable, Lazy] {
            let steps = Step::of(durability);
            for count in 0..=steps.len() {
                fs::write(&path, "old").expect("it can be written");
                let (file, text) = NodesFile::open(&path).expect("nothing else uses it");
                assert_eq!(text, "old");
                let new = file.create("new").expect("it can be written");
                for step in &steps[..count] {
                    file.take(*step, &new).expect("it can be done");
                }
                drop((file, new));
                let (_, text) = NodesFile::open(&path).expect("nothing else uses it");
                let renamed = steps[..count].contains(&Step::Rename);
                assert_eq!(text, if renamed { "new" } else { "old" }, "{durability:?}, {count}");
            }
        }
        let (mut file, _) = NodesFile::open(&path).expect("nothing else uses it");
        for (durability, text) in [(Lazy, "lazy"), (Durable, "durable")] {
            file.save(text, durability).expect("it can be saved");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
            assert!(NodesFile::open(&path).is_err(), "it stays locked");
        }
        drop(file);
        fs::remove_dir_all(&folder).expect("the test has made it");
    }
}
