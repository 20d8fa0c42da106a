//! Sorted sets: members with scores, in ascending order of scores, and of members where those are
//! the same. Small ones are a listpack of member and score in turn, others a ranking.

pub mod bounds;
mod pairs;

use core::ops::Range;

use crate::base::hash::HashSeed;
use crate::base::number::DIGITS_MAX;
use crate::encodings::allocation::Boxed;
use crate::encodings::listpack::{Element, Listpack};
use crate::encodings::ranking::{self, Change, Ranking, Scores};
use crate::types::limits::SortedSetLimits;
use bounds::Bounds;

/// By what a sorted set is changed.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Up to what size it is a listpack.
    pub limits: SortedSetLimits,
    /// The secret of a table's hash.
    pub seed: HashSeed,
}

impl Rules {
    /// Whether so many members, the longest of which has so many bytes, may be a listpack.
    fn allow_listpack(&self, members: usize, longest: usize) -> bool {
        members <= self.limits.listpack_entries && longest <= self.limits.listpack_value
    }
}

/// A sorted set.
#[derive(Clone, Debug)]
pub enum SortedSet {
    /// Members and scores in turn.
    Listpack(Listpack),
    /// What Valkey calls a skiplist.
    Skiplist(Boxed<Ranking>),
}

impl Default for SortedSet {
    fn default() -> Self {
        Self::Listpack(Listpack::new())
    }
}

impl SortedSet {
    /// One of these members, in the encoding that is right for them.
    pub fn of_scores(scores: Scores, rules: &Rules) -> Self {
        let longest = scores.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
        let ranking = Ranking::of(scores);
        if !rules.allow_listpack(ranking.len(), longest) {
            return Self::Skiplist(Boxed::new(ranking));
        }
        let mut listpack = Listpack::new();
        for (member, score) in ranking.iter(0..ranking.len(), false) {
            if !listpack.fits(member.len()) {
                return Self::Skiplist(Boxed::new(ranking));
            }
            pairs::push_back(&mut listpack, member.into(), score);
        }
        Self::Listpack(listpack)
    }

    /// Members in it.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Listpack(pairs) => pairs.len() / 2,
            Self::Skiplist(ranking) => ranking.len(),
        }
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Listpack(pairs) => pairs.is_empty(),
            Self::Skiplist(ranking) => ranking.is_empty(),
        }
    }

    /// What OBJECT ENCODING calls it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Listpack(_) => "listpack",
            Self::Skiplist(_) => "skiplist",
        }
    }

    /// Bytes of its allocations.
    pub fn memory(&self) -> usize {
        match self {
            Self::Listpack(pairs) => pairs.memory(),
            Self::Skiplist(ranking) => ranking.memory(),
        }
    }

    /// How many allocations there are to free.
    pub fn free_effort(&self) -> usize {
        match self {
            Self::Listpack(_) => 1,
            Self::Skiplist(ranking) => ranking.len(),
        }
    }

    /// Frees about `budget` members; true when nothing is left but what one free gives back.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        match self {
            Self::Listpack(_) => true,
            Self::Skiplist(ranking) => ranking.free_slice(budget),
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Listpack(pairs) => pairs::find(pairs, member).map(|(_, score)| score),
            Self::Skiplist(ranking) => ranking.score(member),
        }
    }

    /// The number of a member in ascending order, from 0 on, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            Self::Listpack(pairs) => pairs::rank(pairs, member),
            Self::Skiplist(ranking) => ranking.rank(member),
        }
    }

    /// Becomes a ranking if so many members, the longest of which has so many bytes, ask for one:
    /// before they are put in, whether they are there already or not.
    pub fn prepare(&mut self, members: usize, longest: usize, rules: &Rules) {
        if !rules.allow_listpack(members, longest) {
            self.become_ranking(rules.seed);
        }
    }

    /// Gives a member the score that `decide` makes of the one it has, or none: then all stays as
    /// it is.
    ///
    /// # Errors
    /// What `decide` returns.
    #[inline]
    pub fn change<E>(
        &mut self,
        member: &[u8],
        rules: &Rules,
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<Change, E> {
        let pairs = match self {
            Self::Skiplist(ranking) => return ranking.change(member, decide),
            // A score may become longer.
            Self::Listpack(pairs) if !pairs.fits(pairs::SCORE_BYTES_MAX) => {
                return self.become_ranking(rules.seed).change(member, decide);
            }
            Self::Listpack(pairs) => pairs,
        };
        let Some((at, before)) = pairs::find(pairs, member) else {
            let after = decide(None)?;
            if let Some(score) = after {
                self.insert(member, score, rules);
            }
            return Ok(Change { before: None, after });
        };
        let after = decide(Some(before))?.unwrap_or(before);
        if before != after {
            pairs::change(pairs, at, member, after);
        }
        Ok(Change { before: Some(before), after: Some(after) })
    }

    /// Gives a member a score, whether it is there or not.
    pub fn set(&mut self, member: &[u8], score: f64, rules: &Rules) {
        let Ok(_) = self.change(member, rules, |_| Ok::<_, core::convert::Infallible>(Some(score)));
    }

    /// Removes a member; false if it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Self::Listpack(pairs) => {
                let Some((at, _)) = pairs::find(pairs, member) else { return false };
                pairs.remove(at, 2);
                true
            }
            Self::Skiplist(ranking) => ranking.remove(member),
        }
    }

    /// Removes the members of some ranks.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match self {
            Self::Listpack(pairs) => {
                if let Some(at) = pairs::seek(pairs, ranks.start) {
                    pairs.remove(at, 2 * ranks.len());
                }
            }
            Self::Skiplist(ranking) => ranking.remove_ranks(ranks),
        }
    }

    /// The ranks of the members within some bounds.
    pub fn ranks(&self, bounds: &impl Bounds) -> Range<usize> {
        match self {
            Self::Listpack(pairs) => {
                let all = pairs::iter(pairs);
                let start = all.clone().take_while(|(it, score)| bounds.is_below(*score, *it));
                let start = start.count();
                let within = all.skip(start);
                let within = within.take_while(|(it, score)| !bounds.is_above(*score, *it));
                start..start + within.count()
            }
            Self::Skiplist(ranking) => {
                let is_below = |score, it: &[u8]| bounds.is_below(score, Element::Bytes(it));
                let is_above = |score, it: &[u8]| bounds.is_above(score, Element::Bytes(it));
                let start = ranking.count_before(is_below);
                let end = ranking.count_before(|score, it| !is_above(score, it));
                start..end.max(start)
            }
        }
    }

    /// The members of some ranks with their scores, in ascending order or in the other.
    #[inline]
    pub fn iter(&self, ranks: Range<usize>, reverse: bool) -> Iter<'_> {
        match self {
            Self::Listpack(pairs) => Iter::Listpack(pairs::between(pairs, ranks, reverse)),
            Self::Skiplist(ranking) => Iter::Skiplist(ranking.iter(ranks, reverse)),
        }
    }

    /// Puts a member in that is not there.
    fn insert(&mut self, member: &[u8], score: f64, rules: &Rules) {
        let Self::Listpack(pairs) = self else { unreachable!("only listpacks are asked") };
        if rules.allow_listpack(pairs.len() / 2 + 1, member.len()) && pairs.fits(member.len()) {
            pairs::insert(pairs, member, score);
        } else {
            let score = |_| Ok::<_, core::convert::Infallible>(Some(score));
            let Ok(_) = self.become_ranking(rules.seed).change(member, score);
        }
    }

    fn become_ranking(&mut self, seed: HashSeed) -> &mut Ranking {
        if let Self::Listpack(pairs) = self {
            let (mut scores, mut scratch) = (Scores::new(seed), [0; DIGITS_MAX]);
            for (member, score) in pairs::iter(pairs) {
                scores.set(member.bytes(&mut scratch), |_| score);
            }
            *self = Self::Skiplist(Boxed::new(Ranking::of(scores)));
        }
        match self {
            Self::Skiplist(ranking) => ranking,
            Self::Listpack(_) => unreachable!("it was made a ranking"),
        }
    }
}

/// Members with their scores in one direction.
#[derive(Clone, Debug)]
pub enum Iter<'a> {
    /// Of a listpack.
    Listpack(pairs::Iter<'a>),
    /// Of a ranking.
    Skiplist(ranking::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Listpack(pairs) => pairs.next(),
            Self::Skiplist(ranking) => {
                ranking.next().map(|(member, score)| (Element::Bytes(member), score))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bounds::{LexBound, LexRange, ScoreBound, ScoreRange};
    use super::*;
    use crate::encodings::listpack;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        limits: SortedSetLimits { listpack_entries: 8, listpack_value: 5 },
        seed: HashSeed(1),
    };

    fn of(members: &[(&[u8], f64)]) -> SortedSet {
        let mut set = SortedSet::default();
        members.iter().for_each(|(member, score)| set.set(member, *score, &RULES));
        set
    }

    fn members(set: &SortedSet, ranks: Range<usize>, reverse: bool) -> Vec<(Vec<u8>, f64)> {
        set.iter(ranks, reverse).map(|(member, score)| (member.to_vec(), score)).collect()
    }

    #[test]
    fn a_listpack_is_that_of_valkey() {
        // What DUMP of a Valkey 9.1.2 holds.
        let set = of(&[(b"b", 1.5), (b"12", -3.0), (b"a", 1.5), (b"x", 1e20)]);
        let SortedSet::Listpack(pairs) = &set else { panic!("it is small") };
        assert_eq!(
            pairs.as_bytes(),
            b"\x26\0\0\0\x08\0\x0c\x01\xdf\xfd\x02\x81a\x02\x831.5\x04\x81b\x02\x831.5\x04\
              \x81x\x02\x851e+20\x06\xff"
        );
    }

    #[test]
    #[ignore = "takes 4 GB"]
    fn becomes_a_ranking_when_a_longer_score_might_not_fit() {
        let rules = Rules {
            limits: SortedSetLimits { listpack_entries: 8, listpack_value: usize::MAX },
            ..RULES
        };
        for (len, encoding) in [(-64, "listpack"), (0, "skiplist")] {
            let member = vec![b'x'; listpack::BYTES_MAX.strict_add_signed(len - 20)];
            let mut set = SortedSet::default();
            set.set(&member, 1.0, &rules);
            assert_eq!(set.encoding(), "listpack");
            set.set(&member, f64::MIN_POSITIVE, &rules);
            assert_eq!((set.encoding(), set.score(&member)), (encoding, Some(f64::MIN_POSITIVE)));
        }
    }

    #[test]
    fn becomes_a_ranking_when_it_grows_beyond_its_limits() {
        let few: Vec<[u8; 1]> = (b'a'..b'i').map(|letter| [letter]).collect();
        let few: Vec<(&[u8], f64)> = few.iter().map(|member| (&member[..], 1.0)).collect();
        let mut set = of(&few);
        assert_eq!((set.encoding(), set.len()), ("listpack", 8));
        set.set(b"a", 2.0, &RULES);
        assert_eq!(set.encoding(), "listpack");
        set.set(b"i", 2.0, &RULES);
        assert_eq!((set.encoding(), set.len()), ("skiplist", 9));
        set.remove(b"i");
        assert_eq!(set.encoding(), "skiplist");

        assert_eq!(of(&[(b"12345", 1.0)]).encoding(), "listpack");
        assert_eq!(of(&[(b"123456", 1.0)]).encoding(), "skiplist");
        for (members, longest, encoding) in
            [(8, 5, "listpack"), (9, 1, "skiplist"), (1, 6, "skiplist")]
        {
            let mut set = SortedSet::default();
            set.prepare(members, longest, &RULES);
            assert_eq!(set.encoding(), encoding);
        }
    }

    #[test]
    fn a_set_made_at_once_has_the_smallest_encoding() {
        for (count, len, encoding) in
            [(0u8, 1, "listpack"), (8, 5, "listpack"), (9, 5, "skiplist"), (1, 6, "skiplist")]
        {
            let mut scores = Scores::new(RULES.seed);
            (0..count).for_each(|number| scores.set(&alloc::vec![number; len], |_| 1.0));
            let set = SortedSet::of_scores(scores, &RULES);
            assert_eq!((set.encoding(), set.len()), (encoding, count.into()), "{count} {len}");
        }
    }

    #[test]
    fn a_zero_in_a_listpack_has_no_sign() {
        let mut set = of(&[(b"a", -0.0)]);
        assert!(set.score(b"a").unwrap().is_sign_positive());
        set.prepare(9, 0, &RULES);
        set.set(b"b", -0.0, &RULES);
        assert!(set.score(b"b").unwrap().is_sign_negative());
        set.set(b"b", 0.0, &RULES);
        assert!(set.score(b"b").unwrap().is_sign_negative());
    }

    #[test]
    fn a_large_set_is_freed_in_slices() {
        let mut set = SortedSet::default();
        (0..5000u32).for_each(|number| set.set(&number.to_be_bytes(), 1.0, &RULES));
        assert_eq!(set.free_effort(), 5000);
        let copy = set.clone();
        assert_eq!(copy.memory() / 10_000, set.memory() / 10_000);
        assert!((1..).find(|_| set.free_slice(1000)).is_some_and(|slices| 8 < slices));
        assert_eq!((set.len(), copy.len()), (0, 5000));
        assert_eq!(members(&copy, 4999..5000, false), [(4999u32.to_be_bytes().to_vec(), 1.0)]);
    }

    fn sorted(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> = model.iter().map(|(it, score)| (it.clone(), *score)).collect();
        all.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
        all
    }

    fn bound() -> impl Strategy<Value = ScoreBound> {
        let bound =
            |(score, is_exclusive)| ScoreBound { score: f64::from(score) / 2.0, is_exclusive };
        (-5i8..5, any::<bool>()).prop_map(bound)
    }

    proptest! {
        /// Both encodings, as the number of members changes from below to above the limit.
        #[test]
        fn is_a_sorted_map(
            steps in prop::collection::vec((0u8..5, 0u8..20, -5i8..5), 0..80),
            bounds in (bound(), bound()),
            (from, to) in (0u8..22, 0u8..22),
        ) {
            let (mut set, mut model) = (SortedSet::default(), BTreeMap::new());
            for (kind, member, score) in steps {
                let member = alloc::format!("{}{member}", if member % 3 == 0 { "m" } else { "" });
                let (member, score) = (member.into_bytes(), f64::from(score) / 2.0);
                if kind == 0 {
                    prop_assert_eq!(set.remove(&member), model.remove(&member).is_some());
                } else {
                    set.set(&member, score, &RULES);
                    model.insert(member, score);
                }
            }
            let all = sorted(&model);
            let len = all.len();
            prop_assert_eq!((set.len(), set.is_empty()), (len, len == 0));
            prop_assert_eq!(&members(&set, 0..len, false), &all);
            for (rank, (member, score)) in all.iter().enumerate() {
                prop_assert_eq!(set.rank(member), Some((rank, *score)));
                prop_assert_eq!(set.score(member), Some(*score));
            }
            prop_assert_eq!((set.rank(b"none"), set.score(b"99")), (None, None));

            let (min, max) = bounds;
            let within = |score: f64| {
                (min.score < score || !min.is_exclusive && min.score == score)
                    && (score < max.score || !max.is_exclusive && max.score == score)
            };
            let ranks = set.ranks(&ScoreRange { min, max });
            let mut expected: Vec<_> = all.iter().filter(|it| within(it.1)).cloned().collect();
            prop_assert_eq!(&members(&set, ranks.clone(), false), &expected);
            expected.reverse();
            prop_assert_eq!(&members(&set, ranks.clone(), true), &expected);

            set.remove_ranks(ranks.clone());
            let rest: Vec<_> = all.iter().filter(|it| !within(it.1)).cloned().collect();
            prop_assert_eq!(&members(&set, 0..set.len(), false), &rest);

            for (member, _) in &rest {
                set.set(member, 0.0, &RULES);
            }
            let bounds = (alloc::format!("{from}"), alloc::format!("{to}"));
            let range = LexRange {
                min: LexBound::Inclusive(bounds.0.as_bytes()),
                max: LexBound::Exclusive(bounds.1.as_bytes()),
            };
            let found = members(&set, set.ranks(&range), false);
            let mut expected: Vec<_> = rest.iter().map(|it| it.0.clone()).collect();
            expected.retain(|it| bounds.0.as_bytes() <= &it[..] && &it[..] < bounds.1.as_bytes());
            expected.sort();
            prop_assert!(found.into_iter().map(|it| it.0).eq(expected));
        }
    }
}
