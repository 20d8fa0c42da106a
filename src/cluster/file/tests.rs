//! Files of real servers, files of ours, and what is odd in them.

use super::*;

const VALKEY: &str = include_str!("../../../tests/data/bus/valkey-9.1.2.nodes.conf");
const REDIS: &str = include_str!("../../../tests/data/bus/redis-7.0.15.nodes.conf");

fn memory(text: &str) -> Memory {
    load(text, Moment(0)).expect("it makes sense").expect("it is not empty")
}

fn id(letter: &str) -> NodeId {
    NodeId::parse(letter.repeat(40).as_bytes()).expect("a letter")
}

/// A file with `a` as myself, in which `$x` stands for the id of node x.
fn file(text: &str) -> String {
    let spell =
        |text: String, letter: &&str| text.replace(&format!("${letter}"), &letter.repeat(40));
    ["a", "b", "c", "s", "t"].iter().fold(text.to_string(), spell)
}

const ME: &str = "$a 1.1.1.1:1@2,,shard-id=$s myself,master - 0 0 3 connected 0-9\n";

#[test]
fn files_of_real_servers_load() {
    for (text, slots, last_vote, shards, primary) in
        [(VALKEY, 5461, 11, true, true), (REDIS, 0, 9, false, false)]
    {
        let Memory { nodes, current_epoch, last_vote_epoch, warnings } = memory(text);
        assert_eq!(warnings, [""; 0]);
        assert_eq!((nodes.len(), nodes.size(), current_epoch), (6, 3, Epoch(11)));
        assert_eq!(last_vote_epoch, Epoch(last_vote));
        assert_eq!((nodes.me().slot_count(), nodes.me().is_primary()), (slots, primary));
        assert!(nodes.iter().all(|(_, node)| node.shard.is_some() == shards));
        assert!(nodes.iter().all(|(_, node)| node.names.hostname.ends_with(".example")));
        let of_replicas = || nodes.iter().filter(|(_, node)| node.is_replica());
        assert!(of_replicas().all(|(_, node)| node.config_epoch == Epoch(0)));
        assert_eq!(of_replicas().count(), 3);
    }
}

#[test]
fn what_is_written_loads_to_the_same() {
    for text in [VALKEY.to_string(), REDIS.to_string(), file(OPEN)] {
        let first = memory(&text);
        let write = |memory: &Memory| {
            let Memory { nodes, current_epoch, last_vote_epoch, .. } = memory;
            super::text(nodes, *current_epoch, *last_vote_epoch, Now::default())
        };
        let written = write(&first);
        assert_eq!(write(&memory(&written)), written);
    }
}

const OPEN: &str = "$a 1.1.1.1:1@2,h.x,nodename=n,client-ipv4=1.2.3.4,client-ipv6=::1,\
                    client-tcp-port=8,client-tls-port=9,availability-zone=z,tls-port=3,\
                    shard-id=$s myself,master - 0 0 3 connected 0-9 11 [5->-$b] [20-<-$c]\n\
                    $b :0@0,,shard-id=$t master,noaddr - 0 0 4 disconnected\n\
                    vars currentEpoch 9 lastVoteEpoch 8";

#[test]
fn everything_of_a_line_is_read() {
    let Memory { nodes, current_epoch, last_vote_epoch, .. } = memory(&file(OPEN));
    assert_eq!((current_epoch, last_vote_epoch), (Epoch(9), Epoch(8)));
    let me = nodes.me();
    let names = Names {
        hostname: "h.x".to_string(),
        nodename: "n".to_string(),
        client_ipv4: "1.2.3.4".to_string(),
        client_ipv6: "::1".to_string(),
        client_port: 8,
        client_tls_port: 9,
        zone: "z".to_string(),
    };
    assert_eq!(me.names, names);
    assert_eq!(me.ports, Ports { client: 1, other: 3, bus: 2 });
    assert_eq!(me.slot_count(), 11);
    let slot = |number| Slot::new(number).expect("a slot");
    assert_eq!(nodes.migrating.get(&slot(5)).copied(), nodes.find(id("b")));
    let third = nodes.find(id("c")).expect("it is named by an open slot");
    assert_eq!(nodes.importing.get(&slot(20)), Some(&third));
    assert_eq!(nodes.at(third).role, Role::Unknown);
    let second = nodes.at(nodes.find(id("b")).expect("it has a line"));
    assert_eq!((second.ip, second.is_failed()), (None, true));
}

#[test]
fn odd_files_that_a_valkey_accepts_load_and_say_what_was_mended() {
    let me = ME;
    let replica = "$b 1.1.1.2:1@2,,shard-id=$t slave $a 0 0 7 connected\n";
    let twice = "$b 1.1.1.2:1@2 master - 0 0 4 connected 5-6\n";
    for (label, text, epoch, warnings) in [
        ("no final newline", format!("{me}vars currentEpoch 9 lastVoteEpoch 1"), 9, 0),
        ("no vars", me.to_string(), 3, 0),
        ("unknown vars", format!("{me}vars x 1 currentEpoch 9\n"), 9, 1),
        ("no bus port", me.replace("@2", ""), 3, 0),
        ("an epoch that is behind", format!("{me}vars currentEpoch 1 lastVoteEpoch 1\n"), 3, 0),
        ("empty lines", format!("\n\n{me}\n"), 3, 0),
        ("another shard of a replica", format!("{me}{replica}"), 3, 1),
        ("slots of two nodes", format!("{me}{twice}"), 4, 2),
        ("a name for an address", me.replace("1.1.1.1", "a.name"), 3, 0),
    ] {
        let memory = memory(&file(&text));
        assert_eq!(memory.current_epoch, Epoch(epoch), "{label}");
        assert_eq!(memory.warnings.len(), warnings, "{label}: {:?}", memory.warnings);
        let all = memory.nodes.iter().filter_map(|(_, node)| node.shard);
        let shards: Vec<ShardId> = all.collect();
        assert!(shards.iter().all(|shard| *shard == shards[0]), "{label}");
    }
    let Memory { nodes, .. } = memory(&file(&format!("{ME}{twice}")));
    assert_eq!(nodes.me().slot_count(), 8, "the greater epoch has the slots");
    assert_eq!(load("", Moment(0)).expect("no line is odd").map(|_| ()), None);
}

fn many_nodes() -> String {
    let other = |number| ME.replace("$a", &format!("{number:040}")).replace("myself,", "");
    ME.to_string() + &(0..NODES_MAX).map(other).collect::<String>()
}

#[test]
fn a_corrupt_file_is_refused_with_its_line() {
    for (label, text, line) in [
        ("odd vars", format!("{ME}vars currentEpoch\n"), 2),
        ("no epoch", format!("{ME}vars currentEpoch x\n"), 2),
        ("few fields", "$a 1.1.1.1:1@2 myself,master - 0 0 3\n".to_string(), 1),
        ("bad id", ME.replace("$a", "abc"), 1),
        ("unknown flag", ME.replace("master", "king"), 1),
        ("unknown aux", ME.replace("shard-id", "crown"), 1),
        ("no port", ME.replace("1.1.1.1:1@2", "1.1.1.1"), 1),
        ("a slot too far", ME.replace("0-9", "0-16384"), 1),
        ("no slot", ME.replace("0-9", "x"), 1),
        ("an open slot without an end", ME.replace("0-9", "[5->-$b"), 1),
        ("an open slot without a way", ME.replace("0-9", "[5-$b]"), 1),
        ("twice", format!("{ME}{ME}"), 2),
        ("too many nodes", many_nodes(), NODES_MAX + 1),
        ("a bad primary", ME.replace(" - ", " x "), 1),
        ("its own replica", ME.replace("master -", "slave $a"), 0),
        ("no myself", ME.replace("myself,", ""), 0),
        ("only vars", "vars currentEpoch 3 lastVoteEpoch 1\n".to_string(), 0),
    ] {
        let corrupt = load(&file(&text), Moment(0)).map(|_| ()).expect_err(label);
        assert_eq!(corrupt.line, line, "{label}: {}", corrupt.reason);
    }
}

#[test]
fn a_file_that_is_cut_anywhere_never_panics_nor_gives_what_was_not_in_it() {
    let text = file(OPEN);
    let whole = memory(&text);
    for cut in 0..text.len() {
        let Ok(Some(memory)) = load(&text[..cut], Moment(0)) else { continue };
        assert!(memory.nodes.me().slot_count() <= whole.nodes.me().slot_count(), "cut at {cut}");
        assert!(memory.current_epoch <= whole.current_epoch, "cut at {cut}");
    }
}
