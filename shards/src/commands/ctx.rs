//! What a handler works with.

use crate::keyspace::collections::WrongType;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::resp::reply::Replies;

/// A handler's world: its arguments, the selected database and where its replies go.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The request: the command's name first.
    pub args: &'a [&'a [u8]],
    /// The client's database, with all that an access needs.
    pub db: Selected<'a>,
    /// Where replies are written.
    pub replies: Replies<'a>,
    /// The hash of `args[first_key]`, made when the request was parsed; `first_key` is 0 if none.
    pub first_key: usize,
    /// See `first_key`.
    pub first_key_hash: u64,
}

impl<'a> Ctx<'a> {
    /// The key at argument `at`, hashed (at no cost for the first key of the request).
    // Always: as a call it costs as much again as what it does (measured: 20 instructions).
    #[inline(always)]
    pub fn key(&self, at: usize) -> Key<'a> {
        let bytes = self.args[at];
        if at == self.first_key && at != 0 {
            Key { bytes, hash: self.first_key_hash }
        } else {
            self.db.key(bytes)
        }
    }
}

impl From<WrongType> for Error {
    fn from(WrongType: WrongType) -> Self {
        Self::WrongType
    }
}
