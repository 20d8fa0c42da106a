//! CLUSTERSCAN cursor [MATCH pattern] [COUNT count] [TYPE type] [SLOT slot]
//!
//! ```text
//! 0                           the walk begins, and when it is a reply, it is over
//! <fingerprint>-{tag}-<place> the walk goes on in the slot of the tag
//! ```
//! The tag sends a client to the node of its slot. The place says something only to the node whose
//! fingerprint it is; any other one begins with the slot. A reply goes no further than slots that
//! are at one place, on one shard; the next one has a cursor of its own.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::scan::Wanted;
use crate::base::hash::HashSeed;
use crate::base::number::{parse_i64, parse_u64};
use crate::base::slot::{SLOTS, Slot, crc16};
use crate::commands::ctx::Ctx;
use crate::commands::scanning::BUCKETS_PER_ELEMENT;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::table::Position;
use crate::keyspace::settings::OnExpiry;
use crate::resp::error::Error;
use crate::resp::reply::Replies;

pub(super) const CLUSTERSCAN: Command = Command {
    spec: Spec {
        name: "clusterscan",
        group: Group::Cluster,
        since: "9.1.0",
        summary: "Returns some names of keys of a cluster, and a cursor to ask for more.",
        complexity: "O(1) for a call; O(N) for all of them, N being the number of keys.",
        syntax: "cursor [MATCH match-pattern] [COUNT count] [TYPE type] [SLOT slot]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &["keyspace"],
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        keys: &[KeySpec::first(&["not_key"])],
        ..Spec::EMPTY
    },
    run,
};

const INVALID: Error = Error::Text("ERR Invalid cursor");

/// What tags and fingerprints are made of.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn run(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if !ctx.db.keyspace.settings.in_cluster {
        return Err(Error::ClusterDisabled);
    }
    let mut only = None;
    let wanted = Wanted::parse(&ctx.args[2..], |given| take_slot(given, &mut only))?;
    if ctx.args[1] == b"0" {
        ctx.replies.array(2);
        ctx.replies.bulk(start_of(only.unwrap_or_default()).as_bytes());
        ctx.replies.array(0);
        return Ok(());
    }
    let slot = Slot::of(ctx.args[1]);
    let (fingerprint, place) = parse(ctx.args[1])?;
    if only.is_some_and(|only| only != slot) {
        return Err(Error::Text("ERR Cursor slot mismatch with SLOT argument"));
    }
    let mine = fingerprint_of(ctx.db.keyspace.seed);
    let is_mine = fingerprint == mine.as_bytes() && place.slot() == slot;
    let from = if is_mine { place } else { Position::of_slot(slot) };
    let end = match only {
        Some(slot) => slot.number() + 1,
        None => end_of_run(ctx, slot),
    };
    let (mut keys, mut found) = (Vec::new(), 0);
    let next = walk(ctx, &wanted, (from, end), &mut keys, &mut found);
    let cursor = match (next, Slot::new(end)) {
        (Some(next), _) => format!("{mine}-{{{}}}-{}", tag_of(next.slot()), next.0),
        (None, Some(behind)) if only.is_none() => start_of(behind),
        (None, _) => String::from("0"),
    };
    ctx.replies.array(2);
    ctx.replies.bulk(cursor.as_bytes());
    ctx.replies.array(found);
    ctx.replies.out.extend_from_slice(&keys);
    Ok(())
}

/// Takes in SLOT, and returns how many arguments it took.
fn take_slot(given: &[&[u8]], only: &mut Option<Slot>) -> Result<usize, Error> {
    let [name, number, ..] = given else { return Ok(0) };
    if !name.eq_ignore_ascii_case(b"SLOT") {
        return Ok(0);
    }
    if only.is_some() {
        return Err(Error::Text("ERR SLOT option can only be specified once"));
    }
    let number = parse_i64(number).and_then(|number| u16::try_from(number).ok());
    let slot = number.and_then(Slot::new);
    *only = Some(slot.ok_or(Error::Text("ERR Invalid or out of range slot"))?);
    Ok(2)
}

/// The fingerprint and the place of a cursor. What is between them is for routing alone.
fn parse(cursor: &[u8]) -> Result<(&[u8], Position), Error> {
    let first = memchr::memchr(b'-', cursor).ok_or(INVALID)?;
    let (fingerprint, rest) = (&cursor[..first], &cursor[first + 1..]);
    // A tag may be anything without this sign.
    let second = memchr::memchr(b'-', rest).ok_or(INVALID)?;
    let place = &rest[second + 1..];
    let place = parse_u64(place.strip_prefix(b"+").unwrap_or(place)).ok_or(INVALID)?;
    Ok((fingerprint, Position(place)))
}

/// The first slot behind `slot` that is at another place, or on another shard.
fn end_of_run(ctx: &Ctx<'_>, slot: Slot) -> u16 {
    let keyspace = &*ctx.db.keyspace;
    let ends = &keyspace.settings.slot_run_ends;
    let end = ends.get(ends.partition_point(|end| *end <= slot.number()));
    end.copied().unwrap_or(slot.number() + 1).min(keyspace.slots.end.max(slot.number() + 1))
}

/// Writes keys that are wanted, and says where to go on; `None` if all slots before `end` are done.
fn walk(
    ctx: &mut Ctx<'_>,
    wanted: &Wanted<'_>,
    (mut at, end): (Position, u16),
    keys: &mut Vec<u8>,
    found: &mut usize,
) -> Option<Position> {
    let (due_by, count) = (ctx.db.due_by(), wanted.options.count);
    let removes = ctx.db.keyspace.settings.expiry == OnExpiry::Removes;
    let until = Slot::new(end).map(Position::of_slot);
    let mut replies = Replies { out: keys, ..ctx.replies };
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let mut buckets_left = count.saturating_mul(BUCKETS_PER_ELEMENT);
    let next = loop {
        let next = ctx.db.db().table().scan_until(at, until, &mut |entry| {
            if !wanted.has(entry) {
                return;
            }
            if entry.expire().is_none_or(|at| due_by < at) {
                replies.bulk(entry.key());
                *found += 1;
            } else if removes {
                expired.push(entry.key().to_vec());
            }
        });
        buckets_left -= 1;
        match next {
            Some(next) if (*found as u64) < count && 0 < buckets_left => at = next,
            next => break next,
        }
    };
    for bytes in &expired {
        let key = ctx.db.key(bytes);
        ctx.db.expire(key);
    }
    next
}

/// The cursor that stands for the beginning of a slot, at any node.
fn start_of(slot: Slot) -> String {
    format!("0-{{{}}}-0", tag_of(slot))
}

/// What places of this process are told by: nodes file their keys each in an order of its own.
fn fingerprint_of(seed: HashSeed) -> String {
    let hash = seed.member_hash(b"CLUSTERSCAN");
    let letter = |at: u32| {
        let index = usize::try_from((hash >> (8 * at)) & 0xff).unwrap_or(0);
        char::from(LETTERS[index % LETTERS.len()])
    };
    (0..6).map(letter).collect()
}

/// Three letters whose slot is this one.
fn tag_of(slot: Slot) -> String {
    let of_slot = (0..4u16).map(|high| (high * SLOTS) | slot.number());
    // Before its last 16 steps the checksum was that of the first letter, and the other two.
    let before: Vec<u16> = of_slot.map(|crc| (0..16).fold(crc, |crc, _| step_back(crc))).collect();
    let tags = LETTERS.iter().flat_map(|first| {
        before.iter().map(|before| {
            let [second, third] = (before ^ crc16(&[*first])).to_be_bytes();
            [*first, second, third]
        })
    });
    let mut tags = tags.filter(|tag| tag.iter().all(|letter| letter.is_ascii_alphanumeric()));
    let tag = tags.next().expect("each slot has such a tag, as a test says");
    tag.into_iter().map(char::from).collect()
}

/// The checksum that a zero bit has made this one.
const fn step_back(crc: u16) -> u16 {
    if crc & 1 == 0 { crc >> 1 } else { ((crc ^ 0x1021) >> 1) | 0x8000 }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    use super::*;
    use crate::commands::testing::Harness;

    fn harness(run_ends: &[u16], keys: usize) -> Harness {
        let mut harness = Harness::new();
        harness.keyspace.settings.in_cluster = true;
        harness.keyspace.settings.slot_run_ends = run_ends.into();
        harness.run(&format!("DEBUG POPULATE {keys}"));
        harness
    }

    /// Goes on from a cursor to the end; the names of all keys, and how many requests it took.
    fn walk(harness: &mut Harness, from: &str, options: &str) -> (Vec<String>, usize) {
        let (mut cursor, mut keys, mut requests) = (from.to_string(), Vec::new(), 0);
        loop {
            let reply = harness.run(&format!("CLUSTERSCAN {cursor}{options}"));
            let lines: Vec<&str> = reply.split("\\r\\n").collect();
            keys.extend(lines[4..].iter().skip(1).step_by(2).map(|key| key.to_string()));
            cursor = lines[2].to_string();
            requests += 1;
            if cursor == "0" {
                return (keys, requests);
            }
        }
    }

    #[test]
    fn every_slot_has_a_tag() {
        for slot in (0..SLOTS).filter_map(Slot::new) {
            assert_eq!(Slot::of(start_of(slot).as_bytes()), slot, "{}", start_of(slot));
        }
    }

    #[test]
    fn a_walk_names_every_key_once_wherever_runs_end() {
        for (run_ends, keys, options, most) in [
            (&[SLOTS][..], 0, "", 2),
            (&[SLOTS], 3, "", 2_000),
            (&[SLOTS], 3_000, " COUNT 1", 50_000),
            (&[SLOTS], 3_000, " COUNT 100000", 2),
            (&[100, 101, 5_000, SLOTS], 3_000, " COUNT 100000", 5),
            (&[1, 16_383, SLOTS], 3_000, " COUNT 7 MATCH key:* TYPE string", 50_000),
        ] {
            let (found, requests) = walk(&mut harness(run_ends, keys), "0", options);
            let distinct: BTreeSet<&String> = found.iter().collect();
            assert_eq!((found.len(), distinct.len()), (keys, keys), "{run_ends:?}{options}");
            assert!(requests <= most, "{requests} for {run_ends:?} {keys}{options}");
        }
    }

    #[test]
    fn a_walk_over_one_slot_names_its_keys() {
        let mut harness = harness(&[SLOTS], 0);
        harness.run("MSET a 1 {a}b 2 {a}c 3");
        for from in ["0", "0-{a}-0", "-{a}-0", "x-y{a}-7"] {
            let (mut keys, _) = walk(&mut harness, from, " SLOT 15495 COUNT 1");
            keys.sort();
            assert_eq!(keys, ["a", "{a}b", "{a}c"], "{from}");
        }
    }

    #[test]
    fn the_cursor_of_another_node_begins_with_its_slot() {
        let mut harness = harness(&[SLOTS], 0);
        harness.run("MSET a 1 {a}b 2 {a}c 3");
        let far = Position::of_slot(Slot::of(b"a")).0 + 77;
        let (keys, _) = walk(&mut harness, &format!("foreig-{{a}}-{far}"), " SLOT 15495");
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn words_that_mean_nothing_are_errors() {
        let mut harness = harness(&[SLOTS], 0);
        for (words, expected) in [
            ("x foo", "syntax error"),
            ("x", "Invalid cursor"),
            ("00", "Invalid cursor"),
            ("0-{06S}", "Invalid cursor"),
            ("0-{06S}-", "Invalid cursor"),
            ("0-{06S}-x", "Invalid cursor"),
            ("0-{06S}--1", "Invalid cursor"),
            ("0-{06S}-0-0", "Invalid cursor"),
            ("0-{06S}-99999999999999999999", "Invalid cursor"),
            ("0-{06S}-0 SLOT 1", "Cursor slot mismatch with SLOT argument"),
            ("0-{06S}-0 SLOT 5 SLOT 5", "SLOT option can only be specified once"),
            ("0 SLOT", "syntax error"),
            ("0 SLOT x", "Invalid or out of range slot"),
            ("0 SLOT 16384", "Invalid or out of range slot"),
            ("0 COUNT 0", "syntax error"),
            ("0 COUNT x", "value is not an integer or out of range"),
            ("0 TYPE foo", "unknown type name 'foo'"),
            ("0 NOVALUES", "NOVALUES option can only be used in HSCAN"),
        ] {
            let reply = harness.run(&format!("CLUSTERSCAN {words}"));
            assert_eq!(reply, format!("-ERR {}\\r\\n", expected.replace('\'', "\\'")), "{words}");
        }
    }
}
