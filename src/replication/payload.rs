//! A snapshot on its way from a primary: the line in front of it, its bytes, and its end.
//!
//! ```text
//! [\n ...] $length\r\n        bytes           the length says where they end
//! [\n ...] $EOF:mark\r\n      bytes mark      40 characters by chance, before and behind
//! ```
//! The first place where the mark stands is the end, wherever the bytes are cut.

use std::borrow::Cow;

use shards::base::number::parse_u64;

use crate::replication::failure::{Failure, printable};
use crate::replication::lines::Lines;

/// Bytes of a mark.
pub const MARK_BYTES: usize = 40;

/// How the end of a snapshot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It has so many bytes.
    Length(u64),
    /// A mark stands behind it.
    Mark,
    /// It comes by so many connections of its own, each of which has an end.
    Connections(u16),
}

/// What came of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A bare line feed: the primary prepares the snapshot.
    Alive,
    /// The snapshot begins.
    Begins(Form),
    /// Bytes of it.
    Bytes(Cow<'a, [u8]>),
    /// The last: it is complete, and what follows is the stream.
    Whole,
}

/// Takes a snapshot out of what a primary sends.
#[derive(Debug)]
pub struct Payload {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The line in front has not come.
    Header(Lines),
    /// So many bytes are to come.
    Length(u64),
    /// The mark has not come.
    Mark(Box<Mark>),
    /// All has come.
    Whole,
}

impl Payload {
    /// Before anything has come.
    pub fn new() -> Self {
        Self { state: State::Header(Lines::default()) }
    }

    /// Takes bytes up to the end of the snapshot, and says how many they are.
    ///
    /// # Errors
    /// If no snapshot begins where one should.
    pub fn take<'a>(
        &mut self,
        input: &'a [u8],
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<usize, Failure> {
        let mut at = 0;
        while let State::Header(lines) = &mut self.state {
            let Some(line) = lines.take(input, &mut at)? else { return Ok(at) };
            if line.is_empty() {
                pieces.push(Piece::Alive);
                continue;
            }
            let (state, form) = begin(&line)?;
            self.state = state;
            pieces.push(Piece::Begins(form));
        }
        let rest = &input[at..];
        match &mut self.state {
            State::Header(_) | State::Whole => {}
            State::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= taken as u64;
                push(pieces, Cow::Borrowed(&rest[..taken]));
                at += taken;
                if *left == 0 {
                    self.state = State::Whole;
                    pieces.push(Piece::Whole);
                }
            }
            State::Mark(mark) => {
                let (taken, is_found) = mark.take(rest, pieces);
                at += taken;
                if is_found {
                    self.state = State::Whole;
                    pieces.push(Piece::Whole);
                }
            }
        }
        Ok(at)
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the line in front.
fn begin(line: &[u8]) -> Result<(State, Form), Failure> {
    match line {
        [b'-', text @ ..] => Err(Failure::Aborted(printable(text))),
        [b'$', b'E', b'O', b'F', b':', mark @ ..] => {
            let mark = mark.try_into().map_err(|_| Failure::NoSnapshot(printable(line)))?;
            Ok((State::Mark(Box::new(Mark::new(mark))), Form::Mark))
        }
        [b'$', digits @ ..] => match parse_u64(digits) {
            Some(length) => Ok((State::Length(length), Form::Length(length))),
            None => Err(Failure::NoSnapshot(printable(line))),
        },
        _ => Err(Failure::NoSnapshot(printable(line))),
    }
}

fn push<'a>(pieces: &mut Vec<Piece<'a>>, bytes: Cow<'a, [u8]>) {
    if !bytes.is_empty() {
        pieces.push(Piece::Bytes(bytes));
    }
}

/// Looks for the end of a snapshot without a length.
#[derive(Debug)]
struct Mark {
    mark: [u8; MARK_BYTES],
    /// How far the search goes on if a window ends with this byte: Horspool's table. Most bytes of
    /// a snapshot are in no mark, so one in forty is looked at.
    skips: [usize; 256],
    /// Bytes that are kept back, fewer than a mark has: it may begin in them.
    kept: Vec<u8>,
}

impl Mark {
    fn new(mark: [u8; MARK_BYTES]) -> Self {
        let mut skips = [MARK_BYTES; 256];
        for (left, byte) in (1..MARK_BYTES).rev().zip(mark) {
            skips[usize::from(byte)] = left;
        }
        Self { mark, skips, kept: Vec::with_capacity(2 * MARK_BYTES) }
    }

    /// Takes bytes up to the mark's end: how many, and whether it stands there.
    fn take<'a>(&mut self, input: &'a [u8], pieces: &mut Vec<Piece<'a>>) -> (usize, bool) {
        let kept = self.kept.len();
        let joined = input.len().min(MARK_BYTES - 1);
        self.kept.extend_from_slice(&input[..joined]);
        // A mark that begins in what was kept back ends within the bytes that were joined to it.
        if let Some(found) = self.find(&self.kept) {
            push(pieces, Cow::Owned(self.kept[..found].to_vec()));
            return (found + MARK_BYTES - kept, true);
        }
        if joined < MARK_BYTES - 1 {
            let free = self.kept.len().saturating_sub(MARK_BYTES - 1);
            push(pieces, Cow::Owned(self.kept.drain(..free).collect()));
            return (input.len(), false);
        }
        self.kept.truncate(kept);
        push(pieces, Cow::Owned(std::mem::take(&mut self.kept)));
        if let Some(found) = self.find(input) {
            push(pieces, Cow::Borrowed(&input[..found]));
            return (found + MARK_BYTES, true);
        }
        let (free, kept) = input.split_at(input.len() - (MARK_BYTES - 1));
        push(pieces, Cow::Borrowed(free));
        self.kept.extend_from_slice(kept);
        (input.len(), false)
    }

    /// The first place of the mark.
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(window) = bytes.get(at..at + MARK_BYTES) {
            if window == self.mark {
                return Some(at);
            }
            at += self.skips[usize::from(window[MARK_BYTES - 1])];
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::base::random::Random;

    const MARK: &[u8] = b"4e956cae98937cd570795536f2909f0d636ce515";

    /// What comes of an input in pieces that end at `ends`: words, the snapshot, what is left.
    fn run(input: &[u8], ends: impl IntoIterator<Item = usize>) -> (String, Vec<u8>, usize) {
        let mut payload = Payload::new();
        let (mut words, mut snapshot, mut start) = (String::new(), Vec::new(), 0);
        for end in ends {
            let mut pieces = Vec::new();
            let taken = payload.take(&input[start..end], &mut pieces);
            for piece in pieces {
                match piece {
                    Piece::Alive => words.push('.'),
                    Piece::Begins(form) => words.push_str(&format!("{form:?} ")),
                    Piece::Bytes(bytes) => snapshot.extend_from_slice(&bytes),
                    Piece::Whole => words.push_str("whole"),
                }
            }
            match taken {
                Ok(taken) => start += taken,
                Err(failure) => return (format!("{words}{failure:?}"), snapshot, start),
            }
            if words.ends_with("whole") {
                break;
            }
        }
        (words, snapshot, start)
    }

    fn check(input: &[u8], words: &str, snapshot: &[u8], taken: usize) {
        let expected = (words.to_string(), snapshot.to_vec(), taken);
        for cut in 0..=input.len() {
            assert_eq!(run(input, [cut, input.len()]), expected, "cut at {cut}");
        }
        assert_eq!(run(input, 0..=input.len()), expected, "byte by byte");
    }

    #[test]
    fn a_snapshot_ends_where_its_length_says() {
        check(b"\n\n$5\r\nhello*1\r\n", "..Length(5) whole", b"hello", 11);
        check(b"$0\r\n*1", "Length(0) whole", b"", 4);
        check(b"$5\r\nhel", "Length(5) ", b"hel", 7);
    }

    #[test]
    fn a_snapshot_ends_where_its_mark_stands() {
        let almost = [&MARK[..39], b"x", &MARK[..20], b"\0\n"].concat();
        for body in [&b""[..], b"x", b"hello\n", &almost, &almost.repeat(5)] {
            let input = [b"\n$EOF:", MARK, b"\r\n", body, MARK, b"*1\r\n"].concat();
            check(&input, ".Mark whole", body, input.len() - 4);
        }
    }

    #[test]
    fn what_may_be_a_mark_is_kept_back() {
        let input = [b"$EOF:", MARK, b"\r\n", b"data", &MARK[..39]].concat();
        let (words, snapshot, taken) = run(&input, [input.len()]);
        assert_eq!((words.as_str(), snapshot.as_slice(), taken), ("Mark ", &b"data"[..], 90));
    }

    #[test]
    fn only_snapshots_are_snapshots() {
        for (input, expected) in [
            ("-ERR no\r\n", "Aborted(\"ERR no\")"),
            ("+OK\r\n", "NoSnapshot(\"+OK\")"),
            ("\n$\r\n", ".NoSnapshot(\"$\")"),
            ("$-1\r\n", "NoSnapshot(\"$-1\")"),
            ("$01\r\n", "NoSnapshot(\"$01\")"),
            ("$18446744073709551616\r\n", "NoSnapshot(\"$18446744073709551616\")"),
            ("$EOF:short\r\n", "NoSnapshot(\"$EOF:short\")"),
            ("HTTP/1.1 200 OK\r\n", "NoSnapshot(\"HTTP/1.1 200 OK\")"),
        ] {
            let end = input.len();
            assert_eq!(run(input.as_bytes(), [end]).0, expected);
        }
    }

    #[test]
    fn a_mark_is_found_where_a_plain_search_finds_it() {
        let seed = 7;
        let mut random = Random::new(seed);
        let mut below = |bound: u64| usize::try_from(random.below(bound)).expect("it is small");
        for round in 0..3_000 {
            // Few letters, so parts of the mark are everywhere.
            let mark: Vec<u8> = (0..MARK_BYTES).map(|_| b"ab"[below(2)]).collect();
            let mut body: Vec<u8> = (0..below(300)).map(|_| b"abc"[below(3)]).collect();
            for _ in 0..below(4) {
                let at = below(body.len() as u64 + 1);
                let part = &mark[..below(MARK_BYTES as u64)];
                body.splice(at..at, part.iter().copied());
            }
            let input = [b"$EOF:", &mark[..], b"\r\n", &body, &mark, b"rest"].concat();
            let head = MARK_BYTES + 7;
            let plain = input[head..].windows(MARK_BYTES).position(|window| window == mark);
            let plain = head + plain.expect("it stands there");
            let mut ends: Vec<usize> = (0..below(9)).map(|_| below(input.len() as u64)).collect();
            ends.sort_unstable();
            ends.push(input.len());
            let (words, snapshot, taken) = run(&input, ends.clone());
            let label = format!("seed {seed} round {round} cut at {ends:?}");
            assert_eq!(words, "Mark whole", "{label}");
            assert_eq!(snapshot, &input[head..plain], "{label}");
            assert_eq!(taken, plain + MARK_BYTES, "{label}");
        }
    }
}
