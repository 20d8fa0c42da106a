//! Commands that span shards: which shards they visit, what they claim there, what they carry.
//!
//! ```text
//! home --> visit 1 --> visit 2 ... (ascending; at each: claim, wait, then run a part or take
//!          entries along) --> [home: run on what was brought together] --> release everywhere
//! ```
//! All claims are held before the first is released, so these commands and those of single shards
//! have one order that agrees with real time (two-phase locking). A part that runs early is
//! invisible until then: its keys are claimed.

use shards::commands::server::debug_digest::{self, Digest};
use shards::commands::spec::{Flag, Merge, Spread};
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
    /// What the parts answered.
    pub merged: Merged,
    /// Ticks that the parts took.
    pub ticks: u64,
}

/// What happens at a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command runs with the keys that are there.
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
    /// The places of its keys among the arguments, for parts.
    pub places: Vec<usize>,
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

/// Replies of parts on their way to becoming one.
#[derive(Debug, Default)]
pub struct Merged {
    /// Integers, added; or how many elements an array has.
    pub sum: i64,
    /// Reply bytes of parts, one after the other.
    pub bytes: Vec<u8>,
    /// Where the reply for the key at this place lies in `bytes`.
    pub pieces: Vec<(usize, std::ops::Range<usize>)>,
    /// Digests by database.
    pub digests: Vec<(usize, Digest)>,
    /// A part failed: its error is the reply.
    pub error: Option<Vec<u8>>,
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
        let mode = if call.spec.flags.has(Flag::Write) { Mode::Exclusive } else { Mode::Shared };
        if let Spread::Everywhere(_) | Spread::Cursor = call.spec.spread {
            let stronger = self.whole == Some(Mode::Exclusive) || mode == Mode::Exclusive;
            self.whole = Some(if stronger { Mode::Exclusive } else { Mode::Shared });
        }
        let places = match call.keys {
            KeyShape::None => return,
            KeyShape::One(at) => vec![at],
            KeyShape::Several => {
                if reaches(call.spec.keys, args) {
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
    /// alone, because nobody can read an entry that is on loan.
    pub fn claims(&self, shard: u16, alone: bool) -> Claims {
        if let Some(mode) = self.whole {
            return Claims::Whole(if alone { Mode::Exclusive } else { mode });
        }
        let mut keys: Vec<(u64, Mode)> = Vec::new();
        for key in self.keys.iter().filter(|key| key.shard == shard) {
            keys.push((key.hash, if alone { Mode::Exclusive } else { key.mode }));
        }
        // Exclusive first within a hash, so that `dedup` keeps it.
        keys.sort_unstable_by_key(|&(hash, mode)| (hash, mode == Mode::Shared));
        keys.dedup_by_key(|key| key.0);
        Claims::Keys(keys)
    }

    fn places(&self, shard: u16) -> Vec<usize> {
        let here = self.keys.iter().filter(|key| key.shard == shard);
        here.map(|key| key.place).collect()
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
            places: self.places(shard),
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
            merged: Merged::default(),
            ticks: 0,
        }
    }
}

impl Merged {
    /// Takes a part's reply in. `places` are those of its keys.
    pub fn add(&mut self, merge: Merge, reply: &[u8]) {
        if reply.first() == Some(&b'-') {
            self.error.get_or_insert_with(|| reply.to_vec());
            return;
        }
        match merge {
            Merge::Sum => self.sum += header(reply).0,
            Merge::Concat => {
                let (count, len) = header(reply);
                self.sum += count;
                self.bytes.extend_from_slice(&reply[len..]);
            }
            Merge::Same => self.bytes = reply.to_vec(),
            Merge::Digest => self.digests.extend(digests(reply)),
            Merge::ByKey | Merge::Pick => unreachable!("these are added one by one"),
        }
    }

    /// Takes the reply for the key at `place` in: an array of one element.
    pub fn add_piece(&mut self, place: usize, reply: &[u8]) {
        if reply.first() == Some(&b'-') {
            self.error.get_or_insert_with(|| reply.to_vec());
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&reply[header(reply).1..]);
        self.pieces.push((place, start..self.bytes.len()));
    }

    /// Takes a shard's candidate in: `[element, weight]`; `chance` gives a number below its
    /// argument. Keeps each candidate with a probability that makes the choice fair.
    pub fn add_pick(&mut self, reply: &[u8], chance: impl FnOnce(u64) -> u64) {
        let colon = reply.iter().rposition(|&byte| byte == b':').unwrap_or(0);
        let weight = header(&reply[colon..]).0;
        let element = &reply[header(reply).1..colon];
        let total = self.sum + weight;
        let take = 0 < weight && chance(total.unsigned_abs()) < weight.unsigned_abs();
        if take || self.bytes.is_empty() {
            self.bytes = element.to_vec();
        }
        self.sum = total;
    }

    /// Writes the one reply.
    pub fn write(mut self, merge: Merge, out: &mut Vec<u8>) {
        if let Some(error) = self.error {
            out.extend_from_slice(&error);
            return;
        }
        match merge {
            Merge::Sum => out.extend_from_slice(format!(":{}\r\n", self.sum).as_bytes()),
            Merge::Concat => {
                out.extend_from_slice(format!("*{}\r\n", self.sum).as_bytes());
                out.extend_from_slice(&self.bytes);
            }
            Merge::Same | Merge::Pick => out.extend_from_slice(&self.bytes),
            Merge::Digest => {
                let digest = debug_digest::hex(&debug_digest::combined(&self.digests));
                out.extend_from_slice(format!("+{digest}\r\n").as_bytes());
            }
            Merge::ByKey => {
                self.pieces.sort_unstable_by_key(|piece| piece.0);
                out.extend_from_slice(format!("*{}\r\n", self.pieces.len()).as_bytes());
                for (_, range) in self.pieces {
                    out.extend_from_slice(&self.bytes[range]);
                }
            }
        }
    }
}

/// The pairs of a part's answer to DEBUG DIGEST.
fn digests(reply: &[u8]) -> Vec<(usize, Digest)> {
    let mut rest = &reply[header(reply).1..];
    let mut digests = Vec::new();
    while rest.first() == Some(&b':') {
        let (db, len) = header(rest);
        rest = &rest[len..];
        rest = &rest[header(rest).1..];
        let Some((digest, after)) = rest.split_first_chunk() else { break };
        digests.push((usize::try_from(db).unwrap_or(0), *digest));
        rest = after.get(2..).unwrap_or_default();
    }
    digests
}

/// The number in the first line of a reply, and that line's length.
fn header(reply: &[u8]) -> (i64, usize) {
    let end = reply.iter().position(|&byte| byte == b'\r').unwrap_or(reply.len());
    let digits = reply.get(1..end).unwrap_or_default();
    let number = shards::base::number::parse_i64(digits).unwrap_or(0);
    (number, (end + 2).min(reply.len()))
}

/// The arguments of the part of a request whose keys stand at `places`: those before the first
/// key of all, at `first_key`, and, for each key, all up to the next one.
pub fn part<'a>(
    args: &[&'a [u8]],
    first_key: usize,
    places: &[usize],
    step: usize,
) -> Vec<&'a [u8]> {
    let mut part = Vec::with_capacity(first_key + places.len() * step);
    part.extend_from_slice(&args[..first_key]);
    for &place in places {
        part.extend_from_slice(&args[place..(place + step).min(args.len())]);
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(merge: Merge, parts: &[&str]) -> String {
        let mut merged = Merged::default();
        parts.iter().for_each(|part| merged.add(merge, part.as_bytes()));
        let mut out = Vec::new();
        merged.write(merge, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn merges_what_parts_answer() {
        assert_eq!(merged(Merge::Sum, &[":1\r\n", ":41\r\n"]), ":42\r\n");
        assert_eq!(merged(Merge::Same, &["+OK\r\n", "+OK\r\n"]), "+OK\r\n");
        let arrays = ["*1\r\n$1\r\na\r\n", "*0\r\n", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"];
        assert_eq!(merged(Merge::Concat, &arrays), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
        assert_eq!(merged(Merge::Sum, &[":1\r\n", "-ERR no\r\n"]), "-ERR no\r\n");
    }

    #[test]
    fn puts_elements_in_their_keys_places() {
        let mut merged = Merged::default();
        merged.add_piece(2, b"*1\r\n$1\r\nb\r\n");
        merged.add_piece(1, b"*1\r\n$-1\r\n");
        let mut out = Vec::new();
        merged.write(Merge::ByKey, &mut out);
        assert_eq!(out, b"*2\r\n$-1\r\n$1\r\nb\r\n");
    }

    #[test]
    fn picks_by_weight() {
        let mut merged = Merged::default();
        merged.add_pick(b"*2\r\n$-1\r\n:0\r\n", |_| 0);
        merged.add_pick(b"*2\r\n$1\r\na\r\n:3\r\n", |total| total - 1);
        assert_eq!(merged.bytes, b"$1\r\na\r\n");
        merged.add_pick(b"*2\r\n$1\r\nb\r\n:1\r\n", |total| total - 1);
        assert_eq!(merged.bytes, b"$1\r\na\r\n", "the chance fell on what was there before");
        merged.add_pick(b"*2\r\n$1\r\nc\r\n:1\r\n", |_| 0);
        assert_eq!(merged.bytes, b"$1\r\nc\r\n");
    }
}
