//! Strings that grow in place, and replies that may be of any length: limits, and memory that may
//! be short.

use alloc::vec::Vec;

use crate::keyspace::db::Entry;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;

/// Bytes of the shortest element in a reply.
const ELEMENT_BYTES_MIN: usize = b"$0\r\n\r\n".len();

const NO_MEMORY: Error = Error::Text("OOM the string does not fit into memory");

/// Makes room for `more` bytes, or says that there is none.
pub fn reserve(bytes: &mut Vec<u8>, more: usize) -> Result<(), Error> {
    bytes.try_reserve(more).map_err(|_| NO_MEMORY)
}

/// Refuses a reply of so many elements that repeat what is there, which a client may ask for as
/// often as it likes: it may not be longer, with elements of no length, than a string. Valkey goes
/// on until memory ends.
pub fn check_repeated(elements: usize, string_bytes_max: usize) -> Result<(), Error> {
    match elements.checked_mul(ELEMENT_BYTES_MIN) {
        Some(bytes) if bytes <= string_bytes_max => Ok(()),
        Some(_) | None => Err(Error::Text("ERR value is out of range")),
    }
}

/// Runs `edit` on the string at `key`, which is made if it is not there and padded with zeros to
/// `len_min` bytes before. `edit` is told whether that made it longer.
pub fn edit_padded<R>(
    db: &mut Selected<'_>,
    key: Key<'_>,
    len_min: usize,
    edit: impl FnOnce(&mut [u8], bool) -> R,
) -> Result<R, Error> {
    if let Some(entry) = db.write(key) {
        let bytes = entry.bytes_mut().ok_or(Error::WrongType)?;
        let grows = bytes.len() < len_min;
        pad(bytes, len_min)?;
        return Ok(edit(bytes, grows));
    }
    let mut entry = Entry::string(key.bytes, b"");
    let bytes = entry.bytes_mut().expect("the entry was just made a string");
    pad(bytes, len_min)?;
    let edited = edit(bytes, 0 < len_min);
    db.insert(key, entry);
    Ok(edited)
}

fn pad(bytes: &mut Vec<u8>, len_min: usize) -> Result<(), Error> {
    if let Some(more) = len_min.checked_sub(bytes.len()) {
        reserve(bytes, more)?;
        bytes.resize(len_min, 0);
    }
    Ok(())
}
