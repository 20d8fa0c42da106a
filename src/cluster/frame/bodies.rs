//! Bodies of frames that are no heartbeats.
//!
//! ```text
//! UPDATE   config epoch u64, id, slots
//! PUBLISH  length of the channel u32, of the message u32, both
//! MODULE   module's id u64, length u32, type u8, payload
//! ```

use super::reader::Reader;
use crate::cluster::ids::{Epoch, ID_LEN, NodeId};
use crate::cluster::slot_set::{SLOT_SET_LEN, SlotSet};

/// Who owns slots that the receiver claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The owner.
    pub node: NodeId,
    /// The epoch of its claim.
    pub config_epoch: Epoch,
    /// All slots that it owns.
    pub slots: SlotSet,
}

/// A message to subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The channel.
    pub channel: Vec<u8>,
    /// The message.
    pub message: Vec<u8>,
}

/// A message of a module to its like on other nodes. This server has no modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Which module, in the byte order of the sender.
    pub module: u64,
    /// Which message of the module.
    pub kind: u8,
    /// The message.
    pub payload: Vec<u8>,
}

impl Update {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let config_epoch = Epoch(reader.u64()?);
        let node = NodeId::parse(&reader.array::<ID_LEN>()?)?;
        let slots = SlotSet::of_bytes(&reader.array::<SLOT_SET_LEN>()?);
        Some(Self { node, config_epoch, slots })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.config_epoch.0.to_be_bytes());
        out.extend_from_slice(self.node.as_bytes());
        self.slots.write(out);
    }
}

impl Publish {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let (channel, message) = (reader.u32()?, reader.u32()?);
        let channel = reader.bytes(usize::try_from(channel).ok()?)?.to_vec();
        let message = reader.bytes(usize::try_from(message).ok()?)?.to_vec();
        Some(Self { channel, message })
    }

    /// How many bytes it has in a frame.
    pub(super) const fn len(&self) -> usize {
        8 + self.channel.len() + self.message.len()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        write_len(&self.channel, out);
        write_len(&self.message, out);
        out.extend_from_slice(&self.channel);
        out.extend_from_slice(&self.message);
    }
}

impl Module {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let (module, len, [kind]) = (reader.u64()?, reader.u32()?, reader.array()?);
        let payload = reader.bytes(usize::try_from(len).ok()?)?.to_vec();
        Some(Self { module, kind, payload })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.module.to_be_bytes());
        write_len(&self.payload, out);
        out.push(self.kind);
        out.extend_from_slice(&self.payload);
    }
}

fn write_len(bytes: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(bytes.len()).expect("messages are at most 512 MB");
    out.extend_from_slice(&len.to_be_bytes());
}
