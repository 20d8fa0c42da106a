//! Records that lie: about their hashes, or by another key than they were put in with. The table
//! may answer what it likes; it may not fail, lose a record or drop one twice. What it does to
//! memory besides is seen by the tests' allocator and, better, by `scripts/asan`.

use alloc::rc::Rc;
use core::cell::Cell;
use core::ptr;

use super::{Position, Record, Table};
use crate::base::hash::HashSeed;
use crate::base::random::Random;

const SEED: HashSeed = HashSeed(1);

/// How records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// They are put in under any hash.
    Filed,
    /// Some change their hash while they are in.
    Changed,
    /// They tell another hash each time.
    Always,
    /// They agree with others but for the first bits, which were told wrong.
    Aside,
}

const LIES: [Lie; 4] = [Lie::Filed, Lie::Changed, Lie::Always, Lie::Aside];

/// What the records of a table have in common.
#[derive(Debug)]
struct World {
    lie: Lie,
    chance: Cell<u64>,
}

impl World {
    fn bits(&self) -> u64 {
        let bits = Random::new(self.chance.get()).bits();
        self.chance.set(bits);
        bits
    }

    fn below(&self, limit: u64) -> u64 {
        Random::new(self.bits()).below(limit)
    }

    fn any(&self) -> Random {
        Random::new(self.bits())
    }

    /// What a record of this key tells first.
    fn hash_of(&self, key: [u8; 8]) -> u64 {
        let hash = SEED.hash(&key);
        match self.lie {
            Lie::Filed | Lie::Changed | Lie::Always => hash,
            // Two hundred in all, in eight parts of the table.
            Lie::Aside => ((hash % 25) << 20) | hash << 61,
        }
    }
}

/// A record. As many of them live as there are handles of their world but one.
struct Liar(Rc<Content>);

struct Content {
    key: [u8; 8],
    hash: Cell<u64>,
    world: Rc<World>,
}

impl Liar {
    fn new(world: &Rc<World>, key: [u8; 8]) -> Self {
        let hash = Cell::new(world.hash_of(key));
        Self(Rc::new(Content { key, hash, world: world.clone() }))
    }
}

impl Clone for Liar {
    fn clone(&self) -> Self {
        Self::new(&self.0.world, self.0.key)
    }
}

impl Record for Liar {
    fn key(&self) -> &[u8] {
        &self.0.key
    }

    fn hash(&self, _: HashSeed) -> u64 {
        let Content { hash, world, .. } = &*self.0;
        if world.lie == Lie::Always { world.bits() } else { hash.get() }
    }

    fn address(&self) -> *const u8 {
        ptr::from_ref(&*self.0).cast()
    }
}

/// Does one thing or another with a table.
fn step(table: &mut Table<Liar>, world: &Rc<World>, keys: u64, odds: u64) {
    let key = world.below(keys).to_be_bytes();
    let told = world.hash_of(key);
    let is_wrong = match world.lie {
        Lie::Filed => world.below(4) == 0,
        Lie::Aside => world.below(2) == 0,
        Lie::Changed | Lie::Always => false,
    };
    let hash = if is_wrong { told ^ world.bits() << world.below(64) } else { told };
    if odds <= world.below(100) {
        table.put(hash, Liar::new(world, key));
        return;
    }
    match world.below(20) {
        0 => drop(table.remove_hash(hash)),
        1 => drop(table.take_any(&mut world.any())),
        2 => {
            table.free_slice(3);
        }
        3 => {
            if let Some(record) = table.find_mut(hash, &key) {
                *record = Liar::new(world, world.bits().to_be_bytes());
            }
        }
        4 => {
            table.prefetch_bucket(hash);
            table.prefetch_record(hash);
            let found = table.find_hash(hash).map(|record| record.0.key);
            drop(found.and_then(|key| table.remove(hash, &key)));
        }
        _ => drop(table.remove(hash, &key)),
    }
}

/// All records are there, and operations that do not ask for one of them find them.
fn check(table: &Table<Liar>, world: &Rc<World>, case: &str) {
    let len = table.len();
    assert_eq!((Rc::strong_count(world) - 1, table.is_empty()), (len, len == 0), "{case}");
    assert_eq!(table.iter().count(), len, "{case}");
    let mut visited = 0;
    table.for_each(|_| visited += 1);
    assert_eq!(visited, len, "{case}");
    let mut next = Some(Position::default());
    while let Some(position) = next {
        next = table.scan(position, &mut |_| ());
    }
    assert_eq!(table.pick(&mut world.any()).is_some(), 0 < len, "{case}");
    assert_eq!(table.sample(world.bits()).is_some(), 0 < len, "{case}");
    assert_eq!(table.clone().len(), len, "{case}");
}

#[test]
fn whatever_records_say_they_are_kept_and_dropped_once() {
    for (lie, (seed, keys)) in
        LIES.into_iter().flat_map(|lie| [(1, 40), (2, 900), (3, 20_000)].map(|it| (lie, it)))
    {
        let case = alloc::format!("{lie:?}, seed {seed}");
        let world = Rc::new(World { lie, chance: Cell::new(seed) });
        let mut table = Table::new(SEED);
        let steps = 20_000;
        for number in 0..steps {
            // The odds turn from nearly all inserts to nearly all removes and back.
            let odds = 10 + (number * 300 / steps) % 85;
            step(&mut table, &world, keys, odds);
            if lie == Lie::Changed
                && let Some(record) = table.sample(world.bits())
            {
                record.0.hash.set(world.bits());
            }
            if number % (steps / 20) == 0 {
                check(&table, &world, &case);
            }
        }
        check(&table, &world, &case);
        drop(table);
        assert_eq!(Rc::strong_count(&world), 1, "{case}");
    }
}
