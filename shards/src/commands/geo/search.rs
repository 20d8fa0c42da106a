//! The search itself, for all of its forms.

use alloc::vec::Vec;

use super::area::cells;
use super::request::{Form, Order, Request};
use super::shown;
use crate::base::geohash::Place;
use crate::base::number::DIGITS_MAX;
use crate::base::partial_sort::sort_part;
use crate::commands::ctx::Ctx;
use crate::commands::sorted_set;
use crate::encodings::listpack::Element;
use crate::encodings::ranking::Scores;
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::sorted_set::bounds::{ScoreBound, ScoreRange};
use crate::types::sorted_set::{Rules, SortedSet};

/// A member within the shape.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    member: Element<'a>,
    score: f64,
    place: Place,
    distance_m: f64,
}

/// Runs a command of this form.
pub(super) fn run(ctx: &mut Ctx<'_>, form: Form) -> Result<(), Error> {
    let (args, key, rules) = (ctx.args, ctx.key(form.source()), ctx.db.sorted_set_rules());
    let settings = &ctx.db.keyspace.settings;
    let (of, spelling) = (settings.trigonometry, settings.spelling());
    let set = ctx.db.read_sorted_set(key)?;
    let request = Request::parse(args, form, set, of, spelling)?;
    let found = set.map(|set| search(set, &request)).unwrap_or_default();
    let Some(at) = request.store else {
        show(&mut ctx.replies, &found, &request);
        return Ok(());
    };
    let stored = stored(&found, &request, &rules);
    let (target, len) = (ctx.key(at), stored.len() as u64);
    let event = if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" };
    sorted_set::store(ctx, target, stored, event);
    // Each member counts as a change.
    ctx.db.effects.dirty += len.saturating_sub(1);
    Ok(())
}

/// The members within the shape, in the order and the number asked for.
fn search<'a>(set: &'a SortedSet, request: &Request) -> Vec<Found<'a>> {
    let Some(shape) = &request.shape else { return Vec::new() };
    let all = cells(shape).flat_map(|cell| {
        let (low, high) = cell.scores();
        let range = ScoreRange {
            min: ScoreBound { score: low, is_exclusive: false },
            max: ScoreBound { score: high, is_exclusive: true },
        };
        set.iter(set.ranks(&range), false)
    });
    let within = all.filter_map(|(member, score)| {
        let place = Place::of_score(score);
        let distance_m = shape.distance_m(place)?;
        Some(Found { member, score, place, distance_m })
    });
    let limit = request.count.unwrap_or(usize::MAX);
    let mut found: Vec<_> =
        if request.any { within.take(limit).collect() } else { within.collect() };
    if let Some(order) = request.order {
        let ascending = |a: &Found<'_>, b: &Found<'_>| a.distance_m.total_cmp(&b.distance_m);
        let compare = |a: &Found<'_>, b: &Found<'_>| match order {
            Order::Ascending => ascending(a, b),
            Order::Descending => ascending(b, a),
        };
        // The order in which equally far members come can be seen.
        if limit < found.len() {
            sort_part(&mut found, &(0..limit), &compare);
        } else {
            found.sort_by(compare);
        }
    }
    found.truncate(limit);
    found
}

fn show(replies: &mut Replies<'_>, found: &[Found<'_>], request: &Request) {
    let Request { with_distance, with_score, with_place, unit_m, .. } = request;
    let extras = [with_distance, with_score, with_place].iter().filter(|it| ***it).count();
    replies.array(found.len());
    for Found { member, score, place, distance_m } in found {
        if 0 < extras {
            replies.array(1 + extras);
        }
        sorted_set::member(replies, *member);
        if *with_distance {
            shown::distance(replies, distance_m / unit_m);
        }
        if *with_score {
            #[expect(clippy::cast_possible_truncation, reason = "as in C, but at the edges")]
            replies.integer(*score as i64);
        }
        if *with_place {
            shown::place(replies, *place);
        }
    }
}

fn stored(found: &[Found<'_>], request: &Request, rules: &Rules) -> SortedSet {
    let (mut scores, mut scratch) = (Scores::new(rules.seed), [0; DIGITS_MAX]);
    for Found { member, score, distance_m, .. } in found {
        let score = if request.stores_distances { distance_m / request.unit_m } else { *score };
        scores.set(member.bytes(&mut scratch), |_| score);
    }
    SortedSet::of_scores(scores, rules)
}
