//! What the clients of a shard hold together. A client is counted anew when it is looked after, and
//! only where a limit asks for it.

use crate::clients::client::{Client, Life};

/// The bytes for which one client is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Against `maxmemory-clients`; CLIENT NO-EVICT changes nothing about that.
    pub bytes: u64,
    /// Against what all clients together may hold that have not authenticated.
    pub unauthenticated: u64,
}

/// The sums over a shard's clients.
#[derive(Debug, Default)]
pub struct Totals {
    sum: Counted,
    /// No client that may be closed for `maxmemory-clients` is counted for more bytes than these.
    largest: u64,
}

impl Totals {
    /// The sums.
    pub fn sum(&self) -> Counted {
        self.sum
    }

    /// What no client exceeds.
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// Notes what the largest client is counted for.
    pub fn set_largest(&mut self, bytes: u64) {
        self.largest = bytes;
    }

    /// Counts a client anew.
    pub fn count(&mut self, client: &mut Client, now: Counted) {
        let before = std::mem::replace(&mut client.counted, now);
        self.sum.bytes = self.sum.bytes - before.bytes + now.bytes;
        self.sum.unauthenticated =
            self.sum.unauthenticated - before.unauthenticated + now.unauthenticated;
        if !client.session.no_evict {
            self.largest = self.largest.max(now.bytes);
        }
    }
}

impl Client {
    /// For how much it counts now. `is_limited` says whether `maxmemory-clients` is set.
    pub fn counts(&self, is_limited: bool) -> Counted {
        // It is closed already, but for a batch on its way home.
        let bytes = if self.life == Life::Gone { 0 } else { self.memory().total() };
        let when = |counts: bool| if counts { bytes } else { 0 };
        Counted { bytes: when(is_limited), unauthenticated: when(!self.session.authenticated) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::clock::Monotonic;
    use crate::reactor::ring::Token;

    #[test]
    fn sums_are_those_of_the_clients_there_are() {
        let mut totals = Totals::default();
        let mut clients: Vec<Client> =
            (1..4).map(|id| Client::new(id, Token::default(), 0, Monotonic::now())).collect();
        clients[1].session.no_evict = true;
        clients[2].session.authenticated = false;
        clients[2].out = Vec::with_capacity(5000);
        for client in &mut clients {
            let counts = client.counts(true);
            totals.count(client, counts);
        }
        let bytes = |at: usize| clients[at].memory().total();
        let all = bytes(0) + bytes(1) + bytes(2);
        let expected = Counted { bytes: all, unauthenticated: bytes(2) };
        assert_eq!((totals.sum(), totals.largest()), (expected, bytes(2)));
        for client in &mut clients {
            totals.count(client, Counted::default());
        }
        assert_eq!(totals.sum(), Counted::default());
    }
}
