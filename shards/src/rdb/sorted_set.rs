//! Sorted sets in files and dumps.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::base::float::parse_f64;
use crate::base::number::DIGITS_MAX;
use crate::encodings::listpack::{Element, Listpack};
use crate::encodings::ranking::Scores;
use crate::rdb::error::{Error, Problem};
use crate::rdb::kind::Kind;
use crate::rdb::listpacks::{self, Holds};
use crate::rdb::reader::{Reader, Source};
use crate::rdb::value::Rules;
use crate::rdb::writer::{Sink, Writer};
use crate::types::sorted_set::{Rules as SortedSetRules, SortedSet};

/// As what it is written.
pub(super) fn kind(set: &SortedSet) -> Kind {
    match set {
        SortedSet::Listpack(_) => Kind::SortedSetListpack,
        SortedSet::Skiplist(_) => Kind::SortedSet2,
    }
}

pub(super) fn write<S: Sink>(writer: &mut Writer<'_, S>, set: &SortedSet) {
    match set {
        SortedSet::Listpack(pairs) => writer.blob(pairs.as_bytes()),
        SortedSet::Skiplist(_) => {
            writer.count(set.len());
            // The highest first, as Valkey writes them: it puts each before the one it has read.
            for (member, score) in set.iter(0..set.len(), true) {
                writer.element(member);
                writer.double(score);
            }
        }
    }
}

/// Reads members with their scores, each as `read_score` does.
pub(super) fn read<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
    read_score: impl Fn(&mut Reader<S>) -> Result<f64, Error>,
) -> Result<SortedSet, Error> {
    let count = reader.count_of_some()?;
    let (mut scores, mut member) = (Scores::new(rules.seed), Vec::new());
    for _ in 0..count {
        reader.argument(&mut member)?;
        let score = read_score(reader)?;
        if score.is_nan() {
            return Err(reader.error(Problem::Score));
        }
        add(reader, &mut scores, &member, score)?;
    }
    Ok(SortedSet::of_scores(scores, &sorted_set_rules(rules)))
}

pub(super) fn read_listpack<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<SortedSet, Error> {
    let pairs = listpacks::read(reader, Holds::Groups(2, "member"))?;
    settled(reader, pairs, rules)
}

pub(super) fn read_ziplist<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<SortedSet, Error> {
    let pairs = listpacks::read_ziplist(reader, Holds::Groups(2, "member"))?;
    settled(reader, pairs, rules)
}

/// As it is, if it is short and in order.
fn settled<S: Source>(
    reader: &Reader<S>,
    pairs: Listpack,
    rules: &Rules,
) -> Result<SortedSet, Error> {
    if pairs.is_empty() {
        return Err(reader.error(Problem::Empty));
    }
    let is_short = pairs.len() / 2 <= rules.limits.sorted_set.listpack_entries;
    if is_in_order(reader, &pairs)? && is_short {
        return Ok(SortedSet::Listpack(pairs));
    }
    let (mut scores, mut elements) = (Scores::new(rules.seed), pairs.iter());
    while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
        let score = score_of(reader, score)?;
        add(reader, &mut scores, member.bytes(&mut [0; DIGITS_MAX]), score)?;
    }
    Ok(SortedSet::of_scores(scores, &sorted_set_rules(rules)))
}

/// Whether members stand in the order of their scores. All of these must be numbers.
fn is_in_order<S: Source>(reader: &Reader<S>, pairs: &Listpack) -> Result<bool, Error> {
    let (mut elements, mut is_in_order) = (pairs.iter(), true);
    let mut before: Option<(f64, Element<'_>)> = None;
    while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
        let score = score_of(reader, score)?;
        if let Some((score_before, member_before)) = before {
            is_in_order &= match score_before.partial_cmp(&score) {
                Some(Ordering::Equal) => {
                    let (mut a, mut b) = ([0; DIGITS_MAX], [0; DIGITS_MAX]);
                    member_before.bytes(&mut a) < member.bytes(&mut b)
                }
                order => order == Some(Ordering::Less),
            };
        }
        before = Some((score, member));
    }
    Ok(is_in_order)
}

fn score_of<S: Source>(reader: &Reader<S>, element: Element<'_>) -> Result<f64, Error> {
    match element {
        Element::Int(whole) => Ok(whole as f64),
        Element::Bytes(text) => parse_f64(text).ok_or_else(|| reader.error(Problem::Score)),
    }
}

fn add<S: Source>(
    reader: &Reader<S>,
    scores: &mut Scores,
    member: &[u8],
    score: f64,
) -> Result<(), Error> {
    let before = scores.len();
    scores.set(member, |_| score);
    if before < scores.len() { Ok(()) } else { Err(reader.error(Problem::Duplicate("member"))) }
}

fn sorted_set_rules(rules: &Rules) -> SortedSetRules {
    SortedSetRules { limits: rules.limits.sorted_set, seed: rules.seed }
}
