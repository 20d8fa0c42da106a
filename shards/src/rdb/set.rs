//! Sets in files and dumps.

use alloc::vec::Vec;

use crate::encodings::allocation::Boxed;
use crate::encodings::intset::Intset;
use crate::rdb::error::{Error, Problem};
use crate::rdb::kind::{Kind, Version};
use crate::rdb::listpacks::{self, Holds};
use crate::rdb::reader::{Reader, Source};
use crate::rdb::value::Rules;
use crate::rdb::writer::{Sink, Writer};
use crate::types::set::members::Members;
use crate::types::set::{Rules as SetRules, Set};

/// As what it is written for readers of this version.
pub(super) fn kind(set: &Set, version: Version) -> Kind {
    match set {
        Set::Intset(_) => Kind::SetIntset,
        Set::Listpack(_) if Kind::SetListpack.since() <= version => Kind::SetListpack,
        Set::Listpack(_) | Set::Table(_) => Kind::Set,
    }
}

pub(super) fn write<S: Sink>(writer: &mut Writer<'_, S>, set: &Set) {
    match set {
        Set::Intset(integers) => writer.blob(integers.as_bytes()),
        Set::Listpack(members) if Kind::SetListpack.since() <= writer.version() => {
            writer.blob(members.as_bytes());
        }
        Set::Listpack(_) | Set::Table(_) => {
            writer.count(set.len());
            set.for_each(|member| writer.element(member));
        }
    }
}

/// Reads members one after the other.
pub(super) fn read<S: Source>(reader: &mut Reader<S>, rules: &Rules) -> Result<Set, Error> {
    let count = reader.count_of_some()?;
    let set_rules = SetRules { limits: rules.limits.set, seed: rules.seed };
    let mut set = Set::default();
    if rules.limits.set.intset_entries < count {
        set = Set::Table(Boxed::new(Members::new(rules.seed)));
    }
    let mut member = Vec::new();
    for _ in 0..count {
        reader.argument(&mut member)?;
        if !set.add(&member, set_rules) {
            return Err(reader.error(Problem::Duplicate("member")));
        }
    }
    Ok(set)
}

pub(super) fn read_intset<S: Source>(reader: &mut Reader<S>, rules: &Rules) -> Result<Set, Error> {
    let integers = reader.with_blob(Intset::from_bytes)?;
    let integers = integers.ok_or_else(|| reader.error(Problem::Encoding("intset")))?;
    let is_long = rules.limits.set.intset_entries < integers.len();
    settled(reader, Set::Intset(integers), is_long, rules)
}

pub(super) fn read_listpack<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<Set, Error> {
    let members = listpacks::read(reader, Holds::Members("member"))?;
    let is_long = rules.limits.set.listpack_entries < members.len();
    settled(reader, Set::Listpack(members), is_long, rules)
}

/// As it is, or as a table if it is too long for that.
fn settled<S: Source>(
    reader: &Reader<S>,
    set: Set,
    is_long: bool,
    rules: &Rules,
) -> Result<Set, Error> {
    if set.is_empty() {
        return Err(reader.error(Problem::Empty));
    }
    if !is_long {
        return Ok(set);
    }
    let mut members = Members::new(rules.seed);
    set.for_each(|member| {
        members.add(member.bytes(&mut [0; _]));
    });
    Ok(Set::Table(Boxed::new(members)))
}
