//! Key -> slot -> shard, and which arguments are keys.

use shards::base::hash::slot_of_hash;
use shards::base::number::parse_i64;
use shards::base::slot::{SLOTS, Slot};
use shards::commands::spec::{Begin, Find, KeySpec};

/// Which shard owns which slot: a table, so that a slot can be moved.
#[derive(Clone, Debug)]
pub struct SlotMap {
    owner: Box<[u16]>,
    /// The owner of each block of slots, or `MIXED`: half a kilobyte, which stays in the cache
    /// where the whole table would push everything else out.
    blocks: [u16; BLOCKS],
    shards: u16,
}

/// Slots that are looked up together as long as they have one owner.
const BLOCK_SLOTS: usize = 64;
const BLOCKS: usize = SLOTS as usize / BLOCK_SLOTS;
/// The slots of a block have several owners.
const MIXED: u16 = u16::MAX;

impl SlotMap {
    /// Slots in `shards` contiguous ranges of nearly equal length.
    pub fn even(shards: u16) -> Self {
        let owner = |slot| {
            let owner = u32::from(slot) * u32::from(shards) / u32::from(SLOTS);
            u16::try_from(owner).expect("below the number of shards")
        };
        let owner: Box<[u16]> = (0..SLOTS).map(owner).collect();
        let mut blocks = [MIXED; BLOCKS];
        for (block, slots) in blocks.iter_mut().zip(owner.chunks(BLOCK_SLOTS)) {
            if slots.iter().all(|owner| *owner == slots[0]) {
                *block = slots[0];
            }
        }
        Self { owner, blocks, shards }
    }

    /// How many shards there are.
    #[inline]
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The shard that owns the slot in a key hash.
    #[inline]
    pub fn owner(&self, hash: u64) -> u16 {
        if self.shards == 1 {
            return 0;
        }
        let slot = usize::from(slot_of_hash(hash).number());
        match self.blocks[slot / BLOCK_SLOTS] {
            MIXED => self.owner[slot],
            owner => owner,
        }
    }

    /// The shard that owns a slot.
    pub fn owner_of(&self, slot: Slot) -> u16 {
        self.owner[usize::from(slot.number())]
    }

    /// The slots of one shard; they are contiguous.
    pub fn range(&self, shard: u16) -> std::ops::Range<u16> {
        let first = self.owner.iter().position(|&o| o == shard);
        let last = self.owner.iter().rposition(|&o| o == shard);
        match (first, last) {
            (Some(first), Some(last)) => {
                let number = |at: usize| u16::try_from(at).expect("slots fit");
                number(first)..number(last) + 1
            }
            _ => 0..0,
        }
    }
}

/// The places of a request's keys among its arguments, ascending within each specification.
/// Malformed requests give the keys that can be made out.
pub fn key_places(specs: &[KeySpec], args: &[&[u8]]) -> Vec<usize> {
    let mut places = Vec::new();
    for spec in specs {
        let Some(begin) = begin(spec.begin, args) else { continue };
        match spec.find {
            Find::Range { last, step, limit } => {
                let count = args.len();
                let last = match usize::try_from(last) {
                    Ok(last) => begin + last,
                    Err(_) if 1 < limit => begin + (count - begin) / limit - 1,
                    Err(_) => count.saturating_sub(usize::try_from(-last).unwrap_or(count)),
                };
                places.extend((begin..=last).step_by(step.max(1)).filter(|&at| at < count));
            }
            Find::Number { at, first, step } => {
                let keys = args.get(begin + at).and_then(|arg| parse_i64(arg));
                let keys = keys.and_then(|keys| usize::try_from(keys).ok()).unwrap_or(0);
                let from = begin + first;
                let within = (from..args.len()).step_by(step.max(1));
                places.extend(within.take(keys));
            }
            Find::Place(place) => places.extend(place(args)),
            Find::Anywhere(_) => {}
        }
    }
    places
}

/// Whether a request asks for keys that do not stand among its arguments.
pub fn reaches(specs: &[KeySpec], args: &[&[u8]]) -> bool {
    specs.iter().any(|spec| matches!(spec.find, Find::Anywhere(asks) if asks(args)))
}

fn begin(begin: Begin, args: &[&[u8]]) -> Option<usize> {
    match begin {
        Begin::Index(at) => (at < args.len()).then_some(at),
        Begin::Unknown => Some(0),
        Begin::Keyword(word, from) => {
            let is_word = |at: &usize| args[*at].eq_ignore_ascii_case(word.as_bytes());
            let found = match usize::try_from(from) {
                Ok(from) => (from..args.len()).find(is_word),
                Err(_) => {
                    let back = usize::try_from(-from).unwrap_or(args.len());
                    (1..(args.len() + 1).saturating_sub(back)).rev().find(is_word)
                }
            };
            found.map(|at| at + 1).filter(|&at| at < args.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_owner_and_ranges_are_even() {
        for shards in [1, 2, 3, 7, 64] {
            let map = SlotMap::even(shards);
            let lengths: Vec<usize> = (0..shards).map(|shard| map.range(shard).len()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), usize::from(SLOTS));
            for slot in 0..SLOTS {
                assert!(map.range(map.owner(u64::from(slot) << 50)).contains(&slot));
            }
            assert!(lengths.iter().max() <= lengths.iter().min().map(|min| min + 1).as_ref());
        }
    }

    #[test]
    fn finds_keys_by_range_number_and_keyword() {
        let split = |line: &'static str| line.split(' ').map(str::as_bytes).collect::<Vec<_>>();
        let pairs = [KeySpec::from(1, 2, &[])];
        assert_eq!(key_places(&pairs, &split("mset a 1 b 2")), [1, 3]);
        let find = Find::Number { at: 0, first: 1, step: 1 };
        let counted = [KeySpec { begin: Begin::Index(1), find, flags: &[] }];
        assert_eq!(key_places(&counted, &split("lmpop 2 a b left")), [2, 3]);
        assert_eq!(key_places(&counted, &split("lmpop 9 a")), [2]);
        let store = [KeySpec {
            begin: Begin::Keyword("STORE", -1),
            find: Find::Range { last: 0, step: 1, limit: 0 },
            flags: &[],
        }];
        assert_eq!(key_places(&store, &split("sort a store b")), [3]);
        assert!(key_places(&store, &split("sort a store")).is_empty());
    }
}
