//! Lines of a request: found without looking twice at a byte, and refused when they do not end.

use crate::resp::error::ProtocolError;
use memchr::memchr;

/// The most bytes of a line without its end.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;

/// What was looked for in a line that may not have arrived as a whole.
pub(super) enum Found<T> {
    /// This.
    Here(T),
    /// The line does not end within this many bytes.
    Unended(usize),
}

/// A line up to its CR, and the byte after that.
pub(super) struct NumberLine<'a> {
    pub(super) text: &'a [u8],
    after_cr: u8,
}

impl NumberLine<'_> {
    /// Whether an LF follows the CR.
    pub(super) fn check_end(&self) -> Result<(), ProtocolError> {
        if self.after_cr == b'\n' { Ok(()) } else { Err(ProtocolError::Crlf) }
    }
}

/// The line at the beginning of `input`, which has no CR within `searched` bytes.
pub(super) fn number_line(
    input: &[u8],
    searched: usize,
    too_long: ProtocolError,
) -> Result<Found<NumberLine<'_>>, ProtocolError> {
    Ok(match find_end(input, searched, b'\r', too_long)? {
        Found::Here(cr) => match input.get(cr + 1) {
            Some(&after_cr) => Found::Here(NumberLine { text: &input[..cr], after_cr }),
            None => Found::Unended(cr),
        },
        Found::Unended(searched) => Found::Unended(searched),
    })
}

/// Where `end` stands in `input`, which does not have it within `searched` bytes.
pub(super) fn find_end(
    input: &[u8],
    searched: usize,
    end: u8,
    too_long: ProtocolError,
) -> Result<Found<usize>, ProtocolError> {
    // One byte more than the limit is looked at: what a request comes to may not depend on how
    // many bytes happened to be there.
    let window = &input[..input.len().min(LINE_BYTES_MAX + 1)];
    match memchr(end, &window[searched..]) {
        Some(found) => Ok(Found::Here(searched + found)),
        None if LINE_BYTES_MAX < window.len() => Err(too_long),
        None => Ok(Found::Unended(window.len())),
    }
}
