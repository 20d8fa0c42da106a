//! SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]

use alloc::vec::Vec;

use super::r#type::TYPES;
use crate::commands::ctx::Ctx;
use crate::commands::scanning::{self, BUCKETS_PER_ELEMENT, Options, parse_cursor};
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Spec, Spread};
use crate::effects::ScanRest;
use crate::keyspace::db::Entry;
use crate::keyspace::scan::{self, Next};
use crate::keyspace::settings::OnExpiry;
use crate::resp::error::Error;

pub(super) const SCAN: Command = Command {
    spec: Spec {
        name: "scan",
        group: Group::Generic,
        since: "2.8.0",
        summary: "Returns some names of keys, and a cursor with which to ask for more.",
        complexity: "O(1) for a call; O(N) for all of them, N being the number of keys.",
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &["keyspace"],
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        spread: Spread::Cursor,
        ..Spec::EMPTY
    },
    run,
};

/// Which keys are wanted, and how many at a time.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// How many at a time, and of what names.
    pub(super) options: Options<'a>,
    kind: Option<&'static str>,
}

impl<'a> Wanted<'a> {
    /// Takes options in. `other` is asked for those that SCAN does not have, and says how many
    /// arguments it took.
    pub(super) fn parse(
        mut given: &[&'a [u8]],
        mut other: impl FnMut(&[&'a [u8]]) -> Result<usize, Error>,
    ) -> Result<Self, Error> {
        let mut wanted = Self::default();
        loop {
            given = match wanted.options.take(given)? {
                0 => match given {
                    [] => return Ok(wanted),
                    [name, kind, rest @ ..] if name.eq_ignore_ascii_case(b"TYPE") => {
                        wanted.kind = Some(type_named(kind)?);
                        rest
                    }
                    [name, ..] if name.eq_ignore_ascii_case(b"NOVALUES") => {
                        return Err(scanning::NO_VALUES);
                    }
                    _ => match other(given)? {
                        0 => return Err(Error::Syntax),
                        taken => &given[taken..],
                    },
                },
                taken => &given[taken..],
            };
        }
    }

    /// Whether this key is wanted.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        self.options.matches(entry.key()) && self.kind.is_none_or(|kind| kind == entry.type_name())
    }
}

fn type_named(given: &[u8]) -> Result<&'static str, Error> {
    let known = TYPES.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(given));
    known.copied().ok_or_else(|| Error::naming("ERR unknown type name '", given, "'"))
}

fn run(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut at = parse_cursor(ctx.args[1])?;
    let wanted = Wanted::parse(&ctx.args[2..], |_| Ok(0))?;
    let (due_by, count) = (ctx.db.due_by(), wanted.options.count);
    let removes = ctx.db.keyspace.settings.expiry == OnExpiry::Removes;
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let mut rest = None;
    let Ctx { replies, db, .. } = &mut *ctx;
    scanning::reply(replies, |replies| {
        let mut found = 0usize;
        let mut buckets_left = count.saturating_mul(BUCKETS_PER_ELEMENT);
        loop {
            let next = scan::step(db.keyspace, db.index, at, &mut |entry| {
                if !wanted.has(entry) {
                    return;
                }
                if entry.expire().is_none_or(|at| due_by < at) {
                    replies.bulk(entry.key());
                    found += 1;
                } else if removes {
                    expired.push(entry.key().to_vec());
                }
            });
            buckets_left -= 1;
            match next {
                Next::Here(next) if (found as u64) < count && 0 < buckets_left => at = next,
                Next::Here(next) => return (next, found),
                Next::Elsewhere(next) => {
                    let unfound = count.saturating_sub(found as u64);
                    let left = unfound.min(buckets_left.div_ceil(BUCKETS_PER_ELEMENT));
                    let goes_on = next != scan::START && 0 < left;
                    rest = goes_on.then_some(ScanRest { cursor: next.0, count: left });
                    return (next, found);
                }
            }
        }
    });
    ctx.db.effects.scan_rest = rest;
    for bytes in &expired {
        let key = ctx.db.key(bytes);
        ctx.db.expire(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::{String, ToString};

    use super::*;
    use crate::base::hash::slot_of_hash;
    use crate::base::slot::SLOTS;
    use crate::commands::testing::Harness;

    fn owner<'s>(shards: &'s mut [Harness], cursor: &[u8]) -> &'s mut Harness {
        let slot = parse_cursor(cursor).unwrap().slot().number();
        shards.iter_mut().find(|shard| shard.keyspace.slots.contains(&slot)).unwrap()
    }

    /// Asks the shard that owns the cursor's slot, and goes on in others as long as COUNT lasts.
    fn scan(shards: &mut [Harness], line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut shard = owner(shards, args[1]);
        let mut reply = shard.call(&args);
        while let Some(rest) = shard.scan_rest() {
            let args = scanning::rest_args(&args, rest);
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            shard = owner(shards, args[1]);
            let second = reply.len();
            reply.extend(shard.call(&args));
            scanning::join(&mut reply, 0, second);
        }
        format!("{}", reply.escape_ascii())
    }

    /// Walks over all shards; returns how many requests that took.
    fn walk(shards: &mut [Harness], options: &str, keys: &mut Vec<String>) -> usize {
        let (mut cursor, mut requests) = ("0".to_string(), 0);
        loop {
            let reply = scan(shards, &format!("SCAN {cursor} {options}"));
            requests += 1;
            let lines: Vec<&str> = reply.split("\\r\\n").collect();
            keys.extend(lines[4..].iter().skip(1).step_by(2).map(|key| key.to_string()));
            cursor = lines[2].to_string();
            if cursor == "0" {
                return requests;
            }
        }
    }

    fn shards(bounds: &[u16], keys: usize) -> Vec<Harness> {
        let mut shards: Vec<Harness> = Vec::new();
        for pair in bounds.windows(2) {
            let mut shard = Harness::new();
            shard.keyspace.slots = pair[0]..pair[1];
            shard.run(&format!("DEBUG POPULATE {keys}"));
            shards.push(shard);
        }
        shards
    }

    #[test]
    fn a_walk_over_all_shards_names_every_key_once() {
        for (bounds, keys, options) in [
            (&[0, SLOTS][..], 0, "COUNT 10"),
            (&[0, SLOTS], 3, "COUNT 10"),
            (&[0, SLOTS], 5_000, "COUNT 1"),
            (&[0, SLOTS], 5_000, "COUNT 100000"),
            (&[0, 5_461, 10_923, SLOTS], 5_000, "COUNT 10"),
            (&[0, 5_461, 10_923, SLOTS], 5, "COUNT 10"),
            (&[0, 1, 16_383, SLOTS], 5_000, "COUNT 7 MATCH key:* TYPE string"),
        ] {
            let mut found = Vec::new();
            let mut shards = shards(bounds, keys);
            assert_eq!(shards.iter().map(|shard| shard.keyspace.len()).sum::<usize>(), keys);
            walk(&mut shards, options, &mut found);
            let distinct: BTreeSet<&String> = found.iter().collect();
            assert_eq!((found.len(), distinct.len()), (keys, keys), "{bounds:?} {options}");
        }
    }

    #[test]
    fn a_request_goes_on_over_shards_until_its_count_is_used_up() {
        let bounds: Vec<u16> = (0..=16).map(|at| at * (SLOTS / 16)).collect();
        // keys, options, how many requests at least and at most
        for (keys, options, least, most) in [
            (0, "COUNT 1000", 1, 1),
            (0, "COUNT 1", 1, 1),
            (100, "COUNT 1000", 1, 1),
            (100, "COUNT 1000 MATCH nothing", 1, 1),
            (5_000, "COUNT 100", 40, 60),
            (5_000, "COUNT 2000", 2, 4),
            (5_000, "COUNT 100 MATCH nothing", 1, 8),
        ] {
            let mut found = Vec::new();
            let requests = walk(&mut shards(&bounds, keys), options, &mut found);
            assert!((least..=most).contains(&requests), "{requests} for {keys} {options}");
            let expected = if options.contains("nothing") { 0 } else { keys };
            assert_eq!(found.len(), expected, "{keys} {options}");
        }
    }

    #[test]
    fn a_shard_holds_only_the_slots_it_owns() {
        let shards = shards(&[0, 100, SLOTS], 1_000);
        for shard in &shards {
            for entry in shard.keyspace.dbs[0].table().iter() {
                let slot = slot_of_hash(shard.keyspace.seed.key_hash(entry.key()));
                assert!(shard.keyspace.slots.contains(&slot.number()));
            }
        }
    }

    #[test]
    fn what_does_not_match_is_passed_over() {
        let mut shards = shards(&[0, SLOTS], 1_000);
        shards[0].run("SET needle 1");
        for options in ["MATCH need*", "MATCH nothing", "TYPE hash"] {
            let mut found = Vec::new();
            walk(&mut shards, options, &mut found);
            let expected = if options == "MATCH need*" { &["needle"][..] } else { &[] };
            assert_eq!(found, expected, "{options}");
        }
    }
}
