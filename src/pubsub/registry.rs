//! The subscribers of one thread: which of its clients listen to what.

use hashbrown::{HashMap, HashSet};
use shards::base::glob::matches;

use crate::pubsub::kind::{KINDS, Kind};
use crate::pubsub::subscriptions::Name;

/// A client, by the number that its thread knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscriber(pub u64);

/// Who listens to what.
#[derive(Debug, Default)]
pub struct Registry {
    names: [HashMap<Name, HashSet<Subscriber>>; KINDS],
}

impl Registry {
    /// The name as it is kept here, if a client listens to it.
    pub fn name(&self, kind: Kind, name: &[u8]) -> Option<&Name> {
        self.names[kind.index()].get_key_value(name).map(|(name, _)| name)
    }

    /// Adds a subscriber.
    pub fn add(&mut self, kind: Kind, name: Name, subscriber: Subscriber) {
        self.names[kind.index()].entry(name).or_default().insert(subscriber);
    }

    /// Takes a subscriber out.
    pub fn remove(&mut self, kind: Kind, name: &[u8], subscriber: Subscriber) {
        let names = &mut self.names[kind.index()];
        let subscribers = names.get_mut(name).expect("an end follows a beginning");
        subscribers.remove(&subscriber);
        if subscribers.is_empty() {
            names.remove(name);
        }
    }

    /// Everything of a kind that clients listen to, and these clients.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = (&Name, &HashSet<Subscriber>)> {
        self.names[kind.index()].iter()
    }

    /// How many listen to this.
    pub fn count(&self, kind: Kind, name: &[u8]) -> usize {
        self.names[kind.index()].get(name).map_or(0, HashSet::len)
    }

    /// Those who get a message that is sent to a channel, in groups: with the pattern that
    /// matched, if it was one.
    pub fn receivers(
        &self,
        kind: Kind,
        channel: &[u8],
        mut each: impl FnMut(Option<&[u8]>, &HashSet<Subscriber>),
    ) {
        if let Some(subscribers) = self.names[kind.index()].get(channel) {
            each(None, subscribers);
        }
        if kind == Kind::Channel {
            for (pattern, subscribers) in &self.names[Kind::Pattern.index()] {
                if matches(pattern, channel) {
                    each(Some(pattern), subscribers);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_to_its_channel_and_to_patterns_that_match() {
        let mut registry = Registry::default();
        for (kind, name, subscriber) in [
            (Kind::Channel, "news", 1),
            (Kind::Channel, "news", 2),
            (Kind::Pattern, "n*", 2),
            (Kind::Pattern, "x*", 3),
            (Kind::ShardChannel, "news", 4),
        ] {
            registry.add(kind, name.as_bytes().into(), Subscriber(subscriber));
        }
        let receivers = |registry: &Registry, kind, channel: &str| {
            let mut found = Vec::new();
            registry.receivers(kind, channel.as_bytes(), |pattern, subscribers| {
                found.extend(subscribers.iter().map(|who| (pattern.is_some(), who.0)));
            });
            found.sort_unstable();
            found
        };
        let news = receivers(&registry, Kind::Channel, "news");
        assert_eq!(news, [(false, 1), (false, 2), (true, 2)]);
        assert_eq!(receivers(&registry, Kind::ShardChannel, "news"), [(false, 4)]);
        registry.remove(Kind::Channel, b"news", Subscriber(1));
        registry.remove(Kind::Channel, b"news", Subscriber(2));
        registry.remove(Kind::Pattern, b"n*", Subscriber(2));
        assert!(receivers(&registry, Kind::Channel, "news").is_empty());
        assert_eq!(registry.count(Kind::Pattern, b"x*"), 1);
        assert_eq!(registry.count(Kind::Pattern, b"n*"), 0);
    }
}
