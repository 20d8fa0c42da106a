//! One element of a listpack: how it lies in bytes.
//!
//! ```text
//! 0xxxxxxx                      a number of 7 bits, 0 to 127
//! 10LLLLLL bytes                a string of up to 63 bytes
//! 110xxxxx xxxxxxxx             a number of 13 bits, two's complement
//! 1110LLLL LLLLLLLL bytes       a string of up to 4095 bytes
//! F0 length: u32 LE, bytes      a longer string
//! F1, F2, F3, F4                numbers of 16, 24, 32, 64 bits, LE
//! FF                            the end of the listpack
//! ```
//! Behind each element stands how many bytes it has, to be read from its end: 7 bits a byte, the
//! lowest in the last; the top bit says that more stand before it.

#![expect(clippy::cast_possible_truncation, reason = "lengths are cut into their bytes")]

use alloc::vec::Vec;

use crate::base::number::{DIGITS_MAX, format_i64, parse_i64};

/// The byte behind the last element.
pub(super) const END: u8 = 0xFF;
const HEAD_BYTES_MAX: usize = 9;
const BACKLEN_BYTES_MAX: usize = 5;

/// An element: strings that are the shortest form of a number are kept as numbers.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    /// A number.
    Int(i64),
    /// Any other string.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element that stands for these bytes.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Self {
        parse_i64(bytes).map_or(Self::Bytes(bytes), Self::Int)
    }

    /// Its bytes: those of a number are written into `scratch`.
    #[inline]
    pub fn bytes<'s>(self, scratch: &'s mut [u8; DIGITS_MAX]) -> &'s [u8]
    where
        'a: 's,
    {
        match self {
            Self::Int(number) => format_i64(scratch, number),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Its bytes in a buffer of their own.
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut [0; DIGITS_MAX]).to_vec()
    }

    /// The number it is or spells, in the one way numbers are printed.
    #[inline]
    pub fn int(self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(number),
            Self::Bytes(bytes) => parse_i64(bytes),
        }
    }

    /// How many bytes the string has.
    pub fn len(self) -> usize {
        match self {
            Self::Int(_) => self.bytes(&mut [0; DIGITS_MAX]).len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl PartialEq<[u8]> for Element<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        match self {
            Self::Int(number) => parse_i64(other) == Some(*number),
            Self::Bytes(bytes) => *bytes == other,
        }
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        match other {
            Self::Int(number) => self.int() == Some(*number),
            Self::Bytes(bytes) => *self == **bytes,
        }
    }
}

impl Eq for Element<'_> {}

impl<'a> From<&'a [u8]> for Element<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::of(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Element<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::of(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Element<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::of(bytes)
    }
}

impl From<i64> for Element<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// A string to look for among elements: what number it spells is found out once.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    bytes: &'a [u8],
    int: Option<i64>,
}

impl<'a> Wanted<'a> {
    /// Elements that are these bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, int: parse_i64(bytes) }
    }

    /// Whether `element` is the one.
    #[inline]
    pub fn is(&self, element: Element<'_>) -> bool {
        match element {
            Element::Int(number) => self.int == Some(number),
            Element::Bytes(bytes) => self.bytes == bytes,
        }
    }
}

/// An element on its way into a listpack: three parts, one after the other.
pub(super) struct Encoded<'a> {
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    string: &'a [u8],
    back: [u8; BACKLEN_BYTES_MAX],
    back_bytes: usize,
}

impl<'a> Encoded<'a> {
    pub(super) fn of(element: Element<'a>) -> Self {
        let mut head = [0; HEAD_BYTES_MAX];
        let (head_bytes, string) = match element {
            Element::Int(number) => (put_int(&mut head, number), &[][..]),
            Element::Bytes(bytes) => (put_length(&mut head, bytes.len()), bytes),
        };
        let mut back = [0; BACKLEN_BYTES_MAX];
        let back_bytes = put_backlen(&mut back, head_bytes + string.len());
        Self { head, head_bytes, string, back, back_bytes }
    }

    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [&self.head[..self.head_bytes], self.string, &self.back[..self.back_bytes]]
    }
}

/// The whole length of an element, its length behind it included.
#[inline]
pub(super) fn encoded_bytes(element: Element<'_>) -> usize {
    let own = match element {
        Element::Int(number) => match number {
            0..=127 => 1,
            -4096..=4095 => 2,
            -0x8000..=0x7FFF => 3,
            -0x80_0000..=0x7F_FFFF => 4,
            -0x8000_0000..=0x7FFF_FFFF => 5,
            _ => 9,
        },
        Element::Bytes(bytes) => match bytes.len() {
            length @ 0..64 => 1 + length,
            length @ 64..4096 => 2 + length,
            length => 5 + length,
        },
    };
    own + backlen_bytes(own)
}

/// Writes an element to the beginning of `out`; says how long it is.
#[inline]
pub(super) fn encode(element: Element<'_>, out: &mut [u8]) -> usize {
    // Most are small numbers and short strings: two bytes around them.
    match element {
        Element::Int(number @ 0..=127) => {
            out[..2].copy_from_slice(&[number as u8, 1]);
            return 2;
        }
        Element::Bytes(bytes) if bytes.len() < 64 => {
            let length = bytes.len() as u8;
            out[0] = 0x80 | length;
            out[1..=bytes.len()].copy_from_slice(bytes);
            out[1 + bytes.len()] = 1 + length;
            return 2 + bytes.len();
        }
        Element::Int(_) | Element::Bytes(_) => {}
    }
    let encoded = Encoded::of(element);
    encoded.parts().iter().fold(0, |at, part| {
        out[at..at + part.len()].copy_from_slice(part);
        at + part.len()
    })
}

fn put_int(head: &mut [u8; HEAD_BYTES_MAX], number: i64) -> usize {
    let bytes = number.to_le_bytes();
    let (mark, wide) = match number {
        0..=127 => {
            head[0] = bytes[0];
            return 1;
        }
        -4096..=4095 => {
            head[0] = 0xC0 | bytes[1] & 0x1F;
            head[1] = bytes[0];
            return 2;
        }
        -0x8000..=0x7FFF => (0xF1, 2),
        -0x80_0000..=0x7F_FFFF => (0xF2, 3),
        -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
        _ => (0xF4, 8),
    };
    head[0] = mark;
    head[1..=wide].copy_from_slice(&bytes[..wide]);
    1 + wide
}

fn put_length(head: &mut [u8; HEAD_BYTES_MAX], length: usize) -> usize {
    match length {
        0..64 => {
            head[0] = 0x80 | length as u8;
            1
        }
        64..4096 => {
            head[0] = 0xE0 | (length >> 8) as u8;
            head[1] = length as u8;
            2
        }
        _ => {
            let length = u32::try_from(length).expect("a listpack is below 4 GiB");
            head[0] = 0xF0;
            head[1..5].copy_from_slice(&length.to_le_bytes());
            5
        }
    }
}

fn put_backlen(back: &mut [u8; BACKLEN_BYTES_MAX], bytes: usize) -> usize {
    let count = backlen_bytes(bytes);
    let mut left = bytes;
    for byte in back[1..count].iter_mut().rev() {
        *byte = left as u8 | 0x80;
        left >>= 7;
    }
    back[0] = left as u8;
    count
}

/// Bytes that the length behind an element of `bytes` bytes takes. The bounds are Valkey's, one
/// short of what would fit.
#[inline]
pub(super) const fn backlen_bytes(bytes: usize) -> usize {
    match bytes {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// The bytes of head and string of the element that `bytes` begin with; `None` if they cannot
/// begin an element.
#[inline]
fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    Some(match *bytes.first()? {
        0..=0x7F => (1, 0),
        length @ 0x80..=0xBF => (1, usize::from(length & 0x3F)),
        0xC0..=0xDF => (2, 0),
        high @ 0xE0..=0xEF => (2, usize::from(high & 0x0F) << 8 | usize::from(*bytes.get(1)?)),
        0xF0 => (5, u32::from_le_bytes(*bytes[1..].first_chunk()?) as usize),
        0xF1 => (3, 0),
        0xF2 => (4, 0),
        0xF3 => (5, 0),
        0xF4 => (9, 0),
        0xF5..=0xFF => return None,
    })
}

/// The whole length of the element that `bytes` begin with, its length behind it included.
#[inline]
pub(super) fn whole_bytes(bytes: &[u8]) -> usize {
    let (head, string) = extent(bytes).expect("listpacks are checked when they come in");
    head + string + backlen_bytes(head + string)
}

/// As [`whole_bytes`], of unchecked bytes: `None` if they are no whole element.
pub(super) fn checked_bytes(bytes: &[u8]) -> Option<usize> {
    let (head, string) = extent(bytes)?;
    let own = head + string;
    let mut back = [0; BACKLEN_BYTES_MAX];
    let back_bytes = put_backlen(&mut back, own);
    (bytes.get(own..own + back_bytes)? == &back[..back_bytes]).then_some(own + back_bytes)
}

/// Where the element begins that ends at `end` of `bytes`.
#[inline(always)]
pub(super) fn start_before(bytes: &[u8], end: usize) -> usize {
    let last = bytes[end - 1];
    if last < 0x80 { end - 1 - usize::from(last) } else { start_far_before(bytes, end) }
}

fn start_far_before(bytes: &[u8], end: usize) -> usize {
    let (mut at, mut length, mut shift) = (end, 0, 0u32);
    loop {
        at -= 1;
        length |= usize::from(bytes[at] & 0x7F) << shift;
        if bytes[at] & 0x80 == 0 {
            return at - length;
        }
        shift += 7;
    }
}

/// The element that `bytes` begin with.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> Element<'_> {
    step(bytes).0
}

/// The element that `bytes` begin with, and where the next one begins.
///
/// Short strings and small numbers are read inline, as is all that calls this for one element
/// after the other: elements stay in registers then. Handed on through memory they made a search
/// take 33 ns an element rather than 3.
#[inline(always)]
pub(super) fn step(bytes: &[u8]) -> (Element<'_>, usize) {
    let first = bytes[0];
    match first {
        0..=0x7F => (Element::Int(i64::from(first)), 2),
        0x80..=0xBF => {
            let end = 1 + usize::from(first & 0x3F);
            (Element::Bytes(&bytes[1..end]), end + 1)
        }
        0xC0..=0xFF => step_far(bytes),
    }
}

fn step_far(bytes: &[u8]) -> (Element<'_>, usize) {
    let first = bytes[0];
    match first {
        0xC0..=0xDF => {
            // Thirteen bits: the highest is the sign.
            let bits = u16::from_be_bytes([first, bytes[1]]) << 3;
            (Element::Int(i64::from(bits.cast_signed() >> 3)), 3)
        }
        0xF1..=0xF4 => {
            let wide = if first == 0xF4 { 8 } else { usize::from(first - 0xEF) };
            let mut number = [0; 8];
            number[8 - wide..].copy_from_slice(&bytes[1..=wide]);
            (Element::Int(i64::from_le_bytes(number) >> (64 - 8 * wide)), wide + 2)
        }
        _ => {
            let (head, string) = extent(bytes).expect("listpacks are checked when they come in");
            let end = head + string;
            (Element::Bytes(&bytes[head..end]), end + backlen_bytes(end))
        }
    }
}
