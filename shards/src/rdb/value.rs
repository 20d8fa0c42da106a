//! Values of any kind.

use alloc::string::String;
use alloc::vec::Vec;

use crate::base::hash::HashSeed;
use crate::encodings::entry::{Entry, Value};
use crate::rdb::error::{Error, Problem};
use crate::rdb::kind::{Kind, Version};
use crate::rdb::reader::{Reader, Source};
use crate::rdb::writer::{Sink, Writer};
use crate::rdb::{hash, list, set, sorted_set, stream, string};
use crate::types::limits::Limits;
use crate::types::object::Object;

/// By what values are made.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Up to what size collections keep their compact encodings.
    pub limits: Limits,
    /// The secret of tables.
    pub seed: HashSeed,
}

/// A value without a key.
#[derive(Debug)]
pub enum Detached {
    /// A string.
    Text(Vec<u8>),
    /// A collection.
    Object(Object),
}

impl Detached {
    /// An entry of this key with the value; it does not expire.
    pub fn into_entry(self, key: &[u8]) -> Entry<Object> {
        match self {
            Self::Text(bytes) => Entry::string_of(key, bytes),
            Self::Object(object) => Entry::object(key, object),
        }
    }
}

/// As what a value is written for readers of this version; `None` if they know nothing like it.
pub fn kind(value: &Value<'_, Object>, version: Version) -> Option<Kind> {
    let kind = match value {
        Value::Int(_) | Value::Bytes(_) => Kind::String,
        Value::Object(Object::List(_)) => Kind::ListQuicklist2,
        Value::Object(Object::Set(set)) => set::kind(set, version),
        Value::Object(Object::Hash(hash)) => hash::kind(hash),
        Value::Object(Object::SortedSet(set)) => sorted_set::kind(set),
        Value::Object(Object::Stream(_)) => stream::kind(version),
    };
    (kind.since() <= version).then_some(kind)
}

/// The lowest version whose readers get all of a value.
pub fn lowest_version(value: &Value<'_, Object>) -> Version {
    match value {
        Value::Object(Object::Hash(hash)) => hash::kind(hash).since(),
        // When a consumer was active last came with V11.
        Value::Object(Object::Stream(stream)) if stream::has_consumers(stream) => Version::V11,
        Value::Int(_) | Value::Bytes(_) | Value::Object(_) => Version::V10,
    }
}

/// Writes a value as what [`kind`] says, which stands before it or before its key.
pub fn write<S: Sink>(writer: &mut Writer<'_, S>, value: &Value<'_, Object>) {
    match value {
        Value::Int(_) | Value::Bytes(_) => string::write(writer, value),
        Value::Object(Object::List(list)) => list::write(writer, list),
        Value::Object(Object::Set(set)) => set::write(writer, set),
        Value::Object(Object::Hash(hash)) => hash::write(writer, hash),
        Value::Object(Object::SortedSet(set)) => sorted_set::write(writer, set),
        Value::Object(Object::Stream(stream)) => stream::write(writer, stream),
    }
}

/// Reads a value of this kind.
///
/// # Errors
/// What is wrong with it. After [`Problem::Empty`] all of it has been read.
pub fn read<S: Source>(
    reader: &mut Reader<S>,
    kind: Kind,
    rules: &Rules,
) -> Result<Detached, Error> {
    let object = match kind {
        Kind::String => return reader.blob().map(Detached::Text),
        Kind::List => Object::List(list::read(reader, rules)?),
        Kind::ListZiplist => Object::List(list::read_ziplist(reader, rules)?),
        Kind::ListQuicklist => Object::List(list::read_quicklist(reader, rules)?),
        Kind::ListQuicklist2 => Object::List(list::read_quicklist2(reader, rules)?),
        Kind::Set => Object::Set(set::read(reader, rules)?),
        Kind::SetIntset => Object::Set(set::read_intset(reader, rules)?),
        Kind::SetListpack => Object::Set(set::read_listpack(reader, rules)?),
        Kind::Hash => Object::Hash(hash::read(reader, rules)?),
        Kind::HashZipmap => Object::Hash(hash::read_zipmap(reader, rules)?),
        Kind::HashZiplist => Object::Hash(hash::read_ziplist(reader, rules)?),
        Kind::HashListpack => Object::Hash(hash::read_listpack(reader, rules)?),
        Kind::Hash2 => Object::Hash(hash::read_with_expiry(reader, rules)?),
        Kind::HashMetadata => Object::Hash(hash::read_metadata(reader, rules)?),
        Kind::HashListpackEx => Object::Hash(hash::read_listpack_ex(reader, rules)?),
        Kind::Module | Kind::Module2 => {
            let name = module_name(reader.length()?);
            return Err(reader.error(Problem::Module(name)));
        }
        Kind::SortedSet => Object::SortedSet(sorted_set::read(reader, rules, Reader::decimal)?),
        Kind::SortedSet2 => Object::SortedSet(sorted_set::read(reader, rules, Reader::double)?),
        Kind::SortedSetZiplist => Object::SortedSet(sorted_set::read_ziplist(reader, rules)?),
        Kind::SortedSetListpack => Object::SortedSet(sorted_set::read_listpack(reader, rules)?),
        Kind::Stream | Kind::Stream2 | Kind::Stream3 => Object::Stream(stream::read(reader, kind)?),
    };
    Ok(Detached::Object(object))
}

/// Reads past a value of this kind, looking no further than for its end.
///
/// # Errors
/// If it has none, or if it is a module's.
pub fn skip<S: Source>(reader: &mut Reader<S>, kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::String
        | Kind::HashZipmap
        | Kind::ListZiplist
        | Kind::SetIntset
        | Kind::SortedSetZiplist
        | Kind::HashZiplist
        | Kind::HashListpack
        | Kind::SortedSetListpack
        | Kind::SetListpack => reader.skip_text(),
        Kind::List | Kind::Set | Kind::ListQuicklist => each(reader, |reader| reader.skip_text()),
        Kind::SortedSet => each(reader, |reader| {
            reader.skip_text()?;
            reader.decimal().map(|_| ())
        }),
        Kind::SortedSet2 => each(reader, |reader| {
            reader.skip_text()?;
            reader.skip(8)
        }),
        Kind::Hash => each(reader, skip_pair),
        Kind::Hash2 => each(reader, |reader| {
            skip_pair(reader)?;
            reader.skip(8)
        }),
        Kind::HashMetadata => {
            reader.skip(8)?;
            each(reader, |reader| {
                reader.length()?;
                skip_pair(reader)
            })
        }
        Kind::HashListpackEx => {
            reader.skip(8)?;
            reader.skip_text()
        }
        Kind::ListQuicklist2 => each(reader, |reader| {
            reader.length()?;
            reader.skip_text()
        }),
        Kind::Stream | Kind::Stream2 | Kind::Stream3 => skip_stream(reader, kind),
        Kind::Module | Kind::Module2 => {
            let name = module_name(reader.length()?);
            Err(reader.error(Problem::Module(name)))
        }
    }
}

/// Reads past a count and as many of what `skip` reads past.
fn each<S: Source>(
    reader: &mut Reader<S>,
    mut skip: impl FnMut(&mut Reader<S>) -> Result<(), Error>,
) -> Result<(), Error> {
    let count = reader.length()?;
    (0..count).try_for_each(|_| skip(reader))
}

fn skip_pair<S: Source>(reader: &mut Reader<S>) -> Result<(), Error> {
    reader.skip_text()?;
    reader.skip_text()
}

fn skip_lengths<S: Source>(reader: &mut Reader<S>, count: usize) -> Result<(), Error> {
    (0..count).try_for_each(|_| reader.length().map(|_| ()))
}

fn skip_stream<S: Source>(reader: &mut Reader<S>, kind: Kind) -> Result<(), Error> {
    /// An ID.
    const ID_BYTES: u64 = 16;
    /// A time.
    const TIME_BYTES: u64 = 8;
    let (knows_deleted, consumer_times) = match kind {
        Kind::Stream3 => (true, 2),
        Kind::Stream2 => (true, 1),
        _ => (false, 1),
    };
    each(reader, skip_pair)?;
    skip_lengths(reader, if knows_deleted { 8 } else { 3 })?;
    each(reader, |reader| {
        reader.skip_text()?;
        skip_lengths(reader, if knows_deleted { 3 } else { 2 })?;
        each(reader, |reader| {
            reader.skip(ID_BYTES + TIME_BYTES)?;
            skip_lengths(reader, 1)
        })?;
        each(reader, |reader| {
            reader.skip_text()?;
            reader.skip(consumer_times * TIME_BYTES)?;
            each(reader, |reader| reader.skip(ID_BYTES))
        })
    })
}

/// The name of a module's type: nine letters of six bits each, above ten bits of a version.
pub(super) fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |at: u32| char::from(LETTERS[(id >> (10 + 6 * (8 - at)) & 0x3F) as usize]);
    (0..9).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::number::DIGITS_MAX;
    use crate::base::time::UnixMs;
    use crate::encodings::listpack::{self, Element};
    use crate::encodings::quicklist::End;
    use crate::rdb::kind::Dialect;
    use crate::rdb::writer::Compression;
    use crate::types::hash::Hash;
    use crate::types::limits::{HashLimits, ListLimits, SetLimits, SortedSetLimits, StreamLimits};
    use crate::types::list::List;
    use crate::types::set::Set;
    use crate::types::sorted_set::{self, SortedSet};
    use crate::types::stream::Stream;
    use crate::types::stream::group::{Group, Pending};
    use crate::types::stream::id::StreamId;
    use alloc::{format, vec};
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        hash: HashLimits { listpack_entries: 4, listpack_value: 20 },
        list: ListLimits { listpack_size: 5, compress_depth: 0 },
        set: SetLimits { intset_entries: 4, listpack_entries: 4, listpack_value: 20 },
        sorted_set: SortedSetLimits { listpack_entries: 4, listpack_value: 20 },
        stream: StreamLimits { node_bytes: 4096, node_entries: 2 },
        ..Limits::DEFAULT
    };

    fn rules() -> Rules {
        Rules { limits: LIMITS, seed: HashSeed(1) }
    }

    /// What a value is, whatever way it is kept.
    #[derive(Debug, PartialEq)]
    enum Plain {
        Text(Vec<u8>),
        List(Vec<Vec<u8>>),
        Set(Vec<Vec<u8>>),
        Hash(Vec<(Vec<u8>, Vec<u8>, Option<UnixMs>)>),
        SortedSet(Vec<(Vec<u8>, f64)>),
        /// As it is written.
        Stream(Vec<u8>),
    }

    fn plain(entry: &Entry<Object>) -> Plain {
        fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
            let mut items: Vec<T> = items.collect();
            items.sort();
            items
        }
        match entry.value() {
            Value::Int(_) | Value::Bytes(_) => {
                Plain::Text(entry.bytes(&mut [0; DIGITS_MAX]).unwrap().to_vec())
            }
            Value::Object(Object::List(list)) => {
                Plain::List(list.forward(0).map(Element::to_vec).collect())
            }
            Value::Object(Object::Set(set)) => Plain::Set(sorted(set.iter().map(Element::to_vec))),
            Value::Object(Object::Hash(hash)) => {
                let expiry = |name: &Vec<u8>| hash.expiry(name, UnixMs(0)).unwrap();
                let fields = hash.iter(UnixMs(0)).map(|(name, value)| {
                    let name = name.to_vec();
                    let expire = expiry(&name);
                    (name, value.to_vec(), expire)
                });
                Plain::Hash(sorted(fields))
            }
            Value::Object(Object::SortedSet(set)) => {
                let members = set.iter(0..set.len(), false);
                Plain::SortedSet(members.map(|(member, score)| (member.to_vec(), score)).collect())
            }
            Value::Object(Object::Stream(_)) => {
                Plain::Stream(written(entry, Version::V80, Compression::Off))
            }
        }
    }

    /// Gives out what it has in pieces.
    struct Pieces<'a> {
        bytes: &'a [u8],
        size: usize,
        at: usize,
    }

    impl Source for Pieces<'_> {
        fn piece(&self) -> &[u8] {
            let end = self.bytes.len().min(self.at + self.size);
            &self.bytes[self.at..end]
        }

        fn advance(&mut self) {
            self.at = self.bytes.len().min(self.at + self.size);
        }
    }

    fn read_all(bytes: &[u8], dialect: Dialect) -> Result<Entry<Object>, Error> {
        let mut reader = Reader::new(bytes);
        let code = reader.byte()?;
        let kind = Kind::of(code, dialect).ok_or(reader.error(Problem::Kind(code)))?;
        let entry = read(&mut reader, kind, &rules())?.into_entry(b"key");
        if reader.rest().is_empty() { Ok(entry) } else { Err(reader.error(Problem::Trailing)) }
    }

    fn written(entry: &Entry<Object>, version: Version, compression: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, version, compression);
        writer.kind(kind(&entry.value(), version).unwrap());
        write(&mut writer, &entry.value());
        out
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..6),
            2 => any::<i64>().prop_map(|number| format!("{number}").into_bytes()),
            2 => (-300i64..300).prop_map(|number| format!("{number}").into_bytes()),
            1 => (0usize..300).prop_map(|length| vec![b'x'; length]),
            1 => Just(vec![b'y'; 9000]),
        ]
    }

    fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop_oneof![prop::collection::vec(text(), 1..8), prop::collection::vec(text(), 1..40)]
    }

    fn object_of(texts: &[Vec<u8>], which: u8) -> Entry<Object> {
        use crate::types::{hash, set};
        let object = match which {
            0 => return Entry::string(b"key", &texts[0]),
            1 => return Entry::text(b"key", &texts[0]),
            2 => {
                let mut list = List::default();
                let elements: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
                elements.iter().for_each(|it| {
                    list.push_all(End::Right, &[it], LIMITS.list);
                });
                Object::List(list)
            }
            3 => {
                let mut set = Set::default();
                let rules = set::Rules { limits: LIMITS.set, seed: HashSeed(1) };
                texts.iter().for_each(|text| {
                    set.add(text, rules);
                });
                Object::Set(set)
            }
            6 => {
                let rules = sorted_set::Rules { limits: LIMITS.sorted_set, seed: HashSeed(1) };
                let mut set = SortedSet::default();
                for (at, text) in texts.iter().enumerate() {
                    let score = [1.5, -0.0, 3.0, f64::INFINITY, 1e300, 0.1, -7.25][at % 7];
                    set.set(text, score, &rules);
                }
                Object::SortedSet(set)
            }
            7 => Object::Stream(stream_of(texts)),
            _ => {
                let mut hash = Hash::default();
                let now = UnixMs(0);
                let rules = hash::Rules { limits: LIMITS.hash, seed: HashSeed(1), due_by: now };
                for (at, text) in texts.iter().enumerate() {
                    let expiry = match at {
                        1 | 3 if which == 5 => hash::FieldExpiry::At(UnixMs(at as u64)),
                        _ => hash::FieldExpiry::Clear,
                    };
                    hash.set(text, &texts[texts.len() - 1 - at], expiry, &rules);
                }
                Object::Hash(hash)
            }
        };
        Entry::object(b"key", object)
    }

    /// Lengths as they are written: with 64 bits, then as strings that are compressed.
    fn claims(length: u64) -> [Vec<u8>; 2] {
        let length = [&[0x81][..], &length.to_be_bytes()].concat();
        [length.clone(), [b"\xc3\x80\x7f\xff\xff\xff".as_slice(), &length].concat()]
    }

    #[test]
    fn what_no_request_can_bring_is_refused_by_its_length() {
        let (at, one) = ([0; 8], [1; 8]);
        let id = [0; 16];
        // kind, what stands before the string, and the longest there is
        let (argument, packed) = (u32::MAX.into(), listpack::READ_BYTES_MAX as u64);
        let cases: [(Kind, Vec<u8>, u64); 19] = [
            (Kind::Hash, vec![1], argument),
            (Kind::Hash, b"\x01\x01f".to_vec(), argument),
            (Kind::Hash2, vec![1], argument),
            (Kind::Hash2, b"\x01\x01f".to_vec(), argument),
            (Kind::HashMetadata, [&at[..], b"\x01\x01"].concat(), argument),
            (Kind::HashMetadata, [&at[..], b"\x01\x01\x01f"].concat(), argument),
            (Kind::Set, vec![1], argument),
            (Kind::SortedSet, vec![1], argument),
            (Kind::SortedSet2, vec![1], argument),
            (Kind::Stream, [&[0, 0, 0, 0, 1][..]].concat(), argument),
            (Kind::Stream, [&b"\0\0\0\0\x01\x01g\0\0\0\x01"[..]].concat(), argument),
            (Kind::Stream, [&[1, 16][..], &id].concat(), packed),
            (Kind::HashZipmap, vec![], packed),
            (Kind::HashZiplist, vec![], packed),
            (Kind::HashListpack, vec![], packed),
            (Kind::HashListpackEx, one.to_vec(), packed),
            (Kind::ListQuicklist2, vec![1, 2], packed),
            (Kind::SetIntset, vec![], packed),
            (Kind::SortedSetListpack, vec![], packed),
        ];
        let problem = |kind, bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            read(&mut reader, kind, &rules()).map(|_| ()).unwrap_err().problem
        };
        for (kind, before, longest) in cases {
            for claim in claims(longest + 1) {
                let case = [&before[..], &claim].concat();
                assert_eq!(problem(kind, &case), Problem::Length, "{kind:?} {before:?}");
            }
            for claim in claims(longest) {
                let case = [&before[..], &claim].concat();
                assert_eq!(problem(kind, &case), Problem::Truncated, "{kind:?} {before:?}");
            }
        }
        // A string grows to any length, and so may what is put into a list.
        for (kind, before) in [(Kind::String, &b""[..]), (Kind::List, b"\x01")] {
            for claim in claims(u64::from(u32::MAX) + 1) {
                assert_eq!(problem(kind, &[before, &claim].concat()), Problem::Truncated);
            }
        }
    }

    /// What 49 MB come to once they are decompressed.
    #[test]
    #[ignore = "takes 5 GB"]
    fn a_field_that_is_too_long_is_refused_and_one_that_is_not_is_read() {
        for (length, is_read) in [(u64::from(u32::MAX), true), (u64::from(u32::MAX) + 1, false)] {
            let repeat = usize::try_from((length - 1) / 264).unwrap();
            let mut compressed = b"\x00a".to_vec();
            compressed.extend(b"\xe0\xff\x00".repeat(repeat));
            let rest = usize::try_from(length - 1).unwrap() - 264 * repeat;
            compressed.extend(b"\x00a".repeat(rest));
            let lengths = [compressed.len() as u64, length];
            let lengths = lengths.map(|it| [&[0x81][..], &it.to_be_bytes()].concat()).concat();
            let value = [b"\x01\x01f\xc3".as_slice(), &lengths, &compressed].concat();
            let read = read(&mut Reader::new(&*value), Kind::Hash, &rules());
            assert_eq!(read.is_ok(), is_read, "{length}");
        }
    }

    #[test]
    fn any_numbers_that_a_stream_is_said_to_have_are_taken() {
        let mut stream = stream_of(&[b"a".to_vec(), b"b".to_vec()]);
        stream.log_mut().set_last_id(StreamId { ms: 9, seq: 0 }, Some(u64::MAX), None);
        let entry = Entry::object(b"key", Object::Stream(stream));
        let bytes = written(&entry, Version::V80, Compression::Off);
        let mut read = read_all(&bytes, Dialect::Valkey).unwrap();
        let Some(Object::Stream(stream)) = read.object_mut() else { panic!("it is a stream") };
        stream.log_mut().append(StreamId { ms: 10, seq: 0 }, &[b"n", b"v"], LIMITS.stream);
        assert_eq!(stream.log().entries_added(), 0, "as in Valkey");
    }

    /// Three texts an entry, some deleted, some pending.
    fn stream_of(texts: &[Vec<u8>]) -> Stream {
        let id = |at: usize| StreamId { ms: 1 + at as u64 / 2, seq: 5 - 2 * (at as u64 % 2) };
        let id = |at: usize| StreamId { seq: 9 - id(at).seq, ..id(at) };
        let mut stream = Stream::default();
        for (at, texts) in texts.chunks(3).enumerate() {
            let pairs: Vec<&[u8]> = texts.iter().flat_map(|text| [&b"name"[..], text]).collect();
            stream.log_mut().append(id(at), &pairs, LIMITS.stream);
        }
        stream.log_mut().delete([id(1), id(2)].into_iter());
        for (name, text) in [&b"one"[..], b"2"].iter().zip(texts) {
            let mut group = Group::new(id(3), (text.len() < 3).then_some(7));
            let consumers = [group.create(text, UnixMs(5)), group.create(b"other one", UnixMs(6))];
            group.consumer_mut(consumers[0]).active = Some(UnixMs(7));
            for at in 0..texts.len() / 3 {
                let (consumer, delivered) = (consumers[at % 2], UnixMs(at as u64));
                group.deliver(id(at), Pending { consumer, delivered, deliveries: 1 });
            }
            stream.add_group(name, group);
        }
        stream
    }

    fn compression() -> impl Strategy<Value = Compression> {
        prop_oneof![Just(Compression::Off), Just(Compression::Lzf)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            texts in texts(), which in 0u8..8, compression in compression(), size in 1usize..50
        ) {
            let entry = object_of(&texts, which);
            for version in [Version::V10, Version::V11, Version::V80] {
                let Some(kind) = kind(&entry.value(), version) else {
                    prop_assert!(which == 5 && version < Version::V80);
                    continue;
                };
                let bytes = written(&entry, version, compression);
                prop_assert_eq!(bytes[0], kind.code());
                let again = read_all(&bytes, Dialect::Valkey).unwrap();
                if which == 7 && version == Version::V10 {
                    // It does not say when consumers were active.
                    prop_assert_eq!(written(&again, version, compression), bytes);
                    continue;
                }
                prop_assert_eq!(plain(&again), plain(&entry));
                if which == 0 {
                    prop_assert_eq!(again.encoding(), entry.encoding());
                }

                // In pieces it is the same, and so is what lies there.
                let pieces = || Pieces { bytes: &bytes[1..], size, at: 0 };
                let mut reader = Reader::summing(pieces());
                let in_pieces = read(&mut reader, kind, &rules()).unwrap().into_entry(b"key");
                prop_assert_eq!(plain(&in_pieces), plain(&entry));
                prop_assert_eq!(reader.offset(), bytes.len() as u64 - 1);
                prop_assert_eq!(reader.sum(), Some(crate::base::crc64::crc64(0, &bytes[1..])));
                let mut reader = Reader::new(pieces());
                reader.start_copy(vec![7]);
                skip(&mut reader, kind).unwrap();
                prop_assert_eq!(reader.end_copy(), [&[7], &bytes[1..]].concat());
                prop_assert!(reader.rest().is_empty());
            }
        }

        #[test]
        fn no_part_of_a_value_is_a_value(
            texts in texts(), which in 0u8..8, compression in compression()
        ) {
            let bytes = written(&object_of(&texts, which), Version::V80, compression);
            for length in 0..bytes.len().min(300) {
                prop_assert!(read_all(&bytes[..length], Dialect::Valkey).is_err(), "{}", length);
            }
            prop_assert!(read_all(&[&bytes[..], b"x"].concat(), Dialect::Valkey).is_err());
        }

        #[test]
        fn damage_is_refused_or_makes_another_value(
            texts in texts(), which in 0u8..8, compression in compression(),
            kinds in prop::collection::vec(0u8..30, 3)
        ) {
            let bytes = written(&object_of(&texts, which), Version::V80, compression);
            let check = |bytes: &[u8]| for dialect in [Dialect::Valkey, Dialect::Redis] {
                let Ok(entry) = read_all(bytes, dialect) else { continue };
                let again = written(&entry, Version::V80, Compression::Off);
                let again = read_all(&again, Dialect::Valkey).unwrap();
                assert_eq!(plain(&again), plain(&entry));
            };
            for at in 0..bytes.len().min(100) {
                for bit in 0..8 {
                    let mut bad = bytes.clone();
                    bad[at] ^= 1 << bit;
                    check(&bad);
                }
            }
            for kind in kinds {
                check(&[&[kind], &bytes[1..]].concat());
            }
        }
    }
}
