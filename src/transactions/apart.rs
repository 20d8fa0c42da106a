//! How commands fall apart that were run on keys of several shards: the log of each shard gets what
//! has happened to its keys, and says it without the keys of others.
//!
//! | command | logged as |
//! |---|---|
//! | its keys are of one shard | itself |
//! | it falls apart by its keys anyway: MSET, DEL ... | its part for each shard |
//! | moves an element: LMOVE, SMOVE ... | a pop and a push: its handler says so |
//! | sets keys on a condition: MSETNX, MSETEX | a SET for each: its handler says so |
//! | any other: RENAME, COPY, SINTERSTORE ... | what each changed key is now: RESTORE, or DEL |
//! | it is about all keys: FLUSHALL, SWAPDB ... | itself, once, in the first shard's part |
//!
//! With a command about all keys a whole transaction stands in the part of the first shard: it has
//! an order among its commands that parts do not have. So, too, with one whose words name keys of
//! several shards: they run on a replica when all logs are so far.

use shards::base::hash::HashSeed;
use shards::commands::spec::Spread;
use shards::journal::reader::each_command;
use shards::journal::units::Unit;
use shards::shard::{Request, Shard};

use crate::routing::call::{Call, Table};
use crate::routing::keys::{key_places, reaches, spacing};
use crate::routing::slots::SlotMap;
use crate::transactions::merging::part;

/// What the commands of a transaction leave for the logs of the shards.
#[derive(Debug)]
pub enum Apart {
    /// For each of these shards, ascending, what has happened to its keys.
    ByShard(Vec<(u16, Unit)>),
    /// For all shards together.
    Whole(Unit),
}

/// What transactions leave in the log of one shard.
#[derive(Debug)]
pub enum Logged {
    /// Commands that concern no other shard.
    Unit(Unit),
    /// A part of one of the transactions that end together.
    Part {
        /// How many of them have a number before its own.
        nth: u64,
        /// The shards with a part of it, ascending.
        participants: Vec<u16>,
        /// The commands, if any.
        unit: Option<Unit>,
    },
}

impl Logged {
    /// What one of the participants logs of a transaction.
    pub fn of(nth: u64, participants: &[u16], unit: Option<Unit>) -> Self {
        match unit {
            Some(unit) if participants.len() == 1 => Self::Unit(unit),
            unit => Self::Part { nth, participants: participants.to_vec(), unit },
        }
    }
}

/// Logs the command that ran last, if it left that to be done: `touched` is how many touched keys
/// there were before.
pub fn log_apart(
    shard: &mut Shard,
    slots: &SlotMap,
    call: &Call,
    request: &Request<'_>,
    touched: usize,
) {
    if !std::mem::take(&mut shard.effects.falls_apart) {
        return;
    }
    let (db, args) = (request.db, request.args);
    let seed = shard.keyspace.seed;
    let keys: Vec<(usize, u64)> = key_places(call.spec.keys, args)
        .into_iter()
        .map(|at| (at, seed.key_hash(args[at])))
        .collect();
    let mut owners: Vec<u16> = keys.iter().map(|(_, hash)| slots.owner(*hash)).collect();
    owners.sort_unstable();
    owners.dedup();
    if owners.len() <= 1 && !reaches(call.spec.keys, args) {
        return match request.came {
            [] => shard.effects.log.push(db, args),
            came => shard.effects.log.push_as_it_came(db, came),
        };
    }
    if let Spread::Split(_) = call.spec.spread {
        let (first_key, step) = spacing(call.spec.keys);
        for owner in owners {
            let ours = keys.iter().filter(|(_, hash)| slots.owner(*hash) == owner);
            let places: Vec<usize> = ours.map(|(place, _)| *place).collect();
            shard.effects.log.push(db, &part(args, first_key, &places, step));
        }
        return;
    }
    let mut changed: Vec<(usize, u64)> =
        shard.effects.touched[touched..].iter().map(|touched| (touched.db, touched.hash)).collect();
    changed.sort_unstable();
    changed.dedup();
    for (db, hash) in changed {
        if let Some((place, _)) = keys.iter().find(|(_, key)| *key == hash) {
            shard.log_state(db, args[*place]);
        }
    }
}

/// Takes the commands of a transaction apart by the shards of their keys.
pub fn apart(unit: Unit, table: &Table, slots: &SlotMap, seed: HashSeed) -> Apart {
    let mut parts: Vec<(u16, Unit)> = Vec::new();
    let mut is_whole = false;
    let read = each_command(unit.db, &unit.commands, |db, args| {
        let Some(owner) = table.find(args).and_then(|call| only_owner(call, args, slots, seed))
        else {
            is_whole = true;
            return;
        };
        let at = parts.binary_search_by_key(&owner, |part| part.0).unwrap_or_else(|at| {
            parts.insert(at, (owner, Unit::default()));
            at
        });
        parts[at].1.push(db, args);
    });
    // A command of more than 4 GiB, as the state of a huge key is, cannot be read: it stays whole.
    if is_whole || read.is_err() { Apart::Whole(unit) } else { Apart::ByShard(parts) }
}

/// The shard of all keys of a command; `None` if there is none, or not only one.
pub fn only_owner(call: &Call, args: &[&[u8]], slots: &SlotMap, seed: HashSeed) -> Option<u16> {
    let places = key_places(call.spec.keys, args).into_iter();
    let mut owners =
        places.filter_map(|at| args.get(at)).map(|key| slots.owner(seed.key_hash(key)));
    let first = owners.next()?;
    let is_only = owners.all(|owner| owner == first) && !reaches(call.spec.keys, args);
    is_only.then_some(first)
}
