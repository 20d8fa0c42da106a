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
    bench.expect("R5", &["delete 5460", "!collision", "!follow"]);
    assert_eq!((owner(&bench, 0), owner(&bench, 1)), (Some('m'), Some('n')), "R5");
    bench.pong('a');
    bench.beat('n', Beat::Ping, claims(5, slots(1..5461)));
    bench.expect("a majority has answered", &["collision"]);
}

/// By a newer epoch than its successor's it would have its slots back, and delete what was written
/// there.
#[test]
fn a_primary_that_may_have_been_replaced_takes_no_newer_epoch() {
    let mut bench =
        Bench::of("m primary 3 0-5460, a primary 4 5461-10922, n primary 5 10923-16383");
    let set = |request| Command::SetSlot(slot(6000), request);
    let mine = SetSlot::Node { owner: id('m'), keys: 1 };
    bench.ask(set(SetSlot::Importing(id('a'))));
    bench.stop();
    let refused = bench.ask(set(mine));
    assert!(refused.contains("may have been replaced"), "7.4: its first act: {refused}");
    assert_eq!((owner(&bench, 6000), bench.node('m').config_epoch), (Some('a'), Epoch(3)));
    bench.beat('n', Beat::Ping, |header| header.config_epoch = Epoch(3));
    bench.expect("T-C 13: a collision", &["!collision"]);
    bench.beat('a', Beat::Ping, claims(4, slots(5461..6000)));
    bench.pass(200);
    bench.pong('a');
    assert!(!bench.machine.state().is_fenced());
    assert_eq!(bench.ask(set(mine)), "Ok", "a majority has answered");
    assert_eq!((owner(&bench, 6000), bench.node('m').config_epoch), (Some('m'), Epoch(6)));
}

/// The one took its epoch for a slot, the other one was elected in the same, and has written since.
#[test]
fn of_two_primaries_of_a_shard_with_one_epoch_a_fenced_one_follows_unless_it_took_over() {
    for (label, other, taken, follows_it) in [
        ("T-C 13: it never took over", 'n', 0, true),
        ("T-C 13: nor with the greater id", 'c', 0, true),
        ("T-C 13: it took over in an epoch before", 'n', 3, true),
        ("T-C 13: it took over in this one", 'n', 5, false),
        ("T-C 13: so it did with the greater id", 'c', 5, false),
    ] {
        let mut bench = Bench::of(&format!(
            "m primary 3 0-5460, a primary 4 5461-10922, {other} primary/m 5 10923-16383"
        ));
        bench.node_mut('m').config_epoch = Epoch(5);
        bench.machine.state.note_taken(Epoch(taken));
        bench.stop();
        bench.beat(other, Beat::Ping, claims(5, slots(0..5461)));
        assert_eq!(bench.did(&format!("follow {other} Partial")), follows_it, "{label}");
        bench.expect(label, &["writes are refused", "!collision"]);
    }
}
