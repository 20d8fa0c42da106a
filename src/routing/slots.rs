//! Key -> slot -> shard.

use shards::base::hash::slot_of_hash;
use shards::base::slot::{SLOTS, Slot};

use crate::config::table::Config;

/// A thread that can get mail: shards first, then the control thread.
pub type Peer = usize;

/// Which shard owns which slot: a table, so that a slot can be moved.
#[derive(Clone, Debug)]
pub struct SlotMap {
    owner: Box<[u16]>,
    /// The owner of each block of slots, or `MIXED`: half a kilobyte, which stays in the cache
    /// where the whole table would push everything else out.
    blocks: [u16; BLOCKS],
    shards: u16,
    keeps_to_one_slot: bool,
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
        Self { owner, blocks, shards, keeps_to_one_slot: false }
    }

    /// The same where each request keeps to one slot, if `config` makes the server a node of a
    /// cluster: other slots may be at other nodes.
    pub fn configured(shards: u16, config: &Config) -> Self {
        Self { keeps_to_one_slot: config.cluster_enabled, ..Self::even(shards) }
    }

    /// Whether each request keeps to one slot.
    #[inline]
    pub fn keeps_to_one_slot(&self) -> bool {
        self.keeps_to_one_slot
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
}
