//! INCRBYFLOAT key increment

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const INCRBYFLOAT: Command = Command {
    spec: Spec {
        name: "incrbyfloat",
        group: Group::String,
        since: "2.6.0",
        summary: "Adds a number to the floating-point value of a key; a missing key counts as 0.",
        complexity: "O(1)",
        syntax: "key increment",
        arity: Arity::Exactly(3),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: incrbyfloat,
};

fn incrbyfloat(_ctx: &mut Ctx<'_>) -> Result<(), Error> {
    todo!()
}
