//! Keys that come from a file, with fields that may be due: where commands remove what is due, it
//! does not come in. A replica takes all of it, for its primary says what goes.

use crate::base::time::UnixMs;
use crate::keyspace::db::{Entry, Keyspace};
use crate::keyspace::settings::OnExpiry;
use crate::types::hash::Hash;
use crate::types::object::Collection;

impl Keyspace {
    /// Whether a key that expires at this time comes in.
    #[inline]
    pub fn admits(&self, expire: Option<UnixMs>) -> bool {
        !self.sheds() || expire.is_none_or(|at| self.now < at)
    }

    /// Takes the fields out of an arriving entry that do not come in. False if none is left.
    pub fn shed_due_fields(&self, entry: &mut Entry) -> bool {
        if !self.sheds() {
            return true;
        }
        let Some(hash) = entry.object_mut().and_then(Hash::of_mut) else { return true };
        if hash.next_due().is_some_and(|at| at <= self.now) {
            hash.take_due(self.now, usize::MAX);
        }
        !hash.is_empty()
    }

    /// Whether what is due stays outside.
    fn sheds(&self) -> bool {
        match self.settings.expiry {
            OnExpiry::Removes => true,
            OnExpiry::Hides | OnExpiry::Ignores => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::base::random::Random;
    use crate::types::hash::{FieldExpiry, Rules};
    use crate::types::limits::Limits;
    use crate::types::object::Object;

    const SEED: HashSeed = HashSeed(3);
    const NOW: UnixMs = UnixMs(1000);

    fn world(expiry: OnExpiry) -> Keyspace {
        let mut keyspace = Keyspace::new(1, SEED, Random::new(1));
        (keyspace.now, keyspace.settings.expiry) = (NOW, expiry);
        keyspace
    }

    /// An entry with one field for each of these times; 0 stands for never.
    fn entry(times: &[u64]) -> Entry {
        let rules = Rules { limits: Limits::DEFAULT.hash, seed: SEED, due_by: UnixMs(0) };
        let mut hash = Hash::default();
        for (number, &at) in times.iter().enumerate() {
            let name = [b'a' + u8::try_from(number).unwrap()];
            hash.set(&name, b"v", FieldExpiry::Clear, &rules);
            if at != 0 {
                hash.set_expiry(&name, Some(UnixMs(at)), SEED);
            }
        }
        Entry::object(b"key", Object::Hash(hash))
    }

    fn check(expiry: OnExpiry, times: &[u64], left: usize) {
        let mut entry = entry(times);
        assert_eq!(world(expiry).shed_due_fields(&mut entry), left != 0, "{expiry:?} {times:?}");
        let hash = entry.object_mut().and_then(Hash::of_mut).unwrap();
        assert_eq!(hash.len(), left, "{expiry:?} {times:?}");
    }

    #[test]
    fn due_fields_stay_outside_where_due_fields_are_removed() {
        check(OnExpiry::Removes, &[0, 0], 2);
        check(OnExpiry::Removes, &[0, 999], 1);
        check(OnExpiry::Removes, &[999, 1000, 1001], 1);
        check(OnExpiry::Removes, &[1, 1000], 0);
        check(OnExpiry::Hides, &[1, 1000], 2);
        check(OnExpiry::Ignores, &[1, 1000], 2);
        let mut text = Entry::string(b"key", b"text");
        assert!(world(OnExpiry::Removes).shed_due_fields(&mut text));
    }

    #[test]
    fn due_keys_stay_outside_where_due_keys_are_removed() {
        let removes = world(OnExpiry::Removes);
        let admitted = [None, Some(UnixMs(1001)), Some(UnixMs(1000)), Some(UnixMs(1))];
        assert_eq!(admitted.map(|at| removes.admits(at)), [true, true, false, false]);
        for expiry in [OnExpiry::Hides, OnExpiry::Ignores] {
            assert_eq!(admitted.map(|at| world(expiry).admits(at)), [true; 4]);
        }
    }
}
