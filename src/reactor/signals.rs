//! Signals, taken in order by one thread instead of by handlers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Blocks SIGTERM, SIGINT and SIGHUP for this thread and all it starts, and returns a descriptor to
/// read signals from. Ignores SIGPIPE and SIGXFSZ: the call that was to write tells of it. Call
/// before any thread is started.
pub fn take() -> io::Result<OwnedFd> {
    // SAFETY: an all-zero sigset_t is then made a valid empty set; all pointers are to it.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(&mut set, signal);
        }
        let failed = libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Stops this process until somebody continues it: how Upstart is told of readiness.
pub fn stop_self() {
    // SAFETY: no pointers.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// The last signal that asks for the end of the process, from the thread that takes signals to
/// the one that ends it.
#[derive(Clone, Debug, Default)]
pub struct Request(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    /// The signal's number, until it is taken.
    signal: AtomicI32,
    /// A SIGINT has asked for the end, and it has not been called off.
    interrupted: AtomicBool,
}

impl Request {
    /// Asks. False if that is a SIGINT and not the first: whoever sends it does not want to wait.
    pub fn ask(&self, signal: Signal) -> bool {
        if signal == Signal::Int && self.0.interrupted.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.0.signal.store(signal.number(), Ordering::Release);
        true
    }

    /// The end was called off.
    pub fn forget(&self) {
        self.0.interrupted.store(false, Ordering::Release);
    }

    /// What was asked since the last call.
    pub fn take(&self) -> Option<Signal> {
        if self.0.signal.load(Ordering::Acquire) == 0 {
            return None;
        }
        Signal::of(self.0.signal.swap(0, Ordering::AcqRel))
    }
}

/// A signal that the descriptor can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end the process.
    Term,
    /// SIGINT: somebody pressed Ctrl-C.
    Int,
    /// SIGHUP: the terminal is gone.
    Hup,
}

impl Signal {
    fn number(self) -> i32 {
        match self {
            Self::Term => libc::SIGTERM,
            Self::Int => libc::SIGINT,
            Self::Hup => libc::SIGHUP,
        }
    }

    fn of(number: i32) -> Option<Self> {
        [Self::Term, Self::Int, Self::Hup].into_iter().find(|signal| signal.number() == number)
    }
}

/// Bytes of one record read from the descriptor.
pub const RECORD_BYTES: usize = size_of::<libc::signalfd_siginfo>();

/// The signal in a record read from the descriptor.
pub fn signal(record: &[u8]) -> Option<Signal> {
    let number = u32::from_ne_bytes(*record.first_chunk::<4>()?);
    Signal::of(i32::try_from(number).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_sigint_insists_unless_the_first_came_to_nothing() {
        let request = Request::default();
        assert!(request.ask(Signal::Term) && request.ask(Signal::Int));
        assert_eq!((request.take(), request.take()), (Some(Signal::Int), None));
        assert!(request.ask(Signal::Term) && !request.ask(Signal::Int));
        request.forget();
        assert!(request.ask(Signal::Int) && !request.ask(Signal::Int));
    }

    #[test]
    fn a_record_begins_with_the_signals_number() {
        let record = |number: i32| [&number.to_ne_bytes()[..], &[0; 124]].concat();
        assert_eq!(record(0).len(), RECORD_BYTES);
        assert_eq!(signal(&record(libc::SIGTERM)), Some(Signal::Term));
        assert_eq!(signal(&record(libc::SIGINT)), Some(Signal::Int));
        assert_eq!(signal(&record(libc::SIGHUP)), Some(Signal::Hup));
        assert_eq!(signal(&record(libc::SIGUSR1)), None);
        assert_eq!(signal(b"abc"), None);
    }
}
