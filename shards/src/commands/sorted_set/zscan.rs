//! ZSCAN key cursor \[MATCH pattern] \[COUNT count] \[NOSCORES]

use super::shown;
use crate::base::float::{format_17_digits, format_f64};
use crate::base::number::DIGITS_MAX;
use crate::commands::ctx::Ctx;
use crate::commands::scanning::{self, NO_VALUES, Options, parse_cursor};
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::listpack::Element;
use crate::encodings::table::Position;
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;

pub(super) const ZSCAN: Command = Command {
    spec: Spec {
        name: "zscan",
        group: Group::SortedSet,
        since: "2.8.0",
        summary: "Returns some members of a sorted set, and a cursor with which to ask for more.",
        complexity: "O(1) for a call; O(N) for all of them, N being the number of members.",
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOSCORES]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: zscan,
};

fn zscan(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, cursor) = (ctx.key(1), parse_cursor(ctx.args[2])?);
    let Some(set) = ctx.db.read_sorted_set(key)? else {
        // What options say does not matter then, not even whether there are such.
        scanning::reply(&mut ctx.replies, |_| (Position::default(), 0));
        return Ok(());
    };
    let (options, with_scores) = parse(&ctx.args[3..])?;
    scanning::reply(&mut ctx.replies, |replies| {
        let (mut count, mut scratch) = (0, [0; DIGITS_MAX]);
        let mut show = |member: Element<'_>, score: f64| {
            let is_wanted = options.matches(member.bytes(&mut scratch));
            if is_wanted {
                shown::member(replies, member);
                count += 1;
                if with_scores {
                    // A string in RESP3 as well; those of a skiplist are shown another way.
                    let score = match set {
                        SortedSet::Listpack(_) => format_f64(score),
                        SortedSet::Skiplist(_) => format_17_digits(score),
                    };
                    replies.bulk(score.bytes());
                    count += 1;
                }
            }
            is_wanted
        };
        let next = match set {
            // All at once: that takes no longer than a bucket or two.
            SortedSet::Listpack(_) => {
                set.iter(0..set.len(), false).for_each(|(member, score)| {
                    show(member, score);
                });
                Position::default()
            }
            SortedSet::Skiplist(ranking) => options.walk(ranking.table(), cursor, |scored| {
                show(Element::Bytes(scored.member()), scored.score())
            }),
        };
        (next, count)
    });
    Ok(())
}

/// The options, and whether scores are wanted.
fn parse<'a>(mut given: &[&'a [u8]]) -> Result<(Options<'a>, bool), Error> {
    let (mut options, mut with_scores) = (Options::default(), true);
    while let [first, rest @ ..] = given {
        if first.eq_ignore_ascii_case(b"NOSCORES") {
            with_scores = false;
            given = rest;
            continue;
        }
        given = match options.take(given)? {
            0 if first.eq_ignore_ascii_case(b"NOVALUES") => return Err(NO_VALUES),
            0 => return Err(Error::Syntax),
            taken => &given[taken..],
        };
    }
    Ok((options, with_scores))
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use crate::commands::testing::Harness;

    #[test]
    fn a_walk_names_every_member_with_its_score() {
        let mut harness = Harness::new();
        for number in 0..3000 {
            harness.run(&format!("ZADD z {number} m{number}"));
        }
        let (mut seen, mut cursor) = (BTreeSet::new(), "0".to_string());
        loop {
            let reply = harness.run(&format!("ZSCAN z {cursor} COUNT 50"));
            let lines: Vec<&str> = reply.split("\\r\\n").collect();
            for pair in lines[4..lines.len() - 1].chunks(4) {
                assert_eq!(pair[1], format!("m{}", pair[3]));
                seen.insert(pair[1].to_string());
            }
            cursor = lines[2].to_string();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 3000);
    }
}
