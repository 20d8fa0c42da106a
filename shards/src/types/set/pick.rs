//! Members of a set, picked by chance: each as likely as any other.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ptr;

use super::members::Members;
use super::{Rules, Set};
use crate::base::random::Random;
use crate::encodings::allocation::Boxed;
use crate::encodings::intset::Intset;
use crate::encodings::listpack::{Element, Listpack};
use crate::encodings::member::Member;

/// Picking one by one costs as much as to list so many members.
const PICK_COST: usize = 4;
/// SPOP leaves a new set if so many times as many members go as stay.
const LEFT_SHARE: usize = 5;

impl Set {
    /// A member.
    pub fn pick(&self, chance: &mut Random) -> Option<Element<'_>> {
        match self {
            Self::Intset(integers) => {
                below(chance, integers.len()).and_then(|at| integers.get(at)).map(Element::Int)
            }
            Self::Listpack(members) => {
                let at = below(chance, members.len());
                at.and_then(|at| members.seek(at.cast_signed())).map(|at| members.get(at))
            }
            Self::Table(members) => {
                members.table().pick(chance).map(|member| Element::Bytes(member.bytes()))
            }
        }
    }

    /// Shows `see` a member and removes it.
    pub fn pop(&mut self, chance: &mut Random, see: impl FnOnce(Element<'_>)) {
        match self {
            Self::Intset(integers) => {
                let at = below(chance, integers.len());
                if let Some(number) = at.and_then(|at| integers.get(at)) {
                    see(Element::Int(number));
                    integers.remove(number);
                }
            }
            Self::Listpack(members) => {
                let at = below(chance, members.len());
                if let Some(at) = at.and_then(|at| members.seek(at.cast_signed())) {
                    see(members.get(at));
                    members.remove(at, 1);
                }
            }
            Self::Table(members) => {
                if let Some(member) = members.take_any(chance) {
                    see(Element::Bytes(member.bytes()));
                }
            }
        }
    }

    /// Shows `see` so many members, or all if there are fewer, and removes them.
    pub fn pop_many(
        &mut self,
        count: usize,
        rules: Rules,
        chance: &mut Random,
        mut see: impl FnMut(Element<'_>),
    ) {
        match self {
            Self::Intset(integers) => {
                let mut left = Intset::new();
                sample(integers.iter(), (count, integers.len()), chance, |number, is_picked| {
                    if is_picked {
                        see(Element::Int(number));
                    } else {
                        left.insert(number);
                    }
                });
                *integers = left;
            }
            Self::Listpack(members) => {
                let mut left = Listpack::new();
                sample(members.iter(), (count, members.len()), chance, |member, is_picked| {
                    if is_picked {
                        see(member);
                    } else {
                        left.push_back(member);
                    }
                });
                *members = left;
            }
            Self::Table(members) => {
                let left = members.table().len().saturating_sub(count);
                if left.saturating_mul(LEFT_SHARE) <= count {
                    *self = leave(members, left, rules, chance, see);
                    return;
                }
                for _ in 0..count {
                    let member = members.take_any(chance).expect("more are there than go");
                    see(Element::Bytes(member.bytes()));
                }
            }
        }
    }

    /// Shows `see` so many different members, or all if there are fewer.
    pub fn pick_distinct(
        &self,
        count: usize,
        chance: &mut Random,
        mut see: impl FnMut(Element<'_>),
    ) {
        match self {
            _ if self.len() <= count => self.for_each(see),
            Self::Intset(_) | Self::Listpack(_) => {
                sample(self.iter(), (count, self.len()), chance, |member, is_picked| {
                    if is_picked {
                        see(member);
                    }
                });
            }
            Self::Table(members) => {
                distinct(members, count, chance, |member| see(Element::Bytes(member.bytes())));
            }
        }
    }

    /// Shows `see` a member as often as wanted.
    pub fn pick_repeated(
        &self,
        count: usize,
        chance: &mut Random,
        mut see: impl FnMut(Element<'_>),
    ) {
        let Self::Listpack(members) = self else {
            return (0..count).map_while(|_| self.pick(chance)).for_each(see);
        };
        if count == 1 {
            return self.pick(chance).into_iter().for_each(see);
        }
        let all: Vec<Element<'_>> = members.iter().collect();
        (0..count).map_while(|_| below(chance, all.len())).for_each(|at| see(all[at]));
    }
}

/// Shows `see` the members that go, and returns a set of the `count` that stay.
fn leave(
    members: &mut Boxed<Members>,
    count: usize,
    rules: Rules,
    chance: &mut Random,
    mut see: impl FnMut(Element<'_>),
) -> Set {
    let mut left = Set::Listpack(Listpack::new());
    for _ in 0..count {
        let member = members.take_any(chance).expect("no more stay than there are");
        left.add(member.bytes(), rules);
    }
    members.for_each(|member| see(Element::Bytes(member.bytes())));
    left
}

/// Shows `see` so many members, of which there are more.
fn distinct(members: &Members, count: usize, chance: &mut Random, mut see: impl FnMut(&Member)) {
    if count.saturating_mul(PICK_COST) <= members.table().len() {
        let mut seen = BTreeSet::new();
        while seen.len() < count {
            let member = members.table().pick(chance).expect("more are there than wanted");
            if seen.insert(ptr::from_ref(member)) {
                see(member);
            }
        }
        return;
    }
    let mut all = Vec::with_capacity(members.table().len());
    all.extend(members.table().iter());
    for at in 0..count {
        let other = below(chance, all.len() - at).expect("more are there than wanted");
        all.swap(at, at + other);
        see(all[at]);
    }
}

/// Goes through `all`, telling `see` of each whether it is picked: as many as wanted are, of so
/// many that there are.
fn sample<T>(
    all: impl Iterator<Item = T>,
    (mut wanted, mut left): (usize, usize),
    chance: &mut Random,
    mut see: impl FnMut(T, bool),
) {
    for item in all {
        let is_picked = below(chance, left).is_some_and(|number| number < wanted);
        (left, wanted) = (left - 1, wanted - usize::from(is_picked));
        see(item, is_picked);
    }
}

/// A number below `limit`; `None` if that is 0.
fn below(chance: &mut Random, limit: usize) -> Option<usize> {
    let limit = u64::try_from(limit).ok().filter(|limit| 0 < *limit)?;
    Some(usize::try_from(chance.below(limit)).expect("it is below a usize"))
}
