//! SUNION key [key ...], SUNIONSTORE destination key [key ...]

use alloc::vec::Vec;

use super::combining::{keys, read_sets, store, write_members};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::types::set::Set;
use crate::types::set::combine::{Purpose, united};

pub(super) const SUNION: Command = Command {
    spec: Spec {
        name: "sunion",
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns all members of several sets.",
        complexity: "O(N), N being the number of members of all sets.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output_order"],
        keys: &[KeySpec::from(1, 1, &["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: sunion,
};

pub(super) const SUNIONSTORE: Command = Command {
    spec: Spec {
        name: "sunionstore",
        group: Group::Set,
        since: "1.0.0",
        summary: "Stores all members of several sets in a key.",
        complexity: "O(N), N being the number of members of all sets.",
        syntax: "destination key [key ...]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["OW", "UPDATE"]), KeySpec::from(2, 1, &["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: sunionstore,
};

fn sunion(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let result = union_of(ctx, 1, Purpose::Reply)?;
    write_members(&mut ctx.replies, &result);
    Ok(())
}

fn sunionstore(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let result = union_of(ctx, 2, Purpose::Store)?;
    store(ctx, result, "sunionstore");
    Ok(())
}

/// The union of the sets whose keys begin at argument `from`.
fn union_of(ctx: &mut Ctx<'_>, from: usize, purpose: Purpose) -> Result<Set, Error> {
    let (keys, rules) = (keys(ctx, from..ctx.args.len()), ctx.db.set_rules());
    let sets: Vec<&Set> = read_sets(&mut ctx.db, &keys)?.into_iter().flatten().collect();
    Ok(united(&sets, purpose, rules))
}
