//! What keys hold here: of each key one number, in which all that was done to the key since it was
//! last set is folded. What is lost, doubled or out of order makes another number.

use std::collections::BTreeMap;

use shards::journal::units::Unit;

/// Names of keys, each of which is there in every database.
pub const NAMES: usize = 10;
/// Databases that are used.
pub const DATABASES: usize = 2;
/// Keys of all databases.
pub const KEYS: usize = NAMES * DATABASES;

/// The values of all keys; 0 is none.
pub type Values = [u64; KEYS];

/// Something that one client has done, by a number that no other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeedId(pub u32);

/// What a command does to one key, or to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `APPEND key id`
    Append(usize, DeedId),
    /// `SET key id`, also as a part of MSET
    Set(usize, DeedId),
    /// `FLUSHALL`
    Flush,
}

/// All keys of a node, and what made them what they are.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub values: Values,
    /// A bit for each deed.
    seen: Vec<u64>,
    /// Deeds of which not all keys are changed, and which are.
    half: Vec<(DeedId, Vec<usize>)>,
}

impl Change {
    /// The key; `None` if it is all of them.
    pub fn key(self) -> Option<usize> {
        match self {
            Self::Append(key, _) | Self::Set(key, _) => Some(key),
            Self::Flush => None,
        }
    }

    pub fn deed(self) -> Option<DeedId> {
        match self {
            Self::Append(_, id) | Self::Set(_, id) => Some(id),
            Self::Flush => None,
        }
    }

    fn is_set(self) -> bool {
        matches!(self, Self::Set(..))
    }

    /// What a key holds behind it that held `value`.
    pub fn on(self, value: u64) -> u64 {
        match self {
            Self::Append(_, id) => fold(value, id),
            Self::Set(_, id) => fold(0, id),
            Self::Flush => 0,
        }
    }

    /// What a command does.
    pub fn of(db: usize, args: &[&[u8]]) -> Vec<Self> {
        let id = |arg: &[u8]| DeedId(number(arg));
        match args {
            [b"APPEND", key, arg] => vec![Self::Append(key_of(db, key), id(arg))],
            [b"SET", key, arg] => vec![Self::Set(key_of(db, key), id(arg))],
            [b"MSET", pairs @ ..] => {
                let set = |pair: &[&[u8]]| Self::Set(key_of(db, pair[0]), id(pair[1]));
                pairs.chunks(2).map(set).collect()
            }
            [b"FLUSHALL"] => vec![Self::Flush],
            _ => Vec::new(),
        }
    }
}

/// The commands that do all this, those of each shard together.
pub fn commands_of(changes: &[Change], owners: &[u16; KEYS]) -> Unit {
    let mut unit = Unit::default();
    let is_mset = 1 < changes.len() && changes.iter().all(|change| change.is_set());
    let mut groups: BTreeMap<(usize, u16), Vec<String>> = BTreeMap::new();
    for change in changes {
        match *change {
            Change::Append(key, DeedId(id)) => {
                unit.push(key / NAMES, &["APPEND", name_of(key), &id.to_string()]);
            }
            Change::Set(key, DeedId(id)) if is_mset => {
                let group = groups.entry((key / NAMES, owners[key])).or_default();
                group.extend([name_of(key).to_owned(), id.to_string()]);
            }
            Change::Set(key, DeedId(id)) => {
                unit.push(key / NAMES, &["SET", name_of(key), &id.to_string()]);
            }
            Change::Flush => unit.push(0, &["FLUSHALL"]),
        }
    }
    for ((db, _), pairs) in groups {
        let mut args = vec!["MSET".to_owned()];
        args.extend(pairs);
        unit.push(db, &args);
    }
    unit
}

/// The name of a key, whatever its database.
pub fn name_of(key: usize) -> &'static str {
    const TEXTS: [&str; NAMES] = ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"];
    TEXTS[key % NAMES]
}

fn key_of(db: usize, name: &[u8]) -> usize {
    let name = usize::try_from(number(&name[1..])).expect("names are few");
    assert!(name < NAMES && db < DATABASES, "key {name} of database {db}");
    db * NAMES + name
}

fn number(digits: &[u8]) -> u32 {
    let text = std::str::from_utf8(digits).expect("digits are text");
    text.parse().unwrap_or_else(|_| panic!("'{text}' is no number"))
}

fn fold(value: u64, DeedId(id): DeedId) -> u64 {
    let mixed = (value ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) | 1
}

impl Image {
    /// Does something to it; `keys` says how many keys the deed changes in all.
    pub fn change(&mut self, change: Change, keys: usize) {
        match change.key() {
            Some(key) => self.values[key] = change.on(self.values[key]),
            None => self.values = Values::default(),
        }
        let Some(id) = change.deed() else { return };
        let at = self.half.iter().position(|(half, _)| *half == id);
        let mut done = at.map_or_else(Vec::new, |at| self.half.swap_remove(at).1);
        done.extend(change.key());
        if done.len() < keys {
            self.half.push((id, done));
        }
        let (word, bit) = place_of(id);
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= bit;
    }

    /// Whether it has this deed.
    pub fn has(&self, id: DeedId) -> bool {
        let (word, bit) = place_of(id);
        self.seen.get(word).is_some_and(|seen| seen & bit != 0)
    }

    /// Deeds of which it has a part.
    pub fn half(&self) -> &[(DeedId, Vec<usize>)] {
        &self.half
    }
}

fn place_of(DeedId(id): DeedId) -> (usize, u64) {
    (usize::try_from(id / 64).expect("it is small"), 1 << (id % 64))
}
