//! CLIENT TRACKING: clients keep copies of keys, and are told when these are stale.
//!
//! ```text
//! read, at the key's shard: Note::Read --> its table
//! write, there:             Note::Changed --> who has read it, and whose prefixes it has
//!                           --> Stale to their homes --> a push to each
//! ```
//! Notes are taken while commands run and looked at behind them, in their order. At a client's
//! home a push waits for the batch that is under way: it never overtakes the reply whose copy it
//! is about.

use crate::mail::messages::Redirected;
use crate::mail::messages::StaleKey;
use std::collections::BTreeMap;

use shards::commands::spec::Flag;
use shards::effects::{Effects, Note, Reader};
use shards::resp::reply::Protocol;

use crate::clients::client::{Client, Pushes, State};
use crate::mail::messages::Word;
use crate::mail::to_shard::ToShard;
use crate::pubsub::kind::Kind;
use crate::pubsub::registry::Subscriber;
use crate::pubsub::tracking::frames::{redirection_broken, stale};
use crate::pubsub::tracking::options::Mode;
use crate::pubsub::tracking::table::Table;
use crate::reactor::ring::Token;
use crate::routing::call::{Call, KeyShape};
use crate::routing::keys::key_places;
use crate::routing::slots::Peer;
use crate::shard::core::Core;

/// After so long a batch under way may be waiting for something: milliseconds.
const LONG_AWAY_MILLIS: u64 = 1000;

/// What a shard knows of copies.
#[derive(Debug, Default)]
pub struct Copies {
    /// Who has read its keys.
    pub table: Table,
    /// How many of its clients are told of stale copies.
    pub(crate) trackers: usize,
    /// Stale keys to tell other shards of, by shard.
    outgoing: Vec<Vec<StaleKey>>,
}

/// Keys that changed, and the id of the client that did it last.
type Changed = BTreeMap<Vec<u8>, u64>;

impl Copies {
    /// What one of so many shards knows at first.
    pub(crate) fn new(shards: usize) -> Self {
        let outgoing = (0..shards).map(|_| Vec::new()).collect();
        Self { outgoing, ..Self::default() }
    }
}

impl Core {
    /// Says whether changes of keys are to be noted: if a client may have a copy.
    pub(crate) fn choose_notes(&mut self) {
        let Copies { table, trackers, .. } = &self.copies;
        let prefixes = self.pubsub.interest.len(Kind::Prefix);
        self.shard.effects.keeps_notes = !table.is_empty() || 0 < trackers + prefixes;
    }

    /// Looks at what was noted.
    #[cold]
    pub(crate) fn settle_notes(&mut self) {
        let mut broadcast = Changed::new();
        let mut notes = std::mem::take(&mut self.shard.effects.notes);
        for note in notes.drain(..) {
            match note {
                Note::Read { reader, key } => self.copies.table.remember(&key, reader),
                Note::Changed { by, key } => {
                    let readers = self.copies.table.take(&key);
                    self.copies_are_stale(key, by, &readers, &mut broadcast);
                }
                Note::Emptied => {
                    self.copies.table.clear();
                    self.tell_of_all();
                }
            }
        }
        self.shard.effects.notes = notes;
        self.keep_within_limit();
        self.tell_of_prefixes(&broadcast);
        for shard in 0..self.copies.outgoing.len() {
            let keys = std::mem::take(&mut self.copies.outgoing[shard]);
            if !keys.is_empty() {
                self.mailbox.send(shard, ToShard::PubSub(Word::Stale(keys)));
            }
        }
        self.choose_notes();
    }

    /// Forgets keys by chance while there are more than `tracking-table-max-keys` allows.
    fn keep_within_limit(&mut self) {
        let keys_max = self.node.config.tracking_table_max_keys;
        let share = keys_max.div_ceil(u64::from(self.node.slots.shards()));
        while keys_max != 0 && share < self.copies.table.len() as u64 {
            let at = self.shard.keyspace.random.below(self.copies.table.len() as u64);
            let at = usize::try_from(at).expect("below a length");
            let (key, readers) = self.copies.table.take_at(at);
            for reader in readers {
                self.tell_reader(reader, &key, 0);
            }
        }
    }

    /// Tells, or makes ready to tell, every client that may have a copy of a key.
    fn copies_are_stale(
        &mut self,
        key: Vec<u8>,
        by: u64,
        readers: &[Reader],
        broadcast: &mut Changed,
    ) {
        for reader in readers {
            self.tell_reader(*reader, &key, by);
        }
        let (me, mut here) = (self.me(), false);
        let outgoing = &mut self.copies.outgoing;
        self.pubsub.interest.shards(Kind::Prefix, &key, |shard, _| {
            here |= shard == me;
            // Several prefixes may match, and readers may have been noted just before.
            match outgoing[shard].last_mut() {
                _ if shard == me => {}
                Some(last) if last.key == key && last.by == by => last.broadcast = true,
                _ => outgoing[shard].push(StaleKey::new(&key, by, &[], true)),
            }
        });
        if here {
            broadcast.insert(key, by);
        }
    }

    fn tell_reader(&mut self, reader: Reader, key: &[u8], by: u64) {
        let home = usize::from(reader.home);
        if home == self.me() {
            return self.tell_of_key(Token::from_bits(reader.client), key, by);
        }
        let outgoing = &mut self.copies.outgoing[home];
        match outgoing.last_mut() {
            Some(last) if last.key == key && last.by == by => last.readers.push(reader.client),
            _ => outgoing.push(StaleKey::new(key, by, &[reader.client], false)),
        }
    }

    /// Tells clients here what another shard says.
    pub(crate) fn receive_stale(&mut self, keys: Vec<StaleKey>) {
        let mut broadcast = Changed::new();
        for StaleKey { key, by, readers, broadcast: is_broadcast } in keys {
            for reader in readers {
                self.tell_of_key(Token::from_bits(reader), &key, by);
            }
            if is_broadcast {
                broadcast.insert(key, by);
            }
        }
        self.tell_of_prefixes(&broadcast);
    }

    /// Tells a client that a key has changed which it has read.
    fn tell_of_key(&mut self, token: Token, key: &[u8], by: u64) {
        let Some(client) = self.client(token) else { return };
        let id = client.id;
        let wants = client.tracker.as_ref().is_some_and(|tracker| {
            let by_itself = tracker.no_loop && by == id;
            !by_itself && !matches!(tracker.mode, Mode::Broadcast(_))
        });
        if wants {
            self.tell(token, Some(&[key]));
        }
    }

    /// Tells all clients that they have no copies any more.
    fn tell_of_all(&mut self) {
        if self.copies.trackers == 0 {
            return;
        }
        let tokens = self.clients.tokens(|client| client.tracker.is_some());
        tokens.into_iter().for_each(|token| self.tell(token, None));
    }

    /// Tells clients of changed keys that have one of their prefixes: of all in one message.
    fn tell_of_prefixes(&mut self, changed: &Changed) {
        if changed.is_empty() {
            return;
        }
        let names = self.pubsub.registry.names(Kind::Prefix);
        let with_clients = names.map(|(prefix, subscribers)| {
            let tokens = subscribers.iter().map(|&Subscriber(bits)| Token::from_bits(bits));
            (prefix.clone(), tokens.collect())
        });
        let prefixes: BTreeMap<_, Vec<Token>> = with_clients.collect();
        for (prefix, tokens) in prefixes {
            let has_prefix = |(key, _): &(&Vec<u8>, &u64)| key.starts_with(&prefix);
            let keys: Vec<(&Vec<u8>, &u64)> = changed.iter().filter(has_prefix).collect();
            for token in tokens {
                let Some(client) = self.client(token) else { continue };
                let no_loop = client.tracker.as_ref().is_some_and(|tracker| tracker.no_loop);
                let id = client.id;
                let of_others = keys.iter().filter(|(_, by)| !(no_loop && **by == id));
                let keys: Vec<&[u8]> = of_others.map(|(key, _)| key.as_slice()).collect();
                if !keys.is_empty() {
                    self.tell(token, Some(&keys));
                }
            }
        }
    }

    /// Tells a client, or who is told in its place, of stale keys; of all if there is no list.
    fn tell(&mut self, token: Token, keys: Option<&[&[u8]]>) {
        let me = self.me();
        let Some(client) = self.client(token) else { return };
        let Some(tracker) = &client.tracker else { return };
        match tracker.redirect {
            None if client.session.protocol == Protocol::Resp3 => {
                let frame = stale(Protocol::Resp3, keys);
                let waits = client.state == State::Away;
                if waits { &mut client.pushes.stale } else { &mut client.out }.extend(frame);
                self.clients.mark_dirty_at(token);
            }
            // Nothing can be told from replies that it gets unasked.
            None => {}
            Some(redirect) if redirect.home == me => {
                let told = self.tell_in_place(redirect.token, keys);
                if !told {
                    self.redirection_broken(token);
                }
            }
            Some(redirect) => {
                let keys = keys.map(|keys| keys.iter().map(|key| key.to_vec()).collect());
                let redirected = Redirected { to: redirect.token, tracker: token, keys };
                let word = Word::Redirected(Box::new(redirected));
                self.mailbox.send(redirect.home, ToShard::PubSub(word));
            }
        }
    }

    /// Tells a client in place of another one. False if it is gone.
    fn tell_in_place(&mut self, token: Token, keys: Option<&[&[u8]]>) -> bool {
        let Some(client) = self.client(token) else { return false };
        let protocol = client.session.protocol;
        if protocol == Protocol::Resp3 || client.subscriptions.is_some() {
            let frame = stale(protocol, keys);
            let pushes = &mut client.pushes;
            if pushes.wait { &mut pushes.held } else { &mut client.out }.extend(frame);
            self.clients.mark_dirty_at(token);
        }
        true
    }

    /// Tells a client here in place of one of another shard.
    pub(crate) fn receive_redirected(&mut self, from: Peer, redirected: &Redirected) {
        let keys = redirected.keys.as_ref();
        let keys: Option<Vec<&[u8]>> = keys.map(|keys| keys.iter().map(Vec::as_slice).collect());
        if !self.tell_in_place(redirected.to, keys.as_deref()) {
            let word = Word::RedirectionBroken(redirected.tracker);
            self.mailbox.send(from, ToShard::PubSub(word));
        }
    }

    /// Who was to be told in place of a client is gone.
    pub(crate) fn redirection_broken(&mut self, token: Token) {
        let Some(client) = self.client(token) else { return };
        let Some(tracker) = &mut client.tracker else { return };
        let Some(redirect) = tracker.redirect else { return };
        tracker.broken = true;
        if client.session.protocol == Protocol::Resp3 {
            client.out.extend(redirection_broken(redirect.id));
            self.clients.mark_dirty_at(token);
        }
    }

    /// Gives clients that have been away for long (they may be waiting for something) what they
    /// should know of their copies. They are told again when they are back, because the reply that
    /// follows may bring a copy that is stale by now.
    pub(crate) fn tell_those_who_wait(&mut self) {
        if self.copies.trackers == 0 {
            return;
        }
        let now = self.node.now;
        let waits = |client: &&mut Client| {
            client.pushes.stale_told < client.pushes.stale.len()
                && LONG_AWAY_MILLIS <= now.millis_since(client.figures.active)
        };
        let mut told = Vec::new();
        for client in self.clients.iter_mut().filter(waits) {
            let Pushes { stale, stale_told, .. } = &mut client.pushes;
            client.out.extend_from_slice(&stale[*stale_told..]);
            *stale_told = stale.len();
            told.push(client.token);
        }
        told.into_iter().for_each(|token| self.clients.mark_dirty_at(token));
    }
}

/// The keys that a command has read for a client.
pub(crate) fn note_reads(effects: &mut Effects, call: &Call, args: &[&[u8]], reader: Reader) {
    if !call.spec.flags.has(Flag::ReadOnly) || !call.spec.names_keys() {
        return;
    }
    let places = match call.keys {
        KeyShape::None => return,
        KeyShape::One(at) => vec![at],
        KeyShape::Several => key_places(call.spec.keys, args),
    };
    let keys = places.into_iter().filter_map(|place| args.get(place));
    effects.notes.extend(keys.map(|key| Note::Read { reader, key: key.to_vec() }));
    // From the very next command on, changes matter.
    effects.keeps_notes = true;
}
