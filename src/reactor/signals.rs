//! Signals, taken in order by one thread instead of by handlers.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::sys::signal::{self, SigHandler, SigSet, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::reactor::wake::Wake;

/// Where signals are read from.
#[derive(Debug)]
pub struct Signals(SignalFd);

/// Blocks SIGTERM, SIGINT and SIGHUP for this thread and all it starts: they are read instead.
/// Ignores SIGPIPE and SIGXFSZ: the call that was to write tells of it. Does not ignore SIGCHLD,
/// whatever this process was started with: else children could not be waited for. Call before any
/// thread is started.
///
/// # Errors
/// The system's.
pub fn take() -> io::Result<Signals> {
    let mut set = SigSet::empty();
    [Signal::Term, Signal::Int, Signal::Hup].into_iter().for_each(|taken| set.add(taken.raw()));
    set.thread_block()?;
    // SAFETY: no handler is installed, only the system's ways of dealing with a signal.
    unsafe {
        signal::signal(signal::SIGPIPE, SigHandler::SigIgn)?;
        signal::signal(signal::SIGXFSZ, SigHandler::SigIgn)?;
        signal::signal(signal::SIGCHLD, SigHandler::SigDfl)?;
    }
    Ok(Signals(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?))
}

impl Signals {
    /// Waits for the next one.
    ///
    /// # Errors
    /// The system's, if none can be read any more.
    pub fn next(&self) -> io::Result<Signal> {
        loop {
            match self.0.read_signal() {
                Ok(Some(record)) => {
                    let number = i32::try_from(record.ssi_signo).unwrap_or(0);
                    if let Some(signal) = Signal::of(number) {
                        return Ok(signal);
                    }
                }
                // SIGSTOP and SIGCONT interrupt it, for one.
                Ok(None) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Stops this process until it is continued: how Upstart is told of readiness.
pub fn stop_self() {
    // A process may always stop itself.
    let _ = raise(signal::SIGSTOP);
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
    /// Wakes the thread that ends the process, once there is one.
    bell: OnceLock<Wake>,
}

impl Request {
    /// Rings this bell from now on when there is something to take. The first one counts.
    pub fn ring(&self, bell: Wake) {
        self.0.bell.get_or_init(|| bell);
    }

    /// Asks for the end. False for a second SIGINT: its sender does not want to wait.
    pub fn ask(&self, signal: Signal) -> bool {
        if signal == Signal::Int && self.0.interrupted.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.0.signal.store(signal.number(), Ordering::Release);
        self.0.bell.get().iter().for_each(|bell| bell.ring());
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

/// A signal that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end the process.
    Term,
    /// SIGINT: Ctrl-C was pressed.
    Int,
    /// SIGHUP: the terminal is gone.
    Hup,
}

impl Signal {
    fn raw(self) -> signal::Signal {
        match self {
            Self::Term => signal::SIGTERM,
            Self::Int => signal::SIGINT,
            Self::Hup => signal::SIGHUP,
        }
    }

    fn number(self) -> i32 {
        self.raw() as i32
    }

    fn of(number: i32) -> Option<Self> {
        [Self::Term, Self::Int, Self::Hup].into_iter().find(|signal| signal.number() == number)
    }
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
    fn signals_that_are_taken_are_read_in_turn() {
        // On a thread of its own: what is blocked stays blocked.
        let taken = || {
            let signals = take()?;
            raise(signal::SIGHUP)?;
            let first = signals.next()?;
            raise(signal::SIGTERM)?;
            io::Result::Ok((first, signals.next()?))
        };
        let taken = std::thread::scope(|scope| scope.spawn(taken).join());
        assert_eq!(taken.unwrap().unwrap(), (Signal::Hup, Signal::Term));
    }
}
