//! A copy of this process that does one thing and ends, and how it is watched and ended.

use std::fs;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{self, ForkResult, Pid, pipe2};

/// The exit status of a copy that panicked.
const PANICKED: i32 = 101;
/// What the kernel's killer of processes is told: rather this one than its parent.
const OOM_SCORE: &str = "800";

/// A copy of this process at work. It is killed if this is dropped before it was seen to end.
#[derive(Debug)]
pub struct Child {
    /// Its number.
    pub pid: u32,
    pidfd: OwnedFd,
    has_ended: bool,
}

/// How a copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(Signal),
    /// In a way that the system does not tell, or has no name for.
    Unseen,
}

/// Copies this process. The copy keeps the files of `keep`, standard output and error output, does
/// `work`, and exits with what it returns; it ends with this thread. It runs where this thread may
/// run: a shard's thread, which is bound to its processor, is not the one to ask.
///
/// The copy has this thread only: `work` must not wait for others, nor for locks they may hold.
/// Memory may be had: jemalloc takes its locks before a fork and frees them in both.
///
/// # Errors
/// The system's, if it has no room for another process.
pub fn fork(keep: &[RawFd], work: impl FnOnce() -> i32) -> io::Result<Child> {
    let parent = process::id();
    // SAFETY: the child runs `child`, which keeps to what a process with one thread may do of
    // several, and never returns here.
    match unsafe { unistd::fork() }? {
        ForkResult::Child => child(parent, keep, work),
        ForkResult::Parent { child } => match pidfd(child) {
            Ok(pidfd) => Ok(Child { pid: child.as_raw().unsigned_abs(), pidfd, has_ended: false }),
            Err(error) => {
                // It was not waited for, so the number is still its.
                let _ = kill(child, Signal::SIGKILL);
                let _ = waitpid(child, None);
                Err(error)
            }
        },
    }
}

/// A descriptor that stands for a child.
fn pidfd(child: Pid) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
    match RawFd::try_from(fd) {
        // SAFETY: a fresh descriptor, which has no other owner.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn child(parent: u32, keep: &[RawFd], work: impl FnOnce() -> i32) -> ! {
    // Neither fails: there are such a signal and such a name.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let _ = prctl::set_name(c"snapshot");
    if std::os::unix::process::parent_id() != parent {
        // It ended before it could be noticed.
        exit(PANICKED);
    }
    close_all_but(keep);
    // Where this is not allowed, nothing is lost but a preference.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let status = catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED);
    exit(status)
}

/// Ends the process without the destructors of what its parent goes on using.
fn exit(status: i32) -> ! {
    // SAFETY: no pointers.
    unsafe { libc::_exit(status) }
}

/// Closes sockets, rings and all else: what is open twice does not close in the parent.
fn close_all_but(keep: &[RawFd]) {
    let mut keep = keep.to_vec();
    keep.sort_unstable();
    let mut first: libc::c_uint = 3;
    for fd in keep.iter().filter_map(|&fd| libc::c_uint::try_from(fd).ok()) {
        if first < fd {
            close_range(first, fd - 1);
        }
        first = first.max(fd + 1);
    }
    close_range(first, libc::c_uint::MAX);
}

/// Closes the files with these numbers, both included.
fn close_range(first: libc::c_uint, last: libc::c_uint) {
    // SAFETY: no pointers; nothing of this process uses these files any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

impl Child {
    /// Asks it to end: SIGUSR1, on which it has no opinion of its own.
    pub fn ask_to_end(&self) {
        self.signal(Signal::SIGUSR1);
    }

    /// Ends it.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        // Its number is its own until its end was seen. One that is gone by now is no trouble.
        if !self.has_ended {
            let _ = kill(Pid::from_raw(self.pid.cast_signed()), signal);
        }
    }

    /// How it ended, if it has since the last call.
    pub fn try_wait(&mut self) -> Option<Exit> {
        self.wait_with(WaitPidFlag::WNOHANG)
    }

    /// Waits for its end. How that was, if it was not seen before.
    pub fn wait(&mut self) -> Option<Exit> {
        self.wait_with(WaitPidFlag::empty())
    }

    fn wait_with(&mut self, options: WaitPidFlag) -> Option<Exit> {
        if self.has_ended {
            return None;
        }
        let ending = loop {
            match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | options) {
                Ok(WaitStatus::Exited(_, status)) => break Exit::Exited(status),
                Ok(WaitStatus::Signaled(_, signal, _)) => break Exit::Killed(signal),
                Ok(_) => return None,
                Err(Errno::EINTR) => {}
                // It is no child of ours any more, or the signal that ended it has no name.
                Err(_) => break Exit::Unseen,
            }
        };
        self.has_ended = true;
        Some(ending)
    }
}

impl AsFd for Child {
    /// Becomes readable when the child ends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        self.wait();
    }
}

/// The ends of a pipe, to read and to write. Neither waits: what is not there yet, or does not fit
/// any more, is an error of the kind `WouldBlock`.
///
/// # Errors
/// The system's.
pub fn pipe() -> io::Result<(File, File)> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    Ok((from.into(), to.into()))
}

/// Asks the system to begin writing a part of a file to the disk.
pub fn write_behind(file: &File, from: u64, bytes: u64) {
    let number = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (from, bytes) = (number(from), number(bytes));
    // SAFETY: no pointers. A system that cannot do so writes when the file is synced.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), from, bytes, libc::SYNC_FILE_RANGE_WRITE);
    }
}

/// Bytes of memory that this process does not share with the one it was copied from: what was
/// written to since, by either.
pub fn private_bytes() -> u64 {
    let mut text = String::new();
    let read = File::open("/proc/self/smaps_rollup").and_then(|mut file| {
        // What is longer is something else.
        file.by_ref().take(16 << 10).read_to_string(&mut text)
    });
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    read.ok().and(kilobytes).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_copy_works_and_tells_how_it_ended() {
        let (mut from, mut to) = pipe().unwrap();
        let secret = vec![7u8; 3];
        let mut child = fork(&[to.as_raw_fd()], || {
            let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            // The three standard ones, the pipe, and the folder that is being read.
            to.write_all(&secret).map_or(1, |()| i32::from(5 < open))
        })
        .unwrap();
        assert_eq!(child.wait(), Some(Exit::Exited(0)));
        let mut got = [0; 3];
        from.read_exact(&mut got).unwrap();
        assert_eq!(got.as_slice(), secret);
        assert_eq!(from.read(&mut got).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_copy_can_be_ended() {
        let forever = || loop {
            std::hint::spin_loop();
        };
        let mut asked = fork(&[], forever).unwrap();
        assert_eq!(asked.try_wait(), None);
        asked.ask_to_end();
        assert_eq!(asked.wait(), Some(Exit::Killed(Signal::SIGUSR1)));
        assert_eq!((asked.try_wait(), asked.wait()), (None, None), "it is told once");
        let mut killed = fork(&[], forever).unwrap();
        killed.kill();
        assert_eq!(killed.wait(), Some(Exit::Killed(Signal::SIGKILL)));
        // A signal without a name.
        let mut nameless = fork(&[], forever).unwrap();
        // SAFETY: no pointers; the child is there.
        unsafe { libc::kill(nameless.pid.cast_signed(), libc::SIGRTMIN()) };
        assert_eq!(nameless.wait(), Some(Exit::Unseen));
        let pid = fork(&[], forever).unwrap().pid;
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_copy_has_memory_although_others_were_asking_for_some() {
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            for size in [16, 3000, 100_000] {
                let ends = &ends;
                scope.spawn(move || {
                    while !ends.load(Ordering::Relaxed) {
                        std::hint::black_box(vec![1u8; size]);
                    }
                });
            }
            for _ in 0..100 {
                let work = || {
                    let sizes = (0..200).map(|step| 1usize << (step % 18));
                    let blocks: Vec<Vec<u8>> = sizes.map(|size| vec![1; size]).collect();
                    i32::from(blocks.len() != 200)
                };
                assert_eq!(fork(&[], work).unwrap().wait(), Some(Exit::Exited(0)));
            }
            ends.store(true, Ordering::Relaxed);
        });
        assert!(0 < private_bytes());
    }
}
