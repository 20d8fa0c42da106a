//! What CLUSTER answers and does.

use super::*;
use crate::cluster::frame::Beat;
use crate::cluster::machine::bench::{Bench, id, shard, slot, slots};
use crate::cluster::machine::event::{Event, SetSlot};
use crate::cluster::machine::settings::Settings;
use crate::cluster::slot_set::SlotSet;

const THREE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16382, \
                     r replica m, s replica a";
const REPLICA: &str = "m replica a, a primary 4 0-5460, b primary 5 5461-16383, e primary 2";

fn alone() -> Bench {
    let mut bench = Bench::started("m primary 0", Settings::default());
    bench.handle(Event::Loaded(SlotSet::default()));
    bench
}

#[test]
fn slots_are_added_and_taken_all_or_none() {
    let mut bench = alone();
    assert_eq!(bench.ask(Command::AddSlots(slots(0..10))), "Ok");
    bench.expect("ADDSLOTS", &["own", "save Durable"]);
    let text = bench.ask(Command::AddSlots(slots(9..12)));
    assert_eq!(text, "-ERR Slot 9 is already busy");
    let text = bench.ask(Command::DelSlots(slots(9..12)));
    assert_eq!(text, "-ERR Slot 10 is already unassigned");
    assert_eq!(bench.node('m').slot_count(), 10);
    assert_eq!(bench.ask(Command::DelSlots(slots(9..10))), "Ok");
    assert_eq!(bench.ask(Command::FlushSlots), "Ok");
    assert_eq!(bench.node('m').slot_count(), 0);
    let mut bench = Bench::of(REPLICA);
    assert!(bench.ask(Command::AddSlots(slots(0..1))).contains("primary only"));
}

#[test]
fn set_slot_checks_in_valkeys_order() {
    let migrating = |letter| SetSlot::Migrating(id(letter));
    let importing = |letter| SetSlot::Importing(id(letter));
    let node = |letter, keys| SetSlot::Node { owner: id(letter), keys };
    for (request, number, expected) in [
        (migrating('a'), 6000, "-ERR I'm not the owner of hash slot 6000"),
        (migrating('y'), 1, "-ERR I don't know about node yyyy"),
        (migrating('m'), 1, "-ERR Target node is myself"),
        (migrating('s'), 1, "-ERR Target node is not a master"),
        (migrating('a'), 1, "Ok"),
        (importing('a'), 1, "-ERR I'm already the owner of hash slot 1"),
        (importing('y'), 6000, "-ERR I don't know about node yyyy"),
        (importing('a'), 6000, "Ok"),
        (node('y', 0), 1, "-ERR Unknown node yyyy"),
        (node('s', 0), 1, "-ERR Target node is not a master"),
        (node('a', 3), 1, "-ERR Can't assign hashslot 1 to a different node while I still hold"),
        (node('a', 0), 1, "Ok"),
        (SetSlot::Stable, 1, "Ok"),
    ] {
        let mut bench = Bench::of(THREE);
        let text = bench.ask(Command::SetSlot(slot(number), request));
        assert!(text.starts_with(expected), "{request:?}: {text}");
    }
    let mut bench = Bench::of(REPLICA);
    let text = bench.ask(Command::SetSlot(slot(1), SetSlot::Stable));
    assert_eq!(text, "-ERR Please use SETSLOT only with masters.");
}

#[test]
fn words_of_set_slot_that_are_no_ids_are_refused_like_unknown_ids() {
    let bench = Bench::of(THREE);
    let machine = &bench.machine;
    let text = |result: Result<_, Error>| {
        let mut bytes = Vec::new();
        result
            .map(|_: crate::cluster::nodes::Key| ())
            .expect_err("it is refused")
            .write(&mut bytes);
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    };
    for (refused, expected) in [
        (machine.target(slot(6000), b"x"), "-ERR I'm not the owner of hash slot 6000"),
        (machine.target(slot(1), b"x"), "-ERR I don't know about node x"),
        (machine.source(slot(1), b"x"), "-ERR I'm already the owner of hash slot 1"),
        (machine.source(slot(6000), b"x"), "-ERR I don't know about node x"),
    ] {
        assert_eq!(text(refused), expected);
    }
    assert!(machine.may_set_slots().is_ok() && Bench::of(REPLICA).machine.may_set_slots().is_err());
}

#[test]
fn the_target_of_a_migration_takes_a_new_epoch() {
    let mut bench = Bench::of(THREE);
    bench.ask(Command::SetSlot(slot(6000), SetSlot::Importing(id('a'))));
    let mine = SetSlot::Node { owner: id('m'), keys: 5 };
    assert_eq!(bench.ask(Command::SetSlot(slot(6000), mine)), "Ok");
    bench.expect(
        "4.1",
        &["ConfigEpoch updated after importing slot 6000", "save Durable", "send a pong 6"],
    );
    assert!(bench.machine.nodes.importing.is_empty(), "4.1");
    assert_eq!(bench.node('m').slot_count(), 5462, "4.1");
}

#[test]
fn a_primary_whose_last_slot_goes_follows_the_target() {
    for (label, allows) in [("4.1", true), ("4.1: switched off", false)] {
        let mut bench = Bench::of("m primary 3 0, a primary 4 1-16383");
        bench.machine.settings.allows_migration = allows;
        bench.ask(Command::SetSlot(slot(0), SetSlot::Node { owner: id('a'), keys: 0 }));
        assert_eq!(bench.did("follow a Full"), allows, "{label}");
    }
}

#[test]
fn epochs_are_raised_and_assigned() {
    let mut bench = Bench::of(THREE);
    assert_eq!(bench.ask(Command::BumpEpoch), "Text(\"BUMPED 6\")");
    assert_eq!(bench.ask(Command::BumpEpoch), "Text(\"STILL 6\")");
    assert!(bench.ask(Command::SetConfigEpoch(Epoch(9))).contains("does not know any other node"));
    let mut bench = alone();
    assert_eq!(bench.ask(Command::SetConfigEpoch(Epoch(9))), "Ok");
    assert_eq!(bench.machine.current_epoch(), Epoch(9));
    assert!(bench.ask(Command::SetConfigEpoch(Epoch(9))).contains("already non-zero"));
    bench.node_mut('m').config_epoch = Epoch(0);
    bench.handle(Event::SaveFailed);
    assert!(bench.ask(Command::BumpEpoch).contains("cannot be written"));
}

#[test]
fn replicate_needs_an_empty_node_and_a_primary() {
    let replicate = |letter, is_empty| Command::Replicate { primary: id(letter), is_empty };
    for (text, letter, is_empty, expected, follow) in [
        (THREE, 'y', true, "-ERR Unknown node yyyy", ""),
        (THREE, 'm', true, "-ERR Can't replicate myself", ""),
        (THREE, 'r', true, "-ERR I can only replicate a master", ""),
        (THREE, 'a', true, "-ERR To set a master the node must be empty", ""),
        ("m primary 3, a primary 4 0-16383", 'a', false, "-ERR To set a master", ""),
        ("m primary 3, a primary 4 0-16383", 'a', true, "Ok", "follow a Full"),
        (REPLICA, 'b', false, "Ok", "follow b Full"),
        (REPLICA, 'a', false, "Ok", ""),
    ] {
        let mut bench = Bench::of(text);
        let reply = bench.ask(replicate(letter, is_empty));
        assert!(reply.starts_with(expected), "{letter}: {reply}");
        assert_eq!(bench.did("follow "), !follow.is_empty(), "{letter}");
        assert!(follow.is_empty() || bench.did(follow), "{letter}");
    }
}

#[test]
fn replicate_no_one_makes_a_shard_of_its_own() {
    let mut bench = Bench::of(REPLICA);
    assert_eq!(bench.ask(Command::ReplicateNoOne(shard('n'))), "Ok");
    bench.expect(
        "NO ONE",
        &["promote", "flush", "Moving myself to a new shard nnnn", "send b pong"],
    );
    assert_eq!((bench.node('m').shard, bench.node('m').slot_count()), (Some(shard('n')), 0));
    let mut bench = Bench::of(THREE);
    assert_eq!(bench.ask(Command::ReplicateNoOne(shard('n'))), "Ok");
    bench.expect("NO ONE of a primary", &["!promote", "!flush"]);
    assert_eq!(bench.node('m').shard, Some(shard('m')));
}

#[test]
fn reset_forgets_everything_and_hard_itself() {
    for (label, text, command, new_id) in [
        ("SOFT", THREE, Command::ResetSoft(shard('n')), 'm'),
        ("HARD", THREE, Command::ResetHard(shard('n'), id('q')), 'q'),
        ("a replica", REPLICA, Command::ResetSoft(shard('n')), 'm'),
    ] {
        let mut bench = Bench::of(text);
        let epoch = bench.machine.current_epoch();
        let is_hard = new_id == 'q';
        assert_eq!(bench.ask(command), "Ok", "{label}");
        let nodes = bench.machine.nodes();
        assert_eq!((nodes.len(), nodes.me().slot_count()), (1, 0), "{label}");
        assert_eq!((nodes.me().id, nodes.me().shard), (id(new_id), Some(shard('n'))), "{label}");
        assert!(nodes.me().is_primary() && bench.machine.outbound.is_empty(), "{label}");
        assert_eq!(
            bench.machine.current_epoch(),
            if is_hard { Epoch(0) } else { epoch },
            "{label}"
        );
        bench.expect(label, &["flush", "close Inbound(97)", "save Durable", "Cluster reset"]);
        let save = bench.lines.iter().position(|line| line == "save Durable");
        let reply = bench.lines.iter().position(|line| line.starts_with("reply"));
        assert!(save < reply, "{label}: saved before it is answered");
    }
}

#[test]
fn an_epoch_that_cannot_be_saved_is_not_told() {
    let mut bench = Bench::of(THREE);
    // The save fails that is to keep the new epoch.
    let now = bench.now();
    let bump = Event::Asked(Ticket(1), Command::BumpEpoch);
    bench.machine.handle(now, bump, &mut bench.actions);
    let saves = std::iter::from_fn(|| bench.actions.next_action());
    assert!(saves.last().is_some_and(|action| matches!(action, Action::Save(_))));
    bench.actions.save_failed();
    bench.handle(Event::SaveFailed);
    bench.beat('a', Beat::Ping, |_| {});
    bench.expect("a full disk", &["!send"]);
    bench.pass(1000);
    let save = bench.lines.iter().position(|line| line == "save Durable");
    let send = bench.lines.iter().position(|line| line.starts_with("send"));
    assert!(save < send && save.is_some(), "it is tried again: {:#?}", bench.lines);
    bench.handle(Event::Saved);
    bench.beat('a', Beat::Ping, |_| {});
    bench.expect("it is saved", &["send a pong 6"]);
}

/// Its replicas may have keys of the slot that it has lost.
#[test]
fn a_slot_is_not_given_away_before_its_keys_are_loaded() {
    let mut bench =
        Bench::started(THREE, Settings { node_timeout_ms: 1000, ..Settings::default() });
    let migrating = SetSlot::Migrating(id('a'));
    assert!(bench.ask(Command::SetSlot(slot(1), migrating)).contains("which keys it has"));
    bench.handle(Event::Loaded(slots(0..5461)));
    assert_eq!(bench.ask(Command::SetSlot(slot(1), migrating)), "Ok");
}

/// As valkey-cli does with an open slot: its owner's heartbeat came in between, and ADDSLOTS was an
/// error.
#[test]
fn what_was_deleted_by_hand_no_claim_gets_at_once() {
    let mut bench = Bench::of(THREE);
    let (one, claimed) = (slots(6000..6001), slots(5461..10923));
    let beat = |bench: &mut Bench| {
        let claimed = claimed.clone();
        bench.beat('a', Beat::Ping, |header| header.slots = claimed);
    };
    assert_eq!(bench.ask(Command::DelSlots(one.clone())), "Ok");
    beat(&mut bench);
    assert_eq!(bench.ask(Command::AddSlots(one.clone())), "Ok");
    beat(&mut bench);
    assert_eq!(bench.ask(Command::BumpEpoch), "Text(\"BUMPED 6\")");
    assert_eq!(bench.machine.nodes.owner(slot(6000)), Some(bench.key('m')));
    assert_eq!(bench.ask(Command::DelSlots(one)), "Ok");
    bench.pass(1000);
    beat(&mut bench);
    assert_eq!(bench.machine.nodes.owner(slot(6000)), Some(bench.key('a')));
}
