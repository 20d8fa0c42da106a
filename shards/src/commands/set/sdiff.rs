//! SDIFF key [key ...], SDIFFSTORE destination key [key ...]

use alloc::vec::Vec;

use super::combining::{keys, read_sets, store, write_members};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::set::Set;
use crate::types::set::combine::{Purpose, difference};

pub(super) const SDIFF: Command = Command {
    spec: Spec {
        name: "sdiff",
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns the members of a set that no other set has.",
        complexity: "O(N), N being the number of members of all sets.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output_order"],
        keys: &[KeySpec::from(1, 1, &["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: sdiff,
};

pub(super) const SDIFFSTORE: Command = Command {
    spec: Spec {
        name: "sdiffstore",
        group: Group::Set,
        since: "1.0.0",
        summary: "Stores the members of a set that no other set has in a key.",
        complexity: "O(N), N being the number of members of all sets.",
        syntax: "destination key [key ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["OW", "UPDATE"]), KeySpec::from(2, 1, &["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: sdiffstore,
};

fn sdiff(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let result = difference_of(ctx, 1, Purpose::Reply)?;
    write_members(&mut ctx.replies, &result);
    Ok(())
}

fn sdiffstore(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let result = difference_of(ctx, 2, Purpose::Store)?;
    store(ctx, result, "sdiffstore");
    Ok(())
}

/// The difference of the sets whose keys begin at argument `from`.
fn difference_of(ctx: &mut Ctx<'_>, from: usize, purpose: Purpose) -> Result<Set, Error> {
    let (keys, rules) = (keys(ctx, from..ctx.args.len()), ctx.db.set_rules());
    let sets = read_sets(&mut ctx.db, &keys)?;
    let Some(first) = sets[0] else { return Ok(Set::default()) };
    let mut others: Vec<&Set> = sets[1..].iter().flatten().copied().collect();
    Ok(difference(first, &mut others, purpose, rules))
}
