//! SUBSCRIBE, UNSUBSCRIBE and their kin: what they change is made known to every shard before
//! they are answered.
//!
//! ```text
//! home: registry changed --> Interest to every other shard --> Noted from each --> reply
//! ```
//! So a shard that publishes after the reply knows of the change. Until then messages for new
//! subscriptions wait behind the reply, and messages that still count an ended one go out in front
//! of it. A shard's letters arrive in order: its word that it has noted the change comes behind all
//! that it sent before.

use crate::mail::messages::News;
use crate::mail::messages::Word;
use crate::pubsub::interest::Changes;
use shards::resp::reply::Replies;

use crate::batches::batch::Batch;
use crate::clients::client::Client;
use crate::clients::tracker::Found;
use crate::clients::tracker::Redirect;
use crate::mail::to_shard::ToShard;
use crate::pubsub::kind::Kind;
use crate::pubsub::messages::confirm;
use crate::pubsub::registry::Subscriber;
use crate::pubsub::subscriptions::Name;
use crate::reactor::ring::Token;
use crate::routing::call::{Call, PubSubStep};
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::shard::messages::publishing::{Author, Pending, PubSub, Subscription};
use crate::shard::requests::home::{AtHome, Needs, give_back};

/// What other shards are to know before a reply is given.
#[derive(Debug, Default)]
pub(crate) struct Announcement {
    /// What has changed.
    pub changes: Changes,
    /// The reply.
    pub reply: Vec<u8>,
}

/// An announcement that is under way.
#[derive(Debug)]
pub(crate) struct Announced {
    /// Whose subscriptions have changed.
    token: Token,
    /// Shards that have not noted it.
    left: usize,
    /// Who waits for it.
    batch: Option<Box<Batch>>,
    /// What was found that is looked for.
    found: Option<Found>,
}

impl Core {
    /// Runs a command about channels for a client that is at home, outside of EXEC.
    pub(crate) fn pubsub_step(
        &mut self,
        client: &mut Client,
        call: &'static Call,
        step: PubSubStep,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> AtHome {
        if let PubSubStep::Publish(kind) = step {
            if self.is_mail_crowded() {
                return AtHome::Needs(Needs::Mailroom);
            }
            let author = Author { token: client.token, protocol: client.session.protocol };
            self.publish_command(call, kind, args, author, out);
            self.take_own_messages(client, out);
            return AtHome::Done;
        }
        if step == PubSubStep::Track {
            return self.track(client, call, args, out);
        }
        if step == PubSubStep::Monitor {
            return self.begin_monitoring(client, call);
        }
        let mut announcement = Announcement::default();
        let Announcement { changes, reply } = &mut announcement;
        self.subscribe_command(client, call, step, args, changes, reply);
        AtHome::Needs(Needs::Known(announcement))
    }

    /// PUBLISH channel message, SPUBLISH shardchannel message
    pub(crate) fn publish_command(
        &mut self,
        call: &Call,
        kind: Kind,
        args: &[&[u8]],
        author: Author,
        out: &mut Vec<u8>,
    ) {
        self.publish_events(Some(author));
        let receivers = self.publish(kind, args[1], args[2], Some(author));
        if self.node.cluster.is_some() {
            self.publish_to_nodes(kind, args[1], args[2]);
        } else if self.shard.effects.keeps_log {
            // Replicas have subscribers, too, and no other way to hear of it than a cluster's bus.
            // Channels are of no database.
            self.shard.effects.log.push(0, args);
        }
        let written = out.len();
        let mut replies = Replies::new(out, author.protocol);
        replies.integer(i64::try_from(receivers).expect("clients are few"));
        let took = self.count(call, false);
        self.observe(call, args, took, out.len() - written);
    }

    /// A command that begins or ends subscriptions of a client. What it changes is to be
    /// announced.
    pub(crate) fn subscribe_command(
        &mut self,
        client: &mut Client,
        call: &Call,
        step: PubSubStep,
        args: &[&[u8]],
        changes: &mut Changes,
        reply: &mut Vec<u8>,
    ) {
        let author = Author { token: client.token, protocol: client.session.protocol };
        let written = reply.len();
        // Earlier events are not for new subscribers, but still for those who leave.
        self.publish_events(Some(author));
        self.take_own_messages(client, reply);
        match step {
            PubSubStep::Subscribe(kind) => {
                for name in &args[1..] {
                    self.subscribe(client, kind, name, changes, reply);
                }
                client.pushes.wait = true;
            }
            PubSubStep::Unsubscribe(kind) => {
                let names = &args[1..];
                if names.is_empty() {
                    self.unsubscribe_all(client, kind, changes, reply);
                }
                for name in names {
                    self.unsubscribe(client, kind, name, changes);
                    confirm_end(client, kind, Some(name), reply);
                }
            }
            PubSubStep::Publish(_) | PubSubStep::Track | PubSubStep::Monitor => {
                unreachable!("they change no subscriptions")
            }
        }
        if client.subscriptions.as_ref().is_some_and(|subscriptions| subscriptions.is_empty()) {
            client.subscriptions = None;
        }
        let took = self.count(call, false);
        self.observe(call, args, took, reply.len() - written);
    }

    fn subscribe(
        &mut self,
        client: &mut Client,
        kind: Kind,
        name: &[u8],
        changes: &mut Changes,
        reply: &mut Vec<u8>,
    ) {
        let registry = &mut self.pubsub.registry;
        let shared: Name = registry.name(kind, name).cloned().unwrap_or_else(|| name.into());
        let subscriptions = client.subscriptions.get_or_insert_default();
        if subscriptions.add(kind, shared.clone()) {
            registry.add(kind, shared, Subscriber(client.token.bits()));
            changes.push((kind, name.into()));
            let unaware = self.other_shards().collect();
            let subscription = Subscription { token: client.token, kind, name: name.into() };
            self.pubsub.joining.push(Pending { subscription, unaware });
            self.note_own_interest(kind, name);
        }
        let mut replies = Replies::new(reply, client.session.protocol);
        confirm(&mut replies, kind.subscribed(), Some(name), subscriptions.counted_with(kind));
    }

    fn unsubscribe(&mut self, client: &mut Client, kind: Kind, name: &[u8], changes: &mut Changes) {
        let Some(subscriptions) = &mut client.subscriptions else { return };
        if subscriptions.remove(kind, name).is_some() {
            self.pubsub.registry.remove(kind, name, Subscriber(client.token.bits()));
            changes.push((kind, name.into()));
            self.note_own_interest(kind, name);
            let subscription = Subscription { token: client.token, kind, name: name.into() };
            let joining = &mut self.pubsub.joining;
            match joining.iter().position(|joining| joining.subscription == subscription) {
                // It ends before any client was told that it began (in one EXEC).
                Some(at) => drop(joining.swap_remove(at)),
                None => {
                    let unaware = self.other_shards().collect();
                    self.pubsub.ended.push(Pending { subscription, unaware });
                }
            }
        }
    }

    /// Ends a subscription at once: messages that still count it reach no client.
    pub(crate) fn end_subscription(
        &mut self,
        client: &mut Client,
        kind: Kind,
        name: &[u8],
        changes: &mut Changes,
    ) {
        self.unsubscribe(client, kind, name, changes);
        let ended = Subscription { token: client.token, kind, name: name.into() };
        self.pubsub.ended.retain(|pending| pending.subscription != ended);
    }

    /// Tells the other shards of subscriptions of several clients that have ended at once.
    pub(crate) fn tell_of_ends(&mut self, changes: Changes) {
        self.announce(changes, Token::NONE, None);
    }

    fn unsubscribe_all(
        &mut self,
        client: &mut Client,
        kind: Kind,
        changes: &mut Changes,
        reply: &mut Vec<u8>,
    ) {
        let names = client.subscriptions.as_ref().map(|subscriptions| subscriptions.names(kind));
        let names: Vec<Name> = names.into_iter().flatten().cloned().collect();
        if names.is_empty() {
            confirm_end(client, kind, None, reply);
        }
        for name in names {
            self.unsubscribe(client, kind, &name, changes);
            confirm_end(client, kind, Some(&name), reply);
        }
    }

    /// Ends all subscriptions of a client, CLIENT TRACKING and MONITOR.
    pub(crate) fn end_subscriptions(&mut self, client: &mut Client, changes: &mut Changes) {
        for kind in Kind::ALL {
            let names = client.subscriptions.as_ref().map(|all| all.names(kind));
            let names: Vec<Name> = names.into_iter().flatten().cloned().collect();
            names.iter().for_each(|name| self.unsubscribe(client, kind, name, changes));
        }
        client.subscriptions = None;
        self.end_tracking(client, changes);
        self.end_monitoring(client, changes);
    }

    /// All shards know of a client's subscriptions, or it is gone.
    fn settle_subscriptions(&mut self, token: Token) {
        let PubSub { joining, ended, .. } = &mut self.pubsub;
        ended.retain(|pending| pending.subscription.token != token);
        joining.retain(|pending| pending.subscription.token != token);
    }

    /// Notes how many subscribers this shard has.
    pub(crate) fn note_own_interest(&mut self, kind: Kind, name: &[u8]) {
        let count = self.pubsub.registry.count(kind, name);
        self.pubsub.interest.set(kind, name, self.me(), count);
        self.choose_events();
        self.choose_notes();
        self.choose_notable();
    }

    /// Tells the other shards of changed numbers. The batch goes on when all have noted them; a
    /// client without is gone.
    pub(crate) fn announce(&mut self, changes: Changes, token: Token, batch: Option<Box<Batch>>) {
        if batch.is_none() {
            self.settle_subscriptions(token);
        }
        if changes.is_empty() || self.other_shards().count() == 0 {
            self.pubsub.told.extend(batch);
            return;
        }
        let registry = &self.pubsub.registry;
        let with_count = |(kind, name): (Kind, Box<[u8]>)| {
            let count = registry.count(kind, &name);
            (kind, name, count)
        };
        let counts: Vec<_> = changes.into_iter().map(with_count).collect();
        self.send_news(&counts, Announced { token, left: 0, batch, found: None });
    }

    /// Looks for a client on the other shards. The batch's request is tried again then.
    pub(crate) fn find(&mut self, id: i64, batch: Box<Batch>) {
        let (token, found) = (batch.token, Some(Found { id, client: None }));
        self.send_news(&[], Announced { token, left: 0, batch: Some(batch), found });
    }

    fn send_news(&mut self, counts: &[(Kind, Box<[u8]>, usize)], mut announced: Announced) {
        let number = self.pubsub.announcements;
        self.pubsub.announcements += 1;
        let finds = announced.found.map(|found| found.id);
        announced.left = self.other_shards().count();
        self.pubsub.announced.insert(number, announced);
        for shard in self.other_shards() {
            let news = Box::new(News { number, counts: counts.to_vec(), finds });
            self.mailbox.send(shard, ToShard::PubSub(Word::News(news)));
        }
    }

    /// Takes in what another shard says.
    pub(crate) fn listen(&mut self, from: Peer, word: Word) {
        match word {
            Word::News(news) => self.note(from, &news),
            Word::Noted(number, found) => self.noted(from, number, found),
            Word::Messages(messages) => self.receive_messages(from, &messages),
            Word::FromNodes(messages) => self.receive_from_nodes(&messages),
            Word::Passed(bytes) => self.passed_to_nodes(bytes),
            Word::Stale(keys) => self.receive_stale(keys),
            Word::Redirected(redirected) => self.receive_redirected(from, &redirected),
            Word::RedirectionBroken(tracker) => self.redirection_broken(tracker),
            Word::Lines(lines) => self.receive_lines(&lines),
            Word::LinesLost => self.close_monitors(),
        }
    }

    /// Notes what another shard announces.
    fn note(&mut self, from: Peer, news: &News) {
        // They do not count for what is published from now on, but what was before does.
        self.publish_events(None);
        for (kind, name, count) in &news.counts {
            self.pubsub.interest.set(*kind, name, from, *count);
        }
        self.choose_events();
        self.choose_notes();
        self.choose_notable();
        self.send_messages_to(from);
        let id = news.finds.and_then(|id| u64::try_from(id).ok());
        let found = id.and_then(|id| self.clients.find(id));
        self.mailbox.send(from, ToShard::PubSub(Word::Noted(news.number, found)));
    }

    /// Another shard has noted an announcement of this one.
    fn noted(&mut self, from: Peer, number: u64, token: Option<Token>) {
        let announced = self.pubsub.announced.get_mut(&number).expect("it is noted once by each");
        announced.left -= 1;
        if let (Some(Found { id, client }), Some(token)) = (&mut announced.found, token) {
            *client = Some(Redirect { id: id.unsigned_abs(), home: from, token });
        }
        let (token, left) = (announced.token, announced.left);
        let PubSub { joining, ended, .. } = &mut self.pubsub;
        let pending = joining.iter_mut().chain(ended);
        for pending in pending.filter(|pending| pending.subscription.token == token) {
            pending.unaware.retain(|shard| *shard != from);
        }
        if left == 0 {
            let announced = self.pubsub.announced.remove(&number).expect("it was just there");
            match announced.found {
                None => self.pubsub.told.extend(announced.batch),
                Some(found) => {
                    if let Some(client) = self.client(token) {
                        client.found = Some(found);
                    }
                    self.resumed.extend(announced.batch);
                }
            }
        }
    }

    /// Lets a batch go on whose announcement is over: the reply is given, and what follows in the
    /// batch is looked at anew, because the client's mode has changed.
    pub(crate) fn told(&mut self, mut batch: Box<Batch>) {
        self.settle_subscriptions(batch.token);
        let Some(mut client) = self.take_client(batch.token) else { return self.recycle(batch) };
        // Whatever CLIENT REPLY says: these replies are messages.
        client.out.append(&mut batch.replies);
        give_back(&mut batch, &mut client);
        self.put_client(client);
        self.advance(batch);
    }
}

/// The reply to the end of a subscription.
fn confirm_end(client: &Client, kind: Kind, name: Option<&[u8]>, reply: &mut Vec<u8>) {
    let left = client.subscriptions.as_ref().map_or(0, |all| all.counted_with(kind));
    let mut replies = Replies::new(reply, client.session.protocol);
    confirm(&mut replies, kind.unsubscribed(), name, left);
}
