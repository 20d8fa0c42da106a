//! Sets: members without order or values. Few integers are an intset, few other members a
//! listpack, and all else is a table.

pub mod combine;
pub mod members;
mod pick;

use crate::base::hash::HashSeed;
use crate::base::number::{DIGITS_MAX, format_i64, parse_i64};
use crate::encodings::allocation::Boxed;
use crate::encodings::intset::{self, Intset};
use crate::encodings::listpack::{Element, Listpack};
use crate::types::limits::SetLimits;
use members::Members;

/// A set.
#[derive(Clone, Debug)]
pub enum Set {
    /// Integers in order.
    Intset(Intset),
    /// Members in the order in which they came.
    Listpack(Listpack),
    /// Members in a table.
    Table(Boxed<Members>),
}

/// By what sets are changed.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Up to what size they stay compact.
    pub limits: SetLimits,
    /// The seed of tables.
    pub seed: HashSeed,
}

impl Rules {
    /// Integers in an intset.
    fn intset_entries(self) -> usize {
        self.limits.intset_entries.min(intset::LEN_MAX - 1)
    }

    /// Whether a listpack of `len` members may take one more of `bytes`.
    fn listpack_takes(self, len: usize, bytes: usize) -> bool {
        len < self.limits.listpack_entries && bytes <= self.limits.listpack_value
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::Intset(Intset::new())
    }
}

impl Set {
    /// Members in it.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Intset(integers) => integers.len(),
            Self::Listpack(members) => members.len(),
            Self::Table(members) => members.table().len(),
        }
    }

    /// Whether it has no member.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Intset(integers) => integers.is_empty(),
            Self::Listpack(members) => members.is_empty(),
            Self::Table(members) => members.table().is_empty(),
        }
    }

    /// What OBJECT ENCODING calls it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Intset(_) => "intset",
            Self::Listpack(_) => "listpack",
            Self::Table(_) => "hashtable",
        }
    }

    /// Bytes of its allocations.
    pub fn memory(&self) -> usize {
        match self {
            Self::Intset(integers) => integers.memory(),
            Self::Listpack(members) => members.memory(),
            Self::Table(members) => members.memory(),
        }
    }

    /// How many allocations there are to free.
    pub fn free_effort(&self) -> usize {
        match self {
            Self::Intset(_) | Self::Listpack(_) => 1,
            Self::Table(members) => members.table().len(),
        }
    }

    /// Frees about `budget` members; true when nothing is left but what one free gives back.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        match self {
            Self::Intset(_) | Self::Listpack(_) => true,
            Self::Table(members) => members.free_slice(budget),
        }
    }

    /// Whether `member` is in it.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self {
            Self::Intset(integers) => {
                parse_i64(member).is_some_and(|number| integers.contains(number))
            }
            Self::Listpack(members) => {
                members.first().is_some_and(|first| members.find(member, first, 0).is_some())
            }
            Self::Table(members) => members.contains(member),
        }
    }

    /// Whether a member of another set is in this one.
    #[inline]
    pub fn contains_element(&self, member: Element<'_>) -> bool {
        if let (Self::Intset(integers), Element::Int(number)) = (self, member) {
            return integers.contains(number);
        }
        self.contains(member.bytes(&mut [0; DIGITS_MAX]))
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        let (integers, listpack, table) = match self {
            Self::Intset(integers) => (Some(integers.iter()), None, None),
            Self::Listpack(members) => (None, Some(members.iter()), None),
            Self::Table(members) => (None, None, Some(members.table().iter())),
        };
        let integers = integers.into_iter().flatten().map(Element::Int);
        let table = table.into_iter().flatten().map(|member| Element::Bytes(member.bytes()));
        integers.chain(listpack.into_iter().flatten()).chain(table)
    }

    /// Shows all members to `see`: of a large set faster than [`Self::iter`].
    pub fn for_each(&self, mut see: impl FnMut(Element<'_>)) {
        match self {
            Self::Intset(integers) => integers.iter().map(Element::Int).for_each(see),
            Self::Listpack(members) => members.iter().for_each(see),
            Self::Table(members) => members.for_each(|member| see(Element::Bytes(member.bytes()))),
        }
    }

    /// Takes the encoding that so many members ask for, before they are added: an empty set the
    /// one it would be made with, any other a table if it would become one.
    #[inline]
    pub fn prepare(&mut self, members: &[&[u8]], rules: Rules) {
        let is_few = match self {
            Self::Intset(integers) if integers.is_empty() => {
                let is_number = members.first().is_some_and(|first| parse_i64(first).is_some());
                if is_number && members.len() <= rules.intset_entries() {
                    return;
                }
                *self = Self::Listpack(Listpack::new());
                members.len() <= rules.limits.listpack_entries
            }
            Self::Intset(_) => members.len() <= rules.intset_entries(),
            Self::Listpack(_) => members.len() <= rules.limits.listpack_entries,
            Self::Table(_) => true,
        };
        if !is_few {
            self.become_table(rules.seed);
        }
    }

    /// Adds a member; false if it was there.
    #[inline]
    pub fn add(&mut self, member: &[u8], rules: Rules) -> bool {
        match self {
            Self::Intset(integers) => match parse_i64(member) {
                Some(number) => {
                    let is_new = integers.insert(number);
                    if is_new && rules.intset_entries() < integers.len() {
                        self.become_table(rules.seed);
                    }
                    is_new
                }
                None => self.add_text(member, rules),
            },
            Self::Listpack(members) => {
                let found = members.first().and_then(|first| members.find(member, first, 0));
                if found.is_some() {
                    return false;
                }
                if rules.listpack_takes(members.len(), member.len()) && members.fits(member.len()) {
                    members.push_back(member);
                    return true;
                }
                self.become_table(rules.seed).add(member)
            }
            Self::Table(members) => members.add(member),
        }
    }

    /// Adds a member of another set; false if it was there.
    pub fn add_element(&mut self, member: Element<'_>, rules: Rules) -> bool {
        self.add(member.bytes(&mut [0; DIGITS_MAX]), rules)
    }

    /// Removes a member; false if it was not there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Self::Intset(integers) => {
                parse_i64(member).is_some_and(|number| integers.remove(number))
            }
            Self::Listpack(members) => {
                let found = members.first().and_then(|first| members.find(member, first, 0));
                found.map(|at| members.remove(at, 1)).is_some()
            }
            Self::Table(members) => members.remove(member),
        }
    }

    /// Removes a member of another set; false if it was not there.
    fn remove_element(&mut self, member: Element<'_>) -> bool {
        self.remove(member.bytes(&mut [0; DIGITS_MAX]))
    }

    /// Adds what is no number to an intset, which then is none any more.
    fn add_text(&mut self, member: &[u8], rules: Rules) -> bool {
        let Self::Intset(integers) = self else { unreachable!("the caller saw an intset") };
        let longest = longest(integers);
        let fits = longest <= rules.limits.listpack_value
            && rules.listpack_takes(integers.len(), member.len());
        if !fits {
            return self.become_table(rules.seed).add(member);
        }
        let mut members = Listpack::new();
        integers.iter().for_each(|number| members.push_back(number));
        members.push_back(member);
        *self = Self::Listpack(members);
        true
    }

    /// The members as an intset if they are numbers, and few enough.
    fn become_intset(&mut self, rules: Rules) {
        if matches!(self, Self::Intset(_)) || rules.intset_entries() < self.len() {
            return;
        }
        let mut integers = Intset::new();
        let all_are_numbers = self.iter().all(|member| {
            let number = member.int();
            number.is_some_and(|number| integers.insert(number))
        });
        if all_are_numbers {
            *self = Self::Intset(integers);
        }
    }

    /// The members as a table, whatever they were.
    fn become_table(&mut self, seed: HashSeed) -> &mut Members {
        if !matches!(self, Self::Table(_)) {
            let (mut members, mut scratch) = (Members::new(seed), [0; DIGITS_MAX]);
            self.for_each(|member| {
                members.add(member.bytes(&mut scratch));
            });
            *self = Self::Table(Boxed::new(members));
        }
        match self {
            Self::Table(members) => members,
            Self::Intset(_) | Self::Listpack(_) => unreachable!("it was made a table"),
        }
    }
}

/// Bytes of the longest of these integers when it is spelled out.
fn longest(integers: &Intset) -> usize {
    let ends = [integers.get(0), integers.get(integers.len().saturating_sub(1))];
    let digits = |number| format_i64(&mut [0; DIGITS_MAX], number).len();
    ends.into_iter().flatten().map(digits).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::combine::{Purpose, difference, intersected, intersection, united};
    use super::*;
    use crate::base::random::Random;
    use alloc::collections::BTreeSet;
    use alloc::string::{String, ToString};
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const LIMITS: SetLimits =
        SetLimits { intset_entries: 6, listpack_entries: 4, listpack_value: 8 };
    const RULES: Rules = Rules { limits: LIMITS, seed: HashSeed(1) };

    /// A set made as SADD makes it.
    fn set_of(members: &[&[u8]]) -> Set {
        let mut set = Set::default();
        set.prepare(members, RULES);
        members.iter().for_each(|member| {
            set.add(member, RULES);
        });
        set
    }

    fn members(set: &Set) -> BTreeSet<Vec<u8>> {
        set.iter().map(Element::to_vec).collect()
    }

    /// Sets of a Valkey 9.1.2 with the same limits.
    #[test]
    fn encodings_are_those_of_valkey() {
        let cases: [(&[&str], &str); 12] = [
            (&["1"], "intset"),
            (&["a"], "listpack"),
            (&["1", "2", "3", "4", "5", "6"], "intset"),
            (&["1", "2", "3", "4", "5", "6", "7"], "hashtable"),
            (&["a", "b", "c", "d", "d"], "hashtable"),
            (&["1", "2", "3", "a"], "listpack"),
            (&["1", "2", "3", "4", "a"], "hashtable"),
            (&["a", "1", "2", "3"], "listpack"),
            (&["a", "123456789"], "hashtable"),
            (&["12345678", "a"], "listpack"),
            (&["-12345678", "a"], "hashtable"),
            (&["1", "abcdefghi"], "hashtable"),
        ];
        for (members, encoding) in cases {
            let members: Vec<&[u8]> = members.iter().map(|member| member.as_bytes()).collect();
            assert_eq!(set_of(&members).encoding(), encoding, "{members:?}");
        }
        // Few names of one member are few members, but they ask for room first.
        let mut set = set_of(&[b"1", b"2"]);
        set.prepare(&[b"1".as_slice(); 7], RULES);
        assert_eq!(set.encoding(), "hashtable");
        let mut set = Set::default();
        set.prepare(
            &[b"1".as_slice(); 7],
            Rules { limits: SetLimits { listpack_entries: 9, ..LIMITS }, ..RULES },
        );
        assert_eq!(set.encoding(), "listpack");
    }

    /// A way to pick members and to tell of them.
    type Way = fn(&Set, &mut Random, &mut dyn FnMut(Element<'_>));

    #[test]
    fn members_are_picked_fairly() {
        const PICKS: usize = 2000;
        let texts: Vec<Vec<u8>> = (0..40u8).map(|number| vec![b'a' + number]).collect();
        let numbers: Vec<Vec<u8>> = (0..6u8).map(|number| vec![b'0' + number]).collect();
        let mut chance = Random::new(3);
        for (members, encoding) in
            [(&texts[..4], "listpack"), (&texts[..], "hashtable"), (&numbers[..], "intset")]
        {
            let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
            let set = set_of(&members);
            assert_eq!(set.encoding(), encoding);
            let ways: [Way; 6] = [
                |set, chance, see| set.pick(chance).into_iter().for_each(see),
                |set, chance, see| set.clone().pop(chance, see),
                |set, chance, see| set.pick_distinct(1, chance, see),
                |set, chance, see| set.pick_distinct(3, chance, see),
                |set, chance, see| set.pick_repeated(3, chance, see),
                |set, chance, see| set.clone().pop_many(3, RULES, chance, see),
            ];
            for (way, pick) in ways.into_iter().enumerate() {
                let each = if way < 3 { 1 } else { 3 };
                let mut picked = vec![0usize; members.len()];
                for _ in 0..PICKS * members.len() / each {
                    pick(&set, &mut chance, &mut |found| {
                        let at = members.iter().position(|member| found == **member);
                        picked[at.unwrap()] += 1;
                    });
                }
                let fair = PICKS * 4 / 5..PICKS * 6 / 5;
                assert!(picked.iter().all(|it| fair.contains(it)), "{encoding} {way} {picked:?}");
            }
        }
    }

    #[test]
    fn a_set_that_loses_most_becomes_small_again() {
        let texts: Vec<Vec<u8>> = (0..40u8).map(|number| vec![b'a' + number]).collect();
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        for (count, encoding) in [(33, "hashtable"), (35, "hashtable"), (36, "listpack")] {
            let mut set = set_of(&texts);
            set.pop_many(count, RULES, &mut Random::new(1), |_| {});
            assert_eq!((set.len(), set.encoding()), (40 - count, encoding));
        }
    }

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => (-9i64..9).prop_map(|number| number.to_string().into_bytes()),
            1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            4 => "[a-f]{0,1}".prop_map(String::into_bytes),
            1 => "[a-z]{7,11}".prop_map(String::into_bytes),
        ]
    }

    fn model() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
        prop_oneof![
            prop::collection::btree_set(member(), 1..40),
            prop::collection::btree_set(
                (0i64..9).prop_map(|number| number.to_string().into_bytes()),
                1..6
            ),
        ]
    }

    fn of_model(model: &BTreeSet<Vec<u8>>) -> Set {
        set_of(&model.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn is_a_set(steps in prop::collection::vec((0u8..10, member()), 0..120), seed: u64) {
            let (mut set, mut model) = (Set::default(), BTreeSet::new());
            let mut chance = Random::new(seed);
            for (step, member) in steps {
                match step {
                    0..5 => prop_assert_eq!(set.add(&member, RULES), model.insert(member.clone())),
                    5..8 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                    8 => {
                        let mut popped = None;
                        set.pop(&mut chance, |found| popped = Some(found.to_vec()));
                        prop_assert_eq!(popped.is_none(), model.is_empty());
                        prop_assert!(popped.is_none_or(|popped| model.remove(&popped)));
                    }
                    _ => {
                        let count = usize::from(step) % model.len().max(1);
                        let mut popped = BTreeSet::new();
                        set.pop_many(count, RULES, &mut chance, |found| {
                            popped.insert(found.to_vec());
                        });
                        prop_assert_eq!(popped.len(), count);
                        prop_assert!(popped.iter().all(|found| model.remove(found)));
                    }
                }
                prop_assert_eq!(set.contains(&member), model.contains(&member));
                prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
                let picked = set.pick(&mut chance).map(Element::to_vec);
                prop_assert!(picked.is_none_or(|picked| model.contains(&picked)));
            }
            prop_assert_eq!(&members(&set), &model);
            prop_assert_eq!(&members(&set.clone()), &model);
            for count in [0, 1, model.len() / 2, model.len(), 100] {
                let mut seen = Vec::new();
                set.pick_distinct(count, &mut chance, |found| seen.push(found.to_vec()));
                let distinct: BTreeSet<_> = seen.iter().cloned().collect();
                prop_assert_eq!(seen.len(), count.min(model.len()));
                prop_assert_eq!(distinct.len(), seen.len());
                prop_assert!(distinct.is_subset(&model));
            }
            let memory = set.memory();
            while !set.free_slice(7) {
                prop_assert!(matches!(set, Set::Table(_)));
            }
            prop_assert!(!matches!(set, Set::Table(_)) || set.is_empty() && 0 < memory);
        }

        #[test]
        fn sets_are_combined(models in prop::collection::vec(model(), 1..5), same: bool) {
            let sets: Vec<Set> = models.iter().map(of_model).collect();
            let mut sets: Vec<&Set> = sets.iter().collect();
            let mut models: Vec<&BTreeSet<Vec<u8>>> = models.iter().collect();
            if same {
                sets.push(sets[0]);
                models.push(models[0]);
            }
            let union: BTreeSet<_> = models.iter().copied().flatten().cloned().collect();
            let common = |it: &&Vec<u8>| models.iter().all(|model| model.contains(*it));
            let common: BTreeSet<_> = models[0].iter().filter(common).cloned().collect();
            let alone = |it: &&Vec<u8>| !models[1..].iter().any(|model| model.contains(*it));
            let alone: BTreeSet<_> = models[0].iter().filter(alone).cloned().collect();
            for purpose in [Purpose::Reply, Purpose::Store] {
                prop_assert_eq!(members(&united(&sets, purpose, RULES)), union.clone());
                let found = difference(sets[0], &mut sets[1..].to_vec(), purpose, RULES);
                prop_assert_eq!(members(&found), alone.clone());
            }
            prop_assert_eq!(members(&intersected(&mut sets.clone(), RULES)), common.clone());
            let found: BTreeSet<_> = intersection(&mut sets).map(Element::to_vec).collect();
            prop_assert_eq!(found, common);
        }
    }
}
