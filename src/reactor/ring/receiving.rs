//! What comes in: receiving from sockets, holding their peers back, and hearing of their end.
//!
//! A receive request brings the end of its peer like data. The ring watches a paused socket by a
//! poll instead: else a client that is gone would keep what it waits for. A socket has at most one
//! request of each kind in the kernel. The ring submits one when the socket wants it, cancels it
//! when the socket does not, and looks again at what the socket wants when the request has ended.

use std::io;
use std::os::fd::AsRawFd;

use io_uring::{cqueue, opcode, types};

use super::closing::Lingering;
use super::requests::{Op, user_data};
use super::{Completion, DataRing, Socket, Token};
use crate::reactor::buffers::GROUP;

/// What is known of the end of what a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// More may come.
    Open,
    /// The peer has hung up, and the ring has said so; bytes from before may not be received yet.
    HungUp,
    /// The input has ended or failed, and the ring has said so.
    Over,
}

impl Socket {
    /// Returns whether the socket wants a receive request.
    fn is_read(&self) -> bool {
        let stays = !self.closing && self.unread.is_none();
        let wanted = stays && !self.paused && self.input != Input::Over;
        wanted || self.lingering != Lingering::No
    }

    /// Returns whether the socket wants a request to hear of its peer's end.
    fn is_watched(&self) -> bool {
        let stays = !self.closing && self.unread.is_none();
        stays && self.paused && self.input == Input::Open
    }
}

impl DataRing {
    /// Stops reading from a socket, so that its peer is held back.
    pub fn pause(&mut self, token: Token) {
        let Some(socket) = self.live(token) else { return };
        if socket.paused {
            return;
        }
        socket.paused = true;
        if socket.receiving {
            self.cancel(Op::Receive, token);
        }
        self.arm_watch(token.index);
    }

    /// Reads from a paused socket again.
    pub fn resume(&mut self, token: Token) {
        let Some(socket) = self.live(token) else { return };
        if !socket.paused {
            return;
        }
        socket.paused = false;
        if socket.watching {
            self.cancel(Op::Watch, token);
        }
        // If the cancelled request has not ended yet, its end arms the next one.
        self.arm_receive(token.index);
    }

    pub(super) fn received(
        &mut self,
        token: Token,
        result: i32,
        flags: u32,
        done: &mut Vec<Completion>,
    ) {
        let index = token.index;
        let buffer = cqueue::buffer_select(flags).map(|number| self.buffers.filled(number));
        let ended = !cqueue::more(flags);
        let socket = self.asked(token);
        socket.receiving &= !ended;
        if socket.closing {
            buffer.into_iter().for_each(|buffer| self.buffers.recycle(buffer));
            return self.received_closing(index, result, ended);
        }
        let leaves = socket.unread.is_some();
        if 0 < result {
            let buffer = buffer.expect("received bytes lie in a buffer");
            let len = usize::try_from(result).expect("positive");
            if leaves {
                return self.gather(token, buffer, len);
            }
            done.push(Completion::Received(token, buffer, len));
            if ended {
                self.arm_receive(index);
            }
            return;
        }
        match -result {
            // Its next owner hears of an end, and needs no buffer of the ring.
            _ if leaves => {}
            0 => {
                socket.input = Input::Over;
                done.push(Completion::InputEnded(token));
            }
            libc::ENOBUFS => self.starved.push(index),
            // Paused, or resumed before the cancellation came through, or interrupted.
            libc::ECANCELED | libc::EINTR | libc::EAGAIN => self.arm_receive(index),
            error => {
                socket.input = Input::Over;
                done.push(Completion::Failed(token, io::Error::from_raw_os_error(error)));
            }
        }
    }

    /// Tells that a paused socket's peer has hung up, unless its watch was cancelled.
    pub(super) fn watched(&mut self, token: Token, result: i32, done: &mut Vec<Completion>) {
        let socket = self.asked(token);
        socket.watching = false;
        if socket.closing {
            return self.release_if_idle(token.index);
        }
        if 0 < result && socket.is_watched() {
            socket.input = Input::HungUp;
            done.push(Completion::HungUp(token));
        } else if result == -libc::ECANCELED {
            // It may be paused again by now.
            self.arm_watch(token.index);
        }
    }

    /// Asks for what comes in, unless the user does not want it or the ring has asked already: a
    /// socket that waits for a buffer may have been paused and resumed meanwhile.
    pub(super) fn arm_receive(&mut self, index: u32) {
        let Some(socket) = self.sockets[index as usize].as_mut() else { return };
        if socket.receiving || !socket.is_read() {
            return;
        }
        socket.receiving = true;
        let entry = opcode::RecvMulti::new(types::Fd(socket.fd.as_raw_fd()), GROUP).build();
        let entry = entry.user_data(user_data(Op::Receive, socket.generation, index));
        self.push(entry);
    }

    /// Asks to hear when the peer shuts its half. The kernel tells of a reset unasked.
    fn arm_watch(&mut self, index: u32) {
        const RDHUP: u32 = libc::POLLRDHUP.cast_unsigned() as u32;
        let Some(socket) = self.sockets[index as usize].as_mut() else { return };
        if socket.watching || !socket.is_watched() {
            return;
        }
        socket.watching = true;
        let entry = opcode::PollAdd::new(types::Fd(socket.fd.as_raw_fd()), RDHUP).build();
        let entry = entry.user_data(user_data(Op::Watch, socket.generation, index));
        self.push(entry);
    }

    /// Takes back what was asked of a socket's input.
    pub(super) fn cancel_input(&mut self, token: Token) {
        let socket = self.sockets[token.index as usize].as_ref().expect("the caller has it");
        let asked = [(Op::Receive, socket.receiving), (Op::Watch, socket.watching)];
        for (op, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
            self.cancel(op, token);
        }
    }

    pub(super) fn cancel(&mut self, op: Op, token: Token) {
        let target = user_data(op, token.generation, token.index);
        let entry = opcode::AsyncCancel::new(target).build();
        self.push(entry.user_data(user_data(Op::Cancel, 0, 0)));
    }
}
