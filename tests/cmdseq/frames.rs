//! Replies as they come in, in pieces: strict where the client of other tests is lenient.

use crate::client::{Reply, shown};

/// How deep replies may be nested.
const DEPTH_MAX: usize = 16;

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Resp2,
    Resp3,
}

/// The first frame in `bytes` and its length. `None` if its end is not here yet.
pub fn first(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    // Large arrays come in many pieces: only a whole one is copied.
    let mut whole = Walk { bytes, at: 0 };
    if whole.skip(0)?.is_none() {
        return Ok(None);
    }
    let mut walk = Walk { bytes, at: 0 };
    Ok(walk.frame().map(|reply| (reply, walk.at)))
}

/// Whether a client of this protocol knows all the kinds in this frame.
pub fn speaks(protocol: Protocol, reply: &Reply) -> bool {
    let members = |members: &[Reply]| members.iter().all(|member| speaks(protocol, member));
    match (protocol, reply) {
        (_, Reply::Simple(_) | Reply::Error(_) | Reply::Integer(_) | Reply::Bulk(_))
        | (Protocol::Resp2, Reply::NullBulk | Reply::NullArray)
        | (
            Protocol::Resp3,
            Reply::Null
            | Reply::Double(_)
            | Reply::BigNumber(_)
            | Reply::Boolean(_)
            | Reply::Verbatim(_),
        ) => true,
        (Protocol::Resp3, Reply::NullBulk | Reply::NullArray)
        | (
            Protocol::Resp2,
            Reply::Null
            | Reply::Double(_)
            | Reply::BigNumber(_)
            | Reply::Boolean(_)
            | Reply::Verbatim(_),
        ) => false,
        (Protocol::Resp2, Reply::Group(kind, list)) => *kind == '*' && members(list),
        (Protocol::Resp3, Reply::Group(_, list)) => members(list),
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// The next line without its end, if that is here.
    fn line(&mut self) -> Result<Option<&'a [u8]>, String> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\r' || *byte == b'\n') else {
            return Ok(None);
        };
        match rest.get(end..end + 2) {
            None if rest[end] == b'\r' => Ok(None),
            Some(b"\r\n") => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            _ => Err(format!("a line that does not end in CR LF: {}", shown(&rest[..=end]))),
        }
    }

    /// Goes past a frame. `None` if its end is not here.
    fn skip(&mut self, depth: usize) -> Result<Option<()>, String> {
        if DEPTH_MAX < depth {
            return Err(format!("a reply nested deeper than {DEPTH_MAX}"));
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let bad = || format!("not a frame: {}", shown(line));
        let (kind, rest) = line.split_first().ok_or_else(bad)?;
        let text = std::str::from_utf8(rest).unwrap_or("\u{fffd}");
        let length = |least: i64| {
            let number = text.parse::<i64>().ok().filter(|number| least <= *number);
            number.filter(|number| number.to_string() == text).ok_or_else(bad)
        };
        match kind {
            b'+' | b'-' => {}
            b':' => drop(text.parse::<i64>().map_err(|_| bad())?),
            b',' => drop(text.parse::<f64>().map_err(|_| bad())?),
            b'(' => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let all = digits.bytes().all(|byte| byte.is_ascii_digit());
                (all && !digits.is_empty()).then_some(()).ok_or_else(bad)?;
            }
            b'#' => matches!(rest, b"t" | b"f").then_some(()).ok_or_else(bad)?,
            b'_' => rest.is_empty().then_some(()).ok_or_else(bad)?,
            b'$' | b'=' => {
                let length = length(if *kind == b'$' { -1 } else { 4 })?;
                let Ok(length) = usize::try_from(length) else { return Ok(Some(())) };
                let Some(bytes) = self.bytes.get(self.at..self.at + length + 2) else {
                    return Ok(None);
                };
                if !bytes.ends_with(b"\r\n") || (*kind == b'=' && bytes[3] != b':') {
                    return Err(bad());
                }
                self.at += length + 2;
            }
            b'*' | b'~' | b'>' | b'%' => {
                let count = length(if *kind == b'*' { -1 } else { 0 })?;
                let each = if *kind == b'%' { 2 } else { 1 };
                for _ in 0..count * each {
                    if self.skip(depth + 1)?.is_none() {
                        return Ok(None);
                    }
                }
            }
            _ => return Err(bad()),
        }
        Ok(Some(()))
    }

    /// The frame here, which is whole and right.
    fn frame(&mut self) -> Option<Reply> {
        let line = self.line().ok()??;
        let (kind, rest) = line.split_first()?;
        let number = || std::str::from_utf8(rest).ok()?.parse::<i64>().ok();
        let text = rest.to_vec();
        Some(match kind {
            b'+' => Reply::Simple(text),
            b'-' => Reply::Error(text),
            b':' => Reply::Integer(number()?),
            b',' => Reply::Double(text),
            b'(' => Reply::BigNumber(text),
            b'#' => Reply::Boolean(rest == b"t"),
            b'_' => Reply::Null,
            b'$' if rest == b"-1" => Reply::NullBulk,
            b'*' if rest == b"-1" => Reply::NullArray,
            b'$' | b'=' => {
                let length = usize::try_from(number()?).ok()?;
                let bytes = self.bytes[self.at..self.at + length].to_vec();
                self.at += length + 2;
                if *kind == b'$' { Reply::Bulk(bytes) } else { Reply::Verbatim(bytes) }
            }
            _ => {
                let each = if *kind == b'%' { 2 } else { 1 };
                let members = (0..number()? * each).map(|_| self.frame()).collect::<Option<_>>()?;
                Reply::Group(char::from(*kind), members)
            }
        })
    }
}

#[test]
fn a_frame_is_whole_or_not_here_yet() {
    let text =
        b"*4\r\n$3\r\na\r\n\r\n%1\r\n+a\r\n:-1\r\n=7\r\ntxt:abc\r\n~2\r\n,1.5\r\n#t\r\n+OK\r\n";
    let (whole, behind) = text.split_at(text.len() - 5);
    for end in 0..whole.len() {
        assert_eq!(first(&whole[..end]), Ok(None), "{end}");
    }
    let (reply, length) = first(text).expect("it is right").expect("it is whole");
    assert_eq!((length, behind), (whole.len(), &b"+OK\r\n"[..]));
    assert_eq!(reply.lines().len(), 9);
    assert!(!speaks(Protocol::Resp2, &reply) && speaks(Protocol::Resp3, &reply));
}

#[test]
fn what_is_no_frame_is_refused() {
    for text in [
        "x\r\n",
        "\r\n",
        "+a\n",
        "+a\rb\r\n",
        ":1a\r\n",
        ":\r\n",
        "$-2\r\n",
        "$1\r\nab\r\n",
        "$01\r\na\r\n",
        "*-2\r\n",
        "*x\r\n",
        "#x\r\n",
        "_x\r\n",
        ",x\r\n",
        "(1x\r\n",
        "=3\r\nabc\r\n",
        "=7\r\ntxtxabc\r\n",
        "%-1\r\n",
        "*2\r\n+a\r\n?\r\n",
    ] {
        assert!(first(text.as_bytes()).is_err(), "{text:?}");
    }
}
