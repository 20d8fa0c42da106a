//! One connection of the bus: bytes in, packets out, and back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::bus::buffers::{Came, Input, Output, Source};
use crate::cluster::frame::Packet;
use crate::cluster::ids::NodeId;
use crate::cluster::machine::event::{End, Failure};
use crate::reactor::sockets;
use crate::reactor::streams::Stream;
use crate::reactor::wake::Awaited;

/// Bytes that are read of one link in one turn.
const READ_BYTES_MAX: usize = 256 << 10;
/// Bytes of messages that are made ready to be sent at once: heartbeats wait behind these.
const READY_BYTES: usize = 64 << 10;
/// What a message that waits takes besides its bytes.
const MESSAGE_OVERHEAD: usize = 128;

/// A connection.
#[derive(Debug)]
pub struct Link {
    stream: Stream,
    is_connected: bool,
    input: Input,
    output: Output,
    /// Clients' messages: they wait until what is in `output` has been sent, so that a heartbeat
    /// waits for few of them. Other links may have the same ones.
    messages: VecDeque<Arc<Packet>>,
    /// What these take.
    message_bytes: usize,
}

impl Link {
    /// Begins to connect. The link ends when the peer does not acknowledge for so many milliseconds
    /// what was sent.
    ///
    /// # Errors
    /// The system's, if there is no way.
    pub fn connect(address: SocketAddr, silence_ms: u32) -> io::Result<Self> {
        Ok(Self::of(Stream::connect(address, silence_ms)?, false, Source::Known))
    }

    /// A connection that another node has made; it is not known yet which one.
    pub fn accepted(stream: Stream, silence_ms: u32) -> Self {
        sockets::prepare_tcp(&stream, silence_ms.div_ceil(1000).saturating_mul(2));
        sockets::give_up_after(&stream, silence_ms);
        Self::of(stream, true, Source::Stranger)
    }

    fn of(stream: Stream, is_connected: bool, source: Source) -> Self {
        let (input, output) = (Input::new(source), Output::default());
        let messages = VecDeque::new();
        Self { stream, is_connected, input, output, messages, message_bytes: 0 }
    }

    /// Whether it is connected.
    pub const fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// The socket.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What it waits for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        let fd = self.stream.as_fd();
        let reads = self.is_connected && !self.input.is_broken();
        let writes = !self.is_connected || 0 < self.waiting();
        let read = reads.then_some(Awaited::Readable(fd));
        read.into_iter().chain(writes.then_some(Awaited::Writable(fd)))
    }

    /// Bytes that wait to be sent. Messages count with what they take besides.
    pub fn waiting(&self) -> usize {
        self.output.len() + self.message_bytes
    }

    /// Bytes that there is room for.
    pub fn allocated(&self) -> usize {
        self.output.allocated() + self.message_bytes
    }

    /// Goes on to connect. True when it has just been connected.
    ///
    /// # Errors
    /// Why it will not be.
    pub fn go_on(&mut self) -> Result<bool, Failure> {
        match self.stream.is_connected() {
            Ok(connected) => {
                let is_news = connected && !self.is_connected;
                self.is_connected = connected;
                Ok(is_news)
            }
            Err(error) => Err(failure(&error)),
        }
    }

    /// Sends these bytes as soon as there is room.
    pub fn put(&mut self, bytes: &[u8]) {
        self.output.put(bytes);
    }

    /// Sends a message of so many bytes as soon as there is room, behind the messages that wait. A
    /// full header keeps its place among heartbeats: what it says of this node grows old.
    pub fn put_message(&mut self, packet: Arc<Packet>, bytes: usize, room: &mut Vec<u8>) {
        match *packet {
            Packet::Full(_) if self.messages.is_empty() => {
                room.clear();
                packet.encode(room);
                self.output.put(room);
            }
            Packet::Full(_) | Packet::Light(_) => {
                self.message_bytes += bytes + MESSAGE_OVERHEAD;
                self.messages.push_back(packet);
            }
        }
    }

    /// Makes messages ready to be sent, some at once. They are encoded in `room`.
    fn make_ready(&mut self, room: &mut Vec<u8>) {
        while self.output.len() < READY_BYTES
            && let Some(packet) = self.messages.pop_front()
        {
            room.clear();
            packet.encode(room);
            self.output.put(room);
            self.message_bytes -= room.len() + MESSAGE_OVERHEAD;
        }
    }

    /// Sends what there is room for; `room` is for messages.
    ///
    /// # Errors
    /// How the link has ended.
    pub fn write(&mut self, room: &mut Vec<u8>) -> Result<(), End> {
        while self.is_connected && 0 < self.waiting() {
            if self.output.is_empty() {
                self.make_ready(room);
            }
            match self.stream.send(self.output.first()) {
                Ok(Some(bytes)) => self.output.sent(bytes),
                Ok(None) => break,
                Err(error) => return Err(end(&error)),
            }
        }
        Ok(())
    }

    /// Takes in what has come, and adds the frames that are complete. Of senders that are
    /// known long frames are taken, too.
    ///
    /// # Errors
    /// How the link has ended. What came before is added.
    pub fn read(
        &mut self,
        room: &mut [u8],
        is_known: impl Fn(NodeId) -> bool,
        came: &mut Vec<Came>,
    ) -> Result<(), End> {
        let mut count = 0;
        while self.is_connected && !self.input.is_broken() && count < READ_BYTES_MAX {
            match self.stream.receive(room) {
                Ok(Some(0)) => return Err(End::ByPeer),
                Ok(Some(bytes)) => {
                    count += bytes;
                    // Redis and Valkey send by the links that they have made without TCP_NODELAY:
                    // a claim behind a request for votes waited for 40 ms.
                    self.stream.acknowledge();
                    self.input.take(&room[..bytes], &is_known, came);
                    if bytes < room.len() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => return Err(end(&error)),
            }
        }
        Ok(())
    }
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        _ => Failure::Other,
    }
}

fn end(error: &io::Error) -> End {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => End::ByPeer,
        _ => End::Other,
    }
}
