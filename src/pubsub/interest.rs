//! Which shards have how many subscribers of what. Every shard has a copy of the whole, so that
//! it can publish at once, count exactly, and write to those shards only that have subscribers.

use hashbrown::HashMap;
use shards::base::glob::matches;

use crate::pubsub::kind::{KINDS, Kind};

/// Subscriptions whose numbers have changed here: kind, and channel or pattern.
pub type Changes = Vec<(Kind, Box<[u8]>)>;

/// How many subscribers one shard has.
#[derive(Clone, Copy, Debug)]
struct Share {
    shard: usize,
    count: usize,
}

/// Subscribers by name and shard. No share is zero and no name is without one.
#[derive(Debug, Default)]
pub struct Interest {
    names: [HashMap<Vec<u8>, Vec<Share>>; KINDS],
}

impl Interest {
    /// Notes that a shard has so many subscribers now.
    pub fn set(&mut self, kind: Kind, name: &[u8], shard: usize, count: usize) {
        let names = &mut self.names[kind.index()];
        if count == 0 {
            if let Some(shares) = names.get_mut(name) {
                shares.retain(|share| share.shard != shard);
                if shares.is_empty() {
                    names.remove(name);
                }
            }
            return;
        }
        let shares = names.entry_ref(name).or_default();
        match shares.iter_mut().find(|share| share.shard == shard) {
            Some(share) => share.count = count,
            None => shares.push(Share { shard, count }),
        }
    }

    /// How many subscribers this has in all.
    pub fn count(&self, kind: Kind, name: &[u8]) -> usize {
        let shares = self.names[kind.index()].get(name);
        shares.map_or(0, |shares| shares.iter().map(|share| share.count).sum())
    }

    /// Everything of a kind that has subscribers.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.names[kind.index()].keys().map(Vec::as_slice)
    }

    /// How many of a kind have subscribers.
    pub fn len(&self, kind: Kind) -> usize {
        self.names[kind.index()].len()
    }

    /// Whether a client could get a message on a channel (not a shard channel).
    pub fn has_listeners(&self) -> bool {
        0 < self.len(Kind::Channel) + self.len(Kind::Pattern)
    }

    /// Calls `each` with the shards that have subscribers of a channel, and how many: once for
    /// the channel and once for each pattern that matches. Prefixes are those of a key.
    pub fn shards(&self, kind: Kind, channel: &[u8], mut each: impl FnMut(usize, usize)) {
        let mut tell = |shares: &[Share]| shares.iter().for_each(|s| each(s.shard, s.count));
        if kind == Kind::Prefix {
            let prefixes = self.names[kind.index()].iter();
            prefixes.filter(|(p, _)| channel.starts_with(p)).for_each(|(_, shares)| tell(shares));
            return;
        }
        if let Some(shares) = self.names[kind.index()].get(channel) {
            tell(shares);
        }
        if kind == Kind::Channel {
            for (pattern, shares) in &self.names[Kind::Pattern.index()] {
                if matches(pattern, channel) {
                    tell(shares);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_shard_and_forgets_who_left() {
        let mut interest = Interest::default();
        interest.set(Kind::Channel, b"news", 0, 2);
        interest.set(Kind::Channel, b"news", 2, 1);
        interest.set(Kind::Pattern, b"n*", 2, 4);
        interest.set(Kind::ShardChannel, b"news", 1, 9);
        let shards = |interest: &Interest, kind| {
            let mut found = Vec::new();
            interest.shards(kind, b"news", |shard, count| found.push((shard, count)));
            found.sort_unstable();
            found
        };
        assert_eq!(shards(&interest, Kind::Channel), [(0, 2), (2, 1), (2, 4)]);
        assert_eq!(shards(&interest, Kind::ShardChannel), [(1, 9)]);
        assert_eq!(interest.count(Kind::Channel, b"news"), 3);
        interest.set(Kind::Channel, b"news", 0, 0);
        interest.set(Kind::Channel, b"news", 2, 5);
        assert_eq!(shards(&interest, Kind::Channel), [(2, 4), (2, 5)]);
        interest.set(Kind::Channel, b"news", 2, 0);
        interest.set(Kind::Channel, b"never", 2, 0);
        assert_eq!(interest.len(Kind::Channel), 0);
        assert!(interest.has_listeners());
        interest.set(Kind::Pattern, b"n*", 2, 0);
        assert!(!interest.has_listeners());
        assert_eq!(interest.names(Kind::ShardChannel).collect::<Vec<_>>(), [b"news"]);
    }
}
