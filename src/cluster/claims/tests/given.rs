//! Slots that had gone to another shard before their former owner was replaced.

use super::*;

/// A node that was away for all of that gave them to the successor, and told their owner so.
#[test]
fn slots_that_were_given_before_a_failover_are_not_the_successors() {
    let mut bench = Bench::of(FIVE);
    bench.beat('a', Beat::Ping, |header| {
        follows('s')(header);
        (header.config_epoch, header.slots) = (Epoch(9), slots(5462..10923));
    });
    assert_eq!((owner(&bench, 5461), owner(&bench, 5462)), (Some('s'), Some('s')), "T-C 3");
    assert!(bench.machine.nodes.unclaimed().contains(slot(5461)), "T-C 3");
    bench.beat('r', Beat::Ping, claims(3, slots(5462..5463)));
    bench.expect("T-C 14", &["send r update s 9"]);
    let told = bench.machine.nodes.at(bench.key('s')).slot_set().clone();
    assert_eq!(told.without(bench.machine.nodes.unclaimed()).len(), 5461, "T-C 14");
    bench.beat('b', Beat::Ping, claims(5, slots(10923..16384).with(&slots(5461..5462))));
    bench.expect("its owner is told nothing", &["!send b update"]);
    assert_eq!(owner(&bench, 5461), Some('b'), "T-C 6");
}

/// The slot came when this node could not save, and no other node has it.
#[test]
fn a_slot_that_the_successor_does_not_claim_stays() {
    let mut bench = back_beside_an_heir();
    bench.beat('n', Beat::Ping, claims(5, slots(1..5461)));
    bench.expect("R5", &["delete 5460", "collision", "!follow"]);
    assert_eq!((owner(&bench, 0), owner(&bench, 1)), (Some('m'), Some('n')), "R5");
}
