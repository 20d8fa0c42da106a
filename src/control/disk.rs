//! Work on a disk that control wants done: by a thread of its own for each piece, one at a time, so
//! that control never waits for a disk.
//!
//! Snapshots are written by children (`saving`), and files are read in small steps (`loading`).

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::{Builder, JoinHandle};

use shards::resp::error::Error;

use crate::control::core::Control;
use crate::control::saving::KeptRequest;

/// Work on a disk, and what a request is answered when it is done.
pub struct DiskWork {
    /// The work.
    pub run: Box<dyn FnOnce() -> io::Result<()> + Send>,
    /// The answer.
    pub answer: fn(io::Result<()>) -> Result<&'static str, Error>,
}

impl fmt::Debug for DiskWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskWork")
    }
}

/// The work that is under way, and what waits for it.
#[derive(Debug, Default)]
pub struct Disk {
    at_work: Option<AtWork>,
    waiting: VecDeque<(KeptRequest, DiskWork)>,
}

/// A piece of work that is under way.
#[derive(Debug)]
struct AtWork {
    thread: JoinHandle<io::Result<()>>,
    /// Closed by the thread when it is done.
    done: PipeReader,
    kept: KeptRequest,
    answer: fn(io::Result<()>) -> Result<&'static str, Error>,
}

impl Disk {
    /// What can be read when there is news.
    pub fn news(&self) -> Option<BorrowedFd<'_>> {
        self.at_work.as_ref().map(|work| work.done.as_fd())
    }

    /// Whether anything is under way that the end of the process must wait for.
    pub fn is_busy(&self) -> bool {
        self.at_work.is_some() || !self.waiting.is_empty()
    }
}

impl Control {
    /// Has work done on a disk, behind what is under way; its request is answered then.
    pub(crate) fn work_on_disk(&mut self, kept: KeptRequest, work: DiskWork) {
        self.disk.waiting.push_back((kept, work));
        self.see_to_disk();
    }

    /// Answers for the work that is done, and begins the next.
    pub fn see_to_disk(&mut self) {
        if let Some(work) = self.disk.at_work.take_if(|work| work.thread.is_finished()) {
            let AtWork { thread, kept, answer, .. } = work;
            let result = thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            self.answer_kept(kept, answer(result));
        }
        while self.disk.at_work.is_none()
            && let Some((kept, DiskWork { run, answer })) = self.disk.waiting.pop_front()
        {
            match begin(run) {
                Ok((thread, done)) => {
                    self.disk.at_work = Some(AtWork { thread, done, kept, answer });
                }
                Err(error) => self.answer_kept(kept, answer(Err(error))),
            }
        }
    }
}

fn begin(
    run: Box<dyn FnOnce() -> io::Result<()> + Send>,
) -> io::Result<(JoinHandle<io::Result<()>>, PipeReader)> {
    let (done, is_done): (PipeReader, PipeWriter) = io::pipe()?;
    let work = move || {
        let result = run();
        drop(is_done);
        result
    };
    Ok((Builder::new().name("disk".to_owned()).spawn(work)?, done))
}
