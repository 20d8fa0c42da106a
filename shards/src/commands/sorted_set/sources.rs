//! What several keys are combined from: sorted sets, and sets, whose members have a score of 1.

use alloc::vec::Vec;

use crate::commands::ctx::Ctx;
use crate::encodings::listpack::Element;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;
use crate::types::object::Object;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;

/// One key's members.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// The key is missing.
    None,
    SortedSet(&'a SortedSet),
    Set(&'a Set),
}

impl<'a> Source<'a> {
    fn of(entry: Option<&'a Entry>) -> Result<Self, Error> {
        let Some(entry) = entry else { return Ok(Self::None) };
        match entry.as_object() {
            Some(Object::SortedSet(set)) => Ok(Self::SortedSet(set)),
            Some(Object::Set(set)) => Ok(Self::Set(set)),
            Some(_) | None => Err(Error::WrongType),
        }
    }

    /// The values of the keys from argument `first` on, which are read in that order.
    pub(super) fn read(
        ctx: &'a mut Ctx<'_>,
        first: usize,
        count: usize,
    ) -> Result<Vec<Self>, Error> {
        for at in first..first + count {
            let key = ctx.key(at);
            Source::of(ctx.db.read(key))?;
        }
        let ctx = &*ctx;
        let keys = (first..first + count).map(|at| ctx.key(at));
        keys.map(|key| Self::of(ctx.db.find(key))).collect()
    }

    pub(super) fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::SortedSet(set) => set.len(),
            Self::Set(set) => set.len(),
        }
    }

    /// The score of a member.
    pub(super) fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::None => None,
            Self::SortedSet(set) => set.score(member),
            Self::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    /// All members with their scores.
    pub(super) fn iter(self) -> impl Iterator<Item = (Element<'a>, f64)> {
        let (sorted, plain) = match self {
            Self::None => (None, None),
            Self::SortedSet(set) => (Some(set.iter(0..set.len(), false)), None),
            Self::Set(set) => (None, Some(set.iter())),
        };
        let plain = plain.into_iter().flatten().map(|member| (member, 1.0));
        sorted.into_iter().flatten().chain(plain)
    }
}
