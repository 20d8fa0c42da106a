//! The copy of the process that writes a snapshot: its one owner, who asks it to end, ends it if
//! it does not, sees it gone, and clears up behind it.
//!
//! ```text
//! at work --(ends)--> gone
//!    |                  ^
//!    +-(kill)--> asked -+-(grace is over)--> killed --> gone
//! ```
//! Nothing here waits: the owner asks [`SavingChild::poll`] again when the child's descriptor can
//! be read, and some times a second.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::signal::Signal;
use shards::shard::Shard;

use crate::log;
use crate::persistence::report::{Progress, Report};
use crate::persistence::snapshot::{Others, Plan, Step};
use crate::process::plain;
use crate::reactor::clock::Monotonic;
use crate::reactor::fork::{self, Child, Exit};

/// How long it has after it was asked to end.
const GRACE_MILLIS: u64 = 200;
/// How often it tells how far it is.
const REPORT_MILLIS: u64 = 1000;
/// What it looks at while it tells takes this part of its time at most.
const REPORT_SHARE: u64 = 100;

/// A copy at work.
#[derive(Debug)]
pub struct SavingChild {
    child: Child,
    pipe: File,
    plan: Plan,
    /// When it began.
    pub began: Monotonic,
    /// How far it is, as it last said.
    pub progress: Progress,
    /// When it said so.
    pub reported: Monotonic,
    /// The most memory it had for itself.
    pub private_bytes_max: u64,
    /// Microseconds that it took to remove the file that it had left behind, if it had.
    pub unlink_micros: Option<u64>,
    failed: Option<(Step, i32)>,
    is_done: bool,
    end: Option<End>,
}

/// Its end was asked for.
#[derive(Clone, Copy, Debug)]
struct End {
    since: Monotonic,
    by: &'static str,
    forced: bool,
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
        let (pipe, mut to_parent) = fork::pipe()?;
        let child = fork::fork(&[to_parent.as_raw_fd()], || save(&plan, shards, &mut to_parent))?;
        Ok(Self {
            child,
            pipe,
            plan,
            began: now,
            progress: Progress::default(),
            reported: now,
            private_bytes_max: 0,
            unlink_micros: None,
            failed: None,
            is_done: false,
            end: None,
        })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.pid
    }

    /// Whether its end was asked for.
    pub fn is_ending(&self) -> bool {
        self.end.is_some()
    }

    /// Asks it to end, for this reason.
    pub fn kill(&mut self, by: &'static str, now: Monotonic) {
        if self.end.is_none() {
            log::notice(&format!("Killing running RDB child: {} ({by})", self.child.pid));
            self.child.ask_to_end();
            self.end = Some(End { since: now, by, forced: false });
        }
    }

    /// Hears what it says, and looks whether it has ended. When it has, nothing is left of it.
    pub fn poll(&mut self, now: Monotonic) -> Option<Outcome> {
        if let Some(end) = &mut self.end
            && !end.forced
            && GRACE_MILLIS <= now.millis_since(end.since)
        {
            log::warning(&format!(
                "RDB child {} did not end when asked to: killing it",
                self.child.pid
            ));
            self.child.kill();
            end.forced = true;
        }
        let ending = self.child.try_wait();
        self.hear(now);
        let ending = ending?;
        // It takes its file along, but not if it was killed.
        let before = Monotonic::now();
        let left = fs::remove_file(&self.plan.temp).is_ok();
        self.unlink_micros = left.then(|| Monotonic::now().micros_since(before));
        Some(self.outcome(ending, left, now))
    }

    fn hear(&mut self, now: Monotonic) {
        while let Ok(Some(report)) = Report::receive(&mut self.pipe) {
            match report {
                Report::Progress(progress) | Report::Done(progress) => {
                    self.progress = progress;
                    self.reported = now;
                    self.private_bytes_max = self.private_bytes_max.max(progress.private_bytes);
                    self.is_done |= matches!(report, Report::Done(_));
                }
                Report::Failed { step, errno } => self.failed = Some((step, errno)),
            }
        }
    }

    fn outcome(&self, ending: Exit, left: bool, now: Monotonic) -> Outcome {
        let pid = self.child.pid;
        match (ending, self.failed, self.end) {
            (Exit::Exited(0), ..) if self.is_done => Outcome::Saved,
            (Exit::Exited(_), Some((step, errno)), _) => Outcome::Failed(self.why(step, errno)),
            (_, _, Some(End { since, by, .. })) => {
                let (millis, removed) = (now.millis_since(since), if left { "" } else { "no " });
                log::notice(&format!(
                    "RDB child {pid} is gone ({by}): {millis} ms after it was asked to end, \
                     {removed}temporary file removed"
                ));
                Outcome::Killed
            }
            (Exit::Killed(Signal::SIGUSR1), ..) => Outcome::Killed,
            (Exit::Killed(Signal::SIGKILL), ..) => Outcome::Failed(
                "its process was killed (signal 9): by hand, or because memory ran out".into(),
            ),
            (Exit::Killed(signal), ..) => {
                let signal = signal as i32;
                Outcome::Failed(format!("its process was terminated by signal {signal}"))
            }
            (Exit::Unseen, ..) => {
                Outcome::Failed("its process is gone, and the system does not say how".into())
            }
            (Exit::Exited(status), ..) => {
                Outcome::Failed(format!("its process exited with status {status}"))
            }
        }
    }

    fn why(&self, step: Step, errno: i32) -> String {
        failure(&self.plan, step, &io::Error::from_raw_os_error(errno))
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
        self.child.as_fd()
    }
}

impl Drop for SavingChild {
    fn drop(&mut self) {
        // The file of a child that was not seen to end is of no use.
        self.child.kill();
        if self.child.wait().is_some() {
            let _ = fs::remove_file(&self.plan.temp);
        }
    }
}

/// What the copy does. Its exit status.
fn save(plan: &Plan, shards: &mut [&mut Shard], to_parent: &mut File) -> i32 {
    let (mut told, mut looked) = (Monotonic::now(), Monotonic::now());
    let mut interval = REPORT_MILLIS;
    let mut private_bytes = 0;
    let written = plan.write(shards, Others::Work, |keys| {
        let now = Monotonic::now();
        if now.millis_since(told) < REPORT_MILLIS {
            return;
        }
        told = now;
        if interval <= now.millis_since(looked) {
            // To look through all memory takes long if there is much of it.
            private_bytes = fork::private_bytes();
            looked = Monotonic::now();
            interval = REPORT_MILLIS.max(looked.millis_since(now).saturating_mul(REPORT_SHARE));
        }
        Report::Progress(Progress { keys, private_bytes }).send(to_parent);
    });
    match written {
        Ok(written) => {
            let private_bytes = fork::private_bytes();
            Report::Done(Progress { keys: written.keys, private_bytes }).send(to_parent);
            0
        }
        Err(failed) => {
            Report::of_failure(&failed).send(to_parent);
            1
        }
    }
}
