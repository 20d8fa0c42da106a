//! The list of generic commands: those that work on keys of any type.

mod copy;
mod del;
mod exists;
mod expire;
mod keys;
mod r#move;
pub mod object;
mod persist;
mod randomkey;
mod rename;
mod scan;
mod ttl;
mod r#type;

use crate::base::number;
use crate::commands::spec::Command;
use crate::keyspace::selected::Selected;
use crate::resp::error::Error;

/// Every generic command.
pub const COMMANDS: &[Command] = &[
    copy::COPY,
    del::DEL,
    del::UNLINK,
    exists::EXISTS,
    exists::TOUCH,
    expire::EXPIRE,
    expire::EXPIREAT,
    expire::PEXPIRE,
    expire::PEXPIREAT,
    keys::KEYS,
    r#move::MOVE,
    persist::PERSIST,
    randomkey::RANDOMKEY,
    rename::RENAME,
    rename::RENAMENX,
    scan::SCAN,
    ttl::EXPIRETIME,
    ttl::PEXPIRETIME,
    ttl::PTTL,
    ttl::TTL,
    r#type::TYPE,
];

/// The number of a database, as MOVE and COPY take it.
fn db_index(db: &Selected<'_>, text: &[u8]) -> Result<usize, Error> {
    let number = number::parse_i64(text).ok_or(Error::NotInteger)?;
    let number = i32::try_from(number).map_err(|_| {
        Error::Text("ERR value is out of range, value must between -2147483648 and 2147483647")
    })?;
    let databases = db.keyspace.dbs.len();
    usize::try_from(number).ok().filter(|index| *index < databases).ok_or(Error::DbIndex)
}
