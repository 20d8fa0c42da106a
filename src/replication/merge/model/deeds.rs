//! What clients and control do to the shards of the model, and what that leaves in their logs.

use std::collections::BTreeMap;
use std::rc::Rc;

use shards::journal::entry::Note;
use shards::journal::part::{Payload, Transaction};
use shards::journal::reader::Entries;
use shards::journal::units::Units;

use super::relay::push_all;
use super::*;

impl World {
    pub(super) fn write(&mut self, keys: &[usize]) {
        self.ids += 1;
        let mut by_shard: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for key in keys {
            for shard in 0..self.shards.len() {
                if *key == ALL || key % self.shards.len() == shard {
                    by_shard.entry(shard).or_default().push(*key);
                }
            }
        }
        let home = self.below(self.shards.len());
        let touched =
            if keys == [ALL] { (0..KEYS).collect() } else { keys.iter().copied().collect() };
        self.deeds.insert(self.ids, touched);
        let (id, begun) = (self.ids, self.clock);
        let deed = Rc::new(Deed { id, home, keys: by_shard, begun, is_fence: false });
        self.visit(deed, 0, home);
    }

    /// A deed goes on from shard `here` to its shard number `index`, and claims its keys there.
    pub(super) fn visit(&mut self, deed: Rc<Deed>, index: usize, here: usize) {
        let Some(&shard) = deed.keys.keys().nth(index) else {
            let home = if index == 1 { here } else { deed.home };
            return self.send(here, home, Box::new(move |world| world.commit(&deed, home)));
        };
        let arrive = move |world: &mut Self| {
            let (id, keys) = (deed.id, deed.keys[&shard].clone());
            let go: Letter = Box::new(move |world| {
                world.run(&deed, shard);
                world.visit(deed, index + 1, shard);
            });
            world.shards[shard].tickets.push(Ticket { id, keys, go: Some(go) });
            world.wake(shard);
        };
        self.send(here, shard, Box::new(arrive));
    }

    /// The values change while the keys are claimed.
    pub(super) fn run(&mut self, deed: &Deed, shard: usize) {
        let count = self.shards.len();
        for key in &deed.keys[&shard] {
            let is_written = |one| one == *key || (*key == ALL && one % count == shard);
            push_all(&mut self.shards[shard].values, deed.id, is_written);
        }
    }

    /// Tickets go on that no earlier one keeps from it.
    pub(super) fn wake(&mut self, shard: usize) {
        let clash = |one: &[usize], other: &[usize]| {
            one.contains(&ALL) || other.contains(&ALL) || one.iter().any(|key| other.contains(key))
        };
        loop {
            let tickets = &mut self.shards[shard].tickets;
            let free = |index: &usize| {
                let (before, rest) = tickets.split_at(*index);
                rest[0].go.is_some() && !before.iter().any(|one| clash(&one.keys, &rest[0].keys))
            };
            let Some(index) = (0..tickets.len()).find(free) else { return };
            if let Some(go) = tickets[index].go.take() {
                go(self);
            }
        }
    }

    pub(super) fn commit(&mut self, deed: &Rc<Deed>, here: usize) {
        let deed = deed.clone();
        if self.has(Rule::Order) && (1 < deed.keys.len() || deed.is_fence) {
            self.send(here, 0, Box::new(move |world| world.number(&deed, 0)));
        } else {
            self.number(&deed, here);
        }
    }

    /// A deed gets its number, and is released on all its shards.
    pub(super) fn number(&mut self, deed: &Rc<Deed>, here: usize) {
        self.txid += 1;
        let txid = self.txid;
        for shard in deed.keys.keys().copied() {
            let deed = deed.clone();
            self.send(here, shard, Box::new(move |world| world.release(&deed, shard, txid)));
        }
    }

    /// What a deed leaves is appended to a log, and its claims end.
    pub(super) fn release(&mut self, deed: &Deed, shard: usize, txid: u64) {
        let bytes = self.entry(deed, shard, txid);
        let is_unit = deed.keys.len() == 1 && !deed.is_fence;
        let flushes = (deed.keys[&shard] == [ALL]).then_some(deed.id);
        self.append(
            shard,
            Logged { begun: deed.begun, shown: self.clock, is_unit, flushes, bytes },
        );
        self.shards[shard].tickets.retain(|ticket| ticket.id != deed.id);
        if deed.is_fence {
            let (end, control) = (self.shards[shard].log_bytes, self.control());
            self.send(shard, control, Box::new(move |world| world.fence_part(shard, end)));
        }
        self.wake(shard);
    }

    pub(super) fn append(&mut self, shard: usize, logged: Logged) {
        let log = &mut self.shards[shard];
        log.log_bytes += logged.bytes.len() as u64;
        log.log.push(logged);
        if self.has(Rule::Show) {
            self.show(shard);
        }
    }

    pub(super) fn ping(&mut self) {
        let (begun, bytes) = (self.clock, Note::Ping.encode().to_vec());
        self.append(0, Logged { begun, shown: begun, is_unit: true, flushes: None, bytes });
    }

    pub(super) fn entry(&self, deed: &Deed, shard: usize, txid: u64) -> Vec<u8> {
        let db = if (deed.id + shard as u64).is_multiple_of(3) { 1 } else { 0 };
        let mut units = Units::default();
        units.begin();
        let is_first = deed.keys.keys().next() == Some(&shard);
        for key in &deed.keys[&shard] {
            let pad = "x".repeat(if deed.id.is_multiple_of(9) { 200 } else { 20 });
            let (id, name) = (deed.id.to_string(), key.to_string());
            match *key {
                ALL if is_first => units.push(db, &["FLUSHALL", &id]),
                ALL => {}
                _ => units.push(db, &["SET", &name, &id, &pad]),
            }
        }
        units.end();
        if !deed.is_fence && (deed.keys.len() == 1 || !self.has(Rule::Whole)) {
            return units.entries().to_vec();
        }
        let mut payload = Payload::default();
        if let Some(Ok(unit)) = Entries::of(units.entries()).next() {
            let (header, commands) = (unit.header, unit.commands);
            payload = Payload { commands, db: header.db, ends_elsewhere: header.ends_elsewhere };
        }
        let participants: Vec<u16> =
            deed.keys.keys().map(|shard| u16::try_from(*shard).unwrap()).collect();
        let mut bytes = Vec::new();
        let transaction = Transaction { txid, participants: &participants };
        transaction.push_part(&mut bytes, u16::try_from(shard).unwrap(), payload);
        if !self.has(Rule::Weight) && !payload.commands.is_empty() {
            bytes[7] |= 1;
        }
        bytes
    }

    /// Begins a fence, unless one is under way.
    pub(super) fn begin_fence(&mut self) {
        if self.fence.is_none() {
            let for_relay = std::mem::take(&mut self.relay.wants_fence);
            self.fence = Some((for_relay, BTreeMap::new()));
            let keys = (0..self.shards.len()).map(|shard| (shard, Vec::new())).collect();
            let control = self.control();
            let fence = Deed { id: 0, home: control, keys, begun: self.clock, is_fence: true };
            self.commit(&Rc::new(fence), control);
        }
    }

    pub(super) fn fence_part(&mut self, shard: usize, end: u64) {
        let Some((_, ends)) = &mut self.fence else { return };
        ends.insert(shard, end);
        if ends.len() == self.shards.len()
            && let Some((true, ends)) = self.fence.take_if(|_| true)
        {
            self.begin_merge(ends.into_values().collect());
        }
    }
}
