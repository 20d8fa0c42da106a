//! The data ring: all client sockets of one shard on one io_uring.
//!
//! ```text
//! add --> receiving --(data)--> Received ...  --(the peer says no more)--> InputEnded
//!            |  ^                              --(an error)--------------> Failed
//!      pause |  | resume
//!            v  |                   send --> Sent | SendFailed     (one at a time per socket)
//!          paused --(the peer hangs up)--> HungUp, once
//!                            close: shut down, wait for what is in flight, close the descriptor
//!                            hand_over: wait for what is in flight --> HandedOver
//! ```
//! The end of the input is not the end of the socket: replies can still be sent. A peer that closes
//! and a peer that only shuts its half send the same packet, so the ring cannot tell them apart. A
//! send to a peer that has closed fails.
//!
//! The ring owns sockets, receive buffers and the bytes being sent, so nothing the kernel still
//! uses can be freed from above. A socket is named by index and generation: the ring drops the
//! completions of a socket that was closed meanwhile.

mod accepting;
pub mod closing;
mod leaving;
mod receiving;
mod requests;
mod sending;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use io_uring::types;

use self::accepting::Listener;
use self::closing::Lingering;
use self::receiving::Input;
use self::requests::{Op, Queues, build, split_user_data};
use crate::reactor::buffers::{BufferId, Buffers};
use crate::reactor::sockets;
use crate::reactor::wake::Wake;

/// Requests the ring can hold before it must be entered.
const SQ_ENTRIES: u32 = 1024;
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
    /// The name of no socket.
    pub const NONE: Self = Self { index: u32::MAX, generation: u32::MAX };

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
    /// Bytes came in: [`DataRing::buffers`] has them until the id is recycled.
    Received(Token, BufferId, usize),
    /// The peer has sent all that it ever will. It may still take what is sent to it.
    InputEnded(Token),
    /// Nothing more comes in, for this reason: the peer is gone as a rule.
    Failed(Token, io::Error),
    /// The peer of a paused socket has sent all that it ever will, or is gone. After a resume the
    /// bytes from before come, then `InputEnded` or `Failed`. The ring says this once per socket.
    HungUp(Token),
    /// All bytes were taken by the kernel; the buffer comes back, its content unchanged.
    Sent(Token, Vec<u8>),
    /// The peer takes no more.
    SendFailed(Token),
    /// A socket has left the ring: its descriptor, and the bytes that came in since
    /// [`DataRing::hand_over`]. The connection is open, unless its peer has ended it.
    HandedOver(Token, OwnedFd, Vec<u8>),
    /// Another thread rang, or the time is over that [`DataRing::wake_in`] was given.
    Woken,
}

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    generation: u32,
    /// A receive request is in the kernel.
    receiving: bool,
    /// A request to hear of the peer's end is in the kernel.
    watching: bool,
    /// The user wants no data for now.
    paused: bool,
    input: Input,
    /// What is being sent, and how much of it the kernel has taken.
    sending: Option<(Vec<u8>, usize)>,
    /// The send was tried without waiting, and the kernel speaks up only if that fails.
    silent: bool,
    /// Closed by the user: waits for the kernel to let go.
    closing: bool,
    /// And before that for its peer.
    lingering: Lingering,
    /// What came in since the user asked for the descriptor; `None` if the socket stays.
    unread: Option<Vec<u8>>,
}

impl Socket {
    /// Whether the socket is closed and neither the kernel nor its peer still uses it.
    fn is_idle(&self) -> bool {
        let asked = self.receiving || self.watching || self.sending.is_some();
        self.closing && self.lingering == Lingering::No && !asked
    }
}

/// Whether rings can be made here: the error is the kernel's.
pub fn probe() -> io::Result<()> {
    let ring = build(PROBE_ENTRIES)?;
    drop(ring);
    Ok(())
}

/// One shard's ring. Lives on the thread that made it (`SINGLE_ISSUER`). When it is dropped, the
/// kernel has let go of all that it owns, and the peers of its sockets hear of their end.
pub struct DataRing {
    queues: Queues,
    buffers: Buffers,
    sockets: Vec<Option<Socket>>,
    generations: Vec<u32>,
    free: Vec<u32>,
    /// Sockets with a silent send that the kernel has not seen, or not answered.
    tried: Vec<u32>,
    /// Sockets whose receive request ended because no buffer was left.
    starved: Vec<u32>,
    listeners: Vec<Listener>,
    /// Sockets that are closed when their peers have everything.
    finishing: Vec<u32>,
    /// Sockets that are handed over when the kernel has no request of them.
    leaving: Vec<Token>,
    wake: OwnedFd,
    /// A request to hear of it is in the kernel.
    waking: bool,
    /// Nothing is asked for any more.
    ending: bool,
    /// Where the kernel puts the wake eventfd's counter.
    wake_count: Box<u64>,
    /// How long [`Self::wake_in`] was given last, where the kernel finds it.
    alarm_delay: Box<types::Timespec>,
    /// The kernel has it.
    is_alarmed: bool,
}

impl DataRing {
    /// A ring that `wake` wakes.
    pub fn new(wake: &Wake) -> io::Result<Self> {
        let queues = Queues::new(SQ_ENTRIES)?;
        let buffers = Buffers::new()?;
        buffers.register(&queues.ring.submitter())?;
        let mut ring = Self {
            queues,
            buffers,
            sockets: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            tried: Vec::new(),
            starved: Vec::new(),
            listeners: Vec::new(),
            finishing: Vec::new(),
            leaving: Vec::new(),
            wake: wake.fd().try_clone_to_owned()?,
            waking: false,
            ending: false,
            wake_count: Box::new(0),
            alarm_delay: Box::default(),
            is_alarmed: false,
        };
        ring.arm_wake();
        Ok(ring)
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
            watching: false,
            paused: false,
            input: Input::Open,
            sending: None,
            silent: false,
            closing: false,
            lingering: Lingering::No,
            unread: None,
        });
        self.arm_receive(index);
        Token { index, generation }
    }

    /// Closes a socket. No completion of it is delivered any more.
    pub fn close(&mut self, token: Token) {
        let Some(socket) = self.live(token) else { return };
        socket.closing = true;
        socket.unread = None;
        // Ends both directions: pending requests complete, and the peer hears of it even if a
        // forked child still holds the descriptor.
        sockets::shut(&socket.fd);
        self.cancel_input(token);
        self.release_if_idle(token.index);
    }

    /// The receive buffers: what came in is read there, and then given back.
    #[inline]
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
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
            let queue = self.queues.ring.submission();
            (queue.len(), queue.taskrun() || queue.cq_overflow())
        };
        let has_news = !self.queues.ring.completion().is_empty() || self.hands_over();
        let wait = wait.filter(|_| !has_news);
        if 0 < to_submit || has_work || wait.is_some() {
            self.queues.enter(to_submit, wait)?;
        }
        // Before `collect`, which asks for more: has the kernel seen, and answered, everything?
        let queue = self.queues.ring.submission();
        let all_seen = queue.is_empty() && !queue.cq_overflow();
        drop(queue);
        self.collect(done);
        if all_seen {
            self.settle_silent(done);
        }
        if !self.leaving.is_empty() {
            self.part(done);
        }
        Ok(())
    }

    /// Whether a turn would find something done.
    pub fn has_work(&mut self) -> bool {
        let queue = self.queues.ring.submission();
        let waits = queue.taskrun() || queue.cq_overflow();
        drop(queue);
        waits || !self.queues.ring.completion().is_empty() || self.hands_over()
    }

    fn collect(&mut self, done: &mut Vec<Completion>) {
        loop {
            let Some(completion) = self.queues.ring.completion().next() else { return };
            let (op, generation, index) = split_user_data(completion.user_data());
            let token = Token { index, generation };
            let (result, flags) = (completion.result(), completion.flags());
            if op == Op::Accept as u8 {
                self.accept_waiting(index, result, done);
            } else if op == Op::Receive as u8 {
                self.received(token, result, flags, done);
            } else if op == Op::Send as u8 {
                self.sent(token, result, done);
            } else if op == Op::Watch as u8 {
                self.watched(token, result, done);
            } else if op == Op::Wake as u8 {
                self.waking = false;
                self.arm_wake();
                done.push(Completion::Woken);
            } else if op == Op::Alarm as u8 {
                self.is_alarmed = false;
                done.push(Completion::Woken);
            }
        }
    }

    fn live(&mut self, token: Token) -> Option<&mut Socket> {
        let socket = self.sockets.get_mut(token.index as usize)?.as_mut()?;
        (socket.generation == token.generation && !socket.closing).then_some(socket)
    }

    /// The socket of a request that has come back: a slot is not used anew before all have.
    fn asked(&mut self, token: Token) -> &mut Socket {
        let socket = self.sockets[token.index as usize].as_mut();
        let socket = socket.expect("a slot stays while the kernel has a request of it");
        assert!(
            socket.generation == token.generation,
            "a slot is not reused before its requests end"
        );
        socket
    }

    /// Lets go of a closed socket of which the kernel has no request any more.
    fn release_if_idle(&mut self, index: u32) {
        if self.sockets[index as usize].as_ref().is_some_and(Socket::is_idle) {
            self.vacate(index);
        }
    }

    /// Makes a place free that the kernel knows nothing of any more. What was there.
    fn vacate(&mut self, index: u32) -> Socket {
        let at = index as usize;
        self.starved.retain(|&starved| starved != index);
        self.generations[at] = (self.generations[at] + 1) & 0xFF_FFFF;
        self.free.push(index);
        self.sockets[at].take().expect("the caller has seen the socket")
    }
}

impl std::fmt::Debug for DataRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataRing").field("sockets_open", &self.sockets_open()).finish()
    }
}

#[cfg(test)]
mod tests;
