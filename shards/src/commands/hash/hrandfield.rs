//! HRANDFIELD key \[count \[WITHVALUES]]

use crate::base::number::{DIGITS_MAX, parse_i64};
use crate::base::random::Random;
use crate::commands::ctx::Ctx;
use crate::commands::growth::check_repeated;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::resp::reply::Protocol;
use crate::types::hash::Wanted;

pub(super) const HRANDFIELD: Command = Command {
    spec: Spec {
        name: "hrandfield",
        group: Group::Hash,
        since: "6.2.0",
        summary: "Returns fields of a hash picked by chance.",
        complexity: "O(N), N being the number of fields returned.",
        syntax: "key [count [WITHVALUES]]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: hrandfield,
};

fn hrandfield(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, due_by) = (ctx.key(1), ctx.db.due_by());
    let mut chance = Random::new(ctx.db.keyspace.random.bits());
    let mut scratch = [0; DIGITS_MAX];
    let (wanted, with_values) = match &ctx.args[2..] {
        [] => {
            let hash = ctx.db.read_hash(key)?;
            let picks = hash.map(|hash| hash.pick(Wanted::Distinct(1), due_by, &mut chance));
            match picks.filter(|picks| !picks.is_empty()) {
                Some(picks) => picks.for_each(&mut chance, |(field, _)| {
                    ctx.replies.bulk(field.bytes(&mut scratch));
                }),
                None => ctx.replies.null(),
            }
            return Ok(());
        }
        [count, options @ ..] => wanted(count, options)?,
    };
    let bytes_max = ctx.db.keyspace.settings.string_bytes_max;
    let hash = ctx.db.read_hash(key)?;
    let picks = hash.map(|hash| hash.pick(wanted, due_by, &mut chance)).unwrap_or_default();
    if let Wanted::Repeated(_) = wanted {
        check_repeated(picks.len().saturating_mul(1 + usize::from(with_values)), bytes_max)?;
    }
    let nested = with_values && ctx.replies.protocol == Protocol::Resp3;
    ctx.replies.array(picks.len() * if with_values && !nested { 2 } else { 1 });
    picks.for_each(&mut chance, |(field, value)| {
        if nested {
            ctx.replies.array(2);
        }
        ctx.replies.bulk(field.bytes(&mut scratch));
        if with_values {
            ctx.replies.bulk(value.bytes(&mut scratch));
        }
    });
    Ok(())
}

/// How many fields are wanted, different ones if the number is positive; and whether with values.
fn wanted(count: &[u8], options: &[&[u8]]) -> Result<(Wanted, bool), Error> {
    let count = parse_i64(count).ok_or(Error::NotInteger)?;
    if count == i64::MIN {
        return Err(Error::Text(
            "ERR value is out of range, value must between \
             -9223372036854775807 and 9223372036854775807",
        ));
    }
    let with_values = match options {
        [] => false,
        [option] if option.eq_ignore_ascii_case(b"WITHVALUES") => true,
        _ => return Err(Error::Syntax),
    };
    // A reply of more than 2^63 elements has no length.
    if with_values && i64::MAX.unsigned_abs() / 2 < count.unsigned_abs() {
        return Err(Error::Text("ERR value is out of range"));
    }
    let number = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let wanted = if count < 0 { Wanted::Repeated(number) } else { Wanted::Distinct(number) };
    Ok((wanted, with_values))
}
