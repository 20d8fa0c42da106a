//! Messages of clients, on their way between the shards of this node and other nodes.
//!
//! No queue grows without bound. Publishers wait while a shard is far ahead of control; what a slow
//! link or a slow shard cannot take is dropped, and counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::cluster::frame::Message;
use crate::cluster::frame::bodies::Publish;
use crate::cluster::machine::event::Event;
use crate::control::core::Control;
use crate::log;
use crate::mail::messages::{RECEIPT_BYTES, Word};
use crate::mail::to_shard::ToShard;
use crate::pubsub::kind::Kind;
use crate::pubsub::messages::Messages;
use crate::reactor::clock::Monotonic;
use crate::routing::slots::Peer;

/// Messages that are passed on before control does other work.
const MESSAGES_PER_TURN: usize = 512;
/// Bytes of messages of other nodes that one shard may have before it: beyond them it gets none.
const SHARD_BYTES_MAX: usize = 64 << 20;
/// How often the log says that messages are dropped.
const COMPLAIN_MS: u64 = 30_000;

/// Messages on their way.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// What clients of each shard have published and is not passed on.
    waiting: VecDeque<(Peer, Box<Messages>)>,
    /// Bytes that were passed on, and the shard does not know it.
    passed: BTreeMap<Peer, usize>,
    /// What has come from other nodes in this turn.
    came: Messages,
    /// Bytes that a shard was sent and has not handed out.
    under_way: BTreeMap<Peer, usize>,
    /// Messages that shards were not sent.
    dropped: u64,
    /// How many messages had been dropped when the log last said so, and when that was.
    complained: (u64, Option<Monotonic>),
}

impl Publishing {
    /// A message has come for subscribers here.
    pub fn take(&mut self, message: &Message) {
        match message {
            Message::Publish(Publish { channel, message }) => {
                self.came.push(Kind::Channel, channel, message);
            }
            Message::PublishShard(Publish { channel, message }) => {
                self.came.push(Kind::ShardChannel, channel, message);
            }
            // There are no modules.
            Message::Module(_) => {}
        }
    }

    /// Messages of other nodes that did not reach a shard.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Control {
    /// Clients of a shard publish messages.
    pub(crate) fn shard_publishes(&mut self, shard: Peer, messages: Box<Messages>) {
        match &mut self.clustering {
            Some(clustering) => clustering.publishing.waiting.push_back((shard, messages)),
            // The process ends, and its links have ended.
            None => self.tell_passed(shard, messages.size()),
        }
    }

    /// A shard has handed out messages of other nodes.
    pub(crate) fn shard_handed_out(&mut self, shard: Peer, bytes: usize) {
        if let Some(clustering) = &mut self.clustering {
            *clustering.publishing.under_way.entry(shard).or_default() -= bytes;
        }
    }

    /// Passes some of the messages on that wait. True if some are left.
    pub(super) fn pass_messages_on(&mut self) -> bool {
        let mut left = MESSAGES_PER_TURN;
        while 0 < left
            && let Some(clustering) = &mut self.clustering
            && let Some((shard, messages)) = clustering.publishing.waiting.pop_front()
        {
            left = left.saturating_sub(messages.len());
            let passed = clustering.publishing.passed.entry(shard).or_default();
            *passed += messages.size();
            let receipt = (RECEIPT_BYTES <= *passed).then(|| std::mem::take(passed));
            if 1 < clustering.machine.nodes().len() {
                messages.iter().for_each(|message| self.publish_in_cluster(message));
            }
            receipt.into_iter().for_each(|bytes| self.tell_passed(shard, bytes));
        }
        self.clustering.as_ref().is_some_and(|it| !it.publishing.waiting.is_empty())
    }

    fn publish_in_cluster(&mut self, (kind, channel, payload): (Kind, &[u8], &[u8])) {
        let publish = Publish { channel: channel.to_vec(), message: payload.to_vec() };
        let message = match kind {
            Kind::ShardChannel => Message::PublishShard(publish),
            Kind::Channel | Kind::Pattern | Kind::Prefix | Kind::Monitor => {
                Message::Publish(publish)
            }
        };
        self.cluster_hears(Event::Publish(message));
    }

    fn tell_passed(&mut self, shard: Peer, bytes: usize) {
        self.mailbox.send(shard, ToShard::PubSub(Word::Passed(bytes)));
    }

    /// Sends the shards what has come from other nodes.
    pub(super) fn deliver_messages(&mut self) {
        let Some(clustering) = &mut self.clustering else { return };
        let publishing = &mut clustering.publishing;
        if publishing.came.is_empty() {
            return;
        }
        let messages = Arc::new(std::mem::take(&mut publishing.came));
        for shard in 0..self.mailbox.shards() {
            let under_way = publishing.under_way.entry(shard).or_default();
            if SHARD_BYTES_MAX < *under_way {
                publishing.dropped += messages.len() as u64;
                continue;
            }
            *under_way += messages.size();
            let word = Word::FromNodes(Arc::clone(&messages));
            self.mailbox.send(shard, ToShard::PubSub(word));
        }
    }

    /// Says in the log that messages are dropped.
    pub(super) fn complain_of_messages(&mut self) {
        let now = self.node.now;
        let Some(clustering) = &mut self.clustering else { return };
        let dropped = clustering.messages_dropped();
        let (to_nodes, to_shards) = dropped;
        let (said, at) = clustering.publishing.complained;
        let is_due = at.is_none_or(|at| COMPLAIN_MS <= now.millis_since(at));
        if said < to_nodes + to_shards && is_due {
            clustering.publishing.complained = (to_nodes + to_shards, Some(now));
            log::warning(&format!(
                "Messages of PUBLISH and SPUBLISH are dropped: {to_nodes} so far that other nodes, \
                 or the disk of nodes.conf, were too slow for, {to_shards} that shards were."
            ));
        }
    }
}
