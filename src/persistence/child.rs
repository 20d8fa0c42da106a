//! The copy of the process that writes a snapshot, and who clears up behind it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use shards::shard::Shard;

use crate::log;
use crate::persistence::forked::{self, Ended, Forked, Telling};
use crate::persistence::report::Report;
use crate::persistence::snapshot::{Others, Plan, Step};
use crate::process::plain;
use crate::reactor::clock::Monotonic;

/// A copy at work on a snapshot.
#[derive(Debug)]
pub struct SavingChild {
    /// The copy.
    pub forked: Forked,
    plan: Plan,
    /// Microseconds that it took to remove the file that it had left behind, if it had.
    pub unlink_micros: Option<u64>,
    failed: Option<(Step, i32)>,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file is written.
    Saved,
    /// Its end was asked for.
    Killed,
    /// The file is not written, for this reason.
    Failed(String),
}

impl SavingChild {
    /// Copies this process, and lets the copy write what these shards hold. All of their threads
    /// stand still.
    ///
    /// # Errors
    /// The system's, if it has no room for a copy.
    pub fn start(plan: Plan, shards: &mut [&mut Shard], now: Monotonic) -> io::Result<Self> {
        let forked = Forked::start("RDB", &[], now, |to_parent| save(&plan, shards, to_parent))?;
        Ok(Self { forked, plan, unlink_micros: None, failed: None })
    }

    /// Hears what it says, and looks whether it has ended. When it has, nothing is left of it.
    pub fn poll(&mut self, now: Monotonic) -> Option<Outcome> {
        let failed = &mut self.failed;
        let exit = self.forked.poll(now, |report| {
            if let Report::Failed { step, errno } = report {
                *failed = Some((step, errno));
            }
        })?;
        // It takes its file along, but not if it was killed.
        let before = Monotonic::now();
        let left = fs::remove_file(&self.plan.temp).is_ok();
        self.unlink_micros = left.then(|| Monotonic::now().micros_since(before));
        Some(match (self.forked.ended(exit, self.failed.is_some(), now), self.failed) {
            (Ended::Done, _) => Outcome::Saved,
            (Ended::Told, Some((step, errno))) => {
                let error = io::Error::from_raw_os_error(errno);
                Outcome::Failed(failure(&self.plan, step, &error))
            }
            (Ended::Told, None) => unreachable!("it was heard what failed"),
            (Ended::Killed(by), _) => {
                if let Some((by, millis)) = by {
                    let (pid, removed) = (self.forked.pid(), if left { "" } else { "no " });
                    log::notice(&format!(
                        "RDB child {pid} is gone ({by}): {millis} ms after it was asked to end, \
                         {removed}temporary file removed"
                    ));
                }
                Outcome::Killed
            }
            (Ended::Broken(how), _) => Outcome::Failed(how),
        })
    }
}

/// What failed, in words.
pub fn failure(plan: &Plan, step: Step, error: &io::Error) -> String {
    let (temp, file, error) = (plan.temp.display(), plan.file.display(), plain(error));
    match step {
        Step::Open => format!("can't make {temp}: {error}"),
        Step::Write => format!("write error saving DB on the disk, {temp}: {error}"),
        Step::Rename => format!("can't move {temp} to {file}: {error}"),
        Step::SyncFolder => format!("can't sync the folder of {file}: {error}"),
    }
}

impl AsFd for SavingChild {
    /// Becomes readable when it ends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.forked.as_fd()
    }
}

impl Drop for SavingChild {
    fn drop(&mut self) {
        // The file of a child that was not seen to end is of no use.
        if self.forked.end_now() {
            let _ = fs::remove_file(&self.plan.temp);
        }
    }
}

/// What the copy does. Its exit status.
fn save(plan: &Plan, shards: &mut [&mut Shard], to_parent: &File) -> i32 {
    let mut telling = Telling::new();
    let written = plan.write(shards, Others::Work, |keys| {
        telling.due(keys).into_iter().for_each(|report| report.send(to_parent));
    });
    match written {
        Ok(written) => {
            forked::done(written.keys).send(to_parent);
            0
        }
        Err(failed) => {
            Report::of_failure(&failed).send(to_parent);
            1
        }
    }
}
