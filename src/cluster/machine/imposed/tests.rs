//! What a table from outside makes of the one that there is.

use super::*;
use crate::cluster::machine::bench::{Bench, id, slot, slots};
use crate::cluster::machine::event::{Command, Event};
use crate::cluster::machine::settings::Settings;
use crate::cluster::ownership::Place;
use crate::cluster::report::endpoint::{Endpoint, Network, Security, Viewer};
use crate::cluster::report::nodes::{Reader, nodes};

fn external() -> Bench {
    let settings = Settings { is_external: true, ..Settings::default() };
    let mut bench = Bench::started("m primary 0", settings);
    bench.handle(Event::Loaded(slots(0..10)));
    bench
}

fn member(letter: char, role: Role) -> Member {
    Member { id: id(letter), host: format!("10.0.0.{}", u32::from(letter)), port: 7000, role }
}

fn replica(of: char) -> Role {
    Role::Replica { of: id(of), is_failed: false }
}

fn impose(bench: &mut Bench, me: char, version: u64, mut members: Vec<Member>) {
    members.sort_by_key(|member| member.id);
    let imposed = Imposed { me: id(me), version, members };
    assert_eq!(bench.ask(Command::Impose(Box::new(imposed))), "Ok");
}

#[test]
fn a_table_replaces_the_one_before() {
    let mut bench = external();
    assert_eq!(bench.machine.nodes().size(), 0, "keys in slots without an owner claim none");
    let primary = |range| Role::Primary(slots(range));
    impose(&mut bench, 'm', 3, vec![member('m', primary(0..100)), member('a', primary(100..200))]);
    bench.expect("a first table", &["own", "save Durable"]);
    let ownership = bench.machine.ownership(1);
    assert_eq!(ownership.place(slot(5)), Place::Served);
    assert_eq!(ownership.place(slot(105)), Place::Elsewhere);
    assert_eq!(
        ownership.place(slot(205)),
        Place::Unbound,
        "and all others are served all the same"
    );
    assert!(ownership.serves(slot(5)) && ownership.is_ok);
    // Another id, a chain of replicas, and a node less.
    let chain =
        vec![member('b', primary(0..100)), member('c', replica('b')), member('n', replica('c'))];
    impose(&mut bench, 'n', 4, chain);
    let ownership = bench.machine.ownership(2);
    assert_eq!(ownership.place(slot(5)), Place::AtPrimary);
    assert_eq!(ownership.place(slot(105)), Place::Unbound);
    let known = bench.machine.nodes();
    assert_eq!((known.me().id, known.len(), bench.machine.current_epoch()), (id('n'), 3, Epoch(4)));
    let shards: Vec<_> = known.iter().map(|(_, node)| node.shard).collect();
    assert!(shards.iter().all(|shard| *shard == shards[0]), "{shards:?}");
    // Not in it any more.
    impose(&mut bench, 'n', 5, vec![member('b', primary(0..100))]);
    let me = bench.machine.nodes().me();
    assert_eq!((me.is_primary(), me.slot_count()), (true, 0));
    assert_eq!(bench.machine.ownership(3).place(slot(5)), Place::Elsewhere);
    assert!(bench.done.iter().all(|action| !format!("{action:?}").contains("Delete")));
}

#[test]
fn names_and_failed_replicas_are_shown() {
    let mut bench = external();
    let named =
        Member { host: "node.example".to_owned(), ..member('a', Role::Primary(slots(0..9))) };
    let failed = Role::Replica { of: id('a'), is_failed: true };
    impose(&mut bench, 'm', 3, vec![named, member('f', failed), member('m', replica('a'))]);
    let viewer = Viewer { endpoint: Endpoint::Ip, network: Network::V4, security: Security::Plain };
    let text = nodes(bench.machine.nodes(), bench.machine.now(), Reader::Client(viewer));
    let line = |letter: char| {
        let start = letter.to_string().repeat(40);
        text.lines().find(|line| line.starts_with(&start)).map(|line| line[41..].to_owned())
    };
    assert_eq!(line('a').as_deref(), Some("node.example:7000@17000 master - 0 0 3 connected 0-8"));
    let of = "a".repeat(40);
    let failed = format!("10.0.0.102:7000@17000 slave,fail {of} 0 0 3 connected");
    assert_eq!(line('f'), Some(failed));
    assert!(line('m').is_some_and(|line| line.contains("myself,slave")), "{text}");
}

#[test]
fn nothing_else_changes_a_table_from_outside() {
    let mut bench = external();
    impose(&mut bench, 'm', 3, vec![member('m', Role::Primary(slots(0..9)))]);
    let refused = "-ERR The topology of this node comes from outside (cluster-topology external)";
    for command in [
        Command::AddSlots(slots(20..30)),
        Command::DelSlots(slots(0..3)),
        Command::FlushSlots,
        Command::BumpEpoch,
        Command::SetConfigEpoch(Epoch(9)),
        Command::Forget(id('a')),
        Command::Meet { ip: [10, 0, 0, 1].into(), port: 1, bus_port: 2 },
        Command::Replicate { primary: id('a'), is_empty: true },
    ] {
        assert_eq!(bench.ask(command), refused);
    }
    let announced_ip = Some([10, 9, 9, 9].into());
    let settings = Settings { is_external: true, announced_ip, ..Settings::default() };
    bench.handle(Event::Settings(Box::new(settings)));
    assert_eq!(bench.machine.nodes().me().ip, Some([10, 0, 0, 109].into()), "the table says where");
    bench.pass(1000);
    for _ in 0..1000 {
        bench.pass(100);
    }
    assert!(bench.lines.is_empty(), "{:?}", bench.lines);
    assert!(bench.machine.state().is_ok());
}
