//! Members with scores: found by member in a table, and by rank or score in a tree that counts.

mod tree;

use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::ops::Range;

use crate::base::hash::HashSeed;
use crate::encodings::scored::Scored;
use crate::encodings::table::Table;
use tree::{Item, Tree};

/// Members with scores in no order.
#[derive(Clone, Debug)]
pub struct Scores {
    table: Table<Scored>,
    seed: HashSeed,
    /// Bytes of all records.
    bytes: usize,
}

impl Scores {
    /// None.
    pub const fn new(seed: HashSeed) -> Self {
        Self { table: Table::new(seed), seed, bytes: 0 }
    }

    /// Members in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The score of a member.
    #[inline]
    pub fn get(&self, member: &[u8]) -> Option<f64> {
        self.table.find(self.seed.member_hash(member), member).map(Scored::score)
    }

    /// Gives a member the score that `score` makes of the one it has.
    pub fn set(&mut self, member: &[u8], score: impl FnOnce(Option<f64>) -> f64) {
        let hash = self.seed.member_hash(member);
        match self.table.find_mut(hash, member) {
            Some(scored) => scored.set_score(score(Some(scored.score()))),
            None => {
                self.insert(hash, Scored::new(member, score(None)));
            }
        }
    }

    /// Takes a member out; false if it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        self.take(self.seed.member_hash(member), member).is_some()
    }

    /// All members with their scores.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], f64)> {
        self.table.iter().map(|scored| (scored.member(), scored.score()))
    }

    fn insert(&mut self, hash: u64, scored: Scored) -> Item {
        self.bytes += scored.memory();
        let scored: &Scored = self.table.insert(hash, scored);
        item_of(scored)
    }

    fn take(&mut self, hash: u64, member: &[u8]) -> Option<Scored> {
        let scored = self.table.remove(hash, member)?;
        self.bytes -= scored.memory();
        Some(scored)
    }
}

/// Members with scores, in ascending order of scores, and of members where those are the same.
#[derive(Debug)]
pub struct Ranking {
    // Dropped before the records that its items lead to.
    tree: Tree,
    scores: Scores,
}

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Its score before, if it was there.
    pub before: Option<f64>,
    /// Its score now, if it is there.
    pub after: Option<f64>,
}

impl Ranking {
    /// One without members.
    pub fn new(seed: HashSeed) -> Self {
        Self { tree: Tree::new(), scores: Scores::new(seed) }
    }

    /// Puts members in order.
    pub fn of(scores: Scores) -> Self {
        let mut items: Vec<Item> = scores.table.iter().map(item_of).collect();
        items.sort_unstable_by(|a, b| a.compare(b.score, b.member()));
        let mut tree = Tree::new();
        items.into_iter().for_each(|item| tree.insert(item));
        Self { tree, scores }
    }

    /// Members in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// Bytes of all its allocations.
    pub fn memory(&self) -> usize {
        let Scores { table, bytes, .. } = &self.scores;
        size_of::<Self>() + table.memory() + bytes + self.tree.memory()
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member)
    }

    /// The number of a member in ascending order, from 0 on, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        Some((self.tree.count_before(|item| item.compare(score, member).is_lt()), score))
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
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<Change, E> {
        let hash = self.scores.seed.member_hash(member);
        let Some(scored) = self.scores.table.find_mut(hash, member) else {
            let after = decide(None)?;
            if let Some(score) = after {
                let item = self.scores.insert(hash, Scored::new(member, score));
                self.tree.insert(item);
            }
            return Ok(Change { before: None, after });
        };
        let before = scored.score();
        let after = decide(Some(before))?.unwrap_or(before);
        if before != after {
            let item = item_of(scored);
            scored.set_score(after);
            self.tree.change(item, after);
        }
        Ok(Change { before: Some(before), after: Some(after) })
    }

    /// Takes a member out; false if it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.scores.seed.member_hash(member);
        let Some(scored) = self.scores.take(hash, member) else { return false };
        // As long as the tree may lead to it, nothing frees it: not even a panic in there.
        let scored = ManuallyDrop::new(scored);
        let was_there = self.tree.remove(item_of(&scored));
        let scored = ManuallyDrop::into_inner(scored);
        if !was_there {
            self.scores.insert(hash, scored);
        }
        assert!(was_there, "a member is where its score says");
        true
    }

    /// Takes the members of some ranks out.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        let (mut taken, mut left) = (Vec::new(), ranks.len());
        while 0 < left {
            self.tree.drain(ranks.start, left, &mut taken);
            left -= taken.len();
            for item in &taken {
                let hash = self.scores.seed.member_hash(item.member());
                let scored = self.scores.take(hash, item.member());
                scored.expect("what is in the tree is in the table");
            }
        }
    }

    /// How many members are `before` something. Those for which it is true stand before those for
    /// which it is not.
    #[inline]
    pub fn count_before(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.tree.count_before(|item| before(item.score, item.member()))
    }

    /// The members of some ranks with their scores, in either direction.
    #[inline]
    pub fn iter(&self, ranks: Range<usize>, reverse: bool) -> Iter<'_> {
        Iter(self.tree.iter(ranks, reverse))
    }

    /// The table, to scan.
    pub fn table(&self) -> &Table<Scored> {
        &self.scores.table
    }

    /// Frees about `budget` members; true when none is left.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        // Items go before the records to which they lead.
        if 0 < self.tree.len() {
            let (mut taken, mut left) = (Vec::new(), budget);
            while 0 < left && 0 < self.tree.len() {
                self.tree.drain(0, left, &mut taken);
                left -= taken.len();
            }
            return false;
        }
        let is_done = self.scores.table.free_slice(budget);
        if is_done {
            self.scores.bytes = 0;
        }
        is_done
    }
}

impl Clone for Ranking {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.scores.seed);
        for (member, score) in self.iter(0..self.len(), false) {
            let hash = self.scores.seed.member_hash(member);
            let item = copy.scores.insert(hash, Scored::new(member, score));
            copy.tree.insert(item);
        }
        copy
    }
}

#[inline]
fn item_of(scored: &Scored) -> Item {
    Item { score: scored.score(), record: scored.shared() }
}

/// Members with their scores in one direction.
#[derive(Clone, Debug)]
pub struct Iter<'a>(tree::Iter<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|item| (item.member(), item.score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::string::ToString;
    use core::convert::Infallible;
    use core::panic::AssertUnwindSafe;
    use proptest::prelude::*;
    use std::panic::catch_unwind;

    extern crate std;

    const SEED: HashSeed = HashSeed(3);

    fn set(ranking: &mut Ranking, member: &[u8], score: f64) -> Change {
        ranking.change(member, |_| Ok::<_, Infallible>(Some(score))).unwrap()
    }

    /// Members in order, as a plain model has them.
    fn sorted(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> =
            model.iter().map(|(member, score)| (member.clone(), *score)).collect();
        all.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
        all
    }

    fn check(ranking: &Ranking, model: &BTreeMap<Vec<u8>, f64>) {
        let all = sorted(model);
        let len = all.len();
        assert_eq!((ranking.len(), ranking.tree.len(), ranking.is_empty()), (len, len, len == 0));
        ranking.tree.check();
        let owned = |(member, score): (&[u8], f64)| (member.to_vec(), score);
        assert!(ranking.iter(0..len, false).map(owned).eq(all.iter().cloned()));
        assert!(ranking.iter(0..len, true).map(owned).eq(all.iter().rev().cloned()));
        for (rank, (member, score)) in all.iter().enumerate().step_by(1 + len / 50) {
            assert_eq!(ranking.rank(member), Some((rank, *score)));
            let some = rank..len.min(rank + 70);
            let expected = &all[some.clone()];
            assert!(ranking.iter(some.clone(), false).map(owned).eq(expected.iter().cloned()));
            assert!(ranking.iter(some, true).map(owned).eq(expected.iter().rev().cloned()));
            let below = ranking.count_before(|there, _| there < *score);
            assert_eq!(below, all.iter().filter(|it| it.1 < *score).count());
        }
    }

    /// Members of some numbers, so that many meet, with few scores, so that many are the same.
    fn runs_as_a_map(seed: u64, most: u64, scores: u64, steps: u64) {
        let mut random = crate::base::random::Random::new(seed);
        let (mut ranking, mut model) = (Ranking::new(SEED), BTreeMap::new());
        for step in 0..steps {
            let odds = 5 + (step * 400 / steps) % 90;
            let member = random.below(most).to_string().into_bytes();
            let score = random.below(scores) as f64 - 3.0;
            if random.below(100) < 100 - odds {
                let change = set(&mut ranking, &member, score);
                let before = model.insert(member, score);
                assert_eq!(change, Change { before, after: Some(score) });
            } else if random.below(30) == 0 {
                let start = usize::try_from(random.below(model.len() as u64 + 1)).unwrap();
                let end = model.len().min(start + usize::try_from(random.below(200)).unwrap());
                ranking.remove_ranks(start..end);
                for (member, _) in &sorted(&model)[start..end] {
                    model.remove(member);
                }
            } else {
                assert_eq!(ranking.remove(&member), model.remove(&member).is_some());
            }
            if step.is_multiple_of(steps / 20) {
                check(&ranking, &model);
            }
        }
        check(&ranking, &model);
        check(&ranking.clone(), &model);
        let mut unordered = Scores::new(SEED);
        for (member, score) in ranking.iter(0..ranking.len(), true) {
            unordered.set(member, |before| before.unwrap_or(score));
        }
        check(&Ranking::of(unordered), &model);
        ranking.remove_ranks(0..model.len());
        check(&ranking, &BTreeMap::new());
    }

    #[test]
    fn runs_as_a_sorted_map_at_every_size() {
        for (seed, most, scores) in
            [(1, 10, 5), (2, 200, 1000), (3, 5000, 10), (4, 20_000, 1 << 40), (5, 20_000, 3)]
        {
            runs_as_a_map(seed, most, scores, 40_000);
        }
    }

    #[test]
    fn filled_in_order_nodes_are_full() {
        for sign in [1.0, -1.0] {
            let mut ranking = Ranking::new(SEED);
            for number in 0..50_000u32 {
                set(&mut ranking, &number.to_be_bytes(), f64::from(number) * sign);
            }
            ranking.tree.check();
            let per_item = ranking.tree.memory() as f64 / 50_000.0;
            assert!(per_item < 17.0, "{per_item}");
        }
    }

    #[test]
    fn filled_by_chance_nodes_are_well_used() {
        let mut random = crate::base::random::Random::new(9);
        let mut ranking = Ranking::new(SEED);
        for number in 0..100_000u32 {
            set(&mut ranking, &number.to_be_bytes(), random.bits() as f64);
        }
        let per_item = ranking.tree.memory() as f64 / 100_000.0;
        assert!(per_item < 25.0, "{per_item}");
        // Nearly emptied, it takes little.
        for number in 0..99_000u32 {
            assert!(ranking.remove(&number.to_be_bytes()));
        }
        ranking.tree.check();
        assert!(ranking.tree.memory() < 1000 * 80, "{}", ranking.tree.memory());
    }

    #[test]
    fn a_small_ranking_is_small() {
        let mut ranking = Ranking::new(SEED);
        set(&mut ranking, b"a", 1.0);
        assert_eq!(ranking.tree.memory(), 64);
        set(&mut ranking, b"b", 1.0);
        set(&mut ranking, b"c", 1.0);
        set(&mut ranking, b"d", 1.0);
        assert_eq!(ranking.tree.memory(), 64);
        set(&mut ranking, b"e", 1.0);
        assert_eq!(ranking.tree.memory(), 128);
    }

    #[test]
    fn a_large_ranking_is_freed_in_slices() {
        let mut ranking = Ranking::new(SEED);
        for number in 0..5000u32 {
            set(&mut ranking, &number.to_be_bytes(), 0.0);
        }
        let slices = (1..).find(|_| ranking.free_slice(1000)).unwrap();
        assert!((9..=12).contains(&slices), "{slices}");
        assert!(ranking.is_empty());
    }

    /// No command lets such a score in.
    #[test]
    fn a_member_that_is_not_where_its_score_says_stays_where_it_is() {
        let mut ranking = Ranking::new(SEED);
        for number in 0..200u32 {
            let score = if number % 3 == 0 { f64::NAN } else { f64::from(number) };
            set(&mut ranking, &number.to_be_bytes(), score);
        }
        let mut lost = 0;
        for number in 0..200u32 {
            let remove = AssertUnwindSafe(|| ranking.remove(&number.to_be_bytes()));
            lost += usize::from(catch_unwind(remove).is_err());
        }
        let left: usize = ranking.iter(0..ranking.tree.len(), false).map(|it| it.0.len()).sum();
        assert_eq!((left, ranking.scores.len()), (4 * lost, lost));
        assert_ne!(lost, 0);
    }

    proptest! {
        #[test]
        fn a_changed_score_moves_its_member(
            steps in prop::collection::vec((0u8..100, -4i8..4), 0..400),
        ) {
            let (mut ranking, mut model) = (Ranking::new(SEED), BTreeMap::new());
            for (member, by) in steps {
                let by = f64::from(by);
                let add = |before: Option<f64>| Some(before.unwrap_or(0.0) + by);
                let Ok(_) = ranking.change(&[member], |it| Ok::<_, Infallible>(add(it)));
                *model.entry(alloc::vec![member]).or_insert(0.0) += by;
            }
            check(&ranking, &model);
        }
    }
}
