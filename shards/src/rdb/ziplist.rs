//! A list of strings and numbers in one piece, as Redis kept small collections before version 7.
//!
//! ```text
//! 0   bytes of the whole, u32 LE
//! 4   where the last element begins, u32 LE
//! 8   number of elements, u16 LE; 65535 if they must be counted
//! 10  elements: bytes of the one before (one byte, or FE and u32 LE), then
//!     00LLLLLL bytes                  a string of up to 63 bytes
//!     01LLLLLL LLLLLLLL bytes         a string of up to 16383 bytes
//!     80 length: u32 BE, bytes        a longer string
//!     C0, D0, E0, F0, FE              numbers of 16, 32, 64, 24 and 8 bits, LE
//!     F1 to FD                        the numbers 0 to 12
//!     FF
//! ```

use crate::encodings::listpack::Element;

const HEADER_BYTES: usize = 10;
const END: u8 = 0xFF;
const LONG_BEFORE: u8 = 0xFE;
/// The number of elements that means: count them.
const UNKNOWN: u16 = u16::MAX;

/// Shows all elements to `see`, until it says no. `None` if it did, or if the bytes are not a
/// ziplist in every detail; how many elements there are if they are.
pub(super) fn walk<'a>(
    bytes: &'a [u8],
    mut see: impl FnMut(Element<'a>) -> Option<()>,
) -> Option<usize> {
    let total = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let last = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
    let said = u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    if total != bytes.len() || bytes.last() != Some(&END) {
        return None;
    }
    let mut rest = bytes.get(HEADER_BYTES..total - 1)?;
    let (mut count, mut bytes_before) = (0, 0);
    let mut start = HEADER_BYTES;
    while !rest.is_empty() {
        let len = rest.len();
        start = total - 1 - len;
        if take_before(&mut rest)? != bytes_before {
            return None;
        }
        see(take_element(&mut rest)?)?;
        bytes_before = len - rest.len();
        count += 1;
    }
    let agrees = said == UNKNOWN || usize::from(said) == count;
    (agrees && last == start).then_some(count)
}

/// How many bytes the element before has.
fn take_before(rest: &mut &[u8]) -> Option<usize> {
    Some(match *rest.split_off_first()? {
        END => return None,
        LONG_BEFORE => u32::from_le_bytes(take(rest)?) as usize,
        short => short.into(),
    })
}

fn take_element<'a>(rest: &mut &'a [u8]) -> Option<Element<'a>> {
    let first = *rest.split_off_first()?;
    let length = match first {
        0x00..0x40 => usize::from(first),
        0x40..0x80 => usize::from(first & 0x3F) << 8 | usize::from(*rest.split_off_first()?),
        0x80 => u32::from_be_bytes(take(rest)?) as usize,
        _ => return take_number(first, rest).map(Element::Int),
    };
    Some(Element::of(rest.split_off(..length)?))
}

fn take_number(first: u8, rest: &mut &[u8]) -> Option<i64> {
    Some(match first {
        0xC0 => i16::from_le_bytes(take(rest)?).into(),
        0xD0 => i32::from_le_bytes(take(rest)?).into(),
        0xE0 => i64::from_le_bytes(take(rest)?),
        0xF0 => {
            let [a, b, c] = take(rest)?;
            (i32::from_le_bytes([0, a, b, c]) >> 8).into()
        }
        0xFE => i8::from_le_bytes(take(rest)?).into(),
        0xF1..=0xFD => i64::from(first & 0x0F) - 1,
        _ => return None,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.first_chunk().copied()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alloc::vec::Vec;
    use alloc::{format, vec};

    /// A ziplist of these strings, as Redis would make it of strings it takes for text.
    pub fn of(elements: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut before, mut last) = (Vec::new(), 0usize, HEADER_BYTES);
        for element in elements {
            last = HEADER_BYTES + body.len();
            let start = body.len();
            match u8::try_from(before).ok().filter(|it| *it < LONG_BEFORE) {
                Some(short) => body.push(short),
                None => {
                    body.push(LONG_BEFORE);
                    body.extend_from_slice(&u32::try_from(before).unwrap().to_le_bytes());
                }
            }
            let len = u32::try_from(element.len()).unwrap().to_be_bytes();
            match element.len() {
                0..64 => body.push(len[3]),
                64..16_384 => body.extend_from_slice(&[0x40 | len[2], len[3]]),
                _ => body.extend_from_slice(&[&[0x80], &len[..]].concat()),
            }
            body.extend_from_slice(element);
            before = body.len() - start;
        }
        whole(&body, last, elements.len())
    }

    fn whole(body: &[u8], last: usize, count: usize) -> Vec<u8> {
        let total = u32::try_from(HEADER_BYTES + body.len() + 1).unwrap().to_le_bytes();
        let last = u32::try_from(last).unwrap().to_le_bytes();
        let count = u16::try_from(count).unwrap().to_le_bytes();
        [&total[..], &last, &count, body, &[END]].concat()
    }

    fn read(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut elements = Vec::new();
        let count = walk(bytes, |element| {
            elements.push(element.to_vec());
            Some(())
        })?;
        assert_eq!(count, elements.len());
        Some(elements)
    }

    #[test]
    fn all_forms_of_elements_are_read() {
        let cases: [(&[u8], &str); 12] = [
            (b"\xf1", "0"),
            (b"\xfd", "12"),
            (b"\xfe\xff", "-1"),
            (b"\xfe\x7f", "127"),
            (b"\xc0\0\x80", "-32768"),
            (b"\xf0\0\0\x80", "-8388608"),
            (b"\xf0\xff\xff\x7f", "8388607"),
            (b"\xd0\0\0\0\x80", "-2147483648"),
            (b"\xe0\0\0\0\0\0\0\0\x80", "-9223372036854775808"),
            (b"\0", ""),
            (b"\x40\x03abc", "abc"),
            (b"\x80\0\0\0\x03abc", "abc"),
        ];
        for (element, text) in cases {
            let bytes = whole(&[&[0], element].concat(), HEADER_BYTES, 1);
            assert_eq!(read(&bytes), Some(vec![text.as_bytes().to_vec()]), "{text}");
        }
        let long = [b'x'; 300];
        let elements: [&[u8]; 4] = [b"a", &long, &[b'y'; 20_000], b"b"];
        assert_eq!(read(&of(&elements)), Some(elements.map(<[u8]>::to_vec).to_vec()));
        assert_eq!(read(&of(&[])), Some(vec![]));
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let long = format!("{:300}", 1);
        let good = of(&[b"one", long.as_bytes(), b"three"]);
        assert!(read(&good).is_some());
        for length in 0..good.len() {
            assert_eq!(read(&good[..length]), None, "{length}");
            let mut cut = good[..length].to_vec();
            if let Some(total) = cut.first_chunk_mut() {
                *total = u32::try_from(length).unwrap().to_le_bytes();
            }
            assert_eq!(read(&cut), None, "{length}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                read(&bad);
            }
        }
        let cases: [&[u8]; 5] =
            [b"\0\xff", b"\0\xf0\0\0", b"\x01\xf1", b"\0\x82a", b"\xff\0\0\0\0\x01a"];
        for body in cases {
            assert_eq!(read(&whole(body, HEADER_BYTES, 1)), None, "{body:?}");
        }
        assert_eq!(read(&whole(b"\0\x01a", HEADER_BYTES, 2)), None);
        assert_eq!(read(&whole(b"\0\x01a", HEADER_BYTES + 1, 1)), None);
    }
}
