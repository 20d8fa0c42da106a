//! What comes in: receiving from sockets, and holding their peers back.

use std::os::fd::AsRawFd;

use io_uring::{cqueue, opcode, types};

use super::closing::Lingering;
use super::requests::{Op, user_data};
use super::{Completion, DataRing, Token};
use crate::reactor::buffers::{Buffers, GROUP};

impl DataRing {
    /// Stops reading from a socket, so that its peer is held back.
    pub fn pause(&mut self, token: Token) {
        let Some(socket) = self.live(token) else { return };
        if socket.paused {
            return;
        }
        socket.paused = true;
        if socket.receiving {
            self.cancel_receive(token);
        }
    }

    /// Reads from a paused socket again.
    pub fn resume(&mut self, token: Token) {
        let Some(socket) = self.live(token) else { return };
        if !socket.paused {
            return;
        }
        socket.paused = false;
        // If the cancelled request has not ended yet, its end arms the next one.
        self.arm_receive(token.index);
    }

    pub(super) fn received(
        &mut self,
        index: u32,
        generation: u32,
        result: i32,
        flags: u32,
        done: &mut Vec<Completion>,
    ) {
        let buffer = cqueue::buffer_select(flags).map(Buffers::filled);
        let socket = self.sockets[index as usize].as_mut();
        let socket = socket.expect("a slot stays while the kernel has a request of it");
        assert!(socket.generation == generation, "a slot is not reused before its requests end");
        let ended = !cqueue::more(flags);
        if ended {
            socket.receiving = false;
        }
        let token = Token { index, generation };
        if socket.closing {
            if let Some(buffer) = buffer {
                self.buffers.recycle(buffer);
            }
            return self.received_closing(index, result, ended);
        }
        if 0 < result {
            let buffer = buffer.expect("received bytes lie in a buffer");
            let len = usize::try_from(result).expect("positive");
            done.push(Completion::Received(token, buffer, len));
            if ended {
                self.arm_receive(index);
            }
            return;
        }
        match -result {
            libc::ENOBUFS => self.starved.push(index),
            // Paused, or resumed before the cancellation came through, or interrupted.
            libc::ECANCELED | libc::EINTR | libc::EAGAIN => self.arm_receive(index),
            _ => done.push(Completion::Ended(token)),
        }
    }

    /// Asks for what comes in, unless nobody wants it, or it was asked for already: a socket that
    /// waits for a buffer may have been paused and resumed meanwhile.
    pub(super) fn arm_receive(&mut self, index: u32) {
        let Some(socket) = self.sockets[index as usize].as_mut() else { return };
        let closed = socket.closing && socket.lingering == Lingering::No;
        if socket.receiving || socket.paused || closed {
            return;
        }
        socket.receiving = true;
        let entry = opcode::RecvMulti::new(types::Fd(socket.fd.as_raw_fd()), GROUP).build();
        let entry = entry.user_data(user_data(Op::Receive, socket.generation, index));
        self.push(entry);
    }

    pub(super) fn cancel_receive(&mut self, token: Token) {
        let target = user_data(Op::Receive, token.generation, token.index);
        let entry = opcode::AsyncCancel::new(target).build();
        self.push(entry.user_data(user_data(Op::Cancel, 0, 0)));
    }
}
