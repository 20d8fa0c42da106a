//! Records without a file around them: `[expiry] [use] kind key value`, one behind the other.
//!
//! All of them lie in one slice, so keys and strings are read where they lie.

use alloc::borrow::Cow;

use crate::encodings::entry::Entry;
use crate::rdb::error::{Error, Problem};
use crate::rdb::file::Attributes;
use crate::rdb::kind::{Dialect, Kind};
use crate::rdb::reader::Reader;
use crate::rdb::value::{self, Rules};
use crate::types::object::Object;

/// What stands before a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// What the value is.
    pub kind: Kind,
    /// What else is told of the key.
    pub attributes: Attributes,
}

impl<'a> Record<'a> {
    /// Reads what stands before the next value; `None` if there is none. The value is to be read or
    /// passed then.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn next(reader: &mut Reader<&'a [u8]>) -> Result<Option<Self>, Error> {
        let mut attributes = Attributes::default();
        if reader.rest().is_empty() {
            return Ok(None);
        }
        loop {
            let code = reader.byte()?;
            if attributes.read(code, reader)? {
                continue;
            }
            let kind = Kind::of(code, Dialect::Valkey);
            let kind = kind.ok_or_else(|| reader.error(Problem::Kind(code)))?;
            return Ok(Some(Self { key: reader.argument_in_place()?, kind, attributes }));
        }
    }

    /// Reads the value: the key's entry.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn entry(
        &self,
        reader: &mut Reader<&'a [u8]>,
        rules: &Rules,
    ) -> Result<Entry<Object>, Error> {
        let (key, expire) = (&*self.key, self.attributes.expire);
        let mut entry = if self.kind == Kind::String {
            match (reader.text_in_place()?, expire) {
                (Cow::Borrowed(bytes), None) => return Ok(Entry::string(key, bytes)),
                (Cow::Borrowed(bytes), Some(at)) => return Ok(Entry::string_until(key, bytes, at)),
                (Cow::Owned(bytes), _) => Entry::string_of(key, bytes),
            }
        } else {
            value::read(reader, self.kind, rules)?.into_entry(key)
        };
        entry.set_expire(expire);
        Ok(entry)
    }

    /// Reads past the value.
    ///
    /// # Errors
    /// If it has no end.
    pub fn pass(&self, reader: &mut Reader<&'a [u8]>) -> Result<(), Error> {
        value::skip(reader, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::base::number::DIGITS_MAX;
    use crate::base::time::UnixMs;
    use crate::rdb::kind::Version;
    use crate::rdb::writer::{Compression, Writer};
    use crate::types::limits::Limits;
    use alloc::vec::Vec;
    use alloc::{format, vec};

    const RULES: Rules = Rules { limits: Limits::DEFAULT, seed: HashSeed(1) };

    /// A key, a string, and when it expires.
    type Plain = (Vec<u8>, Vec<u8>, Option<UnixMs>);

    /// Records of strings: short ones, long ones, numbers and compressed ones.
    fn records(compression: Compression) -> (Vec<u8>, Vec<Plain>) {
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        let mut writer = Writer::new(&mut bytes, Version::V80, compression);
        let values = [vec![], b"-17".to_vec(), b"value".to_vec(), vec![b'x'; 300]];
        for (number, value) in values.into_iter().enumerate() {
            let key = if number == 1 { b"12".to_vec() } else { format!("key {number}").into() };
            let at = (number % 2 == 0).then_some(UnixMs(5 + number as u64));
            at.into_iter().for_each(|at| writer.expire(at));
            writer.frequency(7);
            writer.kind(Kind::String);
            writer.text(&key);
            writer.text(&value);
            wanted.push((key, value, at));
        }
        (bytes, wanted)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Plain>, Error> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while let Some(record) = Record::next(&mut reader)? {
            let entry = record.entry(&mut reader, &RULES)?;
            let found_at = (entry.key(), entry.expire(), record.attributes.frequency);
            assert_eq!(found_at, (&*record.key, record.attributes.expire, Some(7)));
            let value = entry.bytes(&mut [0; DIGITS_MAX]).unwrap().to_vec();
            found.push((record.key.into_owned(), value, record.attributes.expire));
        }
        Ok(found)
    }

    #[test]
    fn records_come_out_as_they_were_put_in() {
        for compression in [Compression::Off, Compression::Lzf] {
            let (bytes, wanted) = records(compression);
            assert_eq!(read(&bytes), Ok(wanted));
            let mut reader = Reader::new(bytes.as_slice());
            while let Some(record) = Record::next(&mut reader).unwrap() {
                record.pass(&mut reader).unwrap();
            }
            assert_eq!(reader.offset(), bytes.len() as u64);
        }
    }

    #[test]
    fn what_breaks_off_is_refused() {
        let (bytes, wanted) = records(Compression::Lzf);
        let whole = |len: usize| read(&bytes[..len]);
        let ends = (0..=bytes.len()).filter(|&len| whole(len).is_ok()).count();
        assert_eq!(ends, wanted.len() + 1);
        assert!(read(&[0xFE, 0]).is_err(), "a database has no place among records");
        assert!(read(&[0, 0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
    }
}
