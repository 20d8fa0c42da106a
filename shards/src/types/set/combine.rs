//! Intersection, union and difference of sets. Which encoding a result gets depends on the
//! encodings of the sets and on the way it is found, which are therefore Valkey's.

use core::cmp::Reverse;
use core::{iter, ptr};

use super::members::Members;
use super::{Rules, Set};
use crate::encodings::allocation::Boxed;
use crate::encodings::listpack::{Element, Listpack};

/// What becomes of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is shown and forgotten: a table, unless all sets are integers.
    Reply,
    /// It is kept: as compact as it can be.
    Store,
}

/// The members that all `sets` have; sorts the sets by size.
pub fn intersection<'s>(sets: &mut [&'s Set]) -> impl Iterator<Item = Element<'s>> {
    sets.sort_by_key(|set| set.len());
    let (first, others) = sets.split_at(1.min(sets.len()));
    let members = first.iter().flat_map(|first| first.iter());
    members.filter(|member| others.iter().all(|other| other.contains_element(*member)))
}

/// A set of the members that all `sets` have.
pub fn intersected(sets: &mut [&Set], rules: Rules) -> Set {
    let smallest = sets.iter().min_by_key(|set| set.len());
    let mut result = match smallest {
        Some(Set::Listpack(_) | Set::Table(_)) => Set::Listpack(Listpack::new()),
        Some(Set::Intset(_)) | None => Set::default(),
    };
    for member in intersection(sets) {
        result.add_element(member, rules);
    }
    result.become_intset(rules);
    result
}

/// A set of all members of `sets`.
pub fn united(sets: &[&Set], purpose: Purpose, rules: Rules) -> Set {
    let mut result = start(sets.iter(), purpose, rules);
    for set in sets {
        set.for_each(|member| {
            result.add_element(member, rules);
        });
    }
    result
}

/// A set of the members of `first` that none of `others` has.
pub fn difference(first: &Set, others: &mut [&Set], purpose: Purpose, rules: Rules) -> Set {
    let mut result = start(iter::once(&first).chain(&*others), purpose, rules);
    if others.iter().any(|other| ptr::eq(*other, first)) {
        return result;
    }
    // Either each member is looked for in the others, on average in half of them, or all members
    // of the others are removed.
    let looking = first.len().saturating_mul(others.len() + 1) / 2;
    let removing = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    if looking <= removing {
        // Where most members are, most are found.
        others.sort_by_key(|set| Reverse(set.len()));
        first.for_each(|member| {
            if !others.iter().any(|other| other.contains_element(member)) {
                result.add_element(member, rules);
            }
        });
        return result;
    }
    first.for_each(|member| {
        result.add_element(member, rules);
    });
    for other in others {
        if result.is_empty() {
            break;
        }
        other.for_each(|member| {
            result.remove_element(member);
        });
    }
    result
}

/// What a result of these sets begins as.
fn start<'a>(mut sets: impl Iterator<Item = &'a &'a Set>, purpose: Purpose, rules: Rules) -> Set {
    let mut all_are_intsets = || sets.all(|set| matches!(set, Set::Intset(_)));
    if purpose == Purpose::Store || all_are_intsets() {
        Set::default()
    } else {
        Set::Table(Boxed::new(Members::new(rules.seed)))
    }
}
