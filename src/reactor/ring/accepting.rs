//! Accepting connections.
//!
//! ```text
//! accept --> watched --(connections wait)----------> Accepted ... --> watched
//!               ^  \----(none can be had)---> AcceptFailed
//!               +------ accept_again ------------/
//! ```
//! The ring watches each listener through an epoll instance. A ring keeps the files of its requests
//! open, and the kernel takes a ring apart some milliseconds after its process was killed. In that
//! time the kernel connected clients to a listener without a server (4 to 10 ms, measured). An
//! epoll instance keeps no file open, so the listener closes with the process.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use io_uring::{opcode, types};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{SockFlag, accept4};

use super::requests::{Op, user_data};
use super::{Completion, DataRing, Token};
use crate::reactor::sockets;

/// Connections that are accepted in one go; if more wait, the next turn has them.
const ACCEPTS_MAX: usize = 64;

/// A listener, by its number in the ring's list.
#[derive(Debug)]
pub(super) struct Listener {
    /// The socket and the epoll instance that watches it; `None` once it is closed.
    open: Option<(OwnedFd, Epoll)>,
    /// A request to hear of connections is in the kernel.
    watched: bool,
}

impl DataRing {
    /// Accepts connections on a listening socket. Its number in completions is the answer.
    ///
    /// # Errors
    /// The system's, for want of descriptors as a rule.
    pub fn accept(&mut self, socket: OwnedFd) -> io::Result<u16> {
        // Between what epoll says and the accepting, a client may have gone.
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        let listener = Listener { open: Some((socket, epoll)), watched: false };
        let free = |listener: &Listener| listener.open.is_none() && !listener.watched;
        let at = match self.listeners.iter().position(free) {
            Some(at) => {
                self.listeners[at] = listener;
                at
            }
            None => {
                self.listeners.push(listener);
                self.listeners.len() - 1
            }
        };
        let number = u16::try_from(at).map_err(|_| Errno::EMFILE)?;
        self.accept_again(number);
        Ok(number)
    }

    /// Accepts on a listener again, by its number, after `AcceptFailed`.
    pub fn accept_again(&mut self, number: u16) {
        let Some(listener) = self.listeners.get_mut(usize::from(number)) else { return };
        let Some((_, epoll)) = listener.open.as_ref().filter(|_| !listener.watched) else { return };
        let readable = u32::from(libc::POLLIN.unsigned_abs());
        let entry = opcode::PollAdd::new(types::Fd(epoll.0.as_raw_fd()), readable).build();
        listener.watched = true;
        self.push(entry.user_data(user_data(Op::Accept, 0, u32::from(number))));
    }

    /// Closes all listeners.
    pub fn stop_accepting(&mut self) {
        (0..self.listeners.len()).for_each(|number| self.close_listener(number));
    }

    /// Closes the listener on an address of the network, or the unix socket (`None`), if there is
    /// one.
    pub fn stop_accepting_at(&mut self, address: Option<SocketAddr>) {
        let is_there = |listener: &Listener| {
            let socket = listener.open.as_ref().map(|(socket, _)| socket);
            socket.is_some_and(|socket| sockets::local(socket) == address)
        };
        let number = self.listeners.iter().position(is_there);
        number.into_iter().for_each(|number| self.close_listener(number));
    }

    fn close_listener(&mut self, number: usize) {
        let listener = &mut self.listeners[number];
        listener.open = None;
        if listener.watched {
            let index = u32::try_from(number).expect("a handful of listeners");
            self.cancel(Op::Accept, Token { index, generation: 0 });
        }
    }

    /// Accepts what waits after a listener's watch has ended.
    pub(super) fn accept_waiting(&mut self, number: u32, result: i32, done: &mut Vec<Completion>) {
        let number = u16::try_from(number).expect("a handful of listeners");
        let listener = &mut self.listeners[usize::from(number)];
        listener.watched = false;
        let Some((socket, _)) = &listener.open else { return };
        if result < 0 {
            let error = io::Error::from_raw_os_error(-result);
            return done.push(Completion::AcceptFailed(number, error));
        }
        for _ in 0..ACCEPTS_MAX {
            match accept4(socket, SockFlag::SOCK_CLOEXEC) {
                Ok(fd) => done.push(Completion::Accepted(number, fd)),
                // Of a client that went away before.
                Err(Errno::EAGAIN | Errno::ECONNABORTED | Errno::EINTR) => {}
                Err(error) => return done.push(Completion::AcceptFailed(number, error.into())),
            }
            if !connections_wait(socket) {
                break;
            }
        }
        self.accept_again(number);
    }
}

/// Returns whether another connection waits. This costs a quarter of an accept that fails, which
/// makes a file and a socket before it looks (measured: 0.3 and 1.2 microseconds).
fn connections_wait(socket: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| 0 < ready)
}
