//! SRANDMEMBER key [count]

use crate::base::number::{DIGITS_MAX, parse_i64};
use crate::base::random::Random;
use crate::commands::ctx::Ctx;
use crate::commands::growth::check_repeated;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::listpack::Element;
use crate::resp::error::Error;
use crate::types::set::Set;

pub(super) const SRANDMEMBER: Command = Command {
    spec: Spec {
        name: "srandmember",
        group: Group::Set,
        since: "1.0.0",
        summary: "Returns members of a set picked by chance.",
        complexity: "O(N), N being the number of members returned.",
        syntax: "key [count]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: srandmember,
};

fn srandmember(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, mut scratch) = (ctx.key(1), [0; DIGITS_MAX]);
    let mut chance = Random::new(ctx.db.keyspace.random.bits());
    let count = match &ctx.args[2..] {
        [] => {
            match ctx.db.read_set(key)?.and_then(|set| set.pick(&mut chance)) {
                Some(member) => ctx.replies.bulk(member.bytes(&mut scratch)),
                None => ctx.replies.null(),
            }
            return Ok(());
        }
        [count] => parse_count(count)?,
        _ => return Err(Error::Syntax),
    };
    let bytes_max = ctx.db.keyspace.settings.string_bytes_max;
    let set = ctx.db.read_set(key)?;
    let members = set.map_or(0, Set::len);
    let number = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let shown = if 0 <= count || members == 0 { number.min(members) } else { number };
    if count < 0 {
        check_repeated(shown, bytes_max)?;
    }
    ctx.replies.array(shown);
    let show = |member: Element<'_>| ctx.replies.bulk(member.bytes(&mut scratch));
    match set {
        Some(set) if 0 <= count => set.pick_distinct(shown, &mut chance, show),
        Some(set) => set.pick_repeated(shown, &mut chance, show),
        None => {}
    }
    Ok(())
}

/// How many members are wanted: different ones if the number is not negative.
fn parse_count(text: &[u8]) -> Result<i64, Error> {
    let count = parse_i64(text).ok_or(Error::NotInteger)?;
    if count == i64::MIN {
        return Err(Error::Text(
            "ERR value is out of range, value must between \
             -9223372036854775807 and 9223372036854775807",
        ));
    }
    Ok(count)
}
