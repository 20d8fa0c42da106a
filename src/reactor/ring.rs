//! The data ring: all client sockets of one shard on one io_uring.
//!
//! ```text
//! add --> receiving --(data)--> Received ... --(EOF, error)--> Ended
//!            |  ^
//!      pause |  | resume            send --> Sent | SendFailed     (one at a time per socket)
//!            v  |
//!          paused            close: shut down, wait for what is in flight, close the descriptor
//! ```
//! The ring owns sockets, receive buffers and the bytes being sent, so nothing the kernel still
//! uses can be freed from above. A socket is named by index and generation: a completion of a
//! socket that was closed meanwhile reaches nobody.

pub mod closing;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use self::closing::Lingering;
use crate::reactor::buffers::{BufferId, Buffers, GROUP};
use crate::reactor::wake::Wake;

/// Requests the ring can hold before it must be entered.
const SQ_ENTRIES: u32 = 1024;
/// Completions for each of them: multishot requests give many for one.
const CQ_PER_SQ: u32 = 8;
/// Requests of a ring that is made only to see whether one can be.
const PROBE_ENTRIES: u32 = 8;

/// The name of a socket: never that of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token {
    /// Where it is in the ring's list, and so a small dense number.
    pub index: u32,
    generation: u32,
}

impl Token {
    /// As one number.
    pub const fn bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// From that number.
    pub const fn from_bits(bits: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is the index")]
        let index = bits as u32;
        Self { index, generation: (bits >> 32) as u32 }
    }
}

/// What became of something that was asked for.
#[derive(Debug)]
pub enum Completion {
    /// A connection came in on the listener with this number.
    Accepted(u16, OwnedFd),
    /// Accepting on this listener stopped with an error; [`DataRing::accept_again`] goes on.
    AcceptFailed(u16, io::Error),
    /// Bytes came in: `DataRing::buffers` has them until the id is recycled.
    Received(Token, BufferId, usize),
    /// Nothing more will come in.
    Ended(Token),
    /// All bytes were taken by the kernel; the buffer comes back, its content unchanged.
    Sent(Token, Vec<u8>),
    /// The peer takes no more.
    SendFailed(Token),
    /// Another thread rang.
    Woken,
}

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    generation: u32,
    /// A receive request is in the kernel.
    receiving: bool,
    /// The user wants no data for now.
    paused: bool,
    /// What is being sent, and how much of it the kernel has taken.
    sending: Option<(Vec<u8>, usize)>,
    /// The send was tried without waiting, and the kernel speaks up only if that fails.
    silent: bool,
    /// Closed by the user: waits for the kernel to let go.
    closing: bool,
    /// And before that for its peer.
    lingering: Lingering,
}

/// What a request was for: the top byte of its user data.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Op {
    Accept = 1,
    Receive = 2,
    Send = 3,
    Wake = 4,
    Cancel = 5,
}

/// Whether rings can be made here: the error is the kernel's.
pub fn probe() -> io::Result<()> {
    let ring = build(PROBE_ENTRIES)?;
    drop(ring);
    Ok(())
}

/// A ring as this module wants it. Kernels before 6.6 do not know how to leave out the array
/// between ring and requests; it costs a little and nothing else.
fn build(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(entries * CQ_PER_SQ)
        .dontfork();
    let with_array = builder.clone();
    match builder.setup_no_sqarray().build(entries) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => with_array.build(entries),
        built => built,
    }
}

/// One shard's ring. Lives on the thread that made it (`SINGLE_ISSUER`).
pub struct DataRing {
    // Fields are dropped in this order: the ring lets go of the buffers before they are unmapped.
    ring: IoUring,
    /// The receive buffers: read with `bytes`, give back with `recycle`.
    pub buffers: Buffers,
    /// The ring's number for io_uring_enter: an index, registered with the kernel.
    enter_fd: RawFd,
    sockets: Vec<Option<Socket>>,
    generations: Vec<u32>,
    free: Vec<u32>,
    /// Sockets with a silent send that the kernel has not seen, or not answered.
    tried: Vec<u32>,
    /// Sockets whose receive request ended because no buffer was left.
    starved: Vec<u32>,
    listeners: Vec<RawFd>,
    /// Connections are accepted.
    accepts: bool,
    /// Sockets that are closed when their peers have everything.
    finishing: Vec<u32>,
    wake_fd: RawFd,
    /// Where the kernel puts the wake eventfd's counter.
    wake_count: Box<u64>,
}

impl DataRing {
    /// A ring that `wake` wakes.
    pub fn new(wake: &Wake) -> io::Result<Self> {
        let ring = build(SQ_ENTRIES)?;
        let buffers = Buffers::new()?;
        buffers.register(&ring.submitter())?;
        let enter_fd = register_ring_fd(ring.as_raw_fd())?;
        let mut ring = Self {
            ring,
            buffers,
            enter_fd,
            sockets: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            tried: Vec::new(),
            starved: Vec::new(),
            listeners: Vec::new(),
            accepts: true,
            finishing: Vec::new(),
            wake_fd: wake.fd(),
            wake_count: Box::new(0),
        };
        ring.arm_wake();
        Ok(ring)
    }

    /// Accepts connections on `listener`, which must stay open; its number in completions is that
    /// of the call (0, 1 ...).
    pub fn accept(&mut self, listener: RawFd) {
        let number = match self.listeners.iter().position(|&fd| fd == listener) {
            Some(number) => number,
            None => {
                self.listeners.push(listener);
                self.listeners.len() - 1
            }
        };
        let number = u32::try_from(number).expect("a handful of listeners");
        let entry = opcode::AcceptMulti::new(types::Fd(listener)).flags(libc::SOCK_CLOEXEC).build();
        self.push(entry.user_data(user_data(Op::Accept, 0, number)));
    }

    /// Accepts on a listener again, by its number, after `AcceptFailed`.
    pub fn accept_again(&mut self, number: u16) {
        self.listener(number).into_iter().for_each(|listener| self.accept(listener));
    }

    /// Takes a connected socket over and begins to receive from it.
    pub fn add(&mut self, fd: OwnedFd) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.generations.push(0);
            u32::try_from(self.sockets.len() - 1).expect("descriptors are fewer than 2^32")
        });
        let at = index as usize;
        let generation = self.generations[at];
        self.sockets[at] = Some(Socket {
            fd,
            generation,
            receiving: false,
            paused: false,
            sending: None,
            silent: false,
            closing: false,
            lingering: Lingering::No,
        });
        self.arm_receive(index);
        Token { index, generation }
    }

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

    /// Sends all of `bytes`; at most one send per socket at a time.
    pub fn send(&mut self, token: Token, bytes: Vec<u8>) {
        let Some(socket) = self.live(token) else { return };
        assert!(socket.sending.is_none(), "one send at a time keeps bytes in order");
        socket.sending = Some((bytes, 0));
        socket.silent = true;
        self.tried.push(token.index);
        self.arm_send(token.index);
    }

    /// Closes a socket. No completion of it is delivered any more.
    pub fn close(&mut self, token: Token) {
        let Some(socket) = self.live(token) else { return };
        socket.closing = true;
        // Ends both directions: pending requests complete, and the peer hears of it even if a
        // forked child still holds the descriptor.
        // SAFETY: no pointers; the descriptor is ours.
        unsafe { libc::shutdown(socket.fd.as_raw_fd(), libc::SHUT_RDWR) };
        if socket.receiving {
            self.cancel_receive(token);
        }
        self.release_if_idle(token.index);
    }

    /// The descriptor of a socket that is not closed.
    pub fn fd(&mut self, token: Token) -> Option<RawFd> {
        self.live(token).map(|socket| socket.fd.as_raw_fd())
    }

    /// Sockets that are open, closing ones included.
    pub fn sockets_open(&self) -> usize {
        self.sockets.len() - self.free.len()
    }

    /// Submits what was asked for and collects what is done. With `wait`, sleeps until something
    /// is or the time is over. Signals interrupt it, which is no error.
    pub fn turn(&mut self, wait: Option<Duration>, done: &mut Vec<Completion>) -> io::Result<()> {
        if !self.starved.is_empty() {
            self.buffers.widen();
            for index in std::mem::take(&mut self.starved) {
                self.arm_receive(index);
            }
        }
        self.buffers.publish();
        let (to_submit, has_work) = {
            let queue = self.ring.submission();
            (queue.len(), queue.taskrun() || queue.cq_overflow())
        };
        let wait = wait.filter(|_| self.ring.completion().is_empty());
        if 0 < to_submit || has_work || wait.is_some() {
            self.enter(to_submit, wait)?;
        }
        // Before `collect`, which asks for more: has the kernel seen, and answered, everything?
        let queue = self.ring.submission();
        let all_seen = queue.is_empty() && !queue.cq_overflow();
        drop(queue);
        self.collect(done);
        if all_seen {
            self.settle_silent(done);
        }
        Ok(())
    }

    /// Whether a turn would find something done.
    pub fn has_work(&mut self) -> bool {
        let queue = self.ring.submission();
        let waits = queue.taskrun() || queue.cq_overflow();
        drop(queue);
        waits || !self.ring.completion().is_empty()
    }

    /// Silent sends of which nothing was heard are done: a send that does not wait is over when
    /// the kernel has seen it, and it says so only if it did not take all.
    ///
    /// Most replies fit into the socket's buffer, so this spares a completion for each, and lets
    /// one call both send and wait (measured: 8 % less CPU per request at 16 in a pipeline).
    fn settle_silent(&mut self, done: &mut Vec<Completion>) {
        for index in std::mem::take(&mut self.tried) {
            let Some(socket) = self.sockets[index as usize].as_mut() else { continue };
            if !std::mem::take(&mut socket.silent) {
                continue;
            }
            let (bytes, _) = socket.sending.take().expect("a send was in flight");
            if socket.closing {
                self.release_if_idle(index);
            } else {
                let token = Token { index, generation: socket.generation };
                done.push(Completion::Sent(token, bytes));
            }
        }
    }

    fn collect(&mut self, done: &mut Vec<Completion>) {
        loop {
            let Some(completion) = self.ring.completion().next() else { return };
            let (op, generation, index) = split_user_data(completion.user_data());
            let (result, flags) = (completion.result(), completion.flags());
            if op == Op::Accept as u8 {
                self.accepted(index, result, flags, done);
            } else if op == Op::Receive as u8 {
                self.received(index, generation, result, flags, done);
            } else if op == Op::Send as u8 {
                self.sent(index, result, done);
            } else if op == Op::Wake as u8 {
                self.arm_wake();
                done.push(Completion::Woken);
            }
        }
    }

    fn accepted(&mut self, number: u32, result: i32, flags: u32, done: &mut Vec<Completion>) {
        let number = u16::try_from(number).expect("a handful of listeners");
        if result < 0 {
            let error = io::Error::from_raw_os_error(-result);
            if -result != libc::ECANCELED {
                done.push(Completion::AcceptFailed(number, error));
            }
            return;
        }
        // SAFETY: the kernel just made this descriptor for us.
        done.push(Completion::Accepted(number, unsafe { OwnedFd::from_raw_fd(result) }));
        if !cqueue::more(flags) {
            self.accept_again(number);
        }
    }

    fn received(
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

    fn sent(&mut self, index: u32, result: i32, done: &mut Vec<Completion>) {
        let socket = self.sockets[index as usize].as_mut();
        let socket = socket.expect("a slot stays while the kernel has a request of it");
        let token = Token { index, generation: socket.generation };
        socket.silent = false;
        let (bytes, mut taken) = socket.sending.take().expect("a send was in flight");
        if socket.closing {
            self.release_if_idle(index);
            return;
        }
        if result < 0 && ![libc::EINTR, libc::EAGAIN].contains(&-result) {
            done.push(Completion::SendFailed(token));
            return;
        }
        taken += usize::try_from(result).unwrap_or(0);
        if taken < bytes.len() {
            socket.sending = Some((bytes, taken));
            self.arm_send(index);
        } else {
            done.push(Completion::Sent(token, bytes));
        }
    }

    fn live(&mut self, token: Token) -> Option<&mut Socket> {
        let socket = self.sockets.get_mut(token.index as usize)?.as_mut()?;
        (socket.generation == token.generation && !socket.closing).then_some(socket)
    }

    fn release_if_idle(&mut self, index: u32) {
        let at = index as usize;
        let idle = self.sockets[at].as_ref().is_some_and(|s| !s.receiving && s.sending.is_none());
        if idle {
            self.starved.retain(|&starved| starved != index);
            self.sockets[at] = None;
            self.generations[at] = (self.generations[at] + 1) & 0xFF_FFFF;
            self.free.push(index);
        }
    }

    /// Asks for what comes in, unless nobody wants it, or it was asked for already: a socket that
    /// waits for a buffer may have been paused and resumed meanwhile.
    fn arm_receive(&mut self, index: u32) {
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

    fn cancel_receive(&mut self, token: Token) {
        let target = user_data(Op::Receive, token.generation, token.index);
        let entry = opcode::AsyncCancel::new(target).build();
        self.push(entry.user_data(user_data(Op::Cancel, 0, 0)));
    }

    fn arm_send(&mut self, index: u32) {
        let socket = self.sockets[index as usize].as_ref().expect("the caller has the socket");
        let (bytes, taken) = socket.sending.as_ref().expect("the caller set what to send");
        let rest = &bytes[*taken..];
        let len = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let dont_wait = if socket.silent { libc::MSG_DONTWAIT } else { 0 };
        let entry = opcode::Send::new(types::Fd(socket.fd.as_raw_fd()), rest.as_ptr(), len)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL | dont_wait)
            .build();
        let quiet =
            if socket.silent { squeue::Flags::SKIP_SUCCESS } else { squeue::Flags::empty() };
        let entry = entry.user_data(user_data(Op::Send, socket.generation, index));
        self.push(entry.flags(quiet));
    }

    fn arm_wake(&mut self) {
        let target = (&raw mut *self.wake_count).cast();
        let entry = opcode::Read::new(types::Fd(self.wake_fd), target, 8).build();
        self.push(entry.user_data(user_data(Op::Wake, 0, 0)));
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: every pointer in an entry is to memory the ring owns until the request has
        // completed: `Socket::sending` (whose heap block does not move), `wake_count`, `buffers`.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            let queued = self.ring.submission().len();
            self.enter(queued, None).expect("a full queue can be submitted");
        }
    }

    /// io_uring_enter, always with GETEVENTS: without it a DEFER_TASKRUN ring completes nothing.
    fn enter(&self, to_submit: usize, wait: Option<Duration>) -> io::Result<()> {
        const GETEVENTS: u32 = 1;
        const EXT_ARG: u32 = 1 << 3;
        const REGISTERED_RING: u32 = 1 << 4;
        #[repr(C)]
        struct Argument {
            sigmask: u64,
            sigmask_bytes: u32,
            min_wait_usec: u32,
            timeout: u64,
        }
        let timeout =
            wait.map(|wait| types::Timespec::new().sec(wait.as_secs()).nsec(wait.subsec_nanos()));
        let timeout_at = timeout.as_ref().map_or(0, |timeout| std::ptr::from_ref(timeout) as u64);
        let argument =
            Argument { sigmask: 0, sigmask_bytes: 8, min_wait_usec: 0, timeout: timeout_at };
        let to_submit = libc::c_uint::try_from(to_submit).expect("the queue is small");
        // SAFETY: the descriptor is the registered ring; `argument` and the timeout it points to
        // live until the call returns; entries obey the promise in `push`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.enter_fd,
                to_submit,
                libc::c_uint::from(wait.is_some()),
                GETEVENTS | EXT_ARG | REGISTERED_RING,
                &raw const argument,
                size_of::<Argument>(),
            )
        };
        if 0 <= result {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Time is over; a signal (also SIGCONT after SIGSTOP); completions must be collected
            // first; memory is short for a moment: all are answered by the next turn.
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        }
    }
}

impl std::fmt::Debug for DataRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataRing").field("sockets_open", &self.sockets_open()).finish()
    }
}

/// Operation in 8 bits, generation in 24, index in 32.
const fn user_data(op: Op, generation: u32, index: u32) -> u64 {
    (op as u64) << 56 | (generation as u64 & 0xFF_FFFF) << 32 | index as u64
}

#[expect(clippy::cast_possible_truncation, reason = "takes a word apart")]
const fn split_user_data(data: u64) -> (u8, u32, u32) {
    ((data >> 56) as u8, (data >> 32) as u32 & 0xFF_FFFF, data as u32)
}

/// Registers the ring's own descriptor with the calling thread, which spares the kernel a look-up
/// with a shared counter at each enter. Returns the index to use instead.
fn register_ring_fd(ring_fd: RawFd) -> io::Result<RawFd> {
    const REGISTER_RING_FDS: libc::c_uint = 20;
    #[repr(C)]
    struct Update {
        offset: u32,
        reserved: u32,
        data: u64,
    }
    let ring_fd_bits = u64::try_from(ring_fd).expect("a descriptor is not negative");
    let mut update = Update { offset: u32::MAX, reserved: 0, data: ring_fd_bits };
    // SAFETY: `update` is one valid io_uring_rsrc_update, read and written during the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring_fd,
            REGISTER_RING_FDS,
            &raw mut update,
            1 as libc::c_uint,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(RawFd::try_from(update.offset).expect("a thread registers few rings"))
}

#[cfg(test)]
mod tests;
