//! Messages to and from other nodes of the cluster, by way of control, which has the links.
//!
//! ```text
//! publisher's home --Publish--> control --frames--> other nodes --frames--> control
//!                  <--Passed---         all shards --HandedOut--> control <-- FromNodes to all
//! ```
//! Each way the receiver says what it has taken. A shard that is far ahead of control lets its
//! publishers wait; control drops what is for a shard that is far behind.

use crate::mail::messages::{RECEIPT_BYTES, UNDER_WAY_MAX};
use crate::mail::to_control::ToControl;
use crate::pubsub::kind::Kind;
use crate::pubsub::messages::Messages;
use crate::shard::core::Core;

/// Bytes of messages in one letter, and messages, as a rule: control does other work between
/// letters.
const LETTER_BYTES: usize = 64 << 10;
/// See [`LETTER_BYTES`].
const LETTER_MESSAGES: usize = 256;

/// Messages on their way between a shard and other nodes.
#[derive(Debug, Default)]
pub(crate) struct OtherNodes {
    /// What is to be sent to control.
    outgoing: Messages,
    /// Bytes that control was sent and has not passed on.
    under_way: usize,
    /// Bytes that were handed out here, and control does not know it.
    handed_out: usize,
}

impl Core {
    /// Whether who publishes should wait: other shards or control have enough to do.
    pub(crate) fn is_mail_crowded(&self) -> bool {
        self.mailbox.crowded() || UNDER_WAY_MAX < self.pubsub.other_nodes.under_way
    }

    /// Sends a client's message to other nodes.
    pub(crate) fn publish_to_nodes(&mut self, kind: Kind, channel: &[u8], payload: &[u8]) {
        self.pubsub.waiting = true;
        let outgoing = &mut self.pubsub.other_nodes.outgoing;
        outgoing.push(kind, channel, payload);
        if LETTER_BYTES <= outgoing.size() || LETTER_MESSAGES <= outgoing.len() {
            self.send_to_nodes();
        }
    }

    /// Sends what waits for other nodes to control.
    pub(crate) fn send_to_nodes(&mut self) {
        let OtherNodes { outgoing, under_way, .. } = &mut self.pubsub.other_nodes;
        if !outgoing.is_empty() {
            let messages = Box::new(std::mem::take(outgoing));
            *under_way += messages.size();
            self.mailbox.tell_control(ToControl::Publish(messages));
        }
    }

    /// Control has passed so many bytes on.
    pub(crate) fn passed_to_nodes(&mut self, bytes: usize) {
        self.pubsub.other_nodes.under_way -= bytes;
    }

    /// Hands out messages of other nodes.
    pub(crate) fn receive_from_nodes(&mut self, messages: &Messages) {
        for message in messages.iter() {
            self.hand_out(message, None, None);
        }
        let handed_out = &mut self.pubsub.other_nodes.handed_out;
        *handed_out += messages.size();
        if RECEIPT_BYTES <= *handed_out {
            let bytes = std::mem::take(handed_out);
            self.mailbox.tell_control(ToControl::HandedOut(bytes));
        }
    }
}
