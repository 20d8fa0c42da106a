//! A small hash in one piece, as Redis kept it before version 2.6.
//!
//! ```text
//! 0   number of fields; 254 and more if they must be counted
//! 1   for each: length, name, length, number of unused bytes, value, unused bytes
//!     FF
//! ```
//! A length is one byte, or FE and u32 LE.

const END: u8 = 0xFF;
const LONG: u8 = 0xFE;

/// Shows all fields with their values to `see`, until it says no. `None` if it did, or if the
/// bytes are not a zipmap in every detail; how many fields there are if they are.
pub(super) fn walk<'a>(
    bytes: &'a [u8],
    mut see: impl FnMut(&'a [u8], &'a [u8]) -> Option<()>,
) -> Option<usize> {
    let (said, mut rest) = bytes.split_first()?;
    let mut count = 0;
    while rest.first() != Some(&END) {
        let length = take_length(&mut rest)?;
        let name = rest.split_off(..length)?;
        let length = take_length(&mut rest)?;
        let unused = usize::from(*rest.split_off_first()?);
        let value = rest.split_off(..length)?;
        rest.split_off(..unused)?;
        see(name, value)?;
        count += 1;
    }
    let agrees = LONG <= *said || usize::from(*said) == count;
    (agrees && rest.len() == 1).then_some(count)
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    match *rest.split_off_first()? {
        END => None,
        LONG => Some(u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?) as usize),
        short => Some(short.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn read(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
        let mut pairs = Vec::new();
        walk(bytes, |name, value| {
            pairs.push((name, value));
            Some(())
        })?;
        Some(pairs)
    }

    #[test]
    fn fields_are_read_and_damage_is_found() {
        // From the description of the format: two fields, the first with two unused bytes.
        let good = b"\x02\x03foo\x03\x02bar..\x05hello\x05\0world\xff";
        let pairs: [(&[u8], &[u8]); 2] = [(b"foo", b"bar"), (b"hello", b"world")];
        assert_eq!(read(good), Some(pairs.to_vec()));
        for length in 0..good.len() {
            assert_eq!(read(&good[..length]), None, "{length}");
        }
        assert_eq!(read(b"\0\xff"), Some(Vec::new()));
        assert_eq!(
            read(b"\xfe\xfe\x01\0\0\0a\xfe\x01\0\0\0\0b\xff"),
            Some([(&b"a"[..], &b"b"[..])].to_vec())
        );
        for bad in [&b"\x01\xff"[..], b"\0\xff\xff", b"\x01\xff\x01a\x01\0b\xff", b"\x01\x01a\xff"]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
