//! A small sorted set: a listpack of member and score in turn. Whole scores are kept as numbers.

use core::cmp::Ordering;
use core::ops::Range;

use crate::base::float::{as_whole, format_f64, parse_f64};
use crate::base::number::DIGITS_MAX;
use crate::encodings::listpack::{self, Element, Listpack, Position};

/// Bytes of the longest score: sign, 17 digits, point and exponent.
pub(super) const SCORE_BYTES_MAX: usize = 24;

/// Where a member lies, and its score.
#[inline]
pub(super) fn find(pairs: &Listpack, member: &[u8]) -> Option<(Position, f64)> {
    let at = pairs.find(member, pairs.first()?, 1)?;
    Some((at, score_behind(pairs, at)))
}

/// The number of a member in ascending order, and its score.
pub(super) fn rank(pairs: &Listpack, member: &[u8]) -> Option<(usize, f64)> {
    let wanted = Element::of(member);
    let is_it = |(_, (there, _)): &(usize, (Element<'_>, f64))| match (there, wanted) {
        (Element::Int(there), Element::Int(wanted)) => *there == wanted,
        (Element::Bytes(there), Element::Bytes(wanted)) => *there == wanted,
        (Element::Int(_), Element::Bytes(_)) | (Element::Bytes(_), Element::Int(_)) => false,
    };
    iter(pairs).enumerate().find(is_it).map(|(rank, (_, score))| (rank, score))
}

/// Where the member of this rank lies.
pub(super) fn seek(pairs: &Listpack, rank: usize) -> Option<Position> {
    pairs.seek(isize::try_from(2 * rank).ok()?)
}

/// Puts a member in that is not there.
pub(super) fn insert(pairs: &mut Listpack, member: &[u8], score: f64) {
    // As a rule sets are filled in order.
    let is_last = pairs.last().is_none_or(|last| {
        let before = pairs.prev(last).expect("a member stands before its score");
        is_before(score_of(pairs.get(last)), pairs.get(before), score, member)
    });
    if is_last {
        return push_back(pairs, member.into(), score);
    }
    let mut at = pairs.first().expect("there is a last element");
    loop {
        let behind = pairs.next(at).expect("a score stands behind its member");
        if !is_before(score_of(pairs.get(behind)), pairs.get(at), score, member) {
            break;
        }
        at = pairs.next(behind).expect("the last one is not before it");
    }
    let at = pairs.insert_before(at, member);
    with_score(score, |score| pairs.insert_after(at, score));
}

/// Puts a member in behind the last.
pub(super) fn push_back(pairs: &mut Listpack, member: Element<'_>, score: f64) {
    pairs.push_back(member);
    with_score(score, |score| pairs.push_back(score));
}

/// Gives the member that lies at `at` another score.
pub(super) fn change(pairs: &mut Listpack, at: Position, member: &[u8], score: f64) {
    let behind = pairs.next(at).expect("a score stands behind its member");
    let before = pairs.prev(at).map(|before| score_of(pairs.get(before)));
    let after = pairs.next(behind).map(|after| score_behind(pairs, after));
    let stays = before.is_none_or(|before| before < score) && after.is_none_or(|it| score < it);
    if stays {
        with_score(score, |score| pairs.replace(behind, score));
    } else {
        pairs.remove(at, 2);
        insert(pairs, member, score);
    }
}

/// All members with their scores.
pub(super) fn iter(pairs: &Listpack) -> Iter<'_> {
    Iter { elements: pairs.iter(), left: usize::MAX, reverse: false }
}

/// The members of some ranks with their scores, in either direction.
pub(super) fn between(pairs: &Listpack, ranks: Range<usize>, reverse: bool) -> Iter<'_> {
    let mut elements = pairs.iter();
    if reverse {
        for _ in 2 * ranks.end..pairs.len() {
            elements.next_back();
        }
    } else if let Some(start) = seek(pairs, ranks.start) {
        elements = pairs.iter_from(start);
    }
    Iter { elements, left: ranks.len(), reverse }
}

/// Members with their scores in one direction.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    elements: listpack::Iter<'a>,
    left: usize,
    reverse: bool,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.reverse {
            let score = score_of(self.elements.next_back()?);
            Some((self.elements.next_back()?, score))
        } else {
            let member = self.elements.next()?;
            Some((member, score_of(self.elements.next()?)))
        }
    }
}

fn is_before(score: f64, there: Element<'_>, other: f64, member: &[u8]) -> bool {
    match score.partial_cmp(&other) {
        Some(Ordering::Less) => true,
        Some(Ordering::Greater) => false,
        Some(Ordering::Equal) | None => there.bytes(&mut [0; DIGITS_MAX]) < member,
    }
}

fn score_behind(pairs: &Listpack, member: Position) -> f64 {
    score_of(pairs.get(pairs.next(member).expect("a score stands behind its member")))
}

#[inline]
fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(whole) => whole as f64,
        Element::Bytes(text) => parse_f64(text).unwrap_or_default(),
    }
}

/// Calls `put` with the element that stands for a score.
#[inline]
fn with_score<R>(score: f64, put: impl FnOnce(Element<'_>) -> R) -> R {
    match as_whole(score) {
        Some(whole) => put(Element::Int(whole)),
        None => put(Element::Bytes(format_f64(score).bytes())),
    }
}
