//! GEOPOS key [member [member ...]], GEOHASH key [member [member ...]]

use super::shown;
use crate::base::geohash::Place;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::resp::error::Error;
use crate::resp::reply::Replies;

pub(super) const GEOPOS: Command = Command {
    spec: Spec { name: "geopos", summary: "Returns longitude and latitude of places.", ..SPEC },
    run: geopos,
};

pub(super) const GEOHASH: Command = Command {
    spec: Spec {
        name: "geohash",
        summary: "Returns places as the names that geohash.org has for them.",
        ..SPEC
    },
    run: geohash,
};

const SPEC: Spec = Spec {
    group: Group::Geo,
    since: "3.2.0",
    complexity: "O(N), N being the number of members asked for.",
    syntax: "key [member ...]",
    arity: Arity::AtLeast(2),
    flags: Flags::of(&[Flag::ReadOnly]),
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

fn geopos(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    each(ctx, |replies, place| match place {
        Some(place) => shown::place(replies, place),
        None => replies.null_array(),
    })
}

fn geohash(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    each(ctx, |replies, place| match place {
        Some(place) => replies.bulk(&place.text()),
        None => replies.null(),
    })
}

fn each(ctx: &mut Ctx<'_>, show: fn(&mut Replies<'_>, Option<Place>)) -> Result<(), Error> {
    let (key, members) = (ctx.key(1), &ctx.args[2..]);
    let set = ctx.db.read_sorted_set(key)?;
    ctx.replies.array(members.len());
    for member in members {
        let score = set.and_then(|set| set.score(member));
        show(&mut ctx.replies, score.map(Place::of_score));
    }
    Ok(())
}
