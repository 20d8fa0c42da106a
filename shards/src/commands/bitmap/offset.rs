//! Bit offsets among the arguments.

use crate::base::number::parse_i64;
use crate::resp::error::Error;

/// The bit offset that `text` says; its byte must be one a string of `bytes_max` bytes has.
pub(super) fn bit_offset(text: &[u8], bytes_max: usize) -> Result<u64, Error> {
    checked(parse_i64(text), bytes_max)
}

/// As [`bit_offset`], but `#3` stands for three times `width`.
pub(super) fn field_offset(text: &[u8], width: u32, bytes_max: usize) -> Result<u64, Error> {
    match text {
        [b'#', number @ ..] => checked(
            parse_i64(number).and_then(|number| number.checked_mul(i64::from(width))),
            bytes_max,
        ),
        _ => bit_offset(text, bytes_max),
    }
}

fn checked(offset: Option<i64>, bytes_max: usize) -> Result<u64, Error> {
    let offset = u64::try_from(offset.ok_or(Error::BitOffset)?).map_err(|_| Error::BitOffset)?;
    if offset / 8 < bytes_max as u64 { Ok(offset) } else { Err(Error::BitOffset) }
}

/// The byte that holds this bit, and the bit's place in it counted from the lowest.
pub(super) fn byte_and_shift(offset: u64) -> (usize, u32) {
    let byte = usize::try_from(offset / 8).expect("the offset's byte was compared with a usize");
    (byte, 7 - (offset % 8) as u32)
}
