//! Messages from their publisher to every shard with subscribers, and there to clients.
//!
//! Every shard knows how many subscribers of what every shard has (`pubsub::interest`). So a
//! message is counted and sent off where its publisher is: at once to clients here, by letter to
//! other shards, to those alone that have subscribers. Messages of one publisher take one queue to
//! each shard: they arrive in the order in which they were sent, on whatever channels.

use std::collections::VecDeque;

use hashbrown::HashMap;
use shards::base::glob::matches;
use shards::resp::reply::Protocol;

use crate::batches::batch::Batch;
use crate::clients::client::Client;
use crate::mail::messages::Word;
use crate::mail::to_shard::ToShard;
use crate::pubsub::interest::Interest;
use crate::pubsub::kind::Kind;
use crate::pubsub::messages::{Message, Messages, frame};
use crate::pubsub::registry::{Registry, Subscriber};
use crate::reactor::ring::Token;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::shard::messages::other_nodes::OtherNodes;
use crate::shard::messages::subscribing::Announced;

/// What a shard knows of subscriptions.
#[derive(Debug, Default)]
pub struct PubSub {
    /// Its own clients'.
    pub registry: Registry,
    /// All shards'.
    pub interest: Interest,
    /// Subscriptions that not all shards know of: messages of those that do not do not count them.
    pub(crate) joining: Vec<Pending>,
    /// Subscriptions that have ended, though not all shards know it: messages of those that do not
    /// still count them.
    pub(crate) ended: Vec<Pending>,
    /// Announcements under way, by number.
    pub(crate) announced: HashMap<u64, Announced>,
    /// The number of the next announcement.
    pub(crate) announcements: u64,
    /// Batches whose announcement every shard has noted.
    pub(crate) told: VecDeque<Box<Batch>>,
    /// Messages to and from other nodes of the cluster.
    pub(crate) other_nodes: OtherNodes,
    /// Batches that would publish more than other threads can take.
    pub(crate) crowded: Vec<Box<Batch>>,
    /// Messages for other shards, by shard.
    outgoing: Vec<Messages>,
    /// Some of `outgoing` is not empty, or something is for other nodes.
    pub(crate) waiting: bool,
    /// What the client that is being served has sent to itself: it follows its reply.
    own: Vec<u8>,
    /// Scratch: subscribers by shard.
    reached: Vec<usize>,
}

/// A beginning or end of a subscription that not all shards know of.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The subscription.
    pub subscription: Subscription,
    /// Those that do not.
    pub unaware: Vec<Peer>,
}

/// What a client listens to, or did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Whose it was.
    pub token: Token,
    /// What it was.
    pub kind: Kind,
    /// Its channel or pattern.
    pub name: Box<[u8]>,
}

/// The client in whose name something is published, at its home.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    /// The client.
    pub token: Token,
    /// What it speaks.
    pub protocol: Protocol,
}

impl PubSub {
    /// What one of so many shards knows at first.
    pub(crate) fn new(shards: usize) -> Self {
        let outgoing = (0..shards).map(|_| Messages::default()).collect();
        Self { outgoing, reached: vec![0; shards], ..Self::default() }
    }
}

impl Core {
    /// Sends a message to all subscribers of a channel; how many there are.
    pub(crate) fn publish(
        &mut self,
        kind: Kind,
        channel: &[u8],
        payload: &[u8],
        author: Option<Author>,
    ) -> usize {
        let me = self.me();
        let mut reached = std::mem::take(&mut self.pubsub.reached);
        self.pubsub.interest.shards(kind, channel, |shard, count| reached[shard] += count);
        let mut receivers = 0;
        for (shard, count) in reached.iter_mut().enumerate().filter(|(_, count)| **count != 0) {
            receivers += std::mem::take(count);
            if shard == me {
                self.hand_out((kind, channel, payload), author, None);
            } else {
                self.pubsub.outgoing[shard].push(kind, channel, payload);
                self.pubsub.waiting = true;
            }
        }
        self.pubsub.reached = reached;
        receivers
    }

    /// Sends what waits for one shard.
    pub(crate) fn send_messages_to(&mut self, shard: Peer) {
        let messages = &mut self.pubsub.outgoing[shard];
        if !messages.is_empty() {
            let messages = Box::new(std::mem::take(messages));
            self.mailbox.send(shard, ToShard::PubSub(Word::Messages(messages)));
        }
    }

    /// Sends messages off, and lets those go on that waited for room.
    #[inline]
    pub(crate) fn send_messages(&mut self) {
        if !self.pubsub.crowded.is_empty() && !self.is_mail_crowded() {
            self.resumed.extend(self.pubsub.crowded.drain(..));
        }
        if self.pubsub.waiting {
            self.pubsub.waiting = false;
            (0..self.pubsub.outgoing.len()).for_each(|shard| self.send_messages_to(shard));
            self.send_to_nodes();
        }
    }

    /// Hands out messages of another shard.
    pub(crate) fn receive_messages(&mut self, from: Peer, messages: &Messages) {
        for message in messages.iter() {
            self.hand_out_to_ended(message, from);
            self.hand_out(message, None, Some(from));
        }
    }

    /// Gives a message to all clients here that listen to its channel, and that the shard knew of
    /// that it comes from. Other nodes (`from` is `None`) count no subscribers.
    pub(crate) fn hand_out(
        &mut self,
        message: Message<'_>,
        author: Option<Author>,
        from: Option<Peer>,
    ) {
        let (kind, channel, _) = message;
        let Self { pubsub: PubSub { registry, joining, own, .. }, clients, .. } = self;
        let known = |token: Token, pattern: Option<&[u8]>| {
            let kind = if pattern.is_some() { Kind::Pattern } else { kind };
            let name = pattern.unwrap_or(channel);
            !joining.iter().any(|Pending { subscription, unaware }| {
                subscription.token == token
                    && subscription.kind == kind
                    && *subscription.name == *name
                    && from.is_some_and(|from| unaware.contains(&from))
            })
        };
        registry.receivers(kind, channel, |pattern, subscribers| {
            let mut frames = Frames::new(message, pattern);
            for &Subscriber(bits) in subscribers {
                let token = Token::from_bits(bits);
                if !known(token, pattern) {
                    continue;
                }
                let to_author = author.filter(|author| author.token == token);
                match clients.get(token) {
                    Some(client) => {
                        let frame = frames.of(client.session.protocol);
                        if client.pushes.wait || to_author.is_some() {
                            client.pushes.held.extend_from_slice(frame);
                        } else {
                            client.out.extend_from_slice(frame);
                        }
                        clients.mark_dirty_at(token);
                    }
                    None => {
                        let author = to_author.expect("only who is being served is not there");
                        own.extend_from_slice(frames.of(author.protocol));
                    }
                }
            }
        });
    }

    /// Gives a message that was counted elsewhere to those who have unsubscribed meanwhile. It
    /// stands in front of the reply that says so.
    fn hand_out_to_ended(&mut self, message: Message<'_>, from: Peer) {
        let (kind, channel, _) = message;
        let Self { pubsub: PubSub { ended, .. }, clients, .. } = self;
        let pending = ended.iter().filter(|pending| pending.unaware.contains(&from));
        for left in pending.map(|pending| &pending.subscription) {
            let pattern = (left.kind == Kind::Pattern).then_some(&*left.name);
            let hears = match pattern {
                Some(pattern) => kind == Kind::Channel && matches(pattern, channel),
                None => kind == left.kind && *left.name == *channel,
            };
            if let Some(client) = clients.get(left.token)
                && hears
            {
                let mut frames = Frames::new(message, pattern);
                client.out.extend_from_slice(frames.of(client.session.protocol));
                clients.mark_dirty_at(left.token);
            }
        }
    }

    /// Appends what the client that is being served has sent to itself.
    pub(crate) fn take_own_messages(&mut self, client: &mut Client, out: &mut Vec<u8>) {
        let own = &mut self.pubsub.own;
        if client.pushes.held.is_empty() {
            out.append(own);
        } else {
            // Earlier ones wait for the batch to be home.
            client.pushes.held.append(own);
        }
    }
}

/// One message in the protocols of those who get it, made when first needed.
struct Frames<'a> {
    message: Message<'a>,
    pattern: Option<&'a [u8]>,
    resp2: Option<Vec<u8>>,
    resp3: Option<Vec<u8>>,
}

impl<'a> Frames<'a> {
    fn new(message: Message<'a>, pattern: Option<&'a [u8]>) -> Self {
        Self { message, pattern, resp2: None, resp3: None }
    }

    fn of(&mut self, protocol: Protocol) -> &[u8] {
        let (message, pattern) = (self.message, self.pattern);
        let made = match protocol {
            Protocol::Resp2 => &mut self.resp2,
            Protocol::Resp3 => &mut self.resp3,
        };
        made.get_or_insert_with(|| frame(protocol, message, pattern))
    }
}
