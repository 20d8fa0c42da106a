//! ZRANDMEMBER key \[count \[WITHSCORES]]

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::shown;
use crate::base::number::parse_i64;
use crate::base::random::Random;
use crate::commands::ctx::Ctx;
use crate::commands::growth::check_repeated;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::listpack::Element;
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;

pub(super) const ZRANDMEMBER: Command = Command {
    spec: Spec {
        name: "zrandmember",
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Returns members of a sorted set picked by chance.",
        complexity: "O(M*log(N)), N being the number of members and M that of those returned.",
        syntax: "key [count [WITHSCORES]]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: zrandmember,
};

fn zrandmember(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = ctx.key(1);
    let mut chance = Random::new(ctx.db.keyspace.random.bits());
    let [_, _, count, options @ ..] = ctx.args else {
        match ctx.db.read_sorted_set(key)? {
            Some(set) => shown::member(&mut ctx.replies, member(set, &mut chance).0),
            None => ctx.replies.null(),
        }
        return Ok(());
    };
    let (count, with_scores) = parse(count, options)?;
    let bytes_max = ctx.db.keyspace.settings.string_bytes_max;
    let Some(set) = ctx.db.read_sorted_set(key)? else {
        ctx.replies.array(0);
        return Ok(());
    };
    let (len, wanted) = (set.len(), usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
    let replies = &mut ctx.replies;
    if count < 0 {
        check_repeated(wanted.saturating_mul(1 + usize::from(with_scores)), bytes_max)?;
        let small: Vec<_> = match set {
            SortedSet::Listpack(_) => set.iter(0..len, false).collect(),
            SortedSet::Skiplist(_) => Vec::new(),
        };
        let picks = (0..wanted).map(|_| {
            if small.is_empty() { member(set, &mut chance) } else { small[below(&mut chance, len)] }
        });
        shown::members(replies, wanted, with_scores, picks);
    } else if len <= wanted {
        shown::members(replies, len, with_scores, set.iter(0..len, true));
    } else {
        let ranks = distinct(len, wanted, &mut chance).into_iter();
        let picks = ranks.flat_map(|rank| set.iter(rank..rank + 1, false));
        shown::members(replies, wanted, with_scores, picks);
    }
    Ok(())
}

/// How many members are wanted, different ones if the number is positive; and whether with scores.
fn parse(count: &[u8], options: &[&[u8]]) -> Result<(i64, bool), Error> {
    let count = parse_i64(count).ok_or(Error::NotInteger)?;
    if count == i64::MIN {
        return Err(Error::Text(
            "ERR value is out of range, value must between \
             -9223372036854775807 and 9223372036854775807",
        ));
    }
    let with_scores = match options {
        [] => false,
        [option] if option.eq_ignore_ascii_case(b"WITHSCORES") => true,
        _ => return Err(Error::Syntax),
    };
    // A reply of more than 2^63 elements has no length.
    if with_scores && i64::MAX.unsigned_abs() / 2 < count.unsigned_abs() {
        return Err(Error::Text("ERR value is out of range"));
    }
    Ok((count, with_scores))
}

fn member<'a>(set: &'a SortedSet, chance: &mut Random) -> (Element<'a>, f64) {
    let rank = below(chance, set.len());
    set.iter(rank..rank + 1, false).next().expect("the rank is below the length")
}

/// `count` different numbers below `len`, each as likely to be among them as any other: those that
/// are wanted or, if they are fewer, those that are not are picked one by one.
fn distinct(len: usize, count: usize, chance: &mut Random) -> Vec<usize> {
    let inverted = len / 2 < count;
    let few = if inverted { len - count } else { count };
    let mut picked = BTreeSet::new();
    while picked.len() < few {
        picked.insert(below(chance, len));
    }
    if inverted {
        (0..len).filter(|number| !picked.contains(number)).collect()
    } else {
        picked.into_iter().collect()
    }
}

fn below(chance: &mut Random, limit: usize) -> usize {
    usize::try_from(chance.below(limit as u64)).expect("it is below a usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_different_members_are_picked_as_are_wanted() {
        let mut chance = Random::new(1);
        for (len, count) in [(1, 0), (2, 1), (10, 3), (10, 9), (1000, 10), (1000, 700)] {
            let mut seen = alloc::vec![0usize; len];
            for _ in 0..300 {
                let picked = distinct(len, count, &mut chance);
                assert!(picked.len() == count && picked.is_sorted_by(|a, b| a < b));
                picked.into_iter().for_each(|number| seen[number] += 1);
            }
            let mean = 300 * count / len;
            let (low, high) = (mean.saturating_sub(60), mean + 60);
            assert!(seen.iter().all(|times| (low..=high).contains(times)), "{seen:?}");
        }
    }
}
