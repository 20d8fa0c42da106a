//! HGETALL key, HKEYS key, HVALS key

use crate::base::number::DIGITS_MAX;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

const EACH: Spec = Spec {
    group: Group::Hash,
    since: "2.0.0",
    complexity: "O(N), N being the number of fields.",
    syntax: "key",
    arity: Arity::Exactly(2),
    flags: Flags::of(&[Flag::ReadOnly]),
    tips: &["nondeterministic_output_order"],
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

pub(super) const HGETALL: Command = Command {
    spec: Spec { name: "hgetall", summary: "Returns all fields of a hash with values.", ..EACH },
    run: |ctx| all(ctx, Part::Pairs),
};

pub(super) const HKEYS: Command = Command {
    spec: Spec { name: "hkeys", summary: "Returns the names of all fields of a hash.", ..EACH },
    run: |ctx| all(ctx, Part::Fields),
};

pub(super) const HVALS: Command = Command {
    spec: Spec { name: "hvals", summary: "Returns the values of all fields of a hash.", ..EACH },
    run: |ctx| all(ctx, Part::Values),
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Pairs,
    Fields,
    Values,
}

fn all(ctx: &mut Ctx<'_>, part: Part) -> Result<(), Error> {
    let (key, due_by) = (ctx.key(1), ctx.db.due_by());
    let hash = ctx.db.read_hash(key)?;
    let count = hash.map_or(0, |hash| hash.visible_len(due_by));
    match part {
        Part::Pairs => ctx.replies.map(count),
        Part::Fields | Part::Values => ctx.replies.array(count),
    }
    let Some(hash) = hash else { return Ok(()) };
    let mut scratch = [0; DIGITS_MAX];
    for (field, value) in hash.iter(due_by) {
        if part != Part::Values {
            ctx.replies.bulk(field.bytes(&mut scratch));
        }
        if part != Part::Fields {
            ctx.replies.bulk(value.bytes(&mut scratch));
        }
    }
    Ok(())
}
