//! Keyspace notifications: what happened to keys, published to clients that listen.
//!
//! Events are collected while commands run, and published behind them: at the end of a round of
//! commands at the latest, and always before anything else is published or subscribed to here.

use shards::effects::Event;

use crate::pubsub::kind::Kind;
use crate::shard::core::Core;
use crate::shard::messages::publishing::Author;

impl Core {
    /// Says which events are to be collected: none if no client listens to anything.
    pub(crate) fn choose_events(&mut self) {
        let wanted = self.node.config.notify_keyspace_events.classes();
        let classes = if self.pubsub.interest.has_listeners() { wanted } else { 0 };
        self.shard.effects.classes = classes;
        self.visitors.effects.classes = classes;
    }

    /// Publishes events that were collected. The author is the client that is being served.
    #[inline]
    pub(crate) fn publish_events(&mut self, author: Option<Author>) {
        if !self.shard.effects.events.is_empty() {
            self.publish_collected(author);
        }
    }

    #[cold]
    fn publish_collected(&mut self, author: Option<Author>) {
        let flags = self.node.config.notify_keyspace_events;
        let mut channel = Vec::new();
        let mut events = std::mem::take(&mut self.shard.effects.events);
        for Event { name, db, key, .. } in events.drain(..) {
            if flags.keyspace() {
                channel.clear();
                channel.extend_from_slice(format!("__keyspace@{db}__:").as_bytes());
                channel.extend_from_slice(&key);
                self.publish(Kind::Channel, &channel, name.as_bytes(), author);
            }
            if flags.keyevent() {
                channel.clear();
                channel.extend_from_slice(format!("__keyevent@{db}__:{name}").as_bytes());
                self.publish(Kind::Channel, &channel, &key, author);
            }
        }
        self.shard.effects.events = events;
    }
}
