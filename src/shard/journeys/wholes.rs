//! Commands that have the databases of every shard at hand.

use crate::shard::journeys::scanning::with_rest;
use shards::base::number::parse_u64;
use shards::commands::scanning::join;
use shards::commands::spec::Command;
use shards::commands::spec::{Merge, Spread};
use shards::effects::Note;
use shards::effects::ScanRest;
use shards::shard::Request;

use crate::batches::batch::Passport;
use crate::reactor::crash::at_work;
use crate::routing::call::{Call, Run};
use crate::routing::keys::reaches;
use crate::routing::slots::Peer;
use crate::shard::core::Core;
use crate::shard::messages::tracking::note_reads;
use crate::transactions::apart::log_apart;
use crate::transactions::merging::Merged;
use crate::transactions::transaction::Transaction;

impl Core {
    /// Runs a command that has the databases of every shard at hand.
    pub(crate) fn run_on_wholes(
        &mut self,
        transaction: &mut Transaction,
        call: &Call,
        args: &[&[u8]],
        passport: &Passport,
        out: &mut Vec<u8>,
    ) {
        let Run::Engine(command) = call.run else { unreachable!("the caller looked") };
        let written = out.len();
        let work = at_work(call.spec.name, args);
        match command.spec.spread {
            Spread::Everywhere(merge) => {
                self.run_everywhere(transaction, merge, (call, command), args, passport, out);
            }
            Spread::Cursor => self.scan_wholes(transaction, command, args, passport, out),
            Spread::Gather | Spread::Split(_) | Spread::Anywhere | Spread::HandOver => {
                let owners = self.owners(call, args);
                let Some(&first) = owners.first() else {
                    let request = Self::engine_request(args, passport, (0, 0));
                    return self.run_on_visitors(call, command, request, out);
                };
                self.move_between(transaction, call, args, first);
                let at = whole_of(transaction, first);
                let reaches = reaches(call.spec.keys, args);
                if reaches {
                    self.bring_elsewhere(transaction, first);
                }
                self.with_whole(transaction, at, |core| {
                    let request = Self::engine_request(args, passport, (0, 0));
                    let touched = core.visitors.effects.touched.len();
                    // The error is in the reply.
                    let _ = core.visitors.execute(command, request, out);
                    log_apart(&mut core.visitors, &core.node.slots, call, &request, touched);
                    if let Some(reader) = core.reading {
                        note_reads(&mut core.visitors.effects, call, args, reader);
                    }
                });
                if reaches {
                    self.take_elsewhere(transaction, first);
                }
                self.move_home(transaction, call, args, first);
            }
        }
        drop(work);
        if self.visitors.effects.consignment.is_some() {
            // It counts when it is answered.
            self.lap();
            return self.observe_wait(call, args);
        }
        let failed = self.note_error_reply(&out[written..]);
        let took = self.count(call, failed);
        self.observe(call, args, took, out.len() - written);
    }

    /// Runs a command on each shard's databases by themselves.
    fn run_everywhere(
        &mut self,
        transaction: &mut Transaction,
        merge: Merge,
        (call, command): (&Call, &'static Command),
        args: &[&[u8]],
        passport: &Passport,
        out: &mut Vec<u8>,
    ) {
        let databases = self.visitors.keyspace.dbs.len();
        let mut merged = Merged::default();
        let mut reply = Vec::new();
        let max = passport.reply_max.saturating_sub(out.len());
        let logs_write = self.logs_write(call);
        for at in 0..transaction.wholes.len() {
            reply.clear();
            let notes = self.visitors.effects.notes.len();
            let logged = self.visitors.effects.log.open_commands();
            self.with_whole(transaction, at, |core| {
                let request = Request {
                    reply_max: merged.room(max),
                    ..Self::engine_request(args, passport, (0, 0))
                };
                // The error is in the reply, and merged with it.
                let _ = core.visitors.execute(command, request, &mut reply);
            });
            if at != 0 {
                // That a database was emptied is said once.
                let notes = self.visitors.effects.notes.split_off(notes);
                let others = notes.into_iter().filter(|note| *note != Note::Emptied);
                self.visitors.effects.notes.extend(others);
            }
            if logs_write && logged < self.visitors.effects.log.open_commands() {
                // All shards do the same, and it is logged once: where there is something to log.
                self.visitors.effects.keeps_log = false;
            }
            transaction.replaced.extend(replaced(call, args, passport.db, databases));
            if merge == Merge::Pick {
                let random = &mut self.shard.keyspace.random;
                merged.add_pick(&reply, |limit| random.below(limit));
            } else {
                merged.add_part(merge, 0, &reply, max);
            }
        }
        self.visitors.effects.keeps_log = self.shard.effects.keeps_log;
        merged.write(merge, out, passport.reply_max);
    }

    /// Runs SCAN on the databases of the shard of its cursor, and on those behind it.
    fn scan_wholes(
        &mut self,
        transaction: &mut Transaction,
        command: &'static Command,
        args: &[&[u8]],
        passport: &Passport,
        out: &mut Vec<u8>,
    ) {
        let reply = out.len();
        let mut rest = None;
        loop {
            let (before, part) = (rest.take(), out.len());
            let owner = match before {
                None => self.cursor_owner(args),
                Some(ScanRest { cursor, .. }) => self.slot_owner(cursor),
            };
            let at = whole_of(transaction, owner.into());
            self.with_whole(transaction, at, |core| {
                with_rest(args, before, |args| {
                    let request = Self::engine_request(args, passport, (0, 0));
                    // The error is in the reply.
                    let _ = core.visitors.execute(command, request, out);
                });
                rest = core.visitors.effects.scan_rest.take();
            });
            if passport.reply_max < out.len() {
                return;
            }
            if before.is_some() {
                join(out, reply, part);
            }
            if rest.is_none() {
                return;
            }
        }
    }

    /// Puts the databases of all shards but `first` within reach of a command there.
    fn bring_elsewhere(&mut self, transaction: &mut Transaction, first: Peer) {
        let others = transaction.wholes.iter_mut().filter(|whole| whole.0 != first);
        let slots = |shard: Peer| self.node.slots.range(u16::try_from(shard).expect("few shards"));
        let parts = others.map(|(shard, dbs)| (slots(*shard), std::mem::take(dbs)));
        self.visitors.keyspace.elsewhere = parts.collect();
    }

    /// Takes the databases back that [`Self::bring_elsewhere`] brought.
    fn take_elsewhere(&mut self, transaction: &mut Transaction, first: Peer) {
        let others = transaction.wholes.iter_mut().filter(|whole| whole.0 != first);
        for (whole, part) in others.zip(self.visitors.keyspace.elsewhere.drain(..)) {
            whole.1 = part.1;
        }
    }

    /// Runs `work` with the databases of one shard as the visitors' keyspace.
    fn with_whole(
        &mut self,
        transaction: &mut Transaction,
        at: usize,
        work: impl FnOnce(&mut Self),
    ) {
        let shard = transaction.wholes[at].0;
        let slots = self.node.slots.range(u16::try_from(shard).expect("shards are few"));
        std::mem::swap(&mut self.visitors.keyspace.dbs, &mut transaction.wholes[at].1);
        let before = std::mem::replace(&mut self.visitors.keyspace.slots, slots);
        work(self);
        self.visitors.keyspace.slots = before;
        std::mem::swap(&mut self.visitors.keyspace.dbs, &mut transaction.wholes[at].1);
    }

    /// The shards of a command's keys, ascending.
    fn owners(&self, call: &Call, args: &[&[u8]]) -> Vec<Peer> {
        let footprint = self.footprint_of(call, args);
        footprint.shards(&self.node.slots).into_iter().map(usize::from).collect()
    }

    /// Brings the entries of a command's keys together in the databases of shard `to`.
    fn move_between(
        &mut self,
        transaction: &mut Transaction,
        call: &Call,
        args: &[&[u8]],
        to: Peer,
    ) {
        for (owner, hash) in self.keys_of(call, args) {
            if owner != to {
                move_entries(transaction, hash, owner, to);
            }
        }
    }

    /// Brings entries back to the databases they belong to.
    fn move_home(
        &mut self,
        transaction: &mut Transaction,
        call: &Call,
        args: &[&[u8]],
        from: Peer,
    ) {
        for (owner, hash) in self.keys_of(call, args) {
            if owner != from {
                move_entries(transaction, hash, from, owner);
            }
        }
    }

    fn keys_of(&self, call: &Call, args: &[&[u8]]) -> Vec<(Peer, u64)> {
        self.footprint_of(call, args).keys().collect()
    }
}

/// The databases that a command empties or swaps as a whole.
fn replaced(call: &Call, args: &[&[u8]], selected: usize, databases: usize) -> Vec<usize> {
    match call.spec.name {
        "flushall" => (0..databases).collect(),
        "flushdb" => vec![selected],
        "swapdb" => {
            let number = |arg: &&[u8]| parse_u64(arg).and_then(|n| usize::try_from(n).ok());
            args[1..].iter().filter_map(number).collect()
        }
        _ => Vec::new(),
    }
}

fn whole_of(transaction: &Transaction, shard: Peer) -> usize {
    let at = transaction.wholes.iter().position(|whole| whole.0 == shard);
    at.expect("every shard was visited")
}

/// Moves the entries with this hash from the databases of one shard to those of another.
fn move_entries(transaction: &mut Transaction, hash: u64, from: Peer, to: Peer) {
    let (from, to) = (whole_of(transaction, from), whole_of(transaction, to));
    for db in 0..transaction.wholes[from].1.len() {
        while let Some(entry) = transaction.wholes[from].1[db].take_hash(hash) {
            transaction.wholes[to].1[db].insert(hash, entry);
        }
    }
}
