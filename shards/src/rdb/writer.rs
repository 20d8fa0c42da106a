//! How lengths, strings and numbers are written.
//!
//! ```text
//! 00LLLLLL                        a length of 6 bits
//! 01LLLLLL LLLLLLLL               a length of 14 bits
//! 80, 81                          lengths of 32 and 64 bits follow, BE
//! C0, C1, C2                      a string that is a number of 8, 16 or 32 bits, LE
//! C3 length length bytes          a string that is compressed (see `lzf.rs`), and its own length
//! ```

use alloc::vec::Vec;

use crate::base::number::{DIGITS_MAX, format_i64, parse_i64};
use crate::encodings::listpack::Element;
use crate::rdb::kind::{Kind, Version};
use crate::rdb::lzf::Compressor;

/// Numbers of up to 32 bits are no longer than this in text.
const NUMBER_BYTES_MAX: usize = 11;
/// Shorter strings are not worth the trouble.
const COMPRESSED_BYTES_MIN: usize = 21;
/// How many bytes compression has to spare.
const SPARED_BYTES_MIN: usize = 4;

/// Where bytes go.
pub trait Sink {
    /// Takes some more. One that cannot take them remembers why, and takes no more.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What becomes of long strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// They stay as they are.
    Off,
    /// They are compressed, if that makes them shorter.
    Lzf,
}

/// Writes to a sink.
#[derive(Debug)]
pub struct Writer<'s, S> {
    /// Where to.
    pub sink: &'s mut S,
    version: Version,
    compressor: Option<Compressor>,
    compressed: Vec<u8>,
}

impl<'s, S: Sink> Writer<'s, S> {
    /// One that writes what readers of `version` understand.
    pub fn new(sink: &'s mut S, version: Version, compression: Compression) -> Self {
        let compressor = match compression {
            Compression::Off => None,
            Compression::Lzf => Some(Compressor::default()),
        };
        Self { sink, version, compressor, compressed: Vec::new() }
    }

    /// For readers of which version it writes.
    pub fn version(&self) -> Version {
        self.version
    }

    /// From now on it writes for readers of another version.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// The kind of the value that follows.
    pub fn kind(&mut self, kind: Kind) {
        self.byte(kind.code());
    }

    /// A byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.sink.put(&[byte]);
    }

    /// A length, or a number above zero that is small as a rule.
    #[inline]
    pub fn length(&mut self, length: u64) {
        let bytes = length.to_be_bytes();
        let [.., high, low] = bytes;
        match length {
            0..0x40 => self.sink.put(&[low]),
            0x40..0x4000 => self.sink.put(&[0x40 | high, low]),
            0x4000..=0xFFFF_FFFF => {
                self.byte(0x80);
                self.sink.put(&bytes[4..]);
            }
            _ => {
                self.byte(0x81);
                self.sink.put(&bytes);
            }
        }
    }

    /// How many elements follow.
    #[inline]
    pub fn count(&mut self, count: usize) {
        self.length(count as u64);
    }

    /// A string.
    #[inline]
    pub fn text(&mut self, bytes: &[u8]) {
        if bytes.len() <= NUMBER_BYTES_MAX
            && let Some(number) = parse_i64(bytes)
            && self.small_number(number)
        {
            return;
        }
        self.blob(bytes);
    }

    /// A string that is no number.
    pub fn blob(&mut self, bytes: &[u8]) {
        if COMPRESSED_BYTES_MIN <= bytes.len()
            && let Some(compressor) = &mut self.compressor
        {
            self.compressed.clear();
            let bytes_max = bytes.len() - SPARED_BYTES_MIN;
            if compressor.compress(bytes, &mut self.compressed, bytes_max) {
                self.byte(0xC3);
                self.count(self.compressed.len());
                self.count(bytes.len());
                self.sink.put(&self.compressed);
                return;
            }
        }
        self.count(bytes.len());
        self.sink.put(bytes);
    }

    /// A string that is a number.
    pub fn number(&mut self, number: i64) {
        if !self.small_number(number) {
            self.blob(format_i64(&mut [0; DIGITS_MAX], number));
        }
    }

    /// A string that was an element of a collection.
    #[inline]
    pub fn element(&mut self, element: Element<'_>) {
        match element {
            Element::Int(number) => self.number(number),
            Element::Bytes(bytes) => self.text(bytes),
        }
    }

    /// A number of 64 bits: a time in milliseconds.
    #[inline]
    pub fn fixed(&mut self, number: i64) {
        self.sink.put(&number.to_le_bytes());
    }

    /// A number with a fraction.
    #[inline]
    pub fn double(&mut self, number: f64) {
        self.sink.put(&number.to_le_bytes());
    }

    /// A number of up to 32 bits; false if it has more, and nothing was written.
    fn small_number(&mut self, number: i64) -> bool {
        if let Ok(number) = i8::try_from(number) {
            let [a] = number.to_le_bytes();
            self.sink.put(&[0xC0, a]);
        } else if let Ok(number) = i16::try_from(number) {
            let [a, b] = number.to_le_bytes();
            self.sink.put(&[0xC1, a, b]);
        } else if let Ok(number) = i32::try_from(number) {
            let [a, b, c, d] = number.to_le_bytes();
            self.sink.put(&[0xC2, a, b, c, d]);
        } else {
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_, Vec<u8>>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out, Version::V11, Compression::Lzf));
        out
    }

    #[test]
    fn lengths_and_numbers_take_the_fewest_bytes() {
        let lengths: [(u64, &[u8]); 7] = [
            (0, b"\0"),
            (63, b"\x3f"),
            (64, b"\x40\x40"),
            (16_383, b"\x7f\xff"),
            (16_384, b"\x80\0\0\x40\0"),
            (0xFFFF_FFFF, b"\x80\xff\xff\xff\xff"),
            (1 << 32, b"\x81\0\0\0\x01\0\0\0\0"),
        ];
        for (length, expected) in lengths {
            assert_eq!(written(|writer| writer.length(length)), expected, "{length}");
        }
        let texts: [(&[u8], &[u8]); 8] = [
            (b"", b"\0"),
            (b"-128", b"\xc0\x80"),
            (b"128", b"\xc1\x80\0"),
            (b"-32769", b"\xc2\xff\x7f\xff\xff"),
            (b"2147483647", b"\xc2\xff\xff\xff\x7f"),
            (b"2147483648", b"\x0a2147483648"),
            (b"01", b"\x0201"),
            (b"aaaaaaaaaaaaaaaaaaaa", b"\x14aaaaaaaaaaaaaaaaaaaa"),
        ];
        for (text, expected) in texts {
            assert_eq!(written(|writer| writer.text(text)), expected);
            assert_eq!(written(|writer| writer.element(Element::of(text))), expected);
        }
        assert_eq!(written(|writer| writer.text(&[b'a'; 21]))[..3], [0xC3, 5, 21]);
    }
}
