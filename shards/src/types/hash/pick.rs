//! Fields of a hash, picked by chance.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::fields::Fields;
use super::{Hash, Pairs, Wanted};
use crate::base::random::Random;
use crate::base::time::UnixMs;
use crate::encodings::field::Field;
use crate::encodings::listpack::Element;

/// A field with its value.
type Pair<'a> = (Element<'a>, Element<'a>);

/// Fields that were picked.
#[derive(Debug, Default)]
pub struct Picks<'a> {
    pairs: Vec<Pair<'a>>,
    /// If so, `pairs` are all there are, of which so many are still to be picked.
    repeated: Option<usize>,
}

impl<'a> Picks<'a> {
    /// How many they are.
    pub fn len(&self) -> usize {
        match self.repeated {
            Some(count) if !self.pairs.is_empty() => count,
            Some(_) | None => self.pairs.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows `see` each of them.
    pub fn for_each(&self, chance: &mut Random, mut see: impl FnMut(Pair<'a>)) {
        match self.repeated {
            None => self.pairs.iter().copied().for_each(see),
            Some(count) => {
                let places = (0..count).map_while(|_| below(chance, self.pairs.len()));
                places.for_each(|at| see(self.pairs[at]));
            }
        }
    }
}

/// As many picks of fields that are due in a row mean that most are: then the others are listed.
const PICKS_MAX: usize = 50;

impl Hash {
    /// Fields picked by chance, each as likely as any other.
    pub fn pick(&self, wanted: Wanted, now: UnixMs, chance: &mut Random) -> Picks<'_> {
        if let (Self::Table(fields), Some(few)) = (self, self.few(wanted))
            && let Some(pairs) = pick_few(fields, few, now, chance)
        {
            return Picks { pairs, repeated: None };
        }
        match (self, wanted) {
            (Self::Listpack(pairs), Wanted::Distinct(1) | Wanted::Repeated(1)) => {
                let index = below(chance, pairs.len() / 2);
                let found = index.and_then(|index| pairs.seek(2 * index.cast_signed()));
                let pair = found.into_iter().flat_map(|at| Pairs(pairs.iter_from(at)).next());
                Picks { pairs: pair.collect(), repeated: None }
            }
            (_, Wanted::Distinct(count)) => {
                let mut all: Vec<Pair<'_>> = self.iter(now).collect();
                if count < all.len() {
                    for at in 0..count {
                        let left = all.len() - at;
                        all.swap(at, at + below(chance, left).expect("some are left"));
                    }
                    all.truncate(count);
                }
                Picks { pairs: all, repeated: None }
            }
            (_, Wanted::Repeated(count)) => {
                Picks { pairs: self.iter(now).collect(), repeated: Some(count) }
            }
        }
    }

    /// `wanted` if picking one by one is less work than to list all fields.
    fn few(&self, wanted: Wanted) -> Option<Wanted> {
        let (Wanted::Distinct(count) | Wanted::Repeated(count)) = wanted;
        (count.saturating_mul(4) <= self.len()).then_some(wanted)
    }
}

/// Picks one by one; `None` if most fields are due.
fn pick_few<'a>(
    fields: &'a Fields,
    wanted: Wanted,
    now: UnixMs,
    chance: &mut Random,
) -> Option<Vec<Pair<'a>>> {
    let (count, is_distinct) = match wanted {
        Wanted::Distinct(count) => (count, true),
        Wanted::Repeated(count) => (count, false),
    };
    let (mut picked, mut names) = (Vec::new(), BTreeSet::new());
    let mut misses = 0;
    while picked.len() < count {
        let field: &Field = fields.table().pick(chance)?;
        if field.is_due(now) || is_distinct && !names.insert(field.name()) {
            misses += 1;
            if PICKS_MAX <= misses {
                return None;
            }
            continue;
        }
        misses = 0;
        picked.push((Element::Bytes(field.name()), Element::Bytes(field.value())));
    }
    Some(picked)
}

/// A number below `limit`; `None` if that is 0.
fn below(chance: &mut Random, limit: usize) -> Option<usize> {
    let limit = u64::try_from(limit).ok().filter(|limit| 0 < *limit)?;
    Some(usize::try_from(chance.below(limit)).expect("it is below a usize"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;

    const NOW: UnixMs = UnixMs(100);

    /// A hash of so many fields, and as many that are due.
    fn hash(fields: u32, due: u32) -> Hash {
        let mut hash = Hash::default();
        for number in 0..fields {
            hash.become_table(HashSeed(3)).set(&number.to_be_bytes(), b"v", None);
        }
        for number in 0..due {
            let name = [&number.to_be_bytes()[..], b"due"].concat();
            hash.become_table(HashSeed(3)).set(&name, b"v", Some(NOW));
        }
        hash
    }

    fn pick<'h>(hash: &'h Hash, wanted: Wanted, chance: &mut Random) -> Vec<Pair<'h>> {
        let (picks, mut pairs) = (hash.pick(wanted, NOW, chance), Vec::new());
        picks.for_each(chance, |pair| pairs.push(pair));
        assert_eq!(picks.len(), pairs.len());
        pairs
    }

    #[test]
    fn picks_are_as_many_as_wanted_and_distinct_if_so_wanted() {
        let mut chance = Random::new(1);
        for (fields, due) in [(0, 0), (0, 9), (1, 0), (10, 0), (10, 3), (1000, 1000), (3, 3000)] {
            let hash = hash(fields, due);
            for wanted in [0, 1, 2, 9, 200, 5000] {
                let picked = pick(&hash, Wanted::Distinct(wanted), &mut chance);
                let names: BTreeSet<_> = picked.iter().map(|pair| pair.0.to_vec()).collect();
                assert_eq!(picked.len(), wanted.min(fields as usize), "{fields} {due} {wanted}");
                assert_eq!(names.len(), picked.len());
                assert!(names.iter().all(|name| name.len() == 4), "one that is due was picked");
                let picked = pick(&hash, Wanted::Repeated(wanted), &mut chance);
                let expected = if fields == 0 { 0 } else { wanted };
                assert_eq!(picked.len(), expected, "{fields} {due} {wanted}");
            }
        }
    }

    #[test]
    fn a_listpack_is_picked_from_as_well() {
        let mut hash = Hash::default();
        let Hash::Listpack(pairs) = &mut hash else { unreachable!("hashes begin so") };
        (0..20i64).for_each(|number| pairs.push_back(number));
        let mut chance = Random::new(1);
        let mut seen = [0; 10];
        for _ in 0..1000 {
            let picked = pick(&hash, Wanted::Repeated(1), &mut chance);
            let [(field, value)] = picked[..] else { panic!("one was wanted") };
            let (field, value) = (field.int().unwrap(), value.int().unwrap());
            assert_eq!((field % 2, value), (0, field + 1));
            seen[usize::try_from(field / 2).unwrap()] += 1;
        }
        assert!(seen.iter().all(|times| (60..150).contains(times)), "{seen:?}");
        assert_eq!(hash.pick(Wanted::Distinct(7), NOW, &mut chance).len(), 7);
    }
}
