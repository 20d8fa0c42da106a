//! Hashes: fields with values. Small ones are a listpack of field and value in turn, others a
//! table. Hashes whose fields expire are tables.

pub mod fields;
mod pick;

use alloc::vec::Vec;

use crate::base::hash::HashSeed;
use crate::base::number::DIGITS_MAX;
use crate::base::time::UnixMs;
use crate::encodings::allocation::Boxed;
use crate::encodings::field::Field;
use crate::encodings::listpack::{Element, Listpack, Position};
use crate::types::limits::HashLimits;
use fields::Fields;

/// By what a hash is changed.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Up to what size it is a listpack.
    pub limits: HashLimits,
    /// The secret of a table's hash.
    pub seed: HashSeed,
    /// Fields that expire at this time or before are due.
    pub due_by: UnixMs,
}

/// What becomes of a field's expiry when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldExpiry {
    /// It is forgotten.
    Clear,
    /// It stays, unless the field is due.
    Keep,
    /// It becomes this.
    At(UnixMs),
}

/// Fields wanted by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Up to so many different ones.
    Distinct(usize),
    /// So many, some perhaps more than once.
    Repeated(usize),
}

/// A hash. Fields that are due count until they are removed, but cannot be seen.
#[derive(Clone, Debug)]
pub enum Hash {
    /// Fields and values in turn.
    Listpack(Listpack),
    /// Fields in a table.
    Table(Boxed<Fields>),
}

impl Default for Hash {
    fn default() -> Self {
        Self::Listpack(Listpack::new())
    }
}

impl Hash {
    /// Fields, those included that are due and not yet removed.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Listpack(pairs) => pairs.len() / 2,
            Self::Table(fields) => fields.table().len(),
        }
    }

    /// Whether it has no field, due or not.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Listpack(pairs) => pairs.is_empty(),
            Self::Table(fields) => fields.table().is_empty(),
        }
    }

    /// What OBJECT ENCODING calls it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Listpack(_) => "listpack",
            Self::Table(_) => "hashtable",
        }
    }

    /// Bytes of its allocations.
    pub fn memory(&self) -> usize {
        match self {
            Self::Listpack(pairs) => pairs.memory(),
            Self::Table(fields) => fields.memory(),
        }
    }

    /// How many allocations there are to free.
    pub fn free_effort(&self) -> usize {
        match self {
            Self::Listpack(_) => 1,
            Self::Table(fields) => fields.table().len() + fields.volatile_len(),
        }
    }

    /// Frees about `budget` fields; true when nothing is left but what one free gives back.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        match self {
            Self::Listpack(_) => true,
            Self::Table(fields) => fields.free_slice(budget),
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, field: &[u8], now: UnixMs) -> Option<Element<'_>> {
        match self {
            Self::Listpack(pairs) => value_at(pairs, field).map(|at| pairs.get(at)),
            Self::Table(fields) => {
                let found = fields.find(field).filter(|found| !found.is_due(now))?;
                Some(Element::Bytes(found.value()))
            }
        }
    }

    /// All fields with their values.
    pub fn iter(&self, now: UnixMs) -> impl Iterator<Item = (Element<'_>, Element<'_>)> {
        let (pairs, fields) = match self {
            Self::Listpack(pairs) => (Some(Pairs(pairs.iter())), None),
            Self::Table(fields) => (None, Some(fields.table().iter())),
        };
        let fields = fields.into_iter().flatten().filter(move |field| !field.is_due(now));
        let fields = fields.map(|it| (Element::Bytes(it.name()), Element::Bytes(it.value())));
        pairs.into_iter().flatten().chain(fields)
    }

    /// Becomes a table if so many fields, or names and values of such lengths, ask for one: before
    /// many are set at once.
    pub fn prepare(&mut self, pairs: &[&[u8]], rules: &Rules) {
        let Self::Listpack(listpack) = self else { return };
        let bytes = pairs.iter().map(|it| it.len()).sum();
        let is_short = pairs.iter().all(|it| it.len() <= rules.limits.listpack_value);
        if rules.limits.listpack_entries < pairs.len() / 2 || !is_short || !listpack.fits(bytes) {
            self.become_table(rules.seed);
        }
    }

    /// Sets a field; true if it was not there, or was due.
    pub fn set(&mut self, field: &[u8], value: &[u8], expiry: FieldExpiry, rules: &Rules) -> bool {
        if let Self::Listpack(pairs) = self {
            let is_small = field.len().max(value.len()) <= rules.limits.listpack_value
                && pairs.fits(field.len() + value.len());
            if !is_small || matches!(expiry, FieldExpiry::At(_)) {
                self.become_table(rules.seed);
            }
        }
        match self {
            Self::Listpack(pairs) => {
                if let Some(at) = value_at(pairs, field) {
                    pairs.replace(at, value);
                    return false;
                }
                pairs.push_back(field);
                pairs.push_back(value);
                if rules.limits.listpack_entries < pairs.len() / 2 {
                    self.become_table(rules.seed);
                }
                true
            }
            Self::Table(fields) => {
                let found = fields.find(field).filter(|found| !found.is_due(rules.due_by));
                let is_new = found.is_none();
                let expire = match expiry {
                    FieldExpiry::Clear => None,
                    FieldExpiry::Keep => found.and_then(Field::expire),
                    FieldExpiry::At(at) => Some(at),
                };
                fields.set(field, value, expire);
                is_new
            }
        }
    }

    /// Removes a field; false if it is not there or is due.
    pub fn remove(&mut self, field: &[u8], now: UnixMs) -> bool {
        match self {
            Self::Listpack(pairs) => {
                let Some(at) = position(pairs, field) else { return false };
                pairs.remove(at, 2);
                true
            }
            Self::Table(fields) => {
                let is_there = fields.find(field).is_some_and(|found| !found.is_due(now));
                is_there && fields.remove(field).is_some()
            }
        }
    }

    /// When a field expires: `None` if there is none of this name.
    pub fn expiry(&self, field: &[u8], now: UnixMs) -> Option<Option<UnixMs>> {
        match self {
            Self::Listpack(pairs) => position(pairs, field).map(|_| None),
            Self::Table(fields) => {
                let found = fields.find(field).filter(|found| !found.is_due(now))?;
                Some(found.expire())
            }
        }
    }

    /// Sets or clears when a field expires that is there.
    pub fn set_expiry(&mut self, field: &[u8], at: Option<UnixMs>, seed: HashSeed) {
        if at.is_some() || matches!(self, Self::Table(_)) {
            self.become_table(seed).set_expire(field, at);
        }
    }

    /// Fields that are not due. Counted one by one if some are.
    pub fn visible_len(&self, now: UnixMs) -> usize {
        match self.next_due() {
            Some(due) if due <= now => self.iter(now).count(),
            Some(_) | None => self.len(),
        }
    }

    /// The fields as a table, whatever they were.
    pub fn become_table(&mut self, seed: HashSeed) -> &mut Fields {
        if let Self::Listpack(pairs) = self {
            let mut fields = Fields::new(seed);
            let (mut name, mut text) = ([0; DIGITS_MAX], [0; DIGITS_MAX]);
            for (field, value) in Pairs(pairs.iter()) {
                fields.set(field.bytes(&mut name), value.bytes(&mut text), None);
            }
            *self = Self::Table(Boxed::new(fields));
        }
        match self {
            Self::Table(fields) => fields,
            Self::Listpack(_) => unreachable!("it was made a table"),
        }
    }

    /// The earliest time at which a field expires.
    #[inline]
    pub fn next_due(&self) -> Option<UnixMs> {
        match self {
            Self::Listpack(_) => None,
            Self::Table(fields) => fields.next_due(),
        }
    }

    /// Whether an index of hashes with fields that expire has it, and none of its fields does any
    /// more.
    #[inline]
    pub fn is_filed_in_vain(&self) -> bool {
        match self {
            Self::Listpack(_) => false,
            Self::Table(fields) => fields.filed.is_some() && fields.volatile_len() == 0,
        }
    }

    /// Takes out up to `budget` fields that are due, the earliest first.
    pub fn take_due(&mut self, now: UnixMs, budget: usize) -> Vec<Field> {
        match self {
            Self::Listpack(_) => Vec::new(),
            Self::Table(fields) => fields.take_due(now, budget),
        }
    }
}

/// Where the field of this name lies.
#[inline]
fn position(pairs: &Listpack, field: &[u8]) -> Option<Position> {
    pairs.find(field, pairs.first()?, 1)
}

/// Where the value of the field of this name lies.
#[inline]
fn value_at(pairs: &Listpack, field: &[u8]) -> Option<Position> {
    pairs.next(position(pairs, field)?)
}

/// The elements of a listpack, two at a time.
#[derive(Debug)]
struct Pairs<I>(I);

impl<I: Iterator> Iterator for Pairs<I> {
    type Item = (I::Item, I::Item);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use proptest::prelude::*;

    const SEED: HashSeed = HashSeed(1);
    const NOW: UnixMs = UnixMs(100);
    const LIMITS: HashLimits = HashLimits { listpack_entries: 4, listpack_value: 8 };
    const RULES: Rules = Rules { limits: LIMITS, seed: SEED, due_by: NOW };

    fn set(hash: &mut Hash, field: &[u8], value: &[u8]) -> bool {
        hash.set(field, value, FieldExpiry::Clear, &RULES)
    }

    #[test]
    fn becomes_a_table_when_it_grows_beyond_its_limits() {
        let cases: [(&[&[u8]], &str); 5] = [
            (&[b"1", b"2", b"3", b"4"], "listpack"),
            (&[b"1", b"2", b"3", b"4", b"4"], "listpack"),
            (&[b"1", b"2", b"3", b"4", b"5"], "hashtable"),
            (&[b"12345678"], "listpack"),
            (&[b"123456789"], "hashtable"),
        ];
        for (fields, encoding) in cases {
            let mut hash = Hash::default();
            for field in fields {
                set(&mut hash, field, b"value");
            }
            assert_eq!(hash.encoding(), encoding, "{fields:?}");
            let mut hash = Hash::default();
            for field in fields {
                set(&mut hash, b"field", field);
            }
            let longest = fields.iter().map(|it| it.len()).max();
            let expected = if longest < Some(9) { "listpack" } else { "hashtable" };
            assert_eq!(hash.encoding(), expected, "{fields:?}");
        }
        let mut hash = Hash::default();
        hash.prepare(&[b"a".as_slice(); 8], &RULES);
        assert_eq!(hash.encoding(), "listpack");
        hash.prepare(&[b"a".as_slice(); 10], &RULES);
        assert_eq!(hash.encoding(), "hashtable");
    }

    #[test]
    fn fields_that_are_due_cannot_be_seen() {
        let mut hash = Hash::default();
        for (field, at) in [(b"a", Some(100)), (b"b", Some(101)), (b"c", None), (b"d", Some(50))] {
            let fields = hash.become_table(SEED);
            fields.set(field, b"x", at.map(UnixMs));
        }
        assert_eq!((hash.len(), hash.iter(NOW).count()), (4, 2));
        assert!(hash.get(b"a", NOW).is_none() && hash.get(b"b", NOW).is_some());
        assert!(!hash.remove(b"a", NOW) && set(&mut hash, b"a", b"y"));
        assert!(hash.get(b"a", UnixMs(1000)).is_some(), "a field that is set does not expire");
        assert_eq!(hash.next_due(), Some(UnixMs(50)));
        let taken: Vec<_> = hash.take_due(NOW, 10).iter().map(|it| it.name().to_vec()).collect();
        assert_eq!((taken, hash.next_due()), (vec![b"d".to_vec()], Some(UnixMs(101))));
        assert_eq!(hash.take_due(UnixMs(101), 10).len(), 1);
        assert_eq!((hash.len(), hash.next_due()), (2, None));
    }

    #[test]
    fn a_large_hash_is_freed_in_slices() {
        let mut hash = Hash::default();
        for number in 0..5000u32 {
            let at = number.is_multiple_of(2).then_some(UnixMs(number.into()));
            hash.become_table(SEED).set(&number.to_be_bytes(), b"value", at);
        }
        assert_eq!(hash.free_effort(), 7500);
        let copy = hash.clone();
        assert_eq!((copy.len(), copy.memory() / 1000), (5000, hash.memory() / 1000));
        let slices = (1..).find(|_| hash.free_slice(1000)).unwrap();
        assert!((4..=6).contains(&slices), "{slices}");
        assert!(hash.is_empty());
        assert_eq!(copy.iter(UnixMs(2500)).count(), 5000 - 1251);
    }

    fn step() -> impl Strategy<Value = (u8, u8, Vec<u8>)> {
        (0u8..4, 0u8..12, prop::collection::vec(any::<u8>(), 0..12))
    }

    proptest! {
        #[test]
        fn is_a_map(steps in prop::collection::vec(step(), 0..60)) {
            let (mut hash, mut model) = (Hash::default(), BTreeMap::new());
            for (kind, field, value) in steps {
                let field = alloc::format!("{field}").into_bytes();
                if kind == 0 {
                    prop_assert_eq!(hash.remove(&field, NOW), model.remove(&field).is_some());
                } else {
                    let is_new = set(&mut hash, &field, &value);
                    prop_assert_eq!(is_new, model.insert(field, value).is_none());
                }
                prop_assert_eq!(hash.len(), model.len());
                prop_assert_eq!(hash.is_empty(), model.is_empty());
            }
            let pairs: BTreeMap<_, _> =
                hash.iter(NOW).map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(&pairs, &model);
            for (field, value) in &model {
                prop_assert_eq!(hash.get(field, NOW).map(Element::to_vec), Some(value.clone()));
            }
        }
    }
}
