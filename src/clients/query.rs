//! The bytes that a client has sent and that are not used up.
//!
//! ```text
//! | used up ... | unused ............ | room |
//!               ^ start               ^ len
//! ```
//! What is used up is left standing for a while: a batch that comes home with requests that did
//! not run puts them back in front, and no byte behind them moves. So each byte is copied a bounded
//! number of times, however much a client has sent ahead.

/// From this many unused bytes on the buffer grows by a quarter, not to the double.
const DOUBLES_UP_TO: usize = 64 << 10;
/// Room that an empty buffer keeps.
const KEPT_BYTES_MAX: usize = 16 << 10;

/// Bytes in the order in which they came in.
#[derive(Debug, Default)]
pub struct Query {
    bytes: Vec<u8>,
    start: usize,
}

impl Query {
    /// What is to be parsed.
    #[inline]
    pub fn unused(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Bytes that are to be parsed.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing is to be parsed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.start
    }

    /// Bytes that the buffer takes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes in what came. The request at the front has at least `awaited` bytes, as far as its
    /// sender says: memory is never reserved for more than that, nor for all of it at once.
    pub fn append(&mut self, more: &[u8], awaited: usize) {
        if self.bytes.capacity() - self.bytes.len() < more.len() {
            self.make_room(more.len(), awaited);
        }
        self.bytes.extend_from_slice(more);
    }

    #[cold]
    fn make_room(&mut self, more: usize, awaited: usize) {
        // As much is moved as was used up before, so that all moves together stay below the sum
        // of what came in.
        if self.len() <= self.start {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let (len, room) = (self.len(), self.bytes.capacity() - self.bytes.len());
        if more <= room {
            return;
        }
        if len < DOUBLES_UP_TO {
            return self.bytes.reserve(more);
        }
        let ahead = (len / 4).min(awaited.saturating_sub(len));
        self.bytes.reserve_exact(more.max(ahead));
    }

    /// Uses up bytes at the front.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        assert!(self.start <= self.bytes.len(), "only what came in is used up");
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Puts bytes back in front that were used up.
    pub fn put_back(&mut self, front: &[u8]) {
        match self.start.checked_sub(front.len()) {
            Some(start) => {
                self.bytes[start..self.start].copy_from_slice(front);
                self.start = start;
            }
            None => {
                let mut bytes = Vec::with_capacity(front.len() + self.len());
                bytes.extend_from_slice(front);
                bytes.extend_from_slice(self.unused());
                *self = Self { bytes, start: 0 };
            }
        }
    }

    /// What is to be parsed, for another owner.
    pub fn into_unused(mut self) -> Vec<u8> {
        self.bytes.drain(..self.start);
        self.bytes
    }

    /// Gives memory back if the buffer is empty and large.
    pub fn trim(&mut self) {
        if self.is_empty() && KEPT_BYTES_MAX < self.bytes.capacity() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use shards::base::random::Random;

    use super::*;

    #[test]
    fn is_a_queue_of_bytes_that_takes_back_what_it_gave() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut query, mut model): (Query, Vec<u8>) = (Query::default(), Vec::new());
            let mut given: Vec<u8> = Vec::new();
            let mut next = 0u8;
            for _ in 0..200 {
                let some = usize::try_from(random.below(300)).expect("small");
                match random.below(4) {
                    0 | 1 => {
                        let more: Vec<u8> = (0..some).map(|_| next.wrapping_add(1)).collect();
                        next = next.wrapping_add(1);
                        query.append(&more, 0);
                        model.extend(more);
                    }
                    2 => {
                        let some = some.min(model.len());
                        given = model.drain(..some).collect();
                        query.consume(some);
                    }
                    _ => {
                        query.put_back(&given);
                        model.splice(0..0, given.drain(..));
                        query.trim();
                    }
                }
                assert_eq!(query.unused(), model, "seed {seed}");
                assert_eq!((query.len(), query.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }

    #[test]
    fn using_up_little_by_little_moves_each_byte_a_few_times() {
        let mut query = Query::default();
        query.append(&[0; 1 << 20], 0);
        let before = query.capacity();
        for _ in 0..10_000 {
            query.consume(100);
            query.append(&[0; 100], 0);
        }
        assert!(query.capacity() <= 3 * before, "what is used up makes room");
    }

    #[test]
    fn a_long_request_takes_little_more_than_its_length() {
        let mut query = Query::default();
        let awaited = 10 << 20;
        while query.len() < awaited / 2 {
            query.append(&[0; 8192], awaited);
        }
        assert!(query.capacity() <= query.len() + query.len() / 4 + 8192);
        while query.len() < awaited {
            query.append(&[0; 8192], awaited);
        }
        assert!(query.capacity() <= awaited + 8192);
        query.consume(awaited);
        query.trim();
        assert_eq!(query.capacity(), 0);
    }
}
