//! A whole file: what stands around its values.
//!
//! ```text
//! REDISnnnn or VALKEYnnn          the version
//! FA name value                   an aux field; those that are unknown are skipped
//! FE number                       the database of what follows
//! FB keys, keys that expire       how many follow, as lengths
//! F4 slot, keys, keys that expire how many of this slot follow
//! F5 code                         a library of functions
//! FC i64, FD i32                  when the key that follows expires, in ms or s
//! F8 length, F9 byte              for how many seconds it was not used, or how often it was
//! kind key value                  a key
//! FF checksum                     the end; u64 LE, from version 5 on; 0 if there is none
//! ```
//! A [`File`] is asked for one event after the other. Of a key it tells what stands before the
//! value, which can then be read, taken as it lies (so that another reader may read it) or passed.

use alloc::vec::Vec;

use crate::base::time::UnixMs;
use crate::rdb::error::{Error, Problem};
use crate::rdb::kind::{Dialect, Kind, Version};
use crate::rdb::reader::{Reader, Source};
use crate::rdb::value::{self, Detached, Rules, module_name};
use crate::rdb::writer::{Sink, Writer};

const SLOT_IMPORT: u8 = 243;
const SLOT_INFO: u8 = 244;
const FUNCTION: u8 = 245;
const OLD_FUNCTION: u8 = 246;
const MODULE_AUX: u8 = 247;
const IDLE: u8 = 248;
const FREQUENCY: u8 = 249;
const AUX: u8 = 250;
const RESIZE_DB: u8 = 251;
const EXPIRE_MS: u8 = 252;
const EXPIRE_SECONDS: u8 = 253;
const SELECT_DB: u8 = 254;
const EOF: u8 = 255;

/// Slots in a cluster: no range of them is longer.
const SLOTS: u64 = 16_384;
/// From which version on there is a checksum.
const CHECKSUM_SINCE: u32 = 5;

/// Who wrote a file, and in which version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version.
    pub version: u32,
    /// Whose meaning of kinds it follows.
    pub dialect: Dialect,
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Something about the file: `redis-bits`, `repl-id` ...
    Aux {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// What follows belongs to this database.
    SelectDb(u64),
    /// How many keys follow.
    ResizeDb {
        /// All keys of the database.
        keys: u64,
        /// Those of them that expire.
        volatile: u64,
    },
    /// How many keys of a slot follow.
    Slot {
        /// The slot.
        slot: u64,
        /// All keys of it.
        keys: u64,
        /// Those of them that expire.
        volatile: u64,
    },
    /// Slots were on their way to the node that wrote the file.
    SlotImport {
        /// What their journey was called.
        name: Vec<u8>,
        /// First and last slots.
        ranges: Vec<(u64, u64)>,
    },
    /// A library of functions: its code.
    Function(Vec<u8>),
    /// A key. Its value is next.
    Key(Key),
    /// All of it was read.
    End(Checksum),
}

/// What stands before a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: Vec<u8>,
    /// What the value is.
    pub kind: Kind,
    /// When it expires.
    pub expire: Option<UnixMs>,
    /// For how many seconds it was not used.
    pub idle_seconds: Option<u64>,
    /// How often it was used, on a logarithmic scale.
    pub frequency: Option<u8>,
}

/// What the checksum of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It is right.
    Right,
    /// The writer of the file made none, or its reader does not care.
    Unknown,
}

/// A file that is being read.
#[derive(Debug)]
pub struct File<S> {
    reader: Reader<S>,
    header: Header,
    /// The value that is next.
    pending: Option<Kind>,
    has_ended: bool,
}

/// What stands before a key and is told together with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// When it expires.
    pub expire: Option<UnixMs>,
    /// For how many seconds it was not used.
    pub idle_seconds: Option<u64>,
    /// How often it was used, on a logarithmic scale.
    pub frequency: Option<u8>,
}

impl<S: Source> File<S> {
    /// Reads the header. With a reader that keeps the checksum, that is held against the file's.
    ///
    /// # Errors
    /// If it is no such file, or of a version that is not known. Versions 12 to 79 are Redis's own:
    /// it is for the caller to say whether they are welcome.
    pub fn open(mut reader: Reader<S>) -> Result<Self, Error> {
        let magic = reader.array::<9>()?;
        let (digits, is_redis) = match magic {
            [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (digits, true),
            [b'V', b'A', b'L', b'K', b'E', b'Y', a, b, c] => ([b'0', a, b, c], false),
            _ => return Err(reader.error(Problem::Header)),
        };
        let version = digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        });
        let version = version.ok_or_else(|| reader.error(Problem::Header))?;
        let dialect = Dialect::of(version).filter(|_| is_redis == (version < 80));
        let dialect = dialect.ok_or_else(|| reader.error(Problem::Version(version)))?;
        let header = Header { version, dialect };
        Ok(Self { reader, header, pending: None, has_ended: false })
    }

    /// What the file begins with.
    pub fn header(&self) -> Header {
        self.header
    }

    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// Where the bytes come from.
    pub fn source(&self) -> &S {
        self.reader.source()
    }

    /// The reader, to look at what is behind the end.
    pub fn into_reader(self) -> Reader<S> {
        self.reader
    }

    /// Returns what comes next, and passes a value that the caller did not ask for. `None` behind
    /// the end.
    ///
    /// # Errors
    /// What is wrong. There is no use in asking for more then, except after [`Problem::Empty`].
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        self.skip_value()?;
        if self.has_ended {
            return Ok(None);
        }
        let mut attributes = Attributes::default();
        loop {
            let code = self.reader.byte()?;
            if !attributes.read(code, &mut self.reader)? {
                return self.event(code, attributes).map(Some);
            }
        }
    }

    /// Reads the value of the key that was told last.
    ///
    /// # Errors
    /// What is wrong with it.
    ///
    /// # Panics
    /// If there is none, or if it was read already.
    pub fn value(&mut self, rules: &Rules) -> Result<Detached, Error> {
        let kind = self.pending.take().expect("a value follows a key, once");
        value::read(&mut self.reader, kind, rules)
    }

    /// Appends the value of the key that was told last as it lies there, for another reader.
    ///
    /// # Errors
    /// If it does not end.
    ///
    /// # Panics
    /// If there is none, or if it was read already.
    pub fn raw_value(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let kind = self.pending.take().expect("a value follows a key, once");
        self.reader.start_copy(core::mem::take(out));
        let skipped = value::skip(&mut self.reader, kind);
        *out = self.reader.end_copy();
        skipped
    }

    fn skip_value(&mut self) -> Result<(), Error> {
        match self.pending.take() {
            Some(kind) => value::skip(&mut self.reader, kind),
            None => Ok(()),
        }
    }

    fn event(&mut self, code: u8, attributes: Attributes) -> Result<Event, Error> {
        let reader = &mut self.reader;
        Ok(match code {
            AUX => Event::Aux { name: reader.blob()?, value: reader.blob()? },
            SELECT_DB => Event::SelectDb(reader.length()?),
            RESIZE_DB => Event::ResizeDb { keys: reader.length()?, volatile: reader.length()? },
            SLOT_INFO => Event::Slot {
                slot: reader.length()?,
                keys: reader.length()?,
                volatile: reader.length()?,
            },
            SLOT_IMPORT => Event::SlotImport { name: reader.blob()?, ranges: ranges(reader)? },
            FUNCTION => Event::Function(reader.blob()?),
            OLD_FUNCTION => return Err(reader.error(Problem::OldFunctions)),
            MODULE_AUX => {
                let name = module_name(reader.length()?);
                return Err(reader.error(Problem::Module(name)));
            }
            EOF => Event::End(self.end()?),
            _ => {
                let kind = Kind::of(code, self.header.dialect);
                let is_known =
                    |kind: &Kind| kind.since() < Version::V80 || 11 < self.header.version;
                let kind = kind.filter(is_known);
                let kind = kind.ok_or_else(|| reader.error(Problem::Kind(code)))?;
                let Attributes { expire, idle_seconds, frequency } = attributes;
                let mut name = Vec::new();
                reader.argument(&mut name)?;
                self.pending = Some(kind);
                Event::Key(Key { name, kind, expire, idle_seconds, frequency })
            }
        })
    }

    fn end(&mut self) -> Result<Checksum, Error> {
        self.has_ended = true;
        if self.header.version < CHECKSUM_SINCE {
            return Ok(Checksum::Unknown);
        }
        let sum = self.reader.sum();
        let expected = u64::from_le_bytes(self.reader.array()?);
        match sum {
            Some(sum) if expected != 0 && sum != expected => {
                Err(self.reader.error(Problem::Checksum))
            }
            Some(_) if expected != 0 => Ok(Checksum::Right),
            Some(_) | None => Ok(Checksum::Unknown),
        }
    }
}

impl Attributes {
    /// Reads what this code begins; false if it begins something else.
    #[inline]
    pub(super) fn read<S: Source>(
        &mut self,
        code: u8,
        reader: &mut Reader<S>,
    ) -> Result<bool, Error> {
        match code {
            EXPIRE_MS => self.expire = unix_ms(reader.fixed()?),
            EXPIRE_SECONDS => {
                let seconds = i64::from(i32::from_le_bytes(reader.array()?));
                self.expire = unix_ms(seconds * 1000);
            }
            IDLE => self.idle_seconds = Some(reader.length()?),
            FREQUENCY => self.frequency = Some(reader.byte()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// An expiry as files have it: -1 is none, what else is below zero has long passed.
fn unix_ms(at: i64) -> Option<UnixMs> {
    (at != -1).then(|| UnixMs(u64::try_from(at).unwrap_or(0)))
}

fn ranges<S: Source>(reader: &mut Reader<S>) -> Result<Vec<(u64, u64)>, Error> {
    let count = reader.length()?;
    if SLOTS < count {
        return Err(reader.error(Problem::Length));
    }
    (0..count).map(|_| Ok((reader.length()?, reader.length()?))).collect()
}

impl<S: Sink> Writer<'_, S> {
    /// What a file begins with.
    pub fn header(&mut self) {
        self.sink.put(match self.version() {
            Version::V10 => b"REDIS0010",
            Version::V11 => b"REDIS0011",
            Version::V80 => b"VALKEY080",
        });
    }

    /// An aux field.
    pub fn aux(&mut self, name: &str, value: &[u8]) {
        self.byte(AUX);
        self.text(name.as_bytes());
        self.text(value);
    }

    /// A library of functions.
    pub fn function(&mut self, code: &[u8]) {
        self.byte(FUNCTION);
        self.text(code);
    }

    /// That a database begins, and how many keys it has, and how many of them expire.
    pub fn database(&mut self, index: u64, keys: u64, volatile: u64) {
        self.byte(SELECT_DB);
        self.length(index);
        self.byte(RESIZE_DB);
        self.length(keys);
        self.length(volatile);
    }

    /// When the key that follows expires.
    pub fn expire(&mut self, at: UnixMs) {
        self.byte(EXPIRE_MS);
        self.fixed(i64::try_from(at.0).unwrap_or(i64::MAX));
    }

    /// For how many seconds the key that follows was not used.
    pub fn idle(&mut self, seconds: u64) {
        self.byte(IDLE);
        self.length(seconds);
    }

    /// How often the key that follows was used, on a logarithmic scale.
    pub fn frequency(&mut self, counter: u8) {
        self.sink.put(&[FREQUENCY, counter]);
    }

    /// That nothing follows. Behind it belongs the checksum of all that was written, this included,
    /// as u64 LE; or 0.
    pub fn end(&mut self) {
        self.byte(EOF);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc64::crc64;
    use crate::base::hash::HashSeed;
    use crate::encodings::entry::{Entry, Value};
    use crate::rdb::writer::Compression;
    use crate::types::limits::Limits;
    use crate::types::object::Object;

    const RULES: Rules = Rules { limits: Limits::DEFAULT, seed: HashSeed(1) };

    fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = crc64(0, &bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// A file with one of each that can be written.
    fn written(version: Version) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, version, Compression::Lzf);
        writer.header();
        writer.aux("keylane-ver", b"1.2.3");
        writer.function(b"code");
        writer.database(3, 2, 1);
        for (name, expire) in [(&b"a"[..], Some(UnixMs(5))), (b"b", None)] {
            let entry = Entry::<Object>::string(name, b"value");
            if let Some(at) = expire {
                writer.expire(at);
                writer.idle(70);
            } else {
                writer.frequency(200);
            }
            writer.kind(value::kind(&entry.value(), version).unwrap());
            writer.text(name);
            value::write(&mut writer, &entry.value());
        }
        writer.end();
        with_checksum(out)
    }

    fn events(bytes: &[u8]) -> Result<Vec<Event>, Error> {
        let mut file = File::open(Reader::summing(bytes))?;
        let mut events = Vec::new();
        while let Some(event) = file.next_event()? {
            events.push(event);
        }
        assert_eq!(file.next_event(), Ok(None));
        Ok(events)
    }

    fn problem(bytes: &[u8]) -> Problem {
        events(bytes).unwrap_err().problem
    }

    #[test]
    fn what_is_written_is_told_in_order() {
        for (version, magic) in [
            (Version::V10, b"REDIS0010"),
            (Version::V11, b"REDIS0011"),
            (Version::V80, b"VALKEY080"),
        ] {
            let bytes = written(version);
            assert!(bytes.starts_with(magic));
            let key = |name: &[u8], expire, idle_seconds, frequency| {
                let (name, kind) = (name.to_vec(), Kind::String);
                Event::Key(Key { name, kind, expire, idle_seconds, frequency })
            };
            let expected = [
                Event::Aux { name: b"keylane-ver".to_vec(), value: b"1.2.3".to_vec() },
                Event::Function(b"code".to_vec()),
                Event::SelectDb(3),
                Event::ResizeDb { keys: 2, volatile: 1 },
                key(b"a", Some(UnixMs(5)), Some(70), None),
                key(b"b", None, None, Some(200)),
                Event::End(Checksum::Right),
            ];
            assert_eq!(events(&bytes), Ok(expected.into()));
            for length in 0..bytes.len() {
                assert_eq!(problem(&bytes[..length]), Problem::Truncated, "{length}");
            }
            for at in 9..bytes.len() {
                let mut bad = bytes.clone();
                bad[at] ^= 0x10;
                assert!(events(&bad).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn values_are_read_or_taken_or_passed() {
        let bytes = written(Version::V11);
        let mut file = File::open(Reader::new(&*bytes)).unwrap();
        let mut taken = Vec::new();
        while let Some(event) = file.next_event().unwrap() {
            match event {
                Event::Key(key) if key.name == b"a" => {
                    let entry = file.value(&RULES).unwrap().into_entry(&key.name);
                    assert!(matches!(entry.value(), Value::Bytes(b"value")));
                }
                Event::Key(_) => file.raw_value(&mut taken).unwrap(),
                Event::End(checksum) => assert_eq!(checksum, Checksum::Unknown),
                _ => {}
            }
        }
        assert_eq!(taken, b"\x05value");
        assert_eq!(file.offset(), bytes.len() as u64);
    }

    #[test]
    fn what_others_write_besides_is_understood() {
        let body = b"REDIS0011\xf3\x04name\x02\0\x05\x07\x40\x64\xf4\x01\x02\x03\
            \xfd\x05\0\0\0\x00\x01k\x01v\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01k\x01v\
            \xfc\xfe\xff\xff\xff\xff\xff\xff\xff\x00\x01k\x01v\xff";
        let seen = events(&with_checksum(body.to_vec())).unwrap();
        let name = b"name".to_vec();
        let ranges = [(0, 5), (7, 100)].into();
        assert_eq!(seen[0], Event::SlotImport { name, ranges });
        assert_eq!(seen[1], Event::Slot { slot: 1, keys: 2, volatile: 3 });
        let expiries: Vec<_> = seen
            .iter()
            .filter_map(|event| if let Event::Key(key) = event { Some(key.expire) } else { None })
            .collect();
        assert_eq!(expiries, [Some(UnixMs(5000)), None, Some(UnixMs(0))]);
        // Without a checksum, be it that there was none yet.
        let unsigned = [&body[..], &[0; 8]].concat();
        assert_eq!(events(&unsigned).unwrap().pop(), Some(Event::End(Checksum::Unknown)));
        let old = events(b"REDIS0004\x00\x01k\x01v\xff").unwrap();
        assert_eq!(old.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cases: [(&[u8], Problem); 12] = [
            (b"RADIS0011", Problem::Header),
            (b"REDIS001a", Problem::Header),
            (b"REDIS0000", Problem::Version(0)),
            (b"REDIS0080", Problem::Version(80)),
            (b"VALKEY011", Problem::Version(11)),
            (b"REDIS0011\xf6", Problem::OldFunctions),
            (b"REDIS0011\xf7\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03", module("ReJSON-RL")),
            (b"REDIS0011\x07\x01k\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03", module("ReJSON-RL")),
            (b"REDIS0011\x16", Problem::Kind(22)),
            (b"VALKEY080\x18", Problem::Kind(24)),
            (b"REDIS0012\x16", Problem::Kind(22)),
            (b"REDIS0011\x08", Problem::Kind(8)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(problem(bytes), expected, "{}", bytes.escape_ascii());
        }
        let bad = [&b"REDIS0011\xff"[..], &[1; 8]].concat();
        assert_eq!(problem(&bad), Problem::Checksum);
        let text = events(b"REDIS0011\x08").unwrap_err();
        assert_eq!(alloc::format!("{text}"), "at offset 10: a value of the unknown kind 8");
    }

    fn module(name: &str) -> Problem {
        Problem::Module(name.into())
    }
}
