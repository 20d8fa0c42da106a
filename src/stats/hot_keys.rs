//! The keys that are asked for most, estimated in bounded memory by the space-saving method.
//!
//! Of every so many commands the keys of one are looked at (`hotkeys-sample-rate`). A fixed number
//! of keys is counted (`hotkeys-max`). A key that is not among them takes the place of the one
//! with the lowest count, and that count with it: so no count is too low, and none is too high by
//! more than the count it took over. A key with more than one in `hotkeys-max` of all looks is
//! there for certain (Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k
//! elements in data streams, 2005).

use hashbrown::HashMap;

/// Bytes of a key that are kept: longer ones that begin alike are taken for one.
const KEY_BYTES_MAX: usize = 256;

/// One of the hot keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKey {
    /// Its database.
    pub db: usize,
    /// The key, cut if it is long.
    pub key: Vec<u8>,
    /// How often it was looked at, at most.
    pub looks: u64,
    /// By how much that may be too high.
    pub error: u64,
}

/// The hot keys of one shard.
#[derive(Debug, Default)]
pub struct HotKeys {
    /// Keys of one in so many commands are looked at; 0 for none.
    rate: u32,
    /// Keys that are counted.
    keys_max: usize,
    /// Commands until the next look.
    until: u32,
    /// Looks so far.
    looks: u64,
    keys: Vec<HotKey>,
    /// Places in `keys`, by database and key.
    places: HashMap<(usize, Vec<u8>), usize>,
}

impl HotKeys {
    /// Whether any keys are looked at.
    pub fn is_on(&self) -> bool {
        self.rate != 0
    }

    /// Looks at the keys of one in `rate` commands from now on and counts up to `keys_max`. Begins
    /// anew if that changes anything.
    pub fn configure(&mut self, rate: u32, keys_max: usize) {
        if (self.rate, self.keys_max) != (rate, keys_max) {
            *self = Self { rate, keys_max, until: rate, ..Self::default() };
        }
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        let Self { rate, keys_max, .. } = *self;
        *self = Self { rate, keys_max, until: rate, ..Self::default() };
    }

    /// A command has run: whether its keys are to be looked at.
    pub fn is_due(&mut self) -> bool {
        if !self.is_on() {
            return false;
        }
        self.until -= 1;
        if self.until == 0 {
            self.until = self.rate;
            return true;
        }
        false
    }

    /// Looks at a key that a command has used.
    pub fn look(&mut self, db: usize, key: &[u8]) {
        let key = &key[..key.len().min(KEY_BYTES_MAX)];
        self.looks += 1;
        let name = (db, key.to_vec());
        if let Some(&place) = self.places.get(&name) {
            self.keys[place].looks += 1;
            return;
        }
        let key = HotKey { db, key: key.to_vec(), looks: 1, error: 0 };
        if self.keys.len() < self.keys_max {
            self.places.insert(name, self.keys.len());
            self.keys.push(key);
            return;
        }
        let places = self.keys.iter_mut().enumerate();
        let Some((place, lowest)) = places.min_by_key(|(_, key)| key.looks) else { return };
        let error = lowest.looks;
        let gone = std::mem::replace(lowest, HotKey { looks: error + 1, error, ..key });
        self.places.remove(&(gone.db, gone.key));
        self.places.insert(name, place);
    }

    /// How many keys were looked at, and those counted, the hottest first.
    pub fn list(&self) -> (u64, Vec<HotKey>) {
        let mut keys = self.keys.clone();
        keys.sort_by_key(|key| std::cmp::Reverse(key.looks));
        (self.looks, keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::base::random::Random;

    fn filled(rate: u32, keys_max: usize, uses: usize) -> HotKeys {
        let mut hot = HotKeys::default();
        hot.configure(rate, keys_max);
        let mut random = Random::new(7);
        for _ in 0..uses {
            // A third of all goes to one key, a tenth to another, the rest to a thousand.
            let key = match random.below(30) {
                0..10 => "hot".to_owned(),
                10..13 => "warm".to_owned(),
                _ => format!("cold:{}", random.below(1000)),
            };
            if hot.is_due() {
                hot.look(3, key.as_bytes());
            }
        }
        hot
    }

    #[test]
    fn hot_keys_are_found_and_counted_within_their_error() {
        for (rate, uses) in [(1, 30_000), (10, 300_000)] {
            let (looks, keys) = filled(rate, 32, uses).list();
            assert_eq!((looks, keys.len()), (30_000, 32));
            assert!(keys.is_sorted_by(|one, next| next.looks <= one.looks));
            for (key, name, share) in [(&keys[0], "hot", 10_000), (&keys[1], "warm", 3_000)] {
                assert_eq!((key.db, key.key.as_slice()), (3, name.as_bytes()));
                let (least, most) = (key.looks - key.error, key.looks);
                assert!(least <= share + 500 && share - 500 <= most, "{name}: {least}..={most}");
            }
            assert_eq!(keys.iter().map(|key| key.looks).sum::<u64>(), looks);
        }
    }

    #[test]
    fn nothing_is_counted_unless_it_is_wanted() {
        let mut hot = filled(0, 32, 100);
        assert!(!hot.is_on());
        assert_eq!(hot.list(), (0, Vec::new()));
        hot.configure(1, 2);
        assert!(hot.is_due());
        hot.look(0, &[b'x'; 1000]);
        hot.configure(1, 2);
        let (looks, keys) = hot.list();
        assert_eq!((looks, keys[0].key.len()), (1, 256));
        hot.reset();
        assert_eq!((hot.is_on(), hot.list().0), (true, 0));
    }
}
