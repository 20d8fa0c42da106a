//! How lengths, strings and numbers are read (see `writer.rs` for what they look like).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::base::crc64::crc64;
use crate::base::float::parse_f64;
use crate::base::number::{DIGITS_MAX, format_i64};
use crate::encodings::listpack;
use crate::rdb::error::{Error, Problem};
use crate::rdb::lzf::{self, Refused};

/// Bytes of a string for which memory is asked before they are seen.
const TRUSTED_BYTES_MAX: usize = 1 << 20;
/// Bytes of a listpack or the like: servers stop adding at 1 GiB.
const PACKED_BYTES_MAX: u64 = listpack::READ_BYTES_MAX as u64;
/// Bytes of a string that came to a server as an argument of a request: requests are shorter, and
/// entries and fields keep lengths of 32 bits.
const ARGUMENT_BYTES_MAX: u64 = u32::MAX as u64;

/// Where bytes come from: a slice, or pieces of something longer one after the other.
pub trait Source {
    /// The piece at hand.
    fn piece(&self) -> &[u8];

    /// Goes on to the next piece. An empty one is the end, or means that there was an error, which
    /// the source keeps.
    fn advance(&mut self);
}

impl Source for &[u8] {
    #[inline]
    fn piece(&self) -> &[u8] {
        self
    }

    fn advance(&mut self) {
        *self = &[];
    }
}

/// Reads from a source.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    /// Bytes of the piece at hand that were taken.
    at: usize,
    /// Bytes of all pieces before it.
    before: u64,
    /// The checksum of all that was taken, but for what is taken of this piece from a place on.
    sum: Option<(u64, usize)>,
    /// Likewise a copy of what was taken since the caller asked for it.
    copy: Option<(Vec<u8>, usize)>,
    /// A string as it lies there, before it is decompressed.
    compressed: Vec<u8>,
    /// A string of which something else is made.
    blob: Vec<u8>,
}

/// A length, or the code of a string that is encoded otherwise.
enum Length {
    Plain(u64),
    Encoded(u8),
}

impl<S: Source> Reader<S> {
    /// One that keeps no checksum.
    pub fn new(source: S) -> Self {
        let (compressed, blob) = (Vec::new(), Vec::new());
        Self { source, at: 0, before: 0, sum: None, copy: None, compressed, blob }
    }

    /// One that keeps the checksum of what was read.
    pub fn summing(source: S) -> Self {
        Self { sum: Some((0, 0)), ..Self::new(source) }
    }

    /// How many bytes were read.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The checksum of what was read, if it is kept.
    pub fn sum(&mut self) -> Option<u64> {
        self.settle();
        self.sum.map(|(sum, _)| sum)
    }

    /// The source. What is left of its piece is what [`Self::rest`] says.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// What is left of the piece at hand, or all of the next one: nothing at the end only.
    #[inline]
    pub fn rest(&mut self) -> &[u8] {
        if self.at == self.source.piece().len() {
            self.next_piece();
        }
        &self.source.piece()[self.at..]
    }

    /// From now on, also appends what is read to `copy`.
    pub fn start_copy(&mut self, copy: Vec<u8>) {
        self.copy = Some((copy, self.at));
    }

    /// Ends that, and gives the copy back.
    pub fn end_copy(&mut self) -> Vec<u8> {
        self.settle();
        self.copy.take().map(|(copy, _)| copy).unwrap_or_default()
    }

    /// That something here is wrong.
    #[cold]
    pub fn error(&self, problem: Problem) -> Error {
        Error { offset: self.offset(), problem }
    }

    /// Reads as many bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if let Some(bytes) = self.rest().first_chunk().copied() {
            self.at += N;
            return Ok(bytes);
        }
        let mut bytes = [0; N];
        for byte in &mut bytes {
            let Some(next) = self.rest().first() else {
                return Err(self.error(Problem::Truncated));
            };
            *byte = *next;
            self.at += 1;
        }
        Ok(bytes)
    }

    /// Reads a byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    /// Reads a length, or a number above zero that is small as a rule.
    #[inline]
    pub fn length(&mut self) -> Result<u64, Error> {
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(self.error(Problem::Length)),
        }
    }

    /// Reads how many elements follow. Callers reserve nothing for so many: the reader has not seen
    /// them.
    pub fn count(&mut self) -> Result<usize, Error> {
        let count = self.length()?;
        usize::try_from(count).map_err(|_| self.error(Problem::Length))
    }

    /// Reads how many elements of a collection follow, which is one at least.
    pub fn count_of_some(&mut self) -> Result<usize, Error> {
        match self.count()? {
            0 => Err(self.error(Problem::Empty)),
            count => Ok(count),
        }
    }

    /// Reads a string into `out`, in place of what is there.
    #[inline]
    pub fn text(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.text_up_to(u64::MAX, out)
    }

    /// Reads a key, a field, a field's value, a member or a name, as [`Self::text`] does. A longer
    /// one than a request can bring is refused by what is said of its length.
    #[inline]
    pub fn argument(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.text_up_to(ARGUMENT_BYTES_MAX, out)
    }

    #[inline]
    fn text_up_to(&mut self, bytes_max: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        out.clear();
        match self.length_or_encoding()? {
            Length::Plain(length) if length <= bytes_max => self.bytes(length, out),
            Length::Plain(_) => Err(self.error(Problem::Length)),
            Length::Encoded(code) => self.encoded(code, bytes_max, out),
        }
    }

    /// Reads a listpack or the like and makes something of it, which spares a buffer of its own.
    pub fn with_blob<T>(&mut self, make: impl FnOnce(&[u8]) -> T) -> Result<T, Error> {
        let mut bytes = core::mem::take(&mut self.blob);
        let read = self.text_up_to(PACKED_BYTES_MAX, &mut bytes);
        let made = read.map(|()| make(&bytes));
        self.blob = kept(bytes);
        made
    }

    /// Reads a string into a buffer of its own.
    pub fn blob(&mut self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.text(&mut out).map(|()| out)
    }

    /// Reads past a string.
    pub fn skip_text(&mut self) -> Result<(), Error> {
        let length = match self.length_or_encoding()? {
            Length::Plain(length) => length,
            Length::Encoded(code @ 0..=2) => 1 << code,
            Length::Encoded(3) => {
                let length = self.length()?;
                self.length()?;
                length
            }
            Length::Encoded(_) => return Err(self.error(Problem::Length)),
        };
        self.skip(length)
    }

    /// Reads past as many bytes.
    pub fn skip(&mut self, count: u64) -> Result<(), Error> {
        let mut left = count;
        while 0 < left {
            let here = self.rest().len();
            let part = usize::try_from(left).map_or(here, |left| left.min(here));
            if part == 0 {
                return Err(self.error(Problem::Truncated));
            }
            self.at += part;
            left -= part as u64;
        }
        Ok(())
    }

    /// Reads a number of 64 bits.
    #[inline]
    pub fn fixed(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_le_bytes)
    }

    /// Reads a number with a fraction.
    #[inline]
    pub fn double(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_le_bytes)
    }

    /// Reads a number with a fraction in decimal, its length before it, or what stands for an
    /// infinity or for no number.
    pub fn decimal(&mut self) -> Result<f64, Error> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            length => {
                let mut text = Vec::new();
                self.bytes(length.into(), &mut text)?;
                parse_f64(&text).ok_or_else(|| self.error(Problem::Score))
            }
        }
    }

    #[inline]
    fn length_or_encoding(&mut self) -> Result<Length, Error> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3F);
        Ok(Length::Plain(match first {
            0x00..0x40 => low,
            0x40..0x80 => low << 8 | u64::from(self.byte()?),
            0x80 => u32::from_be_bytes(self.array()?).into(),
            0x81 => u64::from_be_bytes(self.array()?),
            0x82..0xC0 => return Err(self.error(Problem::Length)),
            0xC0.. => return Ok(Length::Encoded(first & 0x3F)),
        }))
    }

    fn encoded(&mut self, code: u8, bytes_max: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        let number = match code {
            0 => i8::from_le_bytes(self.array()?).into(),
            1 => i16::from_le_bytes(self.array()?).into(),
            2 => i32::from_le_bytes(self.array()?).into(),
            3 => return self.compressed(bytes_max, out),
            _ => return Err(self.error(Problem::Length)),
        };
        out.extend_from_slice(format_i64(&mut [0; DIGITS_MAX], number));
        Ok(())
    }

    fn compressed(&mut self, bytes_max: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        let length = self.length()?;
        let whole = self.count()?;
        if bytes_max < whole as u64 {
            return Err(self.error(Problem::Length));
        }
        let mut compressed = core::mem::take(&mut self.compressed);
        compressed.clear();
        let read = self.bytes(length, &mut compressed).and_then(|()| {
            lzf::decompress(&compressed, whole, out).map_err(|refused| {
                self.error(match refused {
                    Refused::Damaged => Problem::Compression,
                    Refused::Memory => Problem::Memory,
                })
            })
        });
        self.compressed = kept(compressed);
        read
    }

    /// Appends as many bytes. Memory is asked for as they come, but for a little.
    #[inline]
    fn bytes(&mut self, length: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        let length = usize::try_from(length).map_err(|_| self.error(Problem::Length))?;
        let mut left = length;
        let here = self.rest().len();
        let trusted = length.min(here.max(TRUSTED_BYTES_MAX));
        out.try_reserve(trusted).map_err(|_| self.error(Problem::Memory))?;
        while 0 < left {
            let here = self.rest();
            let part = left.min(here.len());
            let reserved = out.try_reserve(part);
            if reserved.is_ok() {
                out.extend_from_slice(&here[..part]);
            }
            match (part, reserved) {
                (0, _) => return Err(self.error(Problem::Truncated)),
                (_, Err(_)) => return Err(self.error(Problem::Memory)),
                (_, Ok(())) => self.at += part,
            }
            left -= part;
        }
        Ok(())
    }

    #[cold]
    fn next_piece(&mut self) {
        self.settle();
        self.before += self.at as u64;
        self.at = 0;
        self.sum = self.sum.map(|(sum, _)| (sum, 0));
        if let Some((_, from)) = &mut self.copy {
            *from = 0;
        }
        self.source.advance();
    }

    /// Brings checksum and copy up to date: in long pieces, which is faster.
    fn settle(&mut self) {
        let piece = &self.source.piece()[..self.at];
        if let Some((sum, from)) = &mut self.sum {
            *sum = crc64(*sum, &piece[*from..]);
            *from = piece.len();
        }
        if let Some((copy, from)) = &mut self.copy {
            copy.extend_from_slice(&piece[*from..]);
            *from = piece.len();
        }
    }
}

impl<'a> Reader<&'a [u8]> {
    /// Reads a string, which is borrowed unless it lies there in another form.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn text_in_place(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.in_place(u64::MAX)
    }

    /// Likewise a key: see [`Self::argument`].
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn argument_in_place(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.in_place(ARGUMENT_BYTES_MAX)
    }

    #[inline]
    fn in_place(&mut self, bytes_max: u64) -> Result<Cow<'a, [u8]>, Error> {
        match self.length_or_encoding()? {
            Length::Plain(length) if length <= bytes_max => {
                let rest: &'a [u8] = &self.source[self.at..];
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some(text) = rest.get(..length) else {
                    return Err(self.error(Problem::Truncated));
                };
                self.at += length;
                Ok(Cow::Borrowed(text))
            }
            Length::Plain(_) => Err(self.error(Problem::Length)),
            Length::Encoded(code) => {
                let mut out = Vec::new();
                self.encoded(code, bytes_max, &mut out)?;
                Ok(Cow::Owned(out))
            }
        }
    }
}

/// A buffer to use again, unless it is long.
fn kept(buffer: Vec<u8>) -> Vec<u8> {
    if buffer.capacity() <= TRUSTED_BYTES_MAX { buffer } else { Vec::new() }
}
