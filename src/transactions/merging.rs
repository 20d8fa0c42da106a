//! Replies of parts on their way to becoming one.

use shards::base::number::parse_i64;
use shards::commands::server::debug_digest::{self, Digest};
use shards::commands::spec::Merge;

/// Replies of parts on their way to becoming one.
#[derive(Debug, Default)]
pub struct Merged {
    /// Integers, added; or how many elements an array has.
    pub sum: i64,
    /// Reply bytes of parts, one after the other.
    pub bytes: Vec<u8>,
    /// Where the reply for the key at this place lies in `bytes`.
    pub pieces: Vec<(usize, std::ops::Range<usize>)>,
    /// Digests by database.
    pub digests: Vec<(usize, Digest)>,
    /// A part failed: its error is the reply.
    pub error: Option<Vec<u8>>,
    /// A part was longer than it could be: so is the reply.
    pub is_broken_off: bool,
}

impl Merged {
    /// Bytes that the next part may have, if all together may have `max`.
    pub fn room(&self, max: usize) -> usize {
        max.saturating_sub(self.bytes.len())
    }

    /// Takes the reply of a part in whose first key stands at `place`. All may have `max` bytes.
    pub fn add_part(&mut self, merge: Merge, place: usize, reply: &[u8], max: usize) {
        if self.room(max) < reply.len() {
            (self.is_broken_off, self.bytes) = (true, Vec::new());
        }
        if self.is_broken_off {
            return;
        }
        match merge {
            Merge::ByKey => self.add_piece(place, reply),
            Merge::Sum | Merge::Concat | Merge::Same | Merge::Digest | Merge::Pick => {
                self.add(merge, reply);
            }
        }
    }

    /// Takes an error in: it is the reply, unless there is one already.
    pub fn fail(&mut self, error: &[u8]) {
        self.error.get_or_insert_with(|| error.to_vec());
    }

    /// Takes a part's reply in.
    fn add(&mut self, merge: Merge, reply: &[u8]) {
        if reply.first() == Some(&b'-') {
            self.error.get_or_insert_with(|| reply.to_vec());
            return;
        }
        match merge {
            Merge::Sum => self.sum += header(reply).0,
            Merge::Concat => {
                let (count, len) = header(reply);
                self.sum += count;
                self.bytes.extend_from_slice(&reply[len..]);
            }
            Merge::Same => self.bytes = reply.to_vec(),
            Merge::Digest => self.digests.extend(digests(reply)),
            Merge::ByKey | Merge::Pick => unreachable!("these are added one by one"),
        }
    }

    /// Takes the reply for the key at `place` in: an array of one element.
    fn add_piece(&mut self, place: usize, reply: &[u8]) {
        if reply.first() == Some(&b'-') {
            self.error.get_or_insert_with(|| reply.to_vec());
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&reply[header(reply).1..]);
        self.pieces.push((place, start..self.bytes.len()));
    }

    /// Takes a shard's candidate in: `[element, weight]`; `chance` gives a number below its
    /// argument. Keeps each candidate with a probability that makes the choice fair.
    pub fn add_pick(&mut self, reply: &[u8], chance: impl FnOnce(u64) -> u64) {
        let colon = reply.iter().rposition(|&byte| byte == b':').unwrap_or(0);
        let weight = header(&reply[colon..]).0;
        let element = &reply[header(reply).1..colon];
        let total = self.sum + weight;
        let take = 0 < weight && chance(total.unsigned_abs()) < weight.unsigned_abs();
        if take || self.bytes.is_empty() {
            self.bytes = element.to_vec();
        }
        self.sum = total;
    }

    /// Writes the one reply; `out` may have `max` bytes then, and has one more if parts are
    /// missing.
    pub fn write(mut self, merge: Merge, out: &mut Vec<u8>, max: usize) {
        if self.is_broken_off {
            out.resize(out.len().max(max.saturating_add(1)), 0);
            return;
        }
        if let Some(error) = self.error {
            out.extend_from_slice(&error);
            return;
        }
        match merge {
            Merge::Sum => out.extend_from_slice(format!(":{}\r\n", self.sum).as_bytes()),
            Merge::Concat => {
                out.extend_from_slice(format!("*{}\r\n", self.sum).as_bytes());
                out.extend_from_slice(&self.bytes);
            }
            Merge::Same | Merge::Pick => out.extend_from_slice(&self.bytes),
            Merge::Digest => {
                let digest = debug_digest::hex(&debug_digest::combined(&self.digests));
                out.extend_from_slice(format!("+{digest}\r\n").as_bytes());
            }
            Merge::ByKey => {
                self.pieces.sort_unstable_by_key(|piece| piece.0);
                out.extend_from_slice(format!("*{}\r\n", self.pieces.len()).as_bytes());
                for (_, range) in self.pieces {
                    out.extend_from_slice(&self.bytes[range]);
                }
            }
        }
    }
}

/// The pairs of a part's answer to DEBUG DIGEST.
fn digests(reply: &[u8]) -> Vec<(usize, Digest)> {
    let mut rest = &reply[header(reply).1..];
    let mut digests = Vec::new();
    while rest.first() == Some(&b':') {
        let (db, len) = header(rest);
        rest = &rest[len..];
        rest = &rest[header(rest).1..];
        let Some((digest, after)) = rest.split_first_chunk() else { break };
        digests.push((usize::try_from(db).unwrap_or(0), *digest));
        rest = after.get(2..).unwrap_or_default();
    }
    digests
}

/// The number in the first line of a reply, and that line's length.
fn header(reply: &[u8]) -> (i64, usize) {
    let end = reply.iter().position(|&byte| byte == b'\r').unwrap_or(reply.len());
    let digits = reply.get(1..end).unwrap_or_default();
    let number = parse_i64(digits).unwrap_or(0);
    (number, (end + 2).min(reply.len()))
}

/// The arguments of the part of a request whose keys stand at `places`: those before the first
/// key of all, at `first_key`, and, for each key, all up to the next one.
pub fn part<'a>(
    args: &[&'a [u8]],
    first_key: usize,
    places: &[usize],
    step: usize,
) -> Vec<&'a [u8]> {
    let mut part = Vec::with_capacity(first_key + places.len() * step);
    part.extend_from_slice(&args[..first_key]);
    for &place in places {
        part.extend_from_slice(&args[place..(place + step).min(args.len())]);
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(merge: Merge, parts: &[&str]) -> String {
        let mut merged = Merged::default();
        parts.iter().for_each(|part| merged.add(merge, part.as_bytes()));
        let mut out = Vec::new();
        merged.write(merge, &mut out, usize::MAX);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn merges_what_parts_answer() {
        assert_eq!(merged(Merge::Sum, &[":1\r\n", ":41\r\n"]), ":42\r\n");
        assert_eq!(merged(Merge::Same, &["+OK\r\n", "+OK\r\n"]), "+OK\r\n");
        let arrays = ["*1\r\n$1\r\na\r\n", "*0\r\n", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"];
        assert_eq!(merged(Merge::Concat, &arrays), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
        assert_eq!(merged(Merge::Sum, &[":1\r\n", "-ERR no\r\n"]), "-ERR no\r\n");
    }

    #[test]
    fn what_is_too_long_is_broken_off_and_told_by_its_length() {
        let mut merged = Merged::default();
        let mut out = b"+before\r\n".to_vec();
        let max = 20;
        merged.add_part(Merge::ByKey, 1, b"*1\r\n$1\r\na\r\n", max - out.len());
        assert_eq!(merged.room(max - out.len()), 4);
        merged.add_part(Merge::ByKey, 2, b"*1\r\n$1\r\nb\r\n", max - out.len());
        merged.write(Merge::ByKey, &mut out, max);
        assert!(out.starts_with(b"+before\r\n") && out.len() == max + 1);
    }

    #[test]
    fn puts_elements_in_their_keys_places() {
        let mut merged = Merged::default();
        merged.add_piece(2, b"*1\r\n$1\r\nb\r\n");
        merged.add_piece(1, b"*1\r\n$-1\r\n");
        let mut out = Vec::new();
        merged.write(Merge::ByKey, &mut out, usize::MAX);
        assert_eq!(out, b"*2\r\n$-1\r\n$1\r\nb\r\n");
    }

    #[test]
    fn picks_by_weight() {
        let mut merged = Merged::default();
        merged.add_pick(b"*2\r\n$-1\r\n:0\r\n", |_| 0);
        merged.add_pick(b"*2\r\n$1\r\na\r\n:3\r\n", |total| total - 1);
        assert_eq!(merged.bytes, b"$1\r\na\r\n");
        merged.add_pick(b"*2\r\n$1\r\nb\r\n:1\r\n", |total| total - 1);
        assert_eq!(merged.bytes, b"$1\r\na\r\n", "the chance fell on what was there before");
        merged.add_pick(b"*2\r\n$1\r\nc\r\n:1\r\n", |_| 0);
        assert_eq!(merged.bytes, b"$1\r\nc\r\n");
    }
}
