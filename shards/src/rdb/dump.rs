//! What DUMP gives and RESTORE takes: a value with a version and a checksum behind it.

use alloc::vec::Vec;

use crate::base::crc64::crc64;
use crate::encodings::entry::Value;
use crate::rdb::error::{Error, Problem};
use crate::rdb::kind::{Dialect, Kind, Version};
use crate::rdb::reader::Reader;
use crate::rdb::value::{self, Detached, Rules};
use crate::rdb::writer::{Compression, Writer};
use crate::types::object::Object;

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// A dump of a value. It names the oldest version that knows its kind, so that Redis and older
/// Valkeys take it if they can.
pub fn dump(value: &Value<'_, Object>, compression: Compression) -> Vec<u8> {
    dump_as(value, Version::V80, compression)
}

/// A dump of a value that as many as possible can read. A stream tells no more than Redis 7.0
/// knows of it: it lacks when consumers were active last.
pub fn dump_for_all(value: &Value<'_, Object>, compression: Compression) -> Vec<u8> {
    let version = match value::kind(value, Version::V10) {
        Some(_) => Version::V10,
        None => value::lowest_version(value),
    };
    dump_as(value, version, compression)
}

fn dump_as(value: &Value<'_, Object>, version: Version, compression: Compression) -> Vec<u8> {
    let kind = value::kind(value, version).expect("the version holds the value");
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, version, compression);
    writer.kind(kind);
    value::write(&mut writer, value);
    out.extend_from_slice(&kind.since().number().to_le_bytes());
    let sum = crc64(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Which versions are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Those of which all is known.
    Known,
    /// All: what is in the others may happen to be known.
    All,
}

/// A dump whose version is taken and whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a> {
    bytes: &'a [u8],
    dialect: Dialect,
}

impl<'a> Dump<'a> {
    /// What DUMP gave, here or elsewhere.
    ///
    /// # Errors
    /// If it is too short, of a version that is not taken, or if its checksum is wrong.
    pub fn open(payload: &'a [u8], takes: Takes) -> Result<Self, Error> {
        let error = |problem| Error { offset: payload.len() as u64, problem };
        let checksum = payload.split_last_chunk::<CHECKSUM_BYTES>();
        let (signed, checksum) = checksum.ok_or_else(|| error(Problem::Truncated))?;
        let version = signed.split_last_chunk::<VERSION_BYTES>();
        let (bytes, version) = version.ok_or_else(|| error(Problem::Truncated))?;
        let version = u16::from_le_bytes(*version).into();
        let is_taken = takes == Takes::All || Dialect::knows(version);
        let dialect = Dialect::of(version).filter(|_| is_taken);
        let dialect = dialect.ok_or_else(|| error(Problem::Version(version)))?;
        if crc64(0, signed) != u64::from_le_bytes(*checksum) {
            return Err(error(Problem::Checksum));
        }
        Ok(Self { bytes, dialect })
    }

    /// The value in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn value(self, rules: &Rules) -> Result<Detached, Error> {
        let mut reader = Reader::new(self.bytes);
        let code = reader.byte()?;
        let kind = Kind::of(code, self.dialect);
        let kind = kind.ok_or_else(|| reader.error(Problem::Kind(code)))?;
        let value = value::read(&mut reader, kind, rules)?;
        if reader.rest().is_empty() { Ok(value) } else { Err(reader.error(Problem::Trailing)) }
    }
}
