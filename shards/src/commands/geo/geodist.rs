//! GEODIST key member1 member2 \[M | KM | FT | MI]

use super::shape::unit_m;
use super::shown;
use crate::base::geohash::Place;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;

pub(super) const GEODIST: Command = Command {
    spec: Spec {
        name: "geodist",
        group: Group::Geo,
        since: "3.2.0",
        summary: "Returns how far two places are apart.",
        complexity: "O(1)",
        syntax: "key member1 member2 [M | KM | FT | MI]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: geodist,
};

fn geodist(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let unit_m = match &ctx.args[4..] {
        [] => 1.0,
        [unit] => unit_m(unit)?,
        _ => return Err(Error::Syntax),
    };
    let key = ctx.key(1);
    let of = ctx.db.keyspace.settings.trigonometry;
    let set = ctx.db.read_sorted_set(key)?;
    let place = |member| Some(Place::of_score(set?.score(member)?));
    match place(ctx.args[2])
        .zip(place(ctx.args[3]))
        .map(|(here, there)| here.distance_m(there, &of))
    {
        Some(distance) => shown::distance(&mut ctx.replies, distance / unit_m),
        None => ctx.replies.null(),
    }
    Ok(())
}
