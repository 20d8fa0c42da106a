//! The table against a plain model, and the rules of roles and shards.

use shards::base::random::Random;

use super::*;
use crate::cluster::slot_set::all_slots;

fn id(letter: u8) -> NodeId {
    NodeId::parse(&[letter; 40]).expect("a letter")
}

fn shard(letter: u8) -> ShardId {
    ShardId::parse(&[letter; 40]).expect("a letter")
}

fn table(letters: &[u8]) -> (Nodes, Vec<Key>) {
    let node = |letter: u8| Node::new(id(letter), Role::Primary, Moment(0));
    let mut nodes = Nodes::new(node(letters[0]));
    for letter in &letters[1..] {
        nodes.add(node(*letter)).expect("letters differ");
    }
    let keys = letters.iter().map(|letter| nodes.find(id(*letter)).expect("it is there"));
    let keys = keys.collect();
    (nodes, keys)
}

#[test]
fn owners_sets_and_counts_agree_whatever_happens() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let (mut nodes, keys) = table(b"abcd");
        let mut alive = keys.clone();
        let mut model: BTreeMap<u16, Key> = BTreeMap::new();
        for _ in 0..300 {
            let mut below = |limit| usize::try_from(random.below(limit)).expect("it is small");
            let slot = Slot::new(u16::try_from(below(64)).expect("small")).expect("a slot");
            let (one, other) = (alive[below(alive.len() as u64)], alive[below(alive.len() as u64)]);
            match below(40) {
                0..20 => {
                    nodes.own(slot, one);
                    model.insert(slot.number(), one);
                }
                20..30 => {
                    nodes.disown(slot);
                    model.remove(&slot.number());
                }
                30..35 => {
                    nodes.move_slots(one, other);
                    model.values_mut().filter(|owner| **owner == one).for_each(|key| *key = other);
                }
                35 if one != nodes.myself() => {
                    nodes.remove(one);
                    alive.retain(|key| *key != one);
                    model.retain(|_, owner| *owner != one);
                }
                _ => {
                    nodes.disown_all(one);
                    model.retain(|_, owner| *owner != one);
                }
            }
            for slot in all_slots().take(64) {
                let owner = nodes.owner(slot);
                assert_eq!(owner, model.get(&slot.number()).copied(), "seed {seed}");
                let has = |(_, node): &(Key, &Node)| node.slot_set().contains(slot);
                let listed: Vec<Key> = nodes.iter().filter(has).map(|(key, _)| key).collect();
                assert_eq!(listed, owner.into_iter().collect::<Vec<_>>(), "seed {seed}");
            }
            let counts = nodes.iter().all(|(_, node)| node.slot_set().len() == node.slot_count());
            assert!(counts, "seed {seed}");
        }
    }
}

#[test]
fn a_replica_has_its_primarys_shard_and_no_slots() {
    let (mut nodes, keys) = table(b"abc");
    let [a, b, c] = keys[..] else { panic!("three keys") };
    assert!(nodes.set_shard(a, shard(b's')));
    nodes.own(Slot::default(), b);
    nodes.set_replica(b, Some(a));
    assert_eq!((nodes.owner(Slot::default()), nodes.at(b).shard), (None, Some(shard(b's'))));
    assert!(!nodes.set_shard(b, shard(b't')), "its primary has another one");
    assert!(nodes.set_shard(a, shard(b't')));
    assert_eq!(nodes.at(b).shard, Some(shard(b't')), "a primary takes its replicas along");
    assert!(nodes.are_of_one_shard(a, b));
    // Of a Redis 7.0 no shard id is known, but whose replica it is.
    nodes.at_mut(c).shard = None;
    assert_eq!(nodes.shard(c), Shard::Of(id(b'c')));
    nodes.set_replica(a, Some(c));
    assert!(!nodes.set_primary(c), "it is one");
    assert_eq!(nodes.primary_of(a), Some(c));
    nodes.remove(c);
    assert_eq!(nodes.primary_of(a), None);
    assert!(nodes.set_primary(b));
    assert!(nodes.at(b).flags.has(Flags::MIGRATE_TO), "it had been a replica");
}
