//! SINTER key [key ...], SINTERCARD numkeys key [key ...] [LIMIT limit],
//! SINTERSTORE destination key [key ...]

use alloc::vec::Vec;

use super::combining::{keys, read_sets, store};
use crate::base::number::{DIGITS_MAX, parse_i64};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::types::set::Set;
use crate::types::set::combine::{intersected, intersection};

pub(super) const SINTER: Command = Command {
    spec: Spec {
        name: "sinter",
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns the members that several sets have in common.",
        complexity: "O(N*M), N being the size of the smallest set and M the number of sets.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output_order"],
        keys: &[KeySpec::from(1, 1, &["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: sinter,
};

pub(super) const SINTERCARD: Command = Command {
    spec: Spec {
        name: "sintercard",
        group: Group::Set,
        since: "7.0.0",
        summary: "Returns how many members several sets have in common.",
        complexity: "O(N*M), N being the size of the smallest set and M the number of sets.",
        syntax: "numkeys key [key ...] [LIMIT limit]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
        keys: &[COUNTED],
        ..Spec::EMPTY
    },
    run: sintercard,
};

pub(super) const SINTERSTORE: Command = Command {
    spec: Spec {
        name: "sinterstore",
        group: Group::Set,
        since: "1.0.0",
        summary: "Stores the members that several sets have in common in a key.",
        complexity: "O(N*M), N being the size of the smallest set and M the number of sets.",
        syntax: "destination key [key ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["OW", "UPDATE"]), KeySpec::from(2, 1, &["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: sinterstore,
};

/// The number of keys and then the keys.
const COUNTED: KeySpec = KeySpec {
    begin: Begin::Index(1),
    find: Find::Number { at: 0, first: 1, step: 1 },
    flags: &["RO", "ACCESS"],
};

fn sinter(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = keys(ctx, 1..ctx.args.len());
    let mut sets = read_common(&mut ctx.db, &keys)?;
    let (start, mut count, mut scratch) = (ctx.replies.out.len(), 0, [0; DIGITS_MAX]);
    for member in intersection(&mut sets) {
        ctx.replies.bulk(member.bytes(&mut scratch));
        count += 1;
    }
    // How many there are is known at the end only, but stands before them.
    let end = ctx.replies.out.len();
    ctx.replies.set(count);
    let header_bytes = ctx.replies.out.len() - end;
    ctx.replies.out[start..].rotate_right(header_bytes);
    Ok(())
}

fn sinterstore(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (keys, rules) = (keys(ctx, 2..ctx.args.len()), ctx.db.set_rules());
    let mut sets = read_common(&mut ctx.db, &keys)?;
    let result = intersected(&mut sets, rules);
    store(ctx, result, "sinterstore");
    Ok(())
}

fn sintercard(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let count = parse_i64(ctx.args[1]).filter(|count| 0 < *count);
    let count = count.ok_or(Error::Text("ERR numkeys should be greater than 0"))?;
    let end = usize::try_from(count).ok().and_then(|count| count.checked_add(2));
    let end = end.filter(|end| *end <= ctx.args.len());
    let end = end.ok_or(Error::Text("ERR Number of keys can't be greater than number of args"))?;
    let limit = parse_limit(&ctx.args[end..])?;
    let keys = keys(ctx, 2..end);
    let mut sets = read_common(&mut ctx.db, &keys)?;
    let common = intersection(&mut sets).take(limit).count();
    ctx.replies.integer(common as i64);
    Ok(())
}

/// Up to how many members are counted.
fn parse_limit(mut options: &[&[u8]]) -> Result<usize, Error> {
    let mut limit = 0;
    loop {
        options = match options {
            [] => return Ok(if limit == 0 { usize::MAX } else { limit }),
            [name, number, rest @ ..] if name.eq_ignore_ascii_case(b"LIMIT") => {
                let number = parse_i64(number).and_then(|number| usize::try_from(number).ok());
                limit = number.ok_or(Error::Text("ERR LIMIT can't be negative"))?;
                rest
            }
            _ => return Err(Error::Syntax),
        };
    }
}

/// The sets at these keys; none if one of them is missing, as nothing is in all of them then.
fn read_common<'d>(db: &'d mut Selected<'_>, keys: &[Key<'_>]) -> Result<Vec<&'d Set>, Error> {
    let sets = read_sets(db, keys)?;
    Ok(sets.into_iter().collect::<Option<_>>().unwrap_or_default())
}
