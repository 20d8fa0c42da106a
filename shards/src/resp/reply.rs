//! Declared first: the body follows.
use crate::resp::error::Error;
use alloc::vec::Vec;

/// The protocol a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, what every connection starts with.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Appends replies to a client's output.
#[derive(Debug)]
pub struct Replies<'a> {
    /// Where the bytes go.
    pub out: &'a mut Vec<u8>,
    /// In which protocol.
    pub protocol: Protocol,
}

impl Replies<'_> {
    /// `+OK`
    pub fn ok(&mut self) { todo!() }
    /// `+text`
    pub fn simple(&mut self, text: &str) { todo!() }
    /// `-ERR ...`
    pub fn error(&mut self, error: &Error) { todo!() }
    /// `:n`
    pub fn integer(&mut self, n: i64) { todo!() }
    /// `$n`
    pub fn bulk(&mut self, bytes: &[u8]) { todo!() }
    /// An integer as a bulk string.
    pub fn bulk_integer(&mut self, n: i64) { todo!() }
    /// `$-1` or `_`
    pub fn null(&mut self) { todo!() }
    /// `*-1` or `_`
    pub fn null_array(&mut self) { todo!() }
    /// `*n`: n elements follow.
    pub fn array(&mut self, n: usize) { todo!() }
    /// `%n`, or `*2n`: n pairs follow.
    pub fn map(&mut self, n: usize) { todo!() }
    /// `~n` or `*n`
    pub fn set(&mut self, n: usize) { todo!() }
    /// `>n` or `*n`
    pub fn push(&mut self, n: usize) { todo!() }
    /// `,x` or a bulk string
    pub fn double(&mut self, x: f64) { todo!() }
    /// `#t` or `:1`
    pub fn boolean(&mut self, b: bool) { todo!() }
    /// `=n` with `txt:` or a bulk string
    pub fn verbatim(&mut self, format: &str, bytes: &[u8]) { todo!() }
}
