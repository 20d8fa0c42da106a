//! All clients of a shard, and the lists of those that something is to be done for.

use std::collections::VecDeque;

use crate::clients::client::{Client, Life, State};
use crate::reactor::clock::Monotonic;
use crate::reactor::ring::Token;

/// Replies of at most so many bytes wait for those of the batch that is under way: so what was
/// sent in one segment is answered in one.
const HELD_BYTES_MAX: usize = 4 << 10;
/// And so long: a batch that takes longer may be waiting for something.
const HELD_MILLIS: u64 = 5;

/// The clients of a shard, by the index of their sockets.
#[derive(Debug, Default)]
pub struct Clients {
    places: Vec<Option<Box<Client>>>,
    /// To be looked after at the end of the turn: something of theirs has changed.
    pub dirty: Vec<Token>,
    /// With input to look at.
    pub listed: VecDeque<Token>,
    /// Whose replies wait for those of their batches, and since when.
    holding: VecDeque<(Token, Monotonic)>,
}

impl Clients {
    /// The client behind a token. `None` if it is gone, or being worked on.
    #[inline]
    pub fn get(&mut self, token: Token) -> Option<&mut Client> {
        let client = self.places.get_mut(token.index as usize)?.as_deref_mut()?;
        (client.token == token).then_some(client)
    }

    /// The same, to read.
    pub fn peek(&self, token: Token) -> Option<&Client> {
        let client = self.places.get(token.index as usize)?.as_deref()?;
        (client.token == token).then_some(client)
    }

    /// Takes a client out while it is worked on; [`Self::put`] brings it back.
    #[inline]
    pub fn take(&mut self, token: Token) -> Option<Box<Client>> {
        let place = self.places.get_mut(token.index as usize)?;
        if place.as_ref().is_some_and(|client| client.token == token) { place.take() } else { None }
    }

    /// Puts a client into its place.
    #[inline]
    pub fn put(&mut self, client: Box<Client>) {
        let index = client.token.index as usize;
        if self.places.len() <= index {
            self.add_places(index);
        }
        let before = self.places[index].replace(client);
        assert!(before.is_none(), "a place has one client");
    }

    #[cold]
    fn add_places(&mut self, index: usize) {
        self.places.resize_with(index + 1, || None);
    }

    /// All that are not being worked on.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.places.iter().flatten().map(|client| &**client)
    }

    /// The same, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.places.iter_mut().flatten().map(|client| &mut **client)
    }

    /// The tokens of those for which something holds.
    pub fn tokens(&self, holds: impl Fn(&Client) -> bool) -> Vec<Token> {
        self.iter().filter(|client| holds(client)).map(|client| client.token).collect()
    }

    /// A client by its id.
    pub fn find(&self, id: u64) -> Option<Token> {
        self.iter().find(|client| client.id == id).map(|client| client.token)
    }

    /// Has a client looked after at the end of the turn.
    #[inline]
    pub fn mark_dirty(&mut self, client: &mut Client) {
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(client.token);
        }
    }

    /// The same by its token, if it is in its place.
    #[inline]
    pub fn mark_dirty_at(&mut self, token: Token) {
        let place = self.places.get_mut(token.index as usize).and_then(Option::as_deref_mut);
        if let Some(client) = place
            && client.token == token
            && !client.dirty
        {
            client.dirty = true;
            self.dirty.push(token);
        }
    }

    /// Whether the replies of a client wait for those of its batch.
    pub fn holds_replies(&mut self, token: Token, now: Monotonic) -> bool {
        let Some(client) = self.get(token) else { return false };
        if client.state != State::Away || HELD_BYTES_MAX < client.out.len() {
            client.held_since = None;
            return false;
        }
        let Some(since) = client.held_since else {
            client.held_since = Some(now);
            self.holding.push_back((token, now));
            return true;
        };
        now.millis_since(since) < HELD_MILLIS
    }

    /// When the first of those replies are to be sent in any case.
    pub fn next_held(&mut self) -> Option<Monotonic> {
        while let Some(&(token, since)) = self.holding.front() {
            if self.peek(token).is_some_and(|client| client.held_since == Some(since)) {
                return since.after_millis(HELD_MILLIS);
            }
            self.holding.pop_front();
        }
        None
    }

    /// Has the clients looked after whose replies have waited for long enough.
    pub fn end_late_holding(&mut self, now: Monotonic) {
        while self.next_held().is_some_and(|until| until <= now) {
            let (token, _) = self.holding.pop_front().expect("there is a next one");
            self.mark_dirty_at(token);
        }
    }

    /// Has the input of a client looked at, unless it has none, or leaves with what it has.
    #[inline]
    pub fn list(&mut self, client: &mut Client) {
        if !client.listed && !client.query.is_empty() && client.life != Life::Leaving {
            client.listed = true;
            self.listed.push_back(client.token);
        }
    }

    /// The same by its token, if it is in its place.
    pub fn list_at(&mut self, token: Token) {
        let Some(mut client) = self.take(token) else { return };
        self.list(&mut client);
        self.put(client);
    }
}
