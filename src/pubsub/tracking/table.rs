//! Which clients have read which keys of a shard since these last changed.

use std::rc::Rc;

use hashbrown::HashMap;
use shards::effects::Reader;

/// Keys with their readers. Every key has at least one.
#[derive(Debug, Default)]
pub struct Table {
    /// Where a key stands in `keys`.
    places: HashMap<Rc<[u8]>, usize>,
    /// In no order, so that one can be picked by chance.
    keys: Vec<Tracked>,
    readers: usize,
}

#[derive(Debug)]
struct Tracked {
    key: Rc<[u8]>,
    /// Ascending.
    readers: Vec<Reader>,
}

impl Table {
    /// Keys in it.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no client has read any key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Readers of all keys, those of several keys counted for each.
    pub fn readers(&self) -> usize {
        self.readers
    }

    /// Notes that a client has read a key.
    pub fn remember(&mut self, key: &[u8], reader: Reader) {
        let Some(&at) = self.places.get(key) else {
            let key: Rc<[u8]> = key.into();
            self.places.insert(Rc::clone(&key), self.keys.len());
            self.keys.push(Tracked { key, readers: vec![reader] });
            self.readers += 1;
            return;
        };
        let readers = &mut self.keys[at].readers;
        if let Err(place) = readers.binary_search(&reader) {
            readers.insert(place, reader);
            self.readers += 1;
        }
    }

    /// Forgets a key; its readers.
    pub fn take(&mut self, key: &[u8]) -> Vec<Reader> {
        let Some(&at) = self.places.get(key) else { return Vec::new() };
        self.take_at(at).1
    }

    /// Forgets the key at a place below [`Self::len`], chosen by chance; the key and its readers.
    pub fn take_at(&mut self, at: usize) -> (Rc<[u8]>, Vec<Reader>) {
        let Tracked { key, readers } = self.keys.swap_remove(at);
        self.places.remove(&key);
        if let Some(moved) = self.keys.get(at) {
            *self.places.get_mut(&moved.key).expect("every key has its place") = at;
        }
        self.readers -= readers.len();
        (key, readers)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn reader(client: u64) -> Reader {
        Reader { home: 0, client }
    }

    #[test]
    fn a_key_is_taken_with_all_its_readers_once() {
        let mut table = Table::default();
        for (key, client) in [("a", 2), ("a", 1), ("a", 2), ("b", 1), ("c", 3)] {
            table.remember(key.as_bytes(), reader(client));
        }
        assert_eq!((table.len(), table.readers()), (3, 4));
        assert_eq!(table.take(b"a"), [reader(1), reader(2)]);
        assert!(table.take(b"a").is_empty());
        assert_eq!(table.take(b"c"), [reader(3)]);
        let (key, readers) = table.take_at(0);
        assert_eq!((&*key, readers), (&b"b"[..], vec![reader(1)]));
        assert!(table.is_empty());
        assert_eq!(table.readers(), 0);
    }
}
