//! How the ring lets go of sockets whose peers are to get everything that was sent to them, and of
//! all it has when it is dropped.
//!
//! ```text
//! finish --> our end is shut; what comes in is thrown away --(all was acknowledged)--> closed
//!                                                          --(the peer closes)-------> closed
//! ```
//! A socket that is closed with input unread is reset, and what the peer's kernel has not taken by
//! then is lost. So the ring reads input to the last, and closes when the peer has everything.

use std::time::Duration;

use super::requests::Op;
use super::{DataRing, Token};
use crate::reactor::sockets;

/// How long a ring that is dropped sleeps at most before it looks again.
const PATIENCE: Duration = Duration::from_millis(10);

/// How a socket is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lingering {
    /// At once.
    No,
    /// When its peer has everything, and nothing came in since the last look.
    Quiet,
    /// The same; something came in.
    Stirred,
}

/// Sockets whose peers do not have everything yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// How many.
    pub sockets: u64,
    /// Bytes that their peers have not acknowledged.
    pub bytes: u64,
}

impl DataRing {
    /// Closes a socket as soon as its peer has everything that was sent; [`Self::look_after`] goes
    /// on with it. No completion of it is delivered any more.
    pub fn finish(&mut self, token: Token) {
        let Some(socket) = self.live(token) else { return };
        assert!(socket.sending.is_none(), "everything was sent before");
        socket.closing = true;
        socket.unread = None;
        socket.lingering = Lingering::Quiet;
        sockets::shut_sending(&socket.fd);
        if socket.watching {
            self.cancel(Op::Watch, token);
        }
        self.finishing.push(token.index);
        self.arm_receive(token.index);
    }

    /// Closes what can be closed of the sockets that are to be. What is left.
    pub fn look_after(&mut self) -> Unfinished {
        let mut left = Unfinished::default();
        for index in std::mem::take(&mut self.finishing) {
            let Some(socket) = self.sockets[index as usize].as_mut() else { continue };
            let unacknowledged = match socket.lingering {
                Lingering::No => continue,
                Lingering::Quiet => sockets::unacknowledged(&socket.fd),
                Lingering::Stirred => {
                    socket.lingering = Lingering::Quiet;
                    sockets::unacknowledged(&socket.fd).max(1)
                }
            };
            if unacknowledged == 0 {
                socket.lingering = Lingering::No;
                let token = Token { index, generation: socket.generation };
                self.cancel_input(token);
                self.release_if_idle(index);
            } else {
                left.sockets += 1;
                left.bytes += unacknowledged;
                self.finishing.push(index);
            }
        }
        left
    }

    /// Bytes of a socket that the kernel has taken and the peer has not; 0 if it is closed.
    pub fn untaken(&self, token: Token) -> u64 {
        let socket = self.sockets.get(token.index as usize).and_then(Option::as_ref);
        let socket = socket.filter(|socket| socket.generation == token.generation);
        socket.map_or(0, |socket| sockets::untaken(&socket.fd))
    }

    /// Takes back all that was asked for, and waits until the kernel has let go of it: it may write
    /// to the buffers and read what is sent until then.
    fn let_go(&mut self) {
        self.ending = true;
        self.stop_accepting();
        for index in 0..self.sockets.len() {
            let Some(socket) = &mut self.sockets[index] else { continue };
            // A descriptor is an int, and so is a place.
            let index = u32::try_from(index).expect("descriptors are fewer than 2^32");
            let token = Token { index, generation: socket.generation };
            if std::mem::replace(&mut socket.lingering, Lingering::No) == Lingering::No {
                self.close(token);
            } else {
                self.cancel_input(token);
                self.release_if_idle(index);
            }
        }
        self.cancel(Op::Wake, Token::default());
        let mut done = Vec::new();
        while self.waking || 0 < self.sockets_open() {
            // Cancelled requests come back at once, and so do those of sockets that are shut.
            self.turn(Some(PATIENCE), &mut done).expect("a ring that was made can be entered");
            done.clear();
        }
    }

    /// Something came in for a socket that is being closed, or its receive request has ended.
    pub(super) fn received_closing(&mut self, index: u32, result: i32, ended: bool) {
        let socket = self.sockets[index as usize].as_mut().expect("the caller has seen it");
        let lingers = socket.lingering != Lingering::No;
        let again = [libc::ENOBUFS, libc::ECANCELED, libc::EINTR, libc::EAGAIN].contains(&-result);
        match (ended, lingers && (0 < result || again)) {
            (false, _) if lingers => socket.lingering = Lingering::Stirred,
            (false, _) => {}
            (true, true) => {
                socket.lingering = Lingering::Stirred;
                self.arm_receive(index);
            }
            (true, false) => {
                socket.lingering = Lingering::No;
                self.release_if_idle(index);
            }
        }
    }
}

impl Drop for DataRing {
    fn drop(&mut self) {
        self.let_go();
    }
}
