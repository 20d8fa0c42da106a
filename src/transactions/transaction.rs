//! Commands that span shards: which shards they visit, what they claim there, what they carry.
//!
//! ```text
//! home --> visit 1 --> visit 2 ... (ascending; at each: claim, wait, then run a part or take
//!          entries along) --> [home: run on what was brought together] --> release everywhere
//! ```
//! All claims are held before the first is released, so these commands and those of single shards
//! have one order that agrees with real time (two-phase locking). A part that runs early is
//! invisible until then: its keys are claimed.

use crate::transactions::locks::mode_of;
use crate::transactions::merging::Merged;
use shards::commands::spec::{Merge, Spread};
use shards::effects::{self, Event, Note};
use shards::journal::units::Unit;
use shards::keyspace::db::{Db, Entry};

use crate::routing::call::{Call, KeyShape, Run};
use crate::routing::keys::key_places;
use crate::routing::keys::reaches;
use crate::routing::request::Parsed;
use crate::routing::slots::Peer;
use crate::routing::slots::SlotMap;
use crate::transactions::locks::{Claims, Mode, Ticket};
use crate::transactions::multi::Watch;

/// A command at work on several shards.
#[derive(Debug)]
pub struct Transaction {
    /// What happens at a visit.
    pub kind: Kind,
    /// The shards, ascending.
    pub visits: Vec<Visit>,
    /// The visit that is next or under way; all are done if there is none.
    pub at: usize,
    /// Entries taken along.
    pub loans: Vec<Loan>,
    /// Databases taken along whole.
    pub wholes: Vec<(Peer, Vec<Db>)>,
    /// Databases that were emptied or swapped.
    pub replaced: Vec<usize>,
    /// What its commands have left behind before it left home for a while.
    pub leftovers: Leftovers,
    /// What the parts answered.
    pub merged: Merged,
    /// Cycles that the parts took.
    pub cycles: u64,
}

/// What commands left behind that ran on entries taken along: for the shards that own the keys.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// How many changes.
    pub dirty: u64,
    /// Events to publish.
    pub events: Vec<Event>,
    /// What concerns clients that keep copies of keys.
    pub notes: Vec<Note>,
    /// What happened to keys.
    pub touched: Vec<effects::Touched>,
    /// What is logged.
    pub unit: Unit,
}

/// What happens at a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command runs on the shard as a whole, and the replies are merged.
    Parts(Merge),
    /// The entries are taken along, to run at home.
    Gather,
    /// The databases are taken along, to run at home.
    GatherWhole,
    /// Keys are watched; nothing is claimed.
    Watch,
    /// Nothing: control claims all shards.
    Barrier,
}

/// What a transaction wants on one shard.
#[derive(Debug)]
pub struct Visit {
    /// The shard.
    pub shard: Peer,
    /// What is claimed.
    pub claims: Claims,
    /// Its ticket there, from the moment it has claimed.
    pub ticket: Option<Ticket>,
    /// Keys that must be unchanged, or are to be watched.
    pub watched: Vec<Watch>,
}

/// An entry on loan.
#[derive(Debug)]
pub struct Loan {
    /// Whose it is.
    pub shard: Peer,
    /// Its database.
    pub db: usize,
    /// Its key's hash.
    pub hash: u64,
    /// The entry.
    pub entry: Entry,
}

/// What a request, or a whole EXEC, touches.
#[derive(Debug, Default)]
pub struct Footprint {
    keys: Vec<Touched>,
    /// It needs every shard as a whole, and whether to write.
    pub whole: Option<Mode>,
}

#[derive(Clone, Copy, Debug)]
struct Touched {
    shard: u16,
    hash: u64,
    mode: Mode,
    place: usize,
}

impl Footprint {
    /// Adds what `parsed` touches.
    pub fn add(
        &mut self,
        slots: &SlotMap,
        parsed: &Parsed,
        args: &[&[u8]],
        hash: impl Fn(&[u8]) -> u64,
    ) {
        if let Some(call) = parsed.call {
            self.add_call(slots, call, args, hash);
        }
    }

    /// Adds what a call with these arguments touches.
    pub fn add_call(
        &mut self,
        slots: &SlotMap,
        call: &Call,
        args: &[&[u8]],
        hash: impl Fn(&[u8]) -> u64,
    ) {
        // Only the engine's commands touch keys; SPUBLISH merely looks as if it did.
        let Run::Engine(_) = call.run else { return };
        let mode = mode_of(call.spec.flags);
        if let Spread::Everywhere(_) | Spread::Cursor = call.spec.spread {
            let stronger = self.whole == Some(Mode::Exclusive) || mode == Mode::Exclusive;
            self.whole = Some(if stronger { Mode::Exclusive } else { Mode::Shared });
        }
        let places = match call.keys {
            KeyShape::None => return,
            KeyShape::One(at) => vec![at],
            KeyShape::Several => {
                // In a cluster such keys are of the same slot, or the command is refused.
                if !slots.keeps_to_one_slot() && reaches(call.spec.keys, args) {
                    self.whole = Some(Mode::Exclusive);
                }
                key_places(call.spec.keys, args)
            }
        };
        for place in places {
            let Some(key) = args.get(place) else { continue };
            let hash = hash(key);
            self.keys.push(Touched { shard: slots.owner(hash), hash, mode, place });
        }
    }

    /// Adds keys that must be unchanged.
    pub fn add_watched(&mut self, slots: &SlotMap, watched: &[Watch]) {
        for watch in watched {
            let shard = slots.owner(watch.hash);
            let mode = Mode::Shared;
            self.keys.push(Touched { shard, hash: watch.hash, mode, place: usize::MAX });
        }
    }

    /// Its keys, as (owner, hash).
    pub fn keys(&self) -> impl Iterator<Item = (Peer, u64)> {
        self.keys.iter().map(|key| (usize::from(key.shard), key.hash))
    }

    /// The shards it touches, ascending.
    pub fn shards(&self, slots: &SlotMap) -> Vec<u16> {
        if self.whole.is_some() {
            return (0..slots.shards()).collect();
        }
        let mut shards: Vec<u16> = self.keys.iter().map(|key| key.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    /// What it claims on one shard, each key once, in its strongest mode; `Gather` claims all
    /// alone, because no command can read an entry that is on loan.
    pub fn claims(&self, shard: u16, alone: bool) -> Claims {
        if let Some(mode) = self.whole {
            return Claims::Whole(if alone { Mode::Exclusive } else { mode });
        }
        let here = self.keys.iter().filter(|key| key.shard == shard);
        let claim = |key: &Touched| (key.hash, if alone { Mode::Exclusive } else { key.mode });
        Claims::of_keys(here.map(claim).collect())
    }

    /// The places of its keys among the arguments, with their owners and hashes.
    pub fn places(&self) -> impl Iterator<Item = (usize, u16, u64)> {
        self.keys.iter().map(|key| (key.place, key.shard, key.hash))
    }

    /// How it is brought together.
    pub fn gathering(&self) -> Kind {
        if self.whole.is_some() { Kind::GatherWhole } else { Kind::Gather }
    }

    /// The transaction that does this.
    pub fn transaction(&self, slots: &SlotMap, kind: Kind, watched: &[Watch]) -> Transaction {
        let alone = matches!(kind, Kind::Gather | Kind::GatherWhole);
        let visit = |shard: u16| Visit {
            shard: usize::from(shard),
            claims: self.claims(shard, alone),
            ticket: None,
            watched: watched.iter().filter(|w| slots.owner(w.hash) == shard).copied().collect(),
        };
        Transaction::new(kind, self.shards(slots).into_iter().map(visit).collect())
    }
}

impl Transaction {
    /// One that has not set out yet.
    pub fn new(kind: Kind, visits: Vec<Visit>) -> Self {
        Self {
            kind,
            visits,
            at: 0,
            loans: Vec::new(),
            wholes: Vec::new(),
            replaced: Vec::new(),
            leftovers: Leftovers::default(),
            merged: Merged::default(),
            cycles: 0,
        }
    }
}
