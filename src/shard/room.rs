//! Memory for what commands write: looked at before a request, an EXEC, or a command over several
//! shards, and never inside.
//!
//! `maxmemory` is one limit for all shards. A shard looks at what all of them use once a turn, and
//! knows then how much it may take itself before it looks again: so a write costs one comparison.
//! When memory is short, garbage is freed before any key is evicted, and each shard evicts in
//! proportion to what it has. What a write's own shard cannot give is taken where it is: the batch
//! waits until the other shards have answered.

use shards::keyspace::chores::Chore;
use shards::keyspace::settings::{OnExpiry, Policy};

use crate::batches::batch::Batch;
use crate::mail::board::Board;
use crate::mail::room::RoomWord;
use crate::mail::to_shard::ToShard;
use crate::reactor::allocator::{thread_bytes, used_memory};
use crate::reactor::clock::Monotonic;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::stats::latency_events::Event;
use crate::transactions::locks::Ticket;

/// Microseconds for which a shard makes room before one command runs. Then the command runs
/// although memory is short, as in Valkey: background work goes on making room.
const MAKING_MICROS: u64 = 500;
/// Effort of one piece of freeing garbage, between two looks at the clock.
const GARBAGE_EFFORT: usize = 512;
/// Of the limit, one in so many bytes is made free beyond what is lacking, so that not every write
/// has to look, and at most so many.
const SLACK_SHARE: u64 = 4096;
const SLACK_BYTES_MAX: u64 = 4 << 20;

/// Whether there is memory for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// There is, or room is being made fast enough.
    Enough,
    /// Garbage is being freed, or other shards are making room: the request waits for that.
    Coming,
    /// There is none, and nothing may go.
    Refused,
}

/// The tickets of a batch on the shards where it has some.
pub type Own<'a> = &'a dyn Fn(Peer) -> Option<Ticket>;

/// What a shard knows of memory.
#[derive(Debug)]
pub struct Room {
    /// The bytes of this thread up to which memory is not short.
    ceiling: i64,
    /// Batches that wait for other shards to make room or, if none was asked, for the next turn,
    /// in which this one goes on freeing garbage.
    waiting: Vec<Box<Batch>>,
    /// Shards that were asked for room and have not answered.
    asked: usize,
    /// Whether one of those that have answered made some.
    made: bool,
    /// Memory was short when background work looked last.
    was_short: bool,
    /// In this turn: all were asked, and none had anything to free.
    is_stuck: bool,
}

impl Default for Room {
    fn default() -> Self {
        let waiting = Vec::new();
        Self {
            ceiling: i64::MAX,
            waiting,
            asked: 0,
            made: false,
            was_short: false,
            is_stuck: false,
        }
    }
}

impl Room {
    /// Whether memory has to be looked at before a command that needs some.
    #[inline]
    pub fn is_short(&self) -> bool {
        self.ceiling != i64::MAX && self.ceiling < thread_bytes()
    }

    /// Lets a batch wait until there may be room.
    pub fn wait(&mut self, batch: Box<Batch>) {
        self.waiting.push(batch);
    }

    /// Whether batches wait for the next turn.
    pub fn waits_for_next_turn(&self) -> bool {
        !self.waiting.is_empty() && self.asked == 0
    }
}

impl Core {
    /// Looks at the memory of all shards, at the beginning of a turn.
    #[inline]
    pub(crate) fn look_for_room(&mut self) {
        if self.node.config.maxmemory == 0 {
            self.room.ceiling = i64::MAX;
        } else {
            self.room.is_stuck = false;
            self.lack_of_room();
        }
        let Room { waiting, asked, .. } = &self.room;
        if !waiting.is_empty() && (*asked == 0 || !self.room.is_short()) {
            self.resumed.extend(self.room.waiting.drain(..));
        }
    }

    /// How many bytes too many are in use, with some slack. `None` if memory is not short: then
    /// this shard may take its share of what is left before it looks again.
    fn lack_of_room(&mut self) -> Option<u64> {
        let limit = self.node.config.maxmemory;
        let used = used_memory();
        match limit.checked_sub(used) {
            _ if limit == 0 => {
                self.room.ceiling = i64::MAX;
                None
            }
            Some(left) => {
                let share = left / u64::from(self.node.slots.shards());
                let share = i64::try_from(share).unwrap_or(i64::MAX);
                self.room.ceiling = thread_bytes().saturating_add(share).min(i64::MAX - 1);
                None
            }
            None => {
                self.room.ceiling = i64::MIN;
                Some(used - limit + (limit / SLACK_SHARE).min(SLACK_BYTES_MAX))
            }
        }
    }

    /// Sees to it that there is memory for a request, if that can be done. Keys that only the
    /// request's own batch claims may go for it: `own` knows its tickets.
    pub(crate) fn find_room(&mut self, own: Own<'_>) -> Memory {
        if !self.room.is_short() {
            return Memory::Enough;
        }
        self.make_room(own)
    }

    #[cold]
    fn make_room(&mut self, own: Own<'_>) -> Memory {
        let since = Monotonic::now();
        let Some(lack) = self.lack_of_room() else { return Memory::Enough };
        if self.room.waits_for_next_turn() {
            return Memory::Coming;
        }
        self.free_garbage(since);
        let Some(lack) = self.lack_of_room().map(|now| now.min(lack)) else {
            return Memory::Enough;
        };
        if self.has_garbage() {
            self.ask_for_room(|_, board| (board.garbage.get() != 0).then_some(RoomWord::Free));
            return Memory::Coming;
        }
        let elsewhere = self.of_others(|board| board.evictable.get());
        let here = self.evictable();
        let share = proportion(lack, here, here + elsewhere);
        let held = own(self.me());
        let evicted = self.evict(since, share, held);
        if self.lack_of_room().is_none() {
            return Memory::Enough;
        }
        let lack = lack.saturating_sub(share);
        let their_share = |shard, board: &Board| {
            let share = proportion(lack, board.evictable.get(), elsewhere);
            (share != 0).then(|| RoomWord::Evict(share, own(shard)))
        };
        if self.ask_for_room(their_share) {
            return Memory::Coming;
        }
        // What is here has to do: a share may have been a fraction of a key.
        let evicted = evicted + self.evict(since, u64::MAX, held);
        match self.lack_of_room() {
            None => Memory::Enough,
            Some(_) if evicted != 0 => Memory::Enough,
            Some(_) => Memory::Refused,
        }
    }

    /// A figure of the other shards, added up.
    pub(crate) fn of_others(&self, figure: impl Fn(&Board) -> u64) -> u64 {
        self.other_shards().map(|shard| figure(self.mailbox.board(shard))).sum()
    }

    /// Asks those of the other shards for room for which there is a word. False if that is of no
    /// use.
    fn ask_for_room(&mut self, word: impl Fn(Peer, &Board) -> Option<RoomWord>) -> bool {
        if self.room.is_stuck {
            return false;
        }
        if self.room.asked != 0 {
            return true;
        }
        self.room.made = false;
        for shard in self.other_shards() {
            if let Some(word) = word(shard, self.mailbox.board(shard)) {
                self.room.asked += 1;
                self.mailbox.send(shard, ToShard::Room(word));
            }
        }
        self.room.asked != 0
    }

    /// What another shard says about memory.
    pub(crate) fn hear_of_room(&mut self, from: Peer, word: RoomWord) {
        match word {
            RoomWord::Free => {
                self.free_garbage(Monotonic::now());
                // If it was freed for another shard meanwhile, that is as good.
                self.tell_of_room(from, true);
            }
            RoomWord::Evict(bytes, held) => {
                let (since, before) = (Monotonic::now(), thread_bytes());
                self.free_garbage(since);
                let freed = u64::try_from(before - thread_bytes()).unwrap_or(0);
                // The time may have been over before all garbage was freed: that goes first.
                if self.shard.keyspace.garbage.is_empty() {
                    self.evict(since, bytes.saturating_sub(freed), held);
                }
                let made = thread_bytes() < before || self.lack_of_room().is_none();
                self.tell_of_room(from, made);
            }
            RoomWord::Made(made) => {
                self.room.asked -= 1;
                self.room.made |= made;
                if self.room.asked == 0 {
                    self.room.is_stuck = !self.room.made;
                    self.lack_of_room();
                    self.resumed.extend(self.room.waiting.drain(..));
                }
            }
        }
    }

    fn tell_of_room(&mut self, shard: Peer, made: bool) {
        self.show_figures();
        self.mailbox.send(shard, ToShard::Room(RoomWord::Made(made)));
    }

    /// Whether any shard has values that wait to be freed.
    fn has_garbage(&self) -> bool {
        let elsewhere = || self.of_others(|board| board.garbage.get()) != 0;
        !self.shard.keyspace.garbage.is_empty() || elsewhere()
    }

    /// Frees garbage, for as long as a shard may make room.
    fn free_garbage(&mut self, since: Monotonic) {
        while !self.shard.keyspace.garbage.is_empty() {
            self.shard.work(Chore::FreeGarbage, GARBAGE_EFFORT, &|_, _| false);
            if MAKING_MICROS <= Monotonic::now().micros_since(since) {
                return;
            }
        }
    }

    /// Evicts this shard's share of what is lacking, as background work, if it was lacking before
    /// (what is taken for a moment costs no key) and no shard has garbage. True if more is lacking
    /// and something may go.
    pub(crate) fn evict_in_background(&mut self, since: Monotonic) -> bool {
        let is_short = self.room.is_short();
        let was_short = std::mem::replace(&mut self.room.was_short, is_short);
        if !is_short || !was_short || self.has_garbage() {
            return false;
        }
        let Some(lack) = self.lack_of_room() else { return false };
        let here = self.evictable();
        let all = here + self.of_others(|board| board.evictable.get());
        let evicted = self.evict(since, proportion(lack, here, all), None);
        evicted != 0 && self.room.is_short()
    }

    /// Evicts keys until so many bytes are free, memory is not short any more, or time is up: how
    /// many keys. Claimed keys stay, unless only the holder of `held` claims them.
    fn evict(&mut self, since: Monotonic, bytes: u64, held: Option<Ticket>) -> u64 {
        let (before, bytes) = (thread_bytes(), i64::try_from(bytes).unwrap_or(i64::MAX));
        self.timed(Event::EvictionCycle, |core| {
            let mut evicted = 0;
            // The first one goes however late it is: a thread that was kept waiting gets on, too.
            while before - thread_bytes() < bytes
                && core.lack_of_room().is_some()
                && (evicted == 0 || Monotonic::now().micros_since(since) < MAKING_MICROS)
            {
                let Self { shard, claims, .. } = core;
                if !shard.evict(&|_, hash| !claims.lets(held, hash)) {
                    break;
                }
                evicted += 1;
                // What was evicted counts when it is free.
                core.free_garbage(since);
            }
            evicted
        })
    }

    /// Keys that may be evicted here.
    fn evictable(&self) -> u64 {
        let keyspace = &self.shard.keyspace;
        if keyspace.settings.expiry != OnExpiry::Removes {
            return 0;
        }
        let keys = match keyspace.settings.policy {
            Policy::NoEviction => 0,
            Policy::AllKeysLru | Policy::AllKeysLfu | Policy::AllKeysRandom => keyspace.len(),
            Policy::VolatileLru
            | Policy::VolatileLfu
            | Policy::VolatileRandom
            | Policy::VolatileTtl => keyspace.dbs.iter().map(|db| db.volatile_len()).sum(),
        };
        keys as u64
    }

    /// Shows other threads what they may want to know.
    pub fn show_figures(&mut self) {
        let board = self.mailbox.own_board();
        board.changes.set(self.shard.effects.dirty);
        board.logged.set(self.shard.effects.log.weight());
        let held = self.client_totals.sum();
        board.client_bytes.set(held.bytes);
        board.unauthenticated.set(held.unauthenticated);
        board.largest_client.set(self.client_totals.largest());
        let (is_limited, keyspace) = (self.node.config.maxmemory != 0, &self.shard.keyspace);
        let is_replica = !self.is_primary();
        if is_limited || is_replica {
            board.garbage.set(keyspace.garbage.len() as u64);
        }
        if is_replica {
            board.keys.set(keyspace.len() as u64);
        }
        if is_limited {
            board.evictable.set(self.evictable());
        }
    }
}

/// The part of `bytes` that falls to `part` of `all`, rounded up.
fn proportion(bytes: u64, part: u64, all: u64) -> u64 {
    let share = (u128::from(bytes) * u128::from(part)).div_ceil(u128::from(all.max(1)));
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole_at_least() {
        let cases = [(100, &[1, 1, 1][..]), (7, &[0, 5]), (u64::MAX, &[1, 2]), (0, &[3, 4])];
        for (bytes, parts) in cases {
            let all = parts.iter().sum();
            let sum: u128 =
                parts.iter().map(|part| u128::from(proportion(bytes, *part, all))).sum();
            assert!(u128::from(bytes) <= sum && sum <= u128::from(bytes) + parts.len() as u128);
        }
        assert_eq!(proportion(5, 0, 0), 0);
    }
}
