//! SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]

use alloc::vec::Vec;

use super::r#type::TYPES;
use crate::base::glob;
use crate::base::number::{self, DIGITS_MAX};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Spec, Spread};
use crate::encodings::table::Position;
use crate::keyspace::db::Entry;
use crate::keyspace::scan::{self, Next};
use crate::resp::error::Error;
use crate::resp::reply::Replies;

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

/// Keys returned per call unless COUNT says otherwise.
const COUNT: u64 = 10;

/// Buckets visited per key asked for, at most: so that a call ends when little matches.
const BUCKETS_PER_KEY: u64 = 10;

/// Which keys are wanted, and how many at a time.
#[derive(Debug)]
struct Options<'a> {
    pattern: Option<&'a [u8]>,
    kind: Option<&'static str>,
    count: u64,
}

impl<'a> Options<'a> {
    fn parse(mut given: &[&'a [u8]]) -> Result<Self, Error> {
        let mut options = Self { pattern: None, kind: None, count: COUNT };
        loop {
            given = match given {
                [] => return Ok(options),
                [name, count, rest @ ..] if name.eq_ignore_ascii_case(b"COUNT") => {
                    let count = number::parse_i64(count).ok_or(Error::NotInteger)?;
                    options.count = u64::try_from(count).map_err(|_| Error::Syntax)?;
                    if options.count == 0 {
                        return Err(Error::Syntax);
                    }
                    rest
                }
                [name, pattern, rest @ ..] if name.eq_ignore_ascii_case(b"MATCH") => {
                    options.pattern = Some(pattern).filter(|pattern| **pattern != b"*").copied();
                    rest
                }
                [name, kind, rest @ ..] if name.eq_ignore_ascii_case(b"TYPE") => {
                    options.kind = Some(type_named(kind)?);
                    rest
                }
                [name, ..] if name.eq_ignore_ascii_case(b"NOVALUES") => {
                    return Err(Error::Text("ERR NOVALUES option can only be used in HSCAN"));
                }
                _ => return Err(Error::Syntax),
            };
        }
    }

    fn want(&self, entry: &Entry) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, entry.key()))
            && self.kind.is_none_or(|kind| kind == entry.type_name())
    }
}

fn type_named(given: &[u8]) -> Result<&'static str, Error> {
    let known = TYPES.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(given));
    known.copied().ok_or_else(|| Error::naming("ERR unknown type name '", given, "'"))
}

/// The position that a cursor stands for. Valkey reads it as C does: up to a zero byte, leading
/// blanks and a sign let pass; but what is plainly a negative number is none.
fn parse_cursor(text: &[u8]) -> Result<Position, Error> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
    if number::parse_i64(text).is_some_and(|number| number < 0) {
        return Err(Error::InvalidCursor);
    }
    let (sign, digits) = match text.trim_ascii_start() {
        [sign @ (b'+' | b'-'), digits @ ..] => (*sign, digits),
        digits => (b'+', digits),
    };
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    // All zeros are one zero.
    let digits = &digits[zeros.min(digits.len().saturating_sub(1))..];
    let number = number::parse_u64(digits).ok_or(Error::InvalidCursor)?;
    Ok(Position(if sign == b'-' { number.wrapping_neg() } else { number }))
}

fn run(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let cursor = parse_cursor(ctx.args[1])?;
    let options = Options::parse(&ctx.args[2..])?;
    let now = ctx.db.now();
    // The array's length is known at the end only, so its elements are written aside.
    let mut elements = Vec::new();
    let mut replies = Replies { out: &mut elements, protocol: ctx.replies.protocol };
    let mut found = 0usize;
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let mut at = cursor;
    let mut buckets_left = options.count.saturating_mul(BUCKETS_PER_KEY);
    let next = loop {
        let next = scan::step(ctx.db.keyspace, ctx.db.index, at, &mut |entry| {
            if !options.want(entry) {
                return;
            }
            if entry.expire().is_some_and(|at| at <= now) {
                expired.push(entry.key().to_vec());
            } else {
                replies.bulk(entry.key());
                found += 1;
            }
        });
        buckets_left -= 1;
        match next {
            Next::Here(next) if (found as u64) < options.count && 0 < buckets_left => at = next,
            Next::Here(next) | Next::Elsewhere(next) => break next,
        }
    };
    for bytes in &expired {
        let key = ctx.db.key(bytes);
        ctx.db.expire(key);
    }
    ctx.replies.array(2);
    let mut text = [0; DIGITS_MAX];
    ctx.replies.bulk(number::format_u64(&mut text, next.0));
    ctx.replies.array(found);
    ctx.replies.out.extend_from_slice(&elements);
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

    /// Walks over all shards, each time asking the one that owns the cursor's slot.
    fn walk(shards: &mut [Harness], options: &str, keys: &mut Vec<String>) {
        let mut cursor = "0".to_string();
        loop {
            let slot = parse_cursor(cursor.as_bytes()).unwrap().slot().number();
            let owner = shards.iter_mut().find(|shard| shard.keyspace.slots.contains(&slot));
            let reply = owner.unwrap().run(&format!("SCAN {cursor} {options}"));
            let lines: Vec<&str> = reply.split("\\r\\n").collect();
            keys.extend(lines[4..].iter().skip(1).step_by(2).map(|key| key.to_string()));
            cursor = lines[2].to_string();
            if cursor == "0" {
                return;
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

    #[test]
    fn a_cursor_may_have_blanks_and_a_sign_before_it() {
        for (text, cursor) in [
            ("0", Some(0)),
            ("00", Some(0)),
            ("+7", Some(7)),
            (" 7", Some(7)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+", None),
            ("-1", None),
            // Valkey reads these otherwise than the one before.
            (" -1", Some(u64::MAX)),
            ("-01", Some(u64::MAX)),
            ("-0", Some(0)),
            ("-", None),
            ("7\0x", Some(7)),
            ("\0", None),
            ("7 ", None),
            ("x", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()).ok(), cursor.map(Position), "{text:?}");
        }
    }
}
