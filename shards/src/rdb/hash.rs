//! Hashes in files and dumps. Where fields may expire, when they do stands behind each of them in
//! Valkey's kind; Redis's kinds give the earliest time first, and the others as distances from it.

use alloc::vec::Vec;

use crate::base::number::DIGITS_MAX;
use crate::base::time::UnixMs;
use crate::encodings::allocation::Boxed;
use crate::encodings::listpack::{Element, Listpack};
use crate::rdb::error::{Error, Problem};
use crate::rdb::kind::Kind;
use crate::rdb::listpacks::{self, Holds};
use crate::rdb::reader::{Reader, Source};
use crate::rdb::value::Rules;
use crate::rdb::writer::{Sink, Writer};
use crate::types::hash::fields::Fields;
use crate::types::hash::{FieldExpiry, Hash, Rules as HashRules};

/// What stands for no expiry.
const NEVER: i64 = -1;

/// As what it is written.
pub(super) fn kind(hash: &Hash) -> Kind {
    match hash {
        Hash::Listpack(_) => Kind::HashListpack,
        Hash::Table(fields) if fields.next_due().is_some() => Kind::Hash2,
        Hash::Table(_) => Kind::Hash,
    }
}

pub(super) fn write<S: Sink>(writer: &mut Writer<'_, S>, hash: &Hash) {
    let fields = match hash {
        Hash::Listpack(pairs) => return writer.blob(pairs.as_bytes()),
        Hash::Table(fields) => fields,
    };
    // The writer writes fields that are due, too: their reader has its own clock.
    let has_expiry = fields.next_due().is_some();
    writer.count(fields.table().len());
    for field in fields.table().iter() {
        writer.text(field.name());
        writer.text(field.value());
        if has_expiry {
            let at = field.expire().map(|at| i64::try_from(at.0).unwrap_or(i64::MAX));
            writer.fixed(at.unwrap_or(NEVER));
        }
    }
}

/// Reads fields and values in turn.
pub(super) fn read<S: Source>(reader: &mut Reader<S>, rules: &Rules) -> Result<Hash, Error> {
    let count = reader.count_of_some()?;
    let HashRules { limits, seed, .. } = hash_rules(rules);
    let mut hash = Hash::default();
    if limits.listpack_entries < count {
        hash.become_table(seed);
    }
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for _ in 0..count {
        reader.argument(&mut name)?;
        reader.argument(&mut value)?;
        let is_new = match &mut hash {
            Hash::Listpack(_) => hash.set(&name, &value, FieldExpiry::Clear, &hash_rules(rules)),
            Hash::Table(fields) => add(fields, &name, &value, None),
        };
        if !is_new {
            return Err(reader.error(Problem::Duplicate("field")));
        }
    }
    Ok(hash)
}

/// Reads fields, values and when they expire.
pub(super) fn read_with_expiry<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<Hash, Error> {
    let count = reader.count_of_some()?;
    let mut fields = Fields::new(rules.seed);
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for _ in 0..count {
        reader.argument(&mut name)?;
        reader.argument(&mut value)?;
        let expire = match reader.fixed()? {
            NEVER => None,
            at => Some(unix_ms(reader, at)?),
        };
        if !add(&mut fields, &name, &value, expire) {
            return Err(reader.error(Problem::Duplicate("field")));
        }
    }
    Ok(Hash::Table(Boxed::new(fields)))
}

/// Reads the earliest expiry, then distances from it, fields and values.
pub(super) fn read_metadata<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<Hash, Error> {
    let earliest = reader.fixed()?;
    let count = reader.count_of_some()?;
    let mut fields = Fields::new(rules.seed);
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let expire = match reader.length()? {
            0 => None,
            distance => {
                let at = earliest.checked_add_unsigned(distance - 1);
                Some(unix_ms(reader, at.unwrap_or(i64::MIN))?)
            }
        };
        reader.argument(&mut name)?;
        reader.argument(&mut value)?;
        if !add(&mut fields, &name, &value, expire) {
            return Err(reader.error(Problem::Duplicate("field")));
        }
    }
    Ok(Hash::Table(Boxed::new(fields)))
}

pub(super) fn read_listpack<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<Hash, Error> {
    let pairs = listpacks::read(reader, Holds::Groups(2, "field"))?;
    settled(reader, pairs, rules)
}

pub(super) fn read_ziplist<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<Hash, Error> {
    let pairs = listpacks::read_ziplist(reader, Holds::Groups(2, "field"))?;
    settled(reader, pairs, rules)
}

/// Reads a zipmap. It does not say whether its fields are short.
pub(super) fn read_zipmap<S: Source>(reader: &mut Reader<S>, rules: &Rules) -> Result<Hash, Error> {
    let pairs = listpacks::read_zipmap(reader)?;
    let is_long = |element: Element<'_>| rules.limits.hash.listpack_value < element.len();
    let has_long = pairs.iter().any(is_long);
    let mut hash = settled(reader, pairs, rules)?;
    if has_long {
        hash.become_table(rules.seed);
    }
    Ok(hash)
}

/// Reads the earliest expiry, then a listpack of fields, values and when they expire.
pub(super) fn read_listpack_ex<S: Source>(
    reader: &mut Reader<S>,
    rules: &Rules,
) -> Result<Hash, Error> {
    reader.fixed()?;
    let triples = listpacks::read(reader, Holds::Groups(3, "field"))?;
    if triples.is_empty() {
        return Err(reader.error(Problem::Empty));
    }
    let mut fields = Fields::new(rules.seed);
    let (mut name, mut text) = ([0; DIGITS_MAX], [0; DIGITS_MAX]);
    let mut elements = triples.iter();
    while let (Some(field), Some(value), Some(at)) =
        (elements.next(), elements.next(), elements.next())
    {
        let expire = match at.int() {
            Some(0) => None,
            Some(at) => Some(unix_ms(reader, at)?),
            None => return Err(reader.error(Problem::Expiry)),
        };
        fields.set(field.bytes(&mut name), value.bytes(&mut text), expire);
    }
    Ok(Hash::Table(Boxed::new(fields)))
}

fn settled<S: Source>(reader: &Reader<S>, pairs: Listpack, rules: &Rules) -> Result<Hash, Error> {
    if pairs.is_empty() {
        return Err(reader.error(Problem::Empty));
    }
    let is_long = rules.limits.hash.listpack_entries < pairs.len() / 2;
    let mut hash = Hash::Listpack(pairs);
    if is_long {
        hash.become_table(rules.seed);
    }
    Ok(hash)
}

/// Adds a field; false if it is there.
fn add(fields: &mut Fields, name: &[u8], value: &[u8], expire: Option<UnixMs>) -> bool {
    let before = fields.table().len();
    fields.set(name, value, expire);
    before < fields.table().len()
}

fn unix_ms<S: Source>(reader: &Reader<S>, at: i64) -> Result<UnixMs, Error> {
    u64::try_from(at).map(UnixMs).map_err(|_| reader.error(Problem::Expiry))
}

fn hash_rules(rules: &Rules) -> HashRules {
    // Fields that were just read are not due, whatever the time is.
    HashRules { limits: rules.limits.hash, seed: rules.seed, due_by: UnixMs(0) }
}
