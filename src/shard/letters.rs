//! Letters come in, and what they let go on goes on.

use crate::batches::batch::{AHEAD_MAX, Batch};
use crate::mail::to_control::ToControl;
use crate::mail::to_shard::ToShard;
use crate::routing::request::{Parsed, Route};
use crate::shard::core::{Core, SocketRequest};

/// Letters taken from one peer before the next has its turn.
const LETTERS_PER_PEER: usize = 256;

impl Core {
    /// Reads mail and acts on it.
    pub fn read_mail(&mut self) {
        let mut arrived = std::mem::take(&mut self.arrived);
        let mut words = Vec::new();
        for peer in self.mailbox.peers() {
            for _ in 0..LETTERS_PER_PEER {
                let Some(letter) = self.mailbox.receive(peer) else { break };
                match letter {
                    ToShard::Batch(mut batch) => {
                        let first = batch.prefetched_at(self.me());
                        if first {
                            let ours = self.ours(&batch);
                            ours.for_each(|parsed| self.prefetch_bucket(batch.passport.db, parsed));
                        }
                        arrived.push((batch, first));
                    }
                    ToShard::Release(release) => self.release(*release),
                    ToShard::Commit(commit) => self.order(*commit),
                    ToShard::Unclaim(ticket) => self.end_claims(Some(ticket)),
                    ToShard::Unwatch(keys) => self.unwatch(&keys),
                    ToShard::Connection(connection) => {
                        self.socket_requests.push(SocketRequest::Add(connection));
                    }
                    ToShard::Listen(listeners) => {
                        self.socket_requests.push(SocketRequest::Listen(listeners));
                    }
                    ToShard::Query(number, query) => {
                        if let Some(answer) = self.answer(number, query) {
                            self.mailbox.tell_control(ToControl::Answer(number, answer));
                        }
                    }
                    ToShard::Kept(kept) => self.batch_is_kept(*kept),
                    ToShard::Logged(entry) => self.sign(entry),
                    ToShard::Wait(word) => self.hear_of_wait(peer, word),
                    ToShard::Apply(batch) => self.apply(batch),
                    ToShard::Snapshot(word) => {
                        self.hear_of_snapshot(word);
                        // A chunk of keys takes its time: clients have their turn before the next.
                        break;
                    }
                    ToShard::Log(word) => self.hear_of_log(word),
                    ToShard::Flow(word) => self.hear_of_flow(word),
                    ToShard::Room(word) => self.hear_of_room(peer, word),
                    ToShard::Disk(word) => self.hear_of_disk(word),
                    ToShard::End(word) => self.hear_of_end(word),
                    // A message follows the replies to what caused it.
                    ToShard::PubSub(word) => words.push((peer, word)),
                }
            }
        }
        self.look_at_fence();
        for (batch, _) in arrived.iter().filter(|(_, first)| *first) {
            let ours = self.ours(batch);
            ours.for_each(|parsed| self.prefetch_record(batch.passport.db, parsed));
        }
        for (batch, _) in arrived.drain(..) {
            self.arrive(batch);
        }
        self.arrived = arrived;
        words.into_iter().for_each(|(peer, word)| self.listen(peer, word));
        self.take_receipts();
        self.settle();
    }

    /// The requests still to run in a batch whose keys live here: also those behind requests for
    /// other shards, because the batch will be back soon.
    pub(crate) fn ours<'a>(&self, batch: &'a Batch) -> impl Iterator<Item = &'a Parsed> + use<'a> {
        let here = Route::Shard(self.shard_number());
        let rest = batch.requests[batch.next..].iter();
        rest.filter(move |parsed| parsed.route == here).take(AHEAD_MAX)
    }

    /// Pass 1 of a batch of requests: starts loading the bucket of a request's key.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, db: usize, parsed: &Parsed) {
        if parsed.first_key.0 != 0 {
            self.shard.keyspace.dbs[db].table().prefetch_bucket(parsed.first_key.1);
        }
    }

    /// Pass 2: starts loading the entries that may be the key's.
    #[inline]
    pub(crate) fn prefetch_record(&self, db: usize, parsed: &Parsed) {
        if parsed.first_key.0 != 0 {
            self.shard.keyspace.dbs[db].table().prefetch_record(parsed.first_key.1);
        }
    }

    /// A batch comes to this shard by mail. One that comes home from a rest sets out anew: what it
    /// is at next passes everything that a new request passes.
    fn arrive(&mut self, mut batch: Box<Batch>) {
        if batch.epoch.is_none() && batch.home == self.me() {
            self.set_out(&mut batch);
        }
        self.advance(batch);
    }

    /// Lets batches go on that were waiting for what has happened meanwhile.
    pub(crate) fn settle(&mut self) {
        self.end_claims(None);
        loop {
            if let Some(batch) = self.claims.next_granted().or_else(|| self.resumed.pop_front()) {
                self.advance(batch);
            } else if let Some(batch) = self.pubsub.told.pop_front() {
                self.told(batch);
            } else {
                break;
            }
        }
        if !self.shard.effects.notes.is_empty() {
            self.settle_notes();
        }
        self.publish_events(None);
        self.send_messages();
        self.send_lines();
    }
}
