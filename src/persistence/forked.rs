//! A copy of the process at work on what it was made for: its one owner, who asks it to end, ends
//! it if it does not, and sees it gone.
//!
//! ```text
//! at work --(ends)--> gone
//!    |                  ^
//!    +-(kill)--> asked -+-(grace is over)--> killed --> gone
//! ```
//! Nothing here waits: the owner asks [`Forked::poll`] again when the copy's descriptor can be
//! read, and some times a second.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::sys::signal::Signal;

use crate::log;
use crate::persistence::report::{Progress, Report};
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
pub struct Forked {
    child: Child,
    pipe: File,
    /// What the log calls it.
    name: &'static str,
    /// When it began.
    pub began: Monotonic,
    /// How far it is, as it last said.
    pub progress: Progress,
    /// When it said so.
    pub reported: Monotonic,
    /// The most memory it had for itself.
    pub private_bytes_max: u64,
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

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did all its work.
    Done,
    /// It could not, and has told why.
    Told,
    /// Its end was asked for, by this command if it was this process that asked, so many
    /// milliseconds ago.
    Killed(Option<(&'static str, u64)>),
    /// It broke down, in this way.
    Broken(String),
}

impl Forked {
    /// Copies this process, and lets the copy do `work`, which tells by the pipe how it goes. It
    /// keeps the files of `keep`.
    ///
    /// # Errors
    /// The system's, if it has no room for a copy.
    pub fn start(
        name: &'static str,
        keep: &[RawFd],
        now: Monotonic,
        work: impl FnOnce(&File) -> i32,
    ) -> io::Result<Self> {
        let (pipe, to_parent) = fork::pipe()?;
        let keep = [&[to_parent.as_raw_fd()], keep].concat();
        let child = fork::fork(&keep, || work(&to_parent))?;
        Ok(Self {
            child,
            pipe,
            name,
            began: now,
            progress: Progress::default(),
            reported: now,
            private_bytes_max: 0,
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
            log::notice(&format!("Killing running {} child: {} ({by})", self.name, self.pid()));
            self.child.ask_to_end();
            self.end = Some(End { since: now, by, forced: false });
        }
    }

    /// Ends it, and waits for that. False if its end was seen before.
    pub fn end_now(&mut self) -> bool {
        self.child.kill();
        self.child.wait().is_some()
    }

    /// Hears what it says, and looks whether it has ended. `hear` gets what is not progress.
    pub fn poll(&mut self, now: Monotonic, mut hear: impl FnMut(Report)) -> Option<Exit> {
        if let Some(end) = &mut self.end
            && !end.forced
            && GRACE_MILLIS <= now.millis_since(end.since)
        {
            let (name, pid) = (self.name, self.child.pid);
            log::warning(&format!("{name} child {pid} did not end when asked to: killing it"));
            self.child.kill();
            end.forced = true;
        }
        let exit = self.child.try_wait();
        // What it said stays in the pipe when it is gone, so this comes last.
        while let Ok(Some(report)) = Report::receive(&mut self.pipe) {
            match report {
                Report::Progress(progress) | Report::Done(progress) => {
                    self.progress = progress;
                    self.reported = now;
                    self.private_bytes_max = self.private_bytes_max.max(progress.private_bytes);
                    self.is_done |= matches!(report, Report::Done(_));
                }
                report => hear(report),
            }
        }
        exit
    }

    /// How it ended; `has_told` says whether it was heard why it could not go on.
    pub fn ended(&self, exit: Exit, has_told: bool, now: Monotonic) -> Ended {
        match (exit, self.end) {
            (Exit::Exited(0), _) if self.is_done => Ended::Done,
            (Exit::Exited(_), _) if has_told => Ended::Told,
            (_, Some(End { since, by, .. })) => Ended::Killed(Some((by, now.millis_since(since)))),
            (Exit::Killed(Signal::SIGUSR1), _) => Ended::Killed(None),
            (Exit::Killed(Signal::SIGKILL), _) => Ended::Broken(
                "its process was killed (signal 9): by hand, or because memory ran out".into(),
            ),
            (Exit::Killed(signal), _) => {
                let signal = signal as i32;
                Ended::Broken(format!("its process was terminated by signal {signal}"))
            }
            (Exit::Unseen, _) => {
                Ended::Broken("its process is gone, and the system does not say how".into())
            }
            (Exit::Exited(status), _) => {
                Ended::Broken(format!("its process exited with status {status}"))
            }
        }
    }
}

impl AsFd for Forked {
    /// Becomes readable when it ends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }
}

/// When a copy tells how far it is, and what it says of its memory then.
#[derive(Debug)]
pub struct Telling {
    told: Monotonic,
    every: u64,
    looked: Monotonic,
    interval: u64,
    private_bytes: u64,
}

impl Telling {
    /// One that has told just now, and tells once a second.
    pub fn new() -> Self {
        Self::every(REPORT_MILLIS)
    }

    /// One that tells each time after so many milliseconds, once a second at least, and has told
    /// just now.
    pub fn every(millis: u64) -> Self {
        let now = Monotonic::now();
        Self {
            told: now,
            every: millis.min(REPORT_MILLIS),
            looked: now,
            interval: REPORT_MILLIS,
            private_bytes: 0,
        }
    }

    /// What to tell of so many keys, if it is time to.
    pub fn due(&mut self, keys: u64) -> Option<Report> {
        let now = Monotonic::now();
        if now.millis_since(self.told) < self.every {
            return None;
        }
        self.told = now;
        if self.interval <= now.millis_since(self.looked) {
            // To look through all memory takes long if there is much of it.
            self.private_bytes = fork::private_bytes();
            self.looked = Monotonic::now();
            let took = self.looked.millis_since(now);
            self.interval = REPORT_MILLIS.max(took.saturating_mul(REPORT_SHARE));
        }
        Some(Report::Progress(Progress { keys, private_bytes: self.private_bytes }))
    }
}

impl Default for Telling {
    fn default() -> Self {
        Self::new()
    }
}

/// What a copy tells last.
pub fn done(keys: u64) -> Report {
    Report::Done(Progress { keys, private_bytes: fork::private_bytes() })
}
