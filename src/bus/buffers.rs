//! Bytes of a link on their way: what has come of frames, and what waits to be sent. Buffers that a
//! long frame has made long are given back behind it.

use std::collections::VecDeque;

use crate::cluster::frame::{Broken, MEASURED_LEN, Packet, measure};
use crate::cluster::ids::NodeId;

/// Bytes of room that an empty buffer keeps at most.
pub const KEPT_BYTES: usize = 64 << 10;
/// Bytes of a frame by a link whose sender is not known: any heartbeat, and no client's message.
pub const STRANGERS_BYTES_MAX: usize = 128 << 10;

/// What has come by a link.
#[derive(Debug)]
pub enum Came {
    /// A frame, and how many bytes it has.
    Packet(Packet, usize),
    /// Bytes that are none.
    Broken(Broken),
}

/// What has come of a frame.
#[derive(Debug)]
pub struct Input {
    bytes: Vec<u8>,
    source: Source,
    /// The node that the last full frame was from.
    sender: Option<NodeId>,
}

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A node that this one knows: it may send clients' messages of any length.
    Known,
    /// Another one.
    Stranger,
    /// Bytes came that are no frame: the rest is not read.
    Broken,
}

impl Input {
    /// Nothing yet.
    pub const fn new(source: Source) -> Self {
        Self { bytes: Vec::new(), source, sender: None }
    }

    /// Whether bytes came that are no frame: nothing more is taken in.
    pub fn is_broken(&self) -> bool {
        self.source == Source::Broken
    }

    /// Takes in `bytes`, and adds the frames that are complete. A sender that `is_known` is no
    /// stranger from its first frame on.
    pub fn take(&mut self, bytes: &[u8], is_known: impl Fn(NodeId) -> bool, came: &mut Vec<Came>) {
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| MEASURED_LEN <= rest.len()) {
            let measured = measure(rest);
            let is_long = measured.is_ok_and(|length| STRANGERS_BYTES_MAX < length);
            if is_long && self.source == Source::Stranger && self.sender.is_some_and(&is_known) {
                // It has become known since its last frame.
                self.source = Source::Known;
            }
            let Ok(length) = measured.and_then(|length| self.source.limit(length)) else {
                self.source = Source::Broken;
                came.push(Came::Broken(Broken::NotAFrame));
                break;
            };
            let Some(frame) = rest.get(..length) else { break };
            let decoded = Packet::decode(frame);
            if let (Source::Stranger, Ok(Packet::Full(frame))) = (self.source, &decoded) {
                self.sender = Some(frame.header.sender);
                if is_known(frame.header.sender) {
                    self.source = Source::Known;
                }
            }
            came.push(match decoded {
                Ok(packet) => Came::Packet(packet, length),
                Err(broken) => Came::Broken(broken),
            });
            at += length;
        }
        self.bytes.drain(..at);
        if let Some(room) = room_to_keep(self.bytes.len(), self.bytes.capacity()) {
            self.bytes.shrink_to(room);
        }
    }
}

impl Source {
    const fn limit(self, length: usize) -> Result<usize, Broken> {
        match self {
            Self::Known => Ok(length),
            Self::Stranger if length <= STRANGERS_BYTES_MAX => Ok(length),
            Self::Stranger | Self::Broken => Err(Broken::NotAFrame),
        }
    }
}

/// What waits to be sent.
#[derive(Debug, Default)]
pub struct Output(VecDeque<u8>);

impl Output {
    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// The first bytes; none if nothing waits.
    pub fn first(&self) -> &[u8] {
        self.0.as_slices().0
    }

    /// Drops so many of the first bytes: they are sent.
    pub fn sent(&mut self, count: usize) {
        self.0.drain(..count);
        if let Some(room) = room_to_keep(self.0.len(), self.0.capacity()) {
            self.0.shrink_to(room);
        }
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For how many bytes there is room.
    pub fn allocated(&self) -> usize {
        self.0.capacity()
    }
}

/// The room that a buffer of `len` bytes keeps; `None` if it has no more than it may need soon.
pub fn room_to_keep(len: usize, capacity: usize) -> Option<usize> {
    let is_long = KEPT_BYTES < capacity && len <= capacity / 4;
    is_long.then_some(KEPT_BYTES.max(2 * len))
}

#[cfg(test)]
mod tests;
