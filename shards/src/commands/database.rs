//! The number of a database among a command's arguments.

use crate::base::number::parse_i64;
use crate::resp::error::Error;

/// The number of a database, of which there are this many.
///
/// # Errors
/// No integer, or no such database.
pub fn parse(text: &[u8], databases: usize) -> Result<usize, Error> {
    let number = parse_i64(text).ok_or(Error::NotInteger)?;
    let number = i32::try_from(number).map_err(|_| {
        Error::Text("ERR value is out of range, value must between -2147483648 and 2147483647")
    })?;
    usize::try_from(number).ok().filter(|index| *index < databases).ok_or(Error::DbIndex)
}
