//! T-C, row by row.

mod given;

use super::*;
use crate::cluster::frame::{Beat, Body, Heartbeat};
use crate::cluster::machine::action::{Action, Durability};
use crate::cluster::machine::bench::{Bench, claims, id, inbound, ip, shard, slot, slots};
use crate::cluster::machine::event::{Command, Event, SetSlot};
use crate::cluster::machine::settings::Settings;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::node::Health;
use crate::cluster::slot_set::SlotSet;

/// The bench is a primary with a replica `r`; `a` has the replica `s`.
const FIVE: &str = "m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383, \
                    r replica m, s replica a";
/// The bench is the replica of `a`, beside `s`.
const REPLICA: &str = "m replica a, a primary 4 0-5460, b primary 5 5461-16383, s replica a";

/// The sender says that it replicates this one.
fn follows(letter: char) -> impl FnOnce(&mut Header) {
    move |header| {
        header.primary = Some(id(letter));
        header.flags = header.flags.without(Flags::PRIMARY).with(Flags::REPLICA);
    }
}

fn owner(bench: &Bench, number: u16) -> Option<char> {
    let owner = bench.machine.nodes.owner(slot(number))?;
    Some(char::from(bench.machine.nodes.at(owner).id.as_bytes()[0]))
}

fn primary_of(bench: &Bench, letter: char) -> Option<char> {
    match bench.node(letter).role {
        Role::Replica(Some(key)) => Some(char::from(bench.machine.nodes.at(key).id.as_bytes()[0])),
        _ => None,
    }
}

#[test]
fn greater_epochs_are_taken() {
    let mut bench = Bench::of(FIVE);
    bench.beat('a', Beat::Ping, |header| header.current_epoch = Epoch(9));
    assert_eq!(bench.machine.current_epoch(), Epoch(9), "T-C 1");
    let all = bench.node('a').slot_set().clone();
    bench.beat('a', Beat::Ping, claims(8, all));
    assert_eq!(bench.node('a').config_epoch, Epoch(8), "T-C 1");
    bench.expect("T-C 1", &["save Durable"]);
    bench.beat('a', Beat::Ping, |header| {
        (header.current_epoch, header.config_epoch) = (Epoch(1), Epoch(1));
    });
    assert_eq!(bench.machine.current_epoch(), Epoch(9), "T-C 1: none falls");
    assert_eq!(bench.node('a').config_epoch, Epoch(8), "T-C 1: none falls");
}

#[test]
fn a_replica_that_says_that_it_is_a_primary_is_one() {
    let mut bench = Bench::of(FIVE);
    bench.beat('s', Beat::Ping, claims(0, SlotSet::default()));
    bench.expect("T-C 2", &["Reconfiguring node ssss", "as primary for shard aaaa"]);
    assert!(bench.node('s').is_primary(), "T-C 2");
    assert!(bench.node('s').flags.has(Flags::MIGRATE_TO), "T-C 2");
}

#[test]
fn who_was_elected_is_not_failed_for_what_it_was_as_a_replica() {
    let update = || Update { node: id('s'), config_epoch: Epoch(9), slots: slots(5461..5500) };
    for is_told_by_another in [false, true] {
        let mut bench = Bench::of(FIVE);
        bench.node_mut('s').health = Health::Failed(Moment(0));
        if is_told_by_another {
            bench.frame('b', |_| {}, Body::Update(update()));
        } else {
            bench.beat('s', Beat::Ping, claims(9, slots(5461..5500)));
        }
        assert!(bench.node('s').is_primary() && bench.node('s').is_fit(), "{is_told_by_another}");
        bench.node_mut('s').health = Health::Failed(Moment(0));
        bench.beat('s', Beat::Ping, claims(9, slots(5461..5500)));
        assert!(bench.node('s').is_failed(), "as a primary it is: {is_told_by_another}");
    }
}

#[test]
fn a_primary_that_says_that_it_follows_its_replica_was_replaced() {
    // The epochs of the frame and those that are known of the sender and the one it names.
    for (label, epoch, of_named, stale) in [
        ("T-C 3", 6, 0, false),
        ("T-C 3: an old frame of the sender", 3, 0, true),
        ("T-C 3: the named one is further", 6, 7, true),
    ] {
        let mut bench = Bench::of(FIVE);
        bench.node_mut('s').config_epoch = Epoch(of_named);
        let target = bench.key('a');
        bench.machine.nodes.migrating.insert(slot(0), target);
        bench.beat('a', Beat::Ping, |header| {
            header.config_epoch = Epoch(epoch);
            follows('s')(header);
        });
        assert_eq!(bench.did("Ignore stale message from aaaa"), stale, "{label}");
        assert_eq!(primary_of(&bench, 'a'), (!stale).then_some('s'), "{label}");
        assert_eq!(owner(&bench, 6000), Some(if stale { 'a' } else { 's' }), "{label}");
        let target = bench.key(if stale { 'a' } else { 's' });
        assert_eq!(bench.machine.nodes.migrating.get(&slot(0)), Some(&target), "{label}");
        if !stale {
            bench.expect(label, &["lost 5462 slot(s) and failed over to node ssss"]);
            assert_eq!(bench.node('s').config_epoch, Epoch(epoch), "{label}");
        }
        assert_eq!(bench.machine.stats().stale_frames, u64::from(stale), "{label}");
    }
}

#[test]
fn a_primary_that_says_that_it_follows_another_one_of_its_shard_was_replaced() {
    for (label, of_named, expected) in
        [("T-C 3: it took over again", 3, Some('s')), ("T-C 4: its claim is known", 6, None)]
    {
        let mut bench = Bench::of(FIVE);
        let named = bench.key('s');
        bench.machine.nodes.set_primary(named);
        bench.node_mut('s').config_epoch = Epoch(of_named);
        bench.beat('a', Beat::Ping, |header| {
            header.config_epoch = Epoch(6);
            follows('s')(header);
        });
        assert_eq!(primary_of(&bench, 'a'), Some('s'), "{label}");
        assert_eq!(owner(&bench, 6000), expected, "{label}");
    }
}

#[test]
fn a_stale_frame_says_nothing_more() {
    let mut bench = Bench::of(FIVE);
    bench.node_mut('s').config_epoch = Epoch(9);
    let heartbeat = Heartbeat {
        gossip: Vec::new(),
        extensions: vec![crate::cluster::frame::extensions::Extension::Hostname("h".to_string())],
    };
    bench.frame('a', follows('s'), Body::Heartbeat(Beat::Ping, heartbeat));
    assert_eq!(bench.node('a').names.hostname, "", "T-C 3: the whole frame is dropped");
}

#[test]
fn a_primary_that_follows_one_of_another_shard_has_no_slots() {
    let mut bench = Bench::of(FIVE);
    bench.beat('a', Beat::Ping, follows('b'));
    bench.expect("T-C 4", &["Node aaaa", "is now a replica of node bbbb"]);
    assert_eq!((primary_of(&bench, 'a'), owner(&bench, 6000)), (Some('b'), None), "T-C 4");
    bench.beat('a', Beat::Ping, follows('y'));
    assert_eq!(bench.node('a').role, Role::Replica(bench.machine.nodes.find(id('b'))), "T-C 4");
}

#[test]
fn no_replica_goes_back_to_a_dead_primary_that_was_replaced() {
    for (label, replaced, taken) in [("T-C 4a", true, false), ("T-C 4a: not yet", false, true)] {
        let mut bench = Bench::of(
            "m primary 3 0-5460, a primary 4 0-99, b primary 5 10923-16383, s replica a, \
             n primary/a 6 5461-10922, c replica b",
        );
        bench.node_mut('a').health = Health::Failed(Moment(0));
        if !replaced {
            bench.node_mut('n').health = Health::Failed(Moment(0));
        }
        bench.beat('c', Beat::Ping, follows('a'));
        assert_eq!(primary_of(&bench, 'c') == Some('a'), taken, "{label}");
    }
}

#[test]
fn what_a_replica_says_of_slots_is_its_primarys() {
    // `a` is FAIL here and was replaced by `n`; `c`, a primary so far, says that it follows `a`.
    let mut bench = Bench::of(
        "m primary 3 0-5460, a primary 4 0-99, n primary/a 6 5461-10922, c primary 5 10923-16383",
    );
    bench.node_mut('a').health = Health::Failed(Moment(0));
    bench.beat('c', Beat::Ping, |header| {
        follows('a')(header);
        (header.config_epoch, header.slots) = (Epoch(7), slots(0..5461));
    });
    assert_eq!(owner(&bench, 100), Some('m'));
    assert_eq!(owner(&bench, 11_000), Some('c'));
}

#[test]
fn a_replica_of_a_replica_goes_to_the_primary() {
    for (label, to, dead, sync) in [
        ("T-C 4b", 's', false, "follow s Partial"),
        ("T-C 4b: another shard", 'b', false, "follow b Full"),
        ("T-C 4b: it is FAIL", 'b', true, ""),
        ("T-C 4b: it follows me", 'm', false, ""),
    ] {
        let follows_it = !sync.is_empty();
        let mut bench = Bench::of(REPLICA);
        if dead {
            bench.node_mut(to).health = Health::Failed(Moment(0));
        }
        bench.beat('a', Beat::Ping, |header| {
            header.config_epoch = Epoch(8);
            follows(to)(header);
        });
        assert_eq!(bench.did("I'm a sub-replica!"), follows_it, "{label}: {:#?}", bench.lines);
        assert_eq!(bench.did("follow "), follows_it, "{label}");
        assert!(bench.did(sync), "{label}: {:#?}", bench.lines);
    }
}

#[test]
fn a_slot_goes_to_the_greater_epoch() {
    for (label, epoch, expected) in
        [("T-C 6", 7, 's'), ("T-C 6: an equal epoch", 4, 'a'), ("T-C 12", 3, 'a')]
    {
        let mut bench = Bench::of(FIVE);
        bench.beat('s', Beat::Ping, claims(epoch, slots(6000..6001)));
        assert_eq!(owner(&bench, 6000), Some(expected), "{label}");
        assert_eq!(bench.did("send s update a 4"), epoch < 4, "{label}");
    }
    let mut bench = Bench::of(FIVE);
    bench.machine.nodes.disown(slot(6000));
    bench.beat('s', Beat::Ping, claims(0, slots(6000..6001)));
    assert_eq!(owner(&bench, 6000), Some('s'), "T-C 6: it had no owner");
}

#[test]
fn an_owner_that_does_not_claim_its_slot_keeps_it_marked() {
    let mut bench = Bench::of(FIVE);
    bench.beat('a', Beat::Ping, claims(4, slots(5462..10923)));
    assert_eq!(owner(&bench, 5461), Some('a'), "T-C 7");
    assert!(bench.machine.nodes.unclaimed().contains(slot(5461)), "T-C 7");
    bench.beat('s', Beat::Ping, claims(3, slots(5461..5462)));
    bench.expect("T-C 7: nothing is told of it", &["!update"]);
    assert_eq!(owner(&bench, 5461), Some('s'), "T-C 6: its owner does not claim it");
    bench.beat('a', Beat::Ping, claims(4, slots(5461..10923)));
    assert!(!bench.machine.nodes.unclaimed().contains(slot(5461)), "T-C 5");
    assert_eq!(owner(&bench, 5461), Some('a'), "T-C 6: its epoch is greater");
    bench.beat('s', Beat::Ping, claims(3, slots(5461..5462)));
    bench.expect("T-C 12", &["send s update a 4"]);
}

/// Two nodes have two links: what came by the slow one is over.
#[test]
fn an_older_claim_says_nothing_behind_a_newer_one() {
    let mut bench = Bench::of(FIVE);
    bench.beat('a', Beat::Ping, claims(7, slots(5460..10923)));
    assert_eq!(owner(&bench, 5460), Some('a'), "T-C 6");
    bench.beat('a', Beat::Ping, claims(4, slots(5461..10923)));
    assert!(bench.machine.nodes.unclaimed().is_empty(), "T-C 7: it was written before");
    bench.pass(bench.machine.settings.node_timeout_ms);
    bench.beat('a', Beat::Ping, claims(4, slots(5461..10923)));
    let unclaimed = bench.machine.nodes.unclaimed();
    assert!(unclaimed.contains(slot(5460)), "T-C 7: it came back with an old file");
}

/// The former owner, or who took over from it, may have got a newer epoch in the moment in which
/// the slot was given away: the keys are here.
#[test]
fn a_slot_that_was_brought_here_stays_until_the_former_owner_has_heard_of_that() {
    let brought = || {
        let mut bench = Bench::of(FIVE);
        let set = |request| Command::SetSlot(slot(6000), request);
        bench.ask(set(SetSlot::Importing(id('a'))));
        bench.ask(set(SetSlot::Node { owner: id('m'), keys: 1 }));
        assert_eq!((owner(&bench, 6000), bench.node('m').config_epoch), (Some('m'), Epoch(6)));
        bench
    };
    for (label, letter, epoch, kept) in [
        ("T-C 6: the former owner", 'a', 8, true),
        ("T-C 6: with an equal epoch", 'a', 6, true),
        ("T-C 6: its successor", 's', 8, true),
        ("T-C 6: another shard", 'b', 8, false),
    ] {
        let mut bench = brought();
        let claimed = bench.node(letter).slot_set().with(&slots(6000..6001));
        bench.beat(letter, Beat::Ping, claims(epoch, claimed));
        assert_eq!(owner(&bench, 6000), Some(if kept { 'm' } else { letter }), "{label}");
        assert_eq!(bench.did("delete 1"), !kept, "{label}");
        let expected = if kept { epoch + 1 } else { 6 };
        assert_eq!(bench.node('m').config_epoch, Epoch(expected), "{label}");
        assert!(bench.did(&format!("send b pong {expected}")), "{label}: all are told");
    }

    let all = slots(5461..10923);
    let mut bench = brought();
    bench.beat('a', Beat::Ping, claims(4, all.without(&slots(6000..6001))));
    bench.beat('a', Beat::Ping, claims(9, all.clone()));
    assert_eq!(owner(&bench, 6000), Some('a'), "T-C 6: it had heard of it");
    let mut bench = brought();
    bench.ask(Command::SetSlot(slot(6000), SetSlot::Migrating(id('a'))));
    bench.beat('a', Beat::Ping, claims(9, all.clone()));
    assert_eq!(owner(&bench, 6000), Some('a'), "T-C 6: it goes back");
    let mut bench = brought();
    bench.machine.cannot_save = true;
    bench.beat('a', Beat::Ping, claims(9, all));
    assert_eq!(owner(&bench, 6000), Some('a'), "T-C 6: no newer epoch can be taken");
}

/// Two nodes may give each other a slot at once: who waits for the newer epoch waits for ever.
#[test]
fn a_slot_on_its_way_goes_to_its_target_whatever_epoch_this_node_has() {
    for (label, epoch, taken) in
        [("T-C 6: assigned to it since", 6, true), ("T-C 6: a claim of a time before", 5, false)]
    {
        let mut bench = Bench::of(FIVE);
        let migrating = SetSlot::Migrating(id('b'));
        assert_eq!(bench.ask(Command::SetSlot(slot(1), migrating)), "Ok", "{label}");
        bench.machine.nodes.me_mut().config_epoch = Epoch(20);
        let claimed = bench.node('b').slot_set().with(&slots(1..2));
        bench.beat('b', Beat::Ping, claims(epoch, claimed));
        assert_eq!(owner(&bench, 1), Some(if taken { 'b' } else { 'm' }), "{label}");
        assert_eq!(bench.machine.nodes.migrating.is_empty(), taken, "{label}");
    }
}

#[test]
fn open_slots_follow_a_failover_of_the_other_side() {
    let mut bench = Bench::of(FIVE);
    let (a, s) = (bench.key('a'), bench.key('s'));
    bench.machine.nodes.migrating.insert(slot(0), a);
    bench.machine.nodes.importing.insert(slot(6000), a);
    // The replica takes over: first it claims, then the old primary follows it.
    bench.beat('s', Beat::Ping, claims(9, slots(5461..10923)));
    assert_eq!(bench.machine.nodes.importing.get(&slot(6000)), Some(&s), "T-C 6: the source");
    assert_eq!(bench.machine.nodes.migrating.get(&slot(0)), Some(&s), "T-C 8: a gone target");
    bench.beat('a', Beat::Ping, |header| {
        header.config_epoch = Epoch(9);
        follows('s')(header);
    });
    bench.beat('s', Beat::Ping, |_| {});
    assert_eq!(bench.machine.nodes.migrating.get(&slot(0)), Some(&s), "T-C 8: the target");
}

/// Roles may be swapped again before the tool is done with the slot.
#[test]
fn who_follows_its_heir_knows_which_slots_are_on_their_way() {
    for (label, taker, kept) in
        [("T-C 9: its heir", 'r', true), ("T-C 9: another shard", 'b', false)]
    {
        let mut bench = Bench::of(FIVE);
        let (a, b) = (bench.key('a'), bench.key('b'));
        bench.machine.nodes.migrating.insert(slot(0), b);
        bench.machine.nodes.importing.insert(slot(6000), a);
        bench.machine.settings.allows_migration = true;
        let claimed = bench.node(taker).slot_set().with(&slots(0..5461));
        bench.beat(taker, Beat::Ping, claims(9, claimed));
        assert_eq!(primary_of(&bench, 'm'), Some(taker), "{label}");
        let nodes = &bench.machine.nodes;
        assert_eq!(nodes.importing.get(&slot(6000)), kept.then_some(&a), "{label}");
        assert_eq!(nodes.migrating.get(&slot(0)), kept.then_some(&b), "{label}");
    }
}

#[test]
fn clients_are_sent_to_the_successor_of_a_target() {
    let mut bench = Bench::of(FIVE);
    let (a, s) = (bench.key('a'), bench.key('s'));
    bench.beat('s', Beat::Ping, claims(9, slots(5461..10923)));
    // The slot was opened by who had not heard of the failover.
    bench.machine.nodes.migrating.insert(slot(0), a);
    bench.beat('s', Beat::Ping, claims(9, slots(5461..10923)));
    assert_eq!(bench.machine.nodes.migrating.get(&slot(0)), Some(&s), "T-C 8");
    bench.expect("T-C 8: no slot was taken", &["own", "save Durable"]);
}

#[test]
fn an_import_ends_when_the_source_gave_the_slot_away() {
    for (label, taker, epoch, open) in [
        ("T-C 8", 'a', 4, false),
        ("T-C 6: another shard took it", 'b', 9, false),
        ("T-C 6: a failover of the source", 's', 9, true),
    ] {
        let mut bench = Bench::of(FIVE);
        let a = bench.key('a');
        bench.machine.nodes.importing.insert(slot(6000), a);
        let mut claimed = bench.node(taker).slot_set().clone();
        if taker == 'a' {
            claimed.remove(slot(6000));
        } else {
            claimed.insert(slot(6000));
        }
        bench.beat(taker, Beat::Ping, claims(epoch, claimed));
        assert_eq!(bench.machine.nodes.importing.contains_key(&slot(6000)), open, "{label}");
        let expected = if taker == 'a' { 'm' } else { taker };
        assert_eq!(owner(&bench, 6000), Some(expected), "{label}");
        if taker == 'a' {
            assert_eq!(bench.node('m').config_epoch, Epoch(6), "{label}: a new epoch");
            bench.expect(label, &["save Durable", "send b pong 6"]);
        }
    }
}

/// Its heir may have the slot, and all others, by an epoch that it does not know.
#[test]
fn who_has_just_come_back_takes_no_slot_that_its_source_gave_away() {
    let mut bench = Bench::started(FIVE, Settings::default());
    let a = bench.key('a');
    bench.machine.nodes.importing.insert(slot(6000), a);
    let claimed = bench.node('a').slot_set().without(&slots(6000..6001));
    bench.beat('a', Beat::Ping, claims(4, claimed));
    assert_eq!(owner(&bench, 6000), Some('a'), "T-C 8");
    assert_eq!(bench.node('m').config_epoch, Epoch(3), "T-C 8");
}

#[test]
fn a_migration_ends_when_another_shard_has_the_slot() {
    for (label, taker, stays) in
        [("T-C 6", 'b', false), ("T-C 6: a failover of my shard", 'r', true)]
    {
        let mut bench = Bench::of(FIVE);
        let a = bench.key('a');
        bench.machine.nodes.migrating.insert(slot(0), a);
        let mut claimed = bench.node(taker).slot_set().clone();
        claimed.insert(slot(0));
        bench.beat(taker, Beat::Ping, claims(9, claimed));
        assert_eq!(bench.machine.nodes.migrating.contains_key(&slot(0)), stays, "{label}");
    }
}

#[test]
fn a_shard_without_slots_follows_who_took_the_last_one() {
    for (label, text, taker, allows, follow) in [
        ("T-C 9: a failover", FIVE, 'r', true, "follow r Partial"),
        ("T-C 9: another shard", FIVE, 'a', true, "follow a Full"),
        ("T-C 9: it stays", FIVE, 'a', false, "I am now an empty primary"),
        ("T-C 9: my primary's", REPLICA, 's', false, "follow s Partial"),
        ("T-C 9: my primary's, to another shard", REPLICA, 'b', true, "follow b Full"),
        ("T-C 9: my primary's, and it stays", REPLICA, 'b', false, "!follow"),
    ] {
        let mut bench = Bench::of(text);
        bench.machine.settings.allows_migration = allows;
        let mut claimed = bench.node(taker).slot_set().clone();
        slots(0..5461).iter().for_each(|slot| claimed.insert(slot));
        bench.beat(taker, Beat::Ping, claims(9, claimed));
        bench.expect(label, &[follow, "Slot range [0, 5460] is migrated from node"]);
        let deletes = text == FIVE && taker == 'a' && !allows;
        assert_eq!(bench.did("delete 5461"), deletes, "{label}: a sync replaces the keys");
    }
}

#[test]
fn keys_of_lost_slots_are_deleted() {
    let mut bench = Bench::of(FIVE);
    let mut claimed = bench.node('a').slot_set().clone();
    claimed.insert(slot(7));
    bench.beat('a', Beat::Ping, claims(9, claimed));
    bench.expect("T-C 10", &["delete 1", "Deleting keys in dirty slots 7", "own", "!follow"]);
    let place = |text: &str| bench.lines.iter().position(|line| line == text);
    assert!(place("own") < place("delete 1"), "no shard answers without the keys");
    let place = |is: fn(&Action) -> bool| bench.done.iter().position(is);
    let own = place(|action| matches!(action, Action::Own)).expect("shards are told");
    let send = place(|action| matches!(action, Action::Send(..)));
    assert!(send.is_none_or(|send| own < send), "T-C 10: shards know before others do");
}

#[test]
fn of_two_empty_primaries_of_a_shard_one_follows() {
    for (label, mine, epoch, of_one_shard, follows_it) in [
        ("T-C 11", "", 4, true, true),
        ("T-C 11: an older one", "", 2, true, false),
        ("T-C 11: another shard", "", 4, false, false),
        ("T-C 11: I have slots", " 0-1", 4, true, false),
    ] {
        let shard = if of_one_shard { "m" } else { "a" };
        let mut bench =
            Bench::of(&format!("m primary 3{mine}, a primary/{shard} 2, b primary 5 10923-16383"));
        bench.beat('a', Beat::Ping, claims(epoch, SlotSet::default()));
        assert_eq!(bench.did("follow a Partial"), follows_it, "{label}");
    }
}

#[test]
fn of_two_primaries_with_one_epoch_the_smaller_id_takes_a_new_one() {
    for (label, other, raises) in [("T-C 13", 'n', true), ("T-C 13: its id is smaller", 'b', false)]
    {
        let text =
            format!("m primary 5 0-5460, a primary 4 5461-10922, {other} primary 5 10923-16383");
        let mut bench = Bench::of(&text);
        // The first heartbeats have met already.
        bench.node_mut('m').config_epoch = Epoch(5);
        bench.beat(other, Beat::Ping, |header| header.config_epoch = Epoch(5));
        assert_eq!(bench.did("configEpoch collision with node"), raises, "{label}");
        if raises {
            bench.expect(label, &["save Durable", "send a pong 7"]);
        }
    }
}

/// The bench has just started; `n` is of its shard, and has its epoch.
fn back_beside_an_heir() -> Bench {
    let text = "m primary 5 0-5460, a primary 4 5461-10922, n primary/m 5 10923-16383";
    let mut bench = Bench::started(text, Settings { node_timeout_ms: 1000, ..Settings::default() });
    bench.handle(Event::Loaded(SlotSet::default()));
    bench.handle(Event::Accepted { link: inbound('n'), peer: ip('n'), local: ip('z') });
    bench
}

#[test]
fn a_primary_that_was_replaced_while_it_was_away_does_not_raise_its_epoch() {
    let mut bench = back_beside_an_heir();
    bench.beat('n', Beat::Ping, claims(5, slots(0..5461)));
    bench.expect("R5", &["follow n Partial", "!collision"]);
    assert_eq!(owner(&bench, 0), Some('n'), "R5");
}

#[test]
fn an_update_tells_of_a_newer_owner() {
    for (label, about, epoch, taken) in [
        ("T-C 14", 's', 9, true),
        ("T-C 14: it is known", 'a', 4, false),
        ("T-C 14: about me", 'm', 9, false),
        ("T-C 14: a stranger", 'y', 9, false),
    ] {
        let mut bench = Bench::of(FIVE);
        let claimed = slots(5461..10923);
        let update = Update { node: id(about), config_epoch: Epoch(epoch), slots: claimed };
        bench.frame('b', |_| {}, Body::Update(update));
        assert_eq!(owner(&bench, 6000), Some(if taken { 's' } else { 'a' }), "{label}");
        assert_eq!(bench.did("save Durable"), taken, "{label}");
        assert_eq!(bench.node('m').slot_count(), 5461, "{label}");
    }
}

#[test]
fn an_update_takes_slots_of_this_node_though_its_epoch_is_known() {
    for (label, epoch, claimed, taken) in [
        ("newer than mine", 4, 0, true),
        ("older than mine", 2, 0, false),
        ("its owner has not said so", 4, 4, false),
    ] {
        let mut bench = Bench::of(FIVE);
        let node = bench.node_mut('a');
        (node.config_epoch, node.claimed_epoch) = (Epoch(epoch), Epoch(claimed));
        let update = Update { node: id('a'), config_epoch: Epoch(epoch), slots: slots(100..10923) };
        bench.frame('b', |_| {}, Body::Update(update));
        assert_eq!(owner(&bench, 100), Some(if taken { 'a' } else { 'm' }), "{label}");
    }
}

#[test]
fn keys_that_are_loaded_are_owned_or_deleted() {
    let text = "m primary 3 0-99, a primary 4 200-299";
    let mut bench = Bench::started(text, Settings::default());
    bench.handle(Event::Loaded([5, 150, 250].map(slot).into_iter().collect()));
    bench.expect(
        "3.10",
        &["keys for unassigned slot 150", "delete 1", "but the slot is assigned to another node"],
    );
    assert_eq!((owner(&bench, 150), owner(&bench, 250)), (Some('m'), Some('a')), "3.10");
    let mut bench = Bench::started("m replica a, a primary 4 200-299", Settings::default());
    bench.handle(Event::Loaded(slots(100..101)));
    bench.expect("3.10: a replica", &["!delete", "!unassigned"]);
}

#[test]
fn what_is_claimed_is_saved_before_it_is_told() {
    let mut bench = Bench::of(FIVE);
    let mut claimed = bench.node('a').slot_set().clone();
    slots(0..5461).iter().for_each(|slot| claimed.insert(slot));
    bench.beat('a', Beat::Ping, claims(9, claimed));
    let mut saved = false;
    for action in &bench.done {
        saved |= matches!(action, Action::Save(Durability::Durable));
        assert!(saved || !matches!(action, Action::Send(..)), "S5: {:#?}", bench.lines);
    }
    assert!(saved, "S5");
}

#[test]
fn nodes_without_shard_ids_are_of_the_shard_of_their_primary() {
    let mut bench = Bench::of(FIVE);
    for letter in ['a', 's'] {
        bench.node_mut(letter).shard = None;
    }
    bench.beat('a', Beat::Ping, |header| {
        header.config_epoch = Epoch(6);
        follows('s')(header);
    });
    assert_eq!(owner(&bench, 6000), Some('s'), "T-C 3: a Redis 7.0 fails over");
    assert_eq!(bench.machine.nodes.shown_shard(bench.key('a')), id('s').to_string());
    assert_ne!(shard('a').to_string(), bench.machine.nodes.shown_shard(bench.key('a')));
}
