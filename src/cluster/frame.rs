//! Frames of the cluster bus: bytes in, values out, and back.
//!
//! ```text
//! RCmb | length u32 | version u16 = 1 | ...                  all numbers are big-endian
//! full:  a header of 2256 bytes (`header`), then a body
//! light: 16 bytes, bit 15 of the type is set, then the body of a message of clients or modules
//!
//! PING PONG MEET          gossip entries (`gossip`), extensions (`extensions`)
//! FAIL UPDATE PUBLISH PUBLISHSHARD MODULE                     `bodies`
//! AUTH_REQUEST AUTH_ACK MFSTART                               nothing
//! ```
//! A frame has exactly the length that its content needs; what differs is dropped.

mod reader;
pub mod header;
pub mod gossip;
pub mod extensions;
pub mod bodies;

use bodies::{Module, Publish, Update};
use extensions::Extension;
use gossip::Entry;
use header::Header;
use reader::Reader;

use crate::cluster::ids::NodeId;
use crate::cluster::slot_set::SLOT_SET_LEN;

const SIGNATURE: &[u8; 4] = b"RCmb";
const VERSION: u16 = 1;
/// Bytes of a full header.
pub const HEADER_LEN: usize = 2256;
/// Bytes of a light header.
pub const LIGHT_LEN: usize = 16;
/// Bytes that [`measure`] needs.
pub const MEASURED_LEN: usize = 14;
/// The bit of the type that says that the header is light.
const LIGHT: u16 = 0x8000;
/// The longest frame without a client's message. Gossip and extensions cannot be longer: their
/// numbers have 16 bits.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// The longest frame with a message: a channel and a message of 512 MB each.
const MESSAGE_BYTES_MAX: usize = HEADER_LEN + (1 << 30) + 64;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Is the receiver alive? It answers by a PONG.
    Ping,
    /// The sender is alive.
    Pong,
    /// A PING of a node that wants to be known.
    Meet,
    /// A majority says that a node has failed.
    Fail,
    /// PUBLISH.
    Publish,
    /// A replica asks for a vote.
    AuthRequest,
    /// A vote.
    AuthAck,
    /// A newer owner of slots that the receiver claims.
    Update,
    /// A replica asks its primary for a manual failover.
    MfStart,
    /// A message of a module.
    Module,
    /// SPUBLISH.
    PublishShard,
}

impl Kind {
    /// All of them, by their numbers.
    pub const ALL: [Self; 11] = [
        Self::Ping,
        Self::Pong,
        Self::Meet,
        Self::Fail,
        Self::Publish,
        Self::AuthRequest,
        Self::AuthAck,
        Self::Update,
        Self::MfStart,
        Self::Module,
        Self::PublishShard,
    ];

    /// As `cluster_stats_messages_..` of CLUSTER INFO calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Meet => "meet",
            Self::Fail => "fail",
            Self::Publish => "publish",
            Self::AuthRequest => "auth-req",
            Self::AuthAck => "auth-ack",
            Self::Update => "update",
            Self::MfStart => "mfstart",
            Self::Module => "module",
            Self::PublishShard => "publishshard",
        }
    }

    /// Its number in frames.
    const fn number(self) -> u16 {
        self as u16
    }

    fn of_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// What is sent at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A frame that says all about its sender.
    Full(Box<Frame>),
    /// A message by a link whose sender is known.
    Light(Message),
}

/// A frame with a full header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the sender says of itself.
    pub header: Header,
    /// What else it says.
    pub body: Body,
}

/// What a frame says besides its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// PING, PONG or MEET.
    Heartbeat(Beat, Heartbeat),
    /// This node has failed.
    Fail(NodeId),
    /// A vote is asked for.
    AuthRequest,
    /// The vote.
    AuthAck,
    /// A newer owner of slots.
    Update(Update),
    /// A manual failover is asked for.
    MfStart,
    /// A message of a client or module.
    Message(Message),
    /// A type that a later version may know, and how many bytes it has.
    Unknown(u16, Vec<u8>),
}

/// Which heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// PING
    Ping,
    /// PONG
    Pong,
    /// MEET
    Meet,
}

/// What a heartbeat says besides its header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Of other nodes. Empty if one of the ids that came is none.
    pub gossip: Vec<Entry>,
    /// More of the sender.
    pub extensions: Vec<Extension>,
}

/// What may come behind a light header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// PUBLISH
    Publish(Publish),
    /// SPUBLISH
    PublishShard(Publish),
    /// A module's.
    Module(Module),
}

/// Why bytes are no frame that is acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// They do not begin like a frame, or cannot be one: the link is closed.
    NotAFrame,
    /// The version is another, or the length does not fit the content: the frame is dropped.
    Odd,
}

/// The length of the frame that begins with `start`, which has at least [`MEASURED_LEN`] bytes.
///
/// # Errors
/// If no frame begins so.
pub fn measure(start: &[u8]) -> Result<usize, Broken> {
    let mut reader = Reader::new(start);
    let read = |reader: &mut Reader<'_>| {
        let (signature, length) = (reader.array::<4>()?, reader.u32()?);
        let (_version, _port, kind) = (reader.u16()?, reader.u16()?, reader.u16()?);
        Some((signature, usize::try_from(length).ok()?, kind))
    };
    let (signature, length, kind) = read(&mut reader).ok_or(Broken::NotAFrame)?;
    let least = if kind & LIGHT == 0 { HEADER_LEN } else { LIGHT_LEN };
    let most = match Kind::of_number(kind & !LIGHT) {
        Some(Kind::Publish | Kind::PublishShard | Kind::Module) => MESSAGE_BYTES_MAX,
        Some(_) | None => FRAME_BYTES_MAX,
    };
    let fits = least <= length && length <= most;
    if signature == *SIGNATURE && fits { Ok(length) } else { Err(Broken::NotAFrame) }
}

impl Packet {
    /// The packet that these bytes are, all of them.
    ///
    /// # Errors
    /// If they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Broken> {
        if bytes.len() < MEASURED_LEN || measure(bytes)? != bytes.len() {
            return Err(Broken::NotAFrame);
        }
        let mut reader = Reader::new(&bytes[SIGNATURE.len() + 4..]);
        if reader.u16() != Some(VERSION) {
            return Err(Broken::Odd);
        }
        let kind = u16::from_be_bytes([bytes[12], bytes[13]]);
        let packet = if kind & LIGHT == 0 {
            decode_full(kind, &mut reader).map(|frame| Self::Full(Box::new(frame)))
        } else {
            reader.skip(LIGHT_LEN - 10);
            decode_light(kind & !LIGHT, &mut reader).map(Self::Light)
        };
        let packet = packet.ok_or(Broken::Odd)?;
        if reader.is_empty() { Ok(packet) } else { Err(Broken::Odd) }
    }

    /// Appends the bytes of the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(SIGNATURE);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_be_bytes());
        match self {
            Self::Full(frame) => frame.encode(out),
            Self::Light(message) => {
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(&(message.kind().number() | LIGHT).to_be_bytes());
                out.extend_from_slice(&[0; 2]);
                message.encode(out);
            }
        }
        let length = u32::try_from(out.len() - start).expect("frames are shorter than 4 GiB");
        out[start + 4..start + 8].copy_from_slice(&length.to_be_bytes());
    }

    /// How many bytes it has; `None` if it carries no client's message.
    pub fn message_len(&self) -> Option<usize> {
        let (header, publish) = match self {
            Self::Light(Message::Publish(publish) | Message::PublishShard(publish)) => {
                (LIGHT_LEN, publish)
            }
            Self::Full(frame) => match &frame.body {
                Body::Message(Message::Publish(publish) | Message::PublishShard(publish)) => {
                    (HEADER_LEN, publish)
                }
                _ => return None,
            },
            Self::Light(Message::Module(_)) => return None,
        };
        Some(header + publish.len())
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        let body = match self {
            Self::Light(message) => return LIGHT_LEN + message.weight(),
            Self::Full(frame) => &frame.body,
        };
        let more = match body {
            Body::Heartbeat(_, heartbeat) => {
                size_of_val(&heartbeat.gossip[..]) + size_of_val(&heartbeat.extensions[..])
            }
            Body::Message(message) => message.weight(),
            Body::Unknown(_, bytes) => bytes.len(),
            Body::Fail(_) | Body::AuthRequest | Body::AuthAck | Body::MfStart => 0,
            Body::Update(_) => SLOT_SET_LEN,
        };
        HEADER_LEN + more
    }

    /// What it is for; `None` if this version does not know.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Full(frame) => frame.body.kind(),
            Self::Light(message) => Some(message.kind()),
        }
    }
}

fn decode_full(kind: u16, reader: &mut Reader<'_>) -> Option<Frame> {
    let (header, counts) = Header::decode(reader)?;
    let body = match Kind::of_number(kind) {
        Some(Kind::Ping) => Body::Heartbeat(Beat::Ping, heartbeat(reader, counts)?),
        Some(Kind::Pong) => Body::Heartbeat(Beat::Pong, heartbeat(reader, counts)?),
        Some(Kind::Meet) => Body::Heartbeat(Beat::Meet, heartbeat(reader, counts)?),
        Some(Kind::Fail) => Body::Fail(NodeId::parse(&reader.array::<40>()?)?),
        Some(Kind::AuthRequest) => Body::AuthRequest,
        Some(Kind::AuthAck) => Body::AuthAck,
        Some(Kind::Update) => Body::Update(Update::decode(reader)?),
        Some(Kind::MfStart) => Body::MfStart,
        Some(Kind::Publish | Kind::PublishShard | Kind::Module) => {
            Body::Message(decode_light(kind, reader)?)
        }
        None => Body::Unknown(kind, reader.rest().to_vec()),
    };
    Some(Frame { header, body })
}

fn decode_light(kind: u16, reader: &mut Reader<'_>) -> Option<Message> {
    match Kind::of_number(kind)? {
        Kind::Publish => Publish::decode(reader).map(Message::Publish),
        Kind::PublishShard => Publish::decode(reader).map(Message::PublishShard),
        Kind::Module => Module::decode(reader).map(Message::Module),
        Kind::Ping
        | Kind::Pong
        | Kind::Meet
        | Kind::Fail
        | Kind::AuthRequest
        | Kind::AuthAck
        | Kind::Update
        | Kind::MfStart => None,
    }
}

/// How many gossip entries and extensions a header announces.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    gossip: u16,
    extensions: u16,
}

fn heartbeat(reader: &mut Reader<'_>, counts: Counts) -> Option<Heartbeat> {
    let mut entries = Vec::new();
    let mut are_ids = true;
    for _ in 0..counts.gossip {
        match Entry::decode(reader)? {
            Ok(entry) => entries.push(entry),
            Err(gossip::NoId) => are_ids = false,
        }
    }
    let gossip = if are_ids { entries } else { Vec::new() };
    let extensions = (0..counts.extensions).map(|_| Extension::decode(reader));
    Some(Heartbeat { gossip, extensions: extensions.collect::<Option<_>>()? })
}

impl Frame {
    /// Appends what follows the version.
    fn encode(&self, out: &mut Vec<u8>) {
        let counts = match &self.body {
            Body::Heartbeat(_, heartbeat) => Counts {
                gossip: u16::try_from(heartbeat.gossip.len()).expect("gossip is short"),
                extensions: u16::try_from(heartbeat.extensions.len()).expect("they are few"),
            },
            _ => Counts::default(),
        };
        self.header.encode(self.body.number(), counts, out);
        match &self.body {
            Body::Heartbeat(_, heartbeat) => {
                heartbeat.gossip.iter().for_each(|entry| entry.encode(out));
                heartbeat.extensions.iter().for_each(|extension| extension.encode(out));
            }
            Body::Fail(node) => out.extend_from_slice(node.as_bytes()),
            Body::AuthRequest | Body::AuthAck | Body::MfStart => {}
            Body::Update(update) => update.encode(out),
            Body::Message(message) => message.encode(out),
            Body::Unknown(_, bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl Body {
    /// What it is for; `None` if this version does not know.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Heartbeat(Beat::Ping, _) => Kind::Ping,
            Self::Heartbeat(Beat::Pong, _) => Kind::Pong,
            Self::Heartbeat(Beat::Meet, _) => Kind::Meet,
            Self::Fail(_) => Kind::Fail,
            Self::AuthRequest => Kind::AuthRequest,
            Self::AuthAck => Kind::AuthAck,
            Self::Update(_) => Kind::Update,
            Self::MfStart => Kind::MfStart,
            Self::Message(message) => message.kind(),
            Self::Unknown(..) => return None,
        })
    }

    fn number(&self) -> u16 {
        match (self, self.kind()) {
            (Self::Unknown(number, _), _) => *number,
            (_, kind) => kind.expect("other bodies have one").number(),
        }
    }
}

impl Message {
    /// What it is for.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Publish(_) => Kind::Publish,
            Self::PublishShard(_) => Kind::PublishShard,
            Self::Module(_) => Kind::Module,
        }
    }

    /// Bytes of it, without any header.
    pub const fn weight(&self) -> usize {
        match self {
            Self::Publish(publish) | Self::PublishShard(publish) => publish.len(),
            Self::Module(module) => module.payload.len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Publish(publish) | Self::PublishShard(publish) => publish.encode(out),
            Self::Module(module) => module.encode(out),
        }
    }
}

#[cfg(test)]
mod tests;
