//! DEBUG DIGEST, DEBUG DIGEST-VALUE [key ...]: 20 bytes that tell two datasets apart.
//!
//! The numbers are Valkey's, so that a dataset can be compared across servers. With `H` for SHA-1
//! and `mix(d, x) = H(d ^ H(x))`:
//!
//! - of a value: `mix` of zeros with the type's number, then with the content, and
//!   `^ H("!!expire!!")` if it expires;
//! - of a string as content: `mix` with it; of a list: `mix` with each element; of a hash: for
//!   each field, `^ H(mix(mix(zeros, field), value))`; of a set: for each member, `^ H(member)`;
//!   of a sorted set: for each member, `^ H(mix(mix(zeros, member), score))`;
//!   of a stream: `mix` with each ID, as `ms.seq`, and then with each of its names and values;
//! - of a key: the same, begun with `mix(zeros, key)` in place of zeros;
//! - of a dataset: for each database that has keys, in order, `mix` with its number, then
//!   `^ H(digest of the key)` for each key. Exclusive or does not care about order, so shards
//!   work on their parts and [`combined`] joins them.

use alloc::vec::Vec;
use core::fmt::Write;

use super::debug_object::usage_error;
use crate::base::float::format_digits;
use crate::base::number::{DIGITS_MAX, format_i64};
use crate::base::sha1::{DIGEST_BYTES, sha1};
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Group, KeySpec, Merge, Spec, Spread};
use crate::encodings::entry::Value;
use crate::keyspace::db::Entry;
use crate::resp::error::Error;
use crate::types::hash::Hash;
use crate::types::object::Object;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::Stream;
use crate::types::stream::id::StreamId;

pub(super) const DIGEST: Command = Command {
    spec: Spec {
        name: "debug|digest",
        group: Group::Server,
        since: "1.0.0",
        summary: "Returns a digest of all keys and values.",
        complexity: "O(N), N being the size of all keys and values.",
        arity: Arity::AtLeast(2),
        flags: super::DEBUG_FLAGS,
        spread: Spread::Everywhere(Merge::Digest),
        ..Spec::EMPTY
    },
    run: digest,
};

pub(super) const DIGEST_VALUE: Command = Command {
    spec: Spec {
        name: "debug|digest-value",
        group: Group::Server,
        since: "1.0.0",
        summary: "Returns a digest of each key's value.",
        complexity: "O(N), N being the size of the values.",
        syntax: "[key ...]",
        arity: Arity::AtLeast(2),
        flags: super::DEBUG_FLAGS,
        keys: &[KeySpec::from(2, 1, &["RO"])],
        spread: Spread::Split(Merge::ByKey),
        ..Spec::EMPTY
    },
    run: digest_value,
};

/// Twenty bytes; zeros stand for nothing.
pub type Digest = [u8; DIGEST_BYTES];

/// The digest of a dataset from what its shards said: (database, digest of its keys there), in
/// any order.
pub fn combined(parts: &[(usize, Digest)]) -> Digest {
    let mut parts = parts.to_vec();
    parts.sort_by_key(|part| part.0);
    let mut digest = Digest::default();
    for same_db in parts.chunk_by(|a, b| a.0 == b.0) {
        let number = u32::try_from(same_db[0].0).expect("databases are few");
        digest = mixed(digest, &number.to_be_bytes());
        for (_, part) in same_db {
            digest = xor(digest, *part);
        }
    }
    digest
}

/// A digest as DEBUG shows it.
pub fn hex(digest: &Digest) -> alloc::string::String {
    let mut text = alloc::string::String::with_capacity(2 * DIGEST_BYTES);
    for byte in digest {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    text
}

/// Answers `[database, digest, database, digest ...]` of this shard; the merge makes them one.
fn digest(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if ctx.args.len() != 2 {
        return Err(usage_error(ctx.args[1]));
    }
    let mut parts = Vec::new();
    for (index, db) in ctx.db.keyspace.dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        let keys = db.table().iter();
        let part = keys.fold(Digest::default(), |part, entry| xor(part, sha1(&of_key(entry))));
        parts.push((index, part));
    }
    ctx.replies.array(2 * parts.len());
    for (index, part) in parts {
        ctx.replies.integer(i64::try_from(index).expect("databases are few"));
        ctx.replies.bulk(&part);
    }
    Ok(())
}

fn digest_value(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    ctx.replies.array(ctx.args.len() - 2);
    for at in 2..ctx.args.len() {
        let key = ctx.key(at);
        let entry = ctx.db.db().find(key.hash, key.bytes);
        let digest = entry.map_or(Digest::default(), |entry| of_value(entry, Digest::default()));
        ctx.replies.simple(&hex(&digest));
    }
    Ok(())
}

fn of_key(entry: &Entry) -> Digest {
    of_value(entry, mixed(Digest::default(), entry.key()))
}

fn of_value(entry: &Entry, start: Digest) -> Digest {
    let mut scratch = [0; DIGITS_MAX];
    let typed = |number: u32| mixed(start, &number.to_be_bytes());
    let digest = match entry.value() {
        Value::Int(number) => mixed(typed(0), format_i64(&mut scratch, number)),
        Value::Bytes(bytes) => mixed(typed(0), bytes),
        Value::Object(Object::List(list)) => {
            list.forward(0).fold(typed(1), |digest, it| mixed(digest, it.bytes(&mut scratch)))
        }
        Value::Object(Object::Hash(hash)) => of_hash(hash, typed(4)),
        Value::Object(Object::Set(set)) => of_set(set, typed(2)),
        Value::Object(Object::SortedSet(set)) => of_sorted_set(set, typed(3)),
        Value::Object(Object::Stream(stream)) => of_stream(stream, typed(6)),
    };
    match entry.expire() {
        Some(_) => xor(digest, sha1(b"!!expire!!")),
        None => digest,
    }
}

fn of_hash(hash: &Hash, start: Digest) -> Digest {
    let mut scratch = [0; DIGITS_MAX];
    // Fields that are due count as well, as long as they are there.
    hash.iter(UnixMs(0)).fold(start, |digest, (field, value)| {
        let pair = mixed(Digest::default(), field.bytes(&mut scratch));
        xor(digest, sha1(&mixed(pair, value.bytes(&mut scratch))))
    })
}

fn of_set(set: &Set, start: Digest) -> Digest {
    let mut scratch = [0; DIGITS_MAX];
    set.iter().fold(start, |digest, member| xor(digest, sha1(member.bytes(&mut scratch))))
}

fn of_sorted_set(set: &SortedSet, start: Digest) -> Digest {
    let mut scratch = [0; DIGITS_MAX];
    set.iter(0..set.len(), false).fold(start, |digest, (member, score)| {
        let pair = mixed(Digest::default(), member.bytes(&mut scratch));
        xor(digest, sha1(&mixed(pair, format_digits(score).bytes())))
    })
}

/// Groups do not count.
fn of_stream(stream: &Stream, start: Digest) -> Digest {
    let mut scratch = [0; DIGITS_MAX];
    stream.log().range(StreamId::MIN, StreamId::MAX).fold(start, |digest, entry| {
        let id = alloc::format!("{}.{}", entry.id.ms, entry.id.seq);
        entry.fields().fold(mixed(digest, id.as_bytes()), |digest, (name, value)| {
            let digest = mixed(digest, name.bytes(&mut scratch));
            mixed(digest, value.bytes(&mut scratch))
        })
    })
}

fn mixed(digest: Digest, bytes: &[u8]) -> Digest {
    sha1(&xor(digest, sha1(bytes)))
}

fn xor(a: Digest, b: Digest) -> Digest {
    core::array::from_fn(|at| a[at] ^ b[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::types::limits::Limits;
    use crate::types::object::Collection;
    use crate::types::set::Rules;
    use crate::types::sorted_set;

    /// Figures of a real Valkey 9.1.2.
    #[test]
    fn digests_are_those_of_valkey() {
        let value = |key: &[u8], value: &[u8], expires: bool| {
            let mut entry = Entry::string(key, value);
            entry.set_expire(expires.then_some(UnixMs(1)));
            entry
        };
        let number = value(b"k0", b"1", false);
        assert_eq!(
            hex(&of_value(&number, Digest::default())),
            "b4fc66738120fba0b5aa500ab5c2bf89cea1c5da"
        );
        let text = value(b"j0", b"hello", true);
        assert_eq!(
            hex(&of_value(&text, Digest::default())),
            "d037c4eb8a8b36b602fbced4000daeab0714c1e3"
        );
        let mut hash = Hash::default();
        hash.become_table(HashSeed(1)).set(b"a", b"1", Some(UnixMs(1)));
        let hash = Entry::object(b"y", hash.into_object());
        assert_eq!(
            hex(&of_value(&hash, Digest::default())),
            "626a7b57a269f8f179a44902458ecb2f5920d35d"
        );
        let mut set = Set::default();
        let rules = Rules { limits: Limits::default().set, seed: HashSeed(1) };
        set.prepare(&[b"x"], rules);
        for member in [&b"x"[..], b"1", b"2"] {
            set.add(member, rules);
        }
        let set = Entry::object(b"s", set.into_object());
        assert_eq!(
            hex(&of_value(&set, Digest::default())),
            "4c6eef6b7853d1b76391c849d71b0d35d3faf18f"
        );
        let rules = sorted_set::Rules { limits: Limits::default().sorted_set, seed: HashSeed(1) };
        let mut set = SortedSet::default();
        for (member, score) in [(&b"b"[..], 1.5), (b"12", -3.0), (b"a", 1.5), (b"x", 1e20)] {
            set.set(member, score, &rules);
        }
        let set = Entry::object(b"q", set.into_object());
        assert_eq!(
            hex(&of_value(&set, Digest::default())),
            "d80cb9939784cc9f08b02d56062f3a8cb48c48b1"
        );
        let mut parts = Vec::new();
        for (db, name) in [(5, "5"), (0, "0"), (1, "1")] {
            let key = |start: &str| [start.as_bytes(), name.as_bytes()].concat();
            parts.push((db, sha1(&of_key(&value(&key("k"), b"1", false)))));
            parts.push((db, sha1(&of_key(&value(&key("j"), b"hello", true)))));
        }
        assert_eq!(hex(&combined(&parts)), "68b26901847251d5bd22414c15d1770591f8e253");
        assert_eq!(combined(&[]), Digest::default());
    }
}
