//! How a socket leaves the ring with its connection open, for another thread or a forked child.
//!
//! ```text
//! hand_over --> leaving --(the kernel has no request of it any more)--> HandedOver
//!                  |  ^ what comes in meanwhile is gathered
//!                  +--(close, finish)--> as for any socket; nothing is handed over
//! ```
//! The ring cancels the receive request and waits for its end: a request that the kernel still has
//! would take bytes that belong to the next owner. A send is never cancelled, because its bytes
//! stand in front of what the next owner sends.
//!
//! The end of the input and its failure are not told. The next owner meets them when it reads.

use super::{Completion, DataRing, Socket, Token};
use crate::reactor::buffers::BufferId;

impl Socket {
    /// Returns whether the socket leaves and the kernel has no request of it.
    fn can_leave(&self) -> bool {
        let asked = self.receiving || self.watching || self.sending.is_some();
        self.unread.is_some() && !self.closing && !asked
    }
}

impl DataRing {
    /// Lets a socket leave: `HandedOver` brings its descriptor and the bytes that came in from now
    /// on. Until then, only `Sent` and `SendFailed` of a send under way are delivered of it.
    ///
    /// Bytes of `Received` that the caller already has stand in front of those handed over. What
    /// no request has taken stays in the socket. A peer that takes nothing holds its socket here
    /// for as long as a send is under way: [`Self::close`] ends that, and nothing is handed over.
    pub fn hand_over(&mut self, token: Token) {
        let Some(socket) = self.live(token).filter(|socket| socket.unread.is_none()) else {
            return;
        };
        socket.unread = Some(Vec::new());
        self.leaving.push(token);
        self.cancel_input(token);
    }

    /// Keeps what comes in for a socket that leaves. At most all receive buffers can be filled
    /// before the kernel has seen the cancellation.
    pub(super) fn gather(&mut self, token: Token, buffer: BufferId, len: usize) {
        let socket = self.sockets[token.index as usize].as_mut();
        let unread = socket.and_then(|socket| socket.unread.as_mut());
        let unread = unread.expect("the caller has seen that the socket leaves");
        unread.extend_from_slice(self.buffers.bytes(&buffer, len));
        self.buffers.recycle(buffer);
    }

    /// Returns whether a turn would hand a socket over without any news from the kernel.
    pub(super) fn hands_over(&self) -> bool {
        self.leaving
            .iter()
            .any(|token| self.sockets[token.index as usize].as_ref().is_some_and(Socket::can_leave))
    }

    /// Hands over the sockets of which the kernel has no request any more.
    pub(super) fn part(&mut self, done: &mut Vec<Completion>) {
        let mut leaving = std::mem::take(&mut self.leaving);
        leaving.retain(|&token| {
            let Some(socket) = self.live(token) else { return false };
            if !socket.can_leave() {
                return true;
            }
            let Socket { fd, unread, .. } = self.vacate(token.index);
            done.push(Completion::HandedOver(token, fd, unread.unwrap_or_default()));
            false
        });
        self.leaving = leaving;
    }
}
