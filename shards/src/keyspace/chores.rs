//! What a shard does between commands, some at a time. The engine has no clock: the floor above
//! says how much effort a piece may take, looks at its clock, and comes again.

use crate::effects::Effects;
use crate::keyspace::db::Keyspace;
use crate::keyspace::evict::Locked;
use crate::keyspace::expire;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chore {
    /// Keys whose time has come are removed.
    ExpireKeys,
    /// Fields of hashes are.
    ExpireFields,
    /// What was removed and is large is freed.
    FreeGarbage,
}

impl Chore {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ExpireKeys, Self::ExpireFields, Self::FreeGarbage];
}

/// What came of a piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it took, in the unit of budgets: about the removal of one key or field, or one
    /// allocation freed. That may be more than the budget by what a few values take that are not
    /// large enough to be freed later.
    pub effort: usize,
    /// What it left to do.
    pub left: Left,
}

/// What is left of a kind of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    #[default]
    Nothing,
    /// Only what transactions claim, as far as was seen: to be tried again when claims have ended,
    /// or a little later.
    Claimed,
    /// More that can be done at once: the budget ended it.
    More,
}

/// How far a keyspace is behind with its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// For how many milliseconds a key has been due and not removed.
    pub keys_late_ms: u64,
    /// For how many milliseconds a field has been due and not removed.
    pub fields_late_ms: u64,
    /// Values that wait to be freed.
    pub garbage: usize,
}

/// Does work of one kind until its budget is used up. Locked keys are left alone.
pub fn work(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    (chore, budget): (Chore, usize),
    locked: Locked<'_>,
) -> Progress {
    match chore {
        Chore::ExpireKeys => expire::expire_keys(keyspace, effects, budget, locked),
        Chore::ExpireFields => expire::expire_fields(keyspace, effects, budget, locked),
        Chore::FreeGarbage => keyspace.free_garbage(budget),
    }
}

impl Keyspace {
    /// How far it is behind; what is due does not count where it has to stay. It takes a few
    /// instructions for each database.
    pub fn backlog(&self) -> Backlog {
        let mut backlog = Backlog { garbage: self.garbage.len(), ..Backlog::default() };
        if expire::is_active(&self.settings) {
            for db in &self.dbs {
                let (keys, fields) = db.late_ms(self.now);
                backlog.keys_late_ms = backlog.keys_late_ms.max(keys);
                backlog.fields_late_ms = backlog.fields_late_ms.max(fields);
            }
        }
        backlog
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::HashSeed;
    use crate::base::random::Random;
    use crate::base::time::UnixMs;
    use crate::keyspace::db::Entry;
    use crate::keyspace::expire::BATCH;
    use crate::types::hash::Hash;
    use crate::types::object::{Collection, FREE_EFFORT_MAX};

    const SEED: HashSeed = HashSeed(3);

    /// Keys of three databases: strings and hashes of up to 200 fields, of which some expire, some
    /// have fields that do, and some neither.
    fn keyspace(random: &mut Random) -> Keyspace {
        let mut keyspace = Keyspace::new(3, SEED, Random::new(1));
        for number in 0..600u32 {
            let key = number.to_be_bytes();
            let mut hash = Hash::default();
            for field in 0..random.below(200) {
                let at = (random.below(3) == 0).then(|| UnixMs(random.below(200)));
                hash.become_table(SEED).set(&field.to_be_bytes(), b"value", at);
            }
            let mut entry = match hash.is_empty() {
                true => Entry::string(&key, b"value"),
                false => Entry::object(&key, hash.into_object()),
            };
            entry.set_expire((random.below(2) == 0).then(|| UnixMs(random.below(200))));
            let db = usize::try_from(random.below(3)).unwrap();
            keyspace.dbs[db].insert(SEED.key_hash(&key), entry);
        }
        keyspace
    }

    /// What commands could see.
    fn visible(keyspace: &Keyspace) -> usize {
        let Keyspace { dbs, now, .. } = keyspace;
        let entries = dbs.iter().flat_map(|db| db.table().iter());
        let entries = entries.filter(|entry| keyspace.shows(entry));
        let fields = |entry: &Entry| {
            let hash = entry.as_object().and_then(Hash::of);
            hash.map_or(1, |hash| hash.visible_len(*now))
        };
        entries.map(fields).sum()
    }

    #[test]
    fn pieces_of_any_size_do_the_whole_work_and_take_what_they_may() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let mut keyspace = keyspace(&mut random);
            keyspace.now = UnixMs(100);
            let (before, locked_hash) = (visible(&keyspace), SEED.key_hash(&7u32.to_be_bytes()));
            let (mut pieces, mut effects) = (0, Effects::default());
            while Chore::ALL.iter().any(|chore| {
                let budget = 1 + usize::try_from(random.below(300)).unwrap();
                let claims = random.below(2) == 0;
                let locked: Locked<'_> = &|_, hash| claims && hash == locked_hash;
                let progress = work(&mut keyspace, &mut effects, (*chore, budget), locked);
                let most = budget + BATCH * FREE_EFFORT_MAX;
                assert!(progress.effort < most, "seed {seed} {progress:?}");
                progress.left != Left::Nothing
            }) {
                pieces += 1;
                assert!(pieces < 100_000, "seed {seed} comes to no end");
            }
            assert_eq!(visible(&keyspace), before, "seed {seed}");
            assert_eq!(keyspace.backlog(), Backlog::default(), "seed {seed}");
            let dbs = &keyspace.dbs;
            assert!(dbs.iter().all(|db| UnixMs(100) < db.next_due().min(db.next_field_due())));
        }
    }

    #[test]
    fn the_longest_overdue_of_all_databases_says_how_late_it_is() {
        let mut random = Random::new(1);
        let mut keyspace = keyspace(&mut random);
        let backlog = |keyspace: &mut Keyspace, now| {
            keyspace.now = UnixMs(now);
            let Backlog { keys_late_ms, fields_late_ms, garbage } = keyspace.backlog();
            (keys_late_ms, fields_late_ms, garbage)
        };
        assert_eq!(backlog(&mut keyspace, 0), (0, 0, 0));
        let (keys, fields, garbage) = backlog(&mut keyspace, 50);
        assert!((45..=50).contains(&keys) && fields == 50 && garbage == 0, "{keys} {fields}");
        keyspace.now = UnixMs(20);
        let piece = (Chore::ExpireKeys, 10);
        let mut effects = Effects::default();
        while work(&mut keyspace, &mut effects, piece, &|_, _| false).left == Left::More {}
        let (keys, fields, garbage) = backlog(&mut keyspace, 50);
        assert!((20..30).contains(&keys) && fields == 50 && 0 < garbage, "{keys} {fields}");
    }
}
