//! Replies in RESP2 and RESP3.

use crate::base::float::format_f64;
use crate::base::number::{DIGITS_MAX, format_i64, parse_u64, put_digits_before};
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
    /// Bytes that the output may have. A string that makes it longer is not written: the output
    /// gets one byte too many instead, and no more strings.
    pub max: usize,
}

impl<'a> Replies<'a> {
    /// Replies of any length.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol, max: usize::MAX }
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// `+text`
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.out.reserve(text.len() + 3);
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// `-ERR ...`
    pub fn error(&mut self, error: &Error) {
        error.write(self.out);
    }

    /// `:n`
    #[inline]
    pub fn integer(&mut self, n: i64) {
        match u64::try_from(n) {
            Ok(n) => self.header(b':', n),
            Err(_) => self.negative_integer(n),
        }
    }

    /// `$n`
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if self.max.saturating_sub(self.out.len()) < bytes.len() {
            return self.break_off();
        }
        self.out.reserve(bytes.len() + HEADER_BYTES_MAX + 2);
        self.header(b'$', bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer as a bulk string.
    #[inline]
    pub fn bulk_integer(&mut self, n: i64) {
        let mut text = [0; DIGITS_MAX];
        self.bulk(format_i64(&mut text, n));
    }

    /// `$-1` or `_`
    #[inline]
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.out.extend_from_slice(b"$-1\r\n"),
            Protocol::Resp3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// `*-1` or `_`
    #[inline]
    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.out.extend_from_slice(b"*-1\r\n"),
            Protocol::Resp3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// `*n`: n elements follow.
    #[inline]
    pub fn array(&mut self, n: usize) {
        self.header(b'*', n as u64);
    }

    /// `%n`, or `*2n`: n pairs follow.
    #[inline]
    pub fn map(&mut self, n: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', 2 * n as u64),
            Protocol::Resp3 => self.header(b'%', n as u64),
        }
    }

    /// `~n` or `*n`
    #[inline]
    pub fn set(&mut self, n: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', n as u64),
            Protocol::Resp3 => self.header(b'~', n as u64),
        }
    }

    /// `>n` or `*n`
    #[inline]
    pub fn push(&mut self, n: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', n as u64),
            Protocol::Resp3 => self.header(b'>', n as u64),
        }
    }

    /// `,x` or a bulk string
    pub fn double(&mut self, x: f64) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(format_f64(x).bytes()),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.out.extend_from_slice(format_f64(x).bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// `#t` or `:1`
    #[inline]
    pub fn boolean(&mut self, b: bool) {
        self.out.extend_from_slice(match (self.protocol, b) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// `=n` with `txt:` or a bulk string; `format` has three letters.
    pub fn verbatim(&mut self, format: &str, bytes: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(bytes),
            Protocol::Resp3 => {
                assert!(format.len() == 3, "a verbatim format is three letters");
                if self.max.saturating_sub(self.out.len()) < bytes.len() {
                    return self.break_off();
                }
                self.out.reserve(bytes.len() + HEADER_BYTES_MAX + 6);
                self.header(b'=', bytes.len() as u64 + 4);
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(bytes);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Makes the output longer than it may be, so that a caller that looks at it knows.
    #[cold]
    fn break_off(&mut self) {
        if self.out.len() <= self.max {
            self.out.resize(self.max + 1, 0);
        }
    }

    /// Puts what `write` appends before all that came since the output had `at` bytes: a header
    /// whose number is known only now.
    pub fn insert(&mut self, at: usize, write: impl FnOnce(&mut Self)) {
        let end = self.out.len();
        write(self);
        let added = self.out.len() - end;
        self.out[at..].rotate_right(added);
    }

    /// A type byte, a number and a line end.
    #[inline]
    fn header(&mut self, kind: u8, n: u64) {
        // Nearly every length has one or two digits. Writing a constant number of bytes and
        // cutting what is too much is a plain store, where a length known only at run time would
        // be a call to memcpy.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the branch")]
        if n < 10 {
            self.out.extend_from_slice(&[kind, b'0' + n as u8, b'\r', b'\n']);
        } else if n < 100 {
            let (tens, ones) = (n as u8 / 10, n as u8 % 10);
            let end = self.out.len() + 5;
            let text = [kind, b'0' + tens, b'0' + ones, b'\r', b'\n', 0, 0, 0];
            self.out.extend_from_slice(&text);
            self.out.truncate(end);
        } else {
            self.long_header(kind, n);
        }
    }

    /// A header of any length.
    fn long_header(&mut self, kind: u8, n: u64) {
        let mut text = [0; HEADER_BYTES_MAX];
        let end = HEADER_BYTES_MAX - 2;
        text[end..].copy_from_slice(b"\r\n");
        let start = put_digits_before(&mut text, end, n) - 1;
        text[start] = kind;
        self.out.extend_from_slice(&text[start..]);
    }

    /// `:-n`
    fn negative_integer(&mut self, n: i64) {
        let mut text = [0; DIGITS_MAX];
        let digits = format_i64(&mut text, n);
        self.out.reserve(HEADER_BYTES_MAX);
        self.out.push(b':');
        self.out.extend_from_slice(digits);
        self.out.extend_from_slice(b"\r\n");
    }
}

/// A type byte, 20 digits, a line end.
const HEADER_BYTES_MAX: usize = 1 + DIGITS_MAX + 2;

/// The first error among whole replies, on its own or in an array: its line, without its end.
/// `None` if there is none, or if the bytes are no replies.
pub fn first_error(replies: &[u8]) -> Option<&[u8]> {
    let mut rest = replies;
    while let [kind, behind @ ..] = rest {
        let end = behind.windows(2).position(|two| two == b"\r\n")?;
        let (line, next) = (&behind[..end], &behind[end + 2..]);
        rest = match kind {
            b'-' => return Some(line),
            b'$' | b'=' | b'!' => match parse_u64(line).and_then(|len| usize::try_from(len).ok()) {
                Some(len) => next.get(len.checked_add(2)?..)?,
                // There is none.
                None => next,
            },
            // What is in an array stands behind its line.
            _ => next,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    /// What `write` appends in RESP2 and in RESP3.
    fn check(write: impl Fn(&mut Replies<'_>), resp2: &str, resp3: &str) {
        for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
            let mut out = b"+".to_vec();
            write(&mut Replies::new(&mut out, protocol));
            assert_eq!(core::str::from_utf8(&out[1..]).unwrap(), expected, "{protocol:?}");
        }
    }

    #[test]
    fn writes_each_kind_in_both_protocols() {
        check(|r| r.ok(), "+OK\r\n", "+OK\r\n");
        check(|r| r.simple("PONG"), "+PONG\r\n", "+PONG\r\n");
        check(|r| r.error(&Error::Syntax), "-ERR syntax error\r\n", "-ERR syntax error\r\n");
        check(|r| r.integer(0), ":0\r\n", ":0\r\n");
        check(|r| r.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
        check(|r| r.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n");
        check(|r| r.bulk_integer(-12), "$3\r\n-12\r\n", "$3\r\n-12\r\n");
        check(|r| r.null(), "$-1\r\n", "_\r\n");
        check(|r| r.null_array(), "*-1\r\n", "_\r\n");
        check(|r| r.array(3), "*3\r\n", "*3\r\n");
        check(|r| r.map(7), "*14\r\n", "%7\r\n");
        check(|r| r.set(12), "*12\r\n", "~12\r\n");
        check(|r| r.push(3), "*3\r\n", ">3\r\n");
        check(|r| r.boolean(true), ":1\r\n", "#t\r\n");
        check(|r| r.boolean(false), ":0\r\n", "#f\r\n");
        check(|r| r.verbatim("txt", b"abc"), "$3\r\nabc\r\n", "=7\r\ntxt:abc\r\n");
        check(|r| r.double(3.25), "$4\r\n3.25\r\n", ",3.25\r\n");
        check(|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        check(|r| r.double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
    }

    #[test]
    fn a_header_may_come_last() {
        let late = |r: &mut Replies<'_>| {
            let at = r.out.len();
            r.ok();
            r.ok();
            r.insert(at, |r| r.array(2));
        };
        check(late, "*2\r\n+OK\r\n+OK\r\n", "*2\r\n+OK\r\n+OK\r\n");
    }

    proptest! {
        #[test]
        fn integers_and_headers_are_plain_decimals(n: i64, shift in 0u32..64) {
            let n = n >> shift;
            let expected = format!(":{n}\r\n");
            check(|r| r.integer(n), &expected, &expected);
            let n = usize::try_from(n.unsigned_abs()).unwrap();
            let expected = format!("*{n}\r\n");
            check(|r| r.array(n), &expected, &expected);
        }
    }

    #[test]
    fn the_first_error_is_found_wherever_it_stands() {
        let found = |replies: &str| {
            let line = first_error(replies.as_bytes());
            line.map(|line| String::from_utf8(line.to_vec()).unwrap())
        };
        for (replies, error) in [
            ("", None),
            ("+OK\r\n:1\r\n$-1\r\n*-1\r\n_\r\n,1.5\r\n#t\r\n", None),
            ("$5\r\n-a\r\n-\r\n+OK\r\n", None),
            (":1\r\n-ERR no\r\n-ERR two\r\n", Some("ERR no")),
            ("*2\r\n$0\r\n\r\n-WRONGTYPE x\r\n", Some("WRONGTYPE x")),
            ("$9\r\nshort\r\n", None),
            ("-no end", None),
        ] {
            assert_eq!(found(replies).as_deref(), error, "{replies:?}");
        }
    }
}
