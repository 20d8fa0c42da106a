//! Compares the fields of INFO with those of the reference, which are in
//! `tests/data/info-fields.txt`, and looks whether their values make sense.

mod client;
mod servers;

use client::{Client, Reply};
use servers::{start_keylane, start_keylane_with};

/// Fields of the reference that are not here: section, field, reason.
const ABSENT: &[(&str, &str, &str)] = &[
    ("Server", "gcc_version", "no C compiler made this program"),
    ("Cluster Info", "", "there is no cluster"),
];

/// Fields that the reference does not have.
const OURS: &[(&str, &str)] = &[
    ("Server", "keylane_version"),
    ("Server", "shutdown_stage"),
    ("Hotkeys", ""),
    ("Hotkeys", "hotkeys_sample_rate"),
    ("Hotkeys", "hotkeys_sampled"),
    ("Shards", ""),
    ("Shards", "shards"),
    ("Shards", "shard0"),
    ("Shards", "shard1"),
];

/// Sections and fields (each section also with an empty field), in order.
type Fields = Vec<(String, String)>;

#[test]
fn every_field_of_the_reference_is_there_or_has_a_reason_not_to_be() {
    let (_server, mut client) = start();
    let (reference, ours) = (reference(), fields(&info(&mut client, &["everything"])));
    let same = |one: &(String, String), section: &str, field: &str| {
        (one.0.as_str(), one.1.as_str()) == (section, field)
    };
    for (section, field) in &reference {
        let found = ours.iter().any(|one| same(one, section, field));
        let absent = ABSENT.iter().find(|absent| (absent.0, absent.1) == (section, field));
        match absent {
            Some((.., reason)) => {
                assert!(!found, "{section} has {field}: it is not absent ({reason}) any more");
                assert!(!reason.is_empty());
            }
            None => assert!(found, "{section} lacks {field:?}"),
        }
    }
    let known = |one: &(String, String)| {
        reference.contains(one) || OURS.iter().any(|(section, field)| same(one, section, field))
    };
    let more: Vec<_> = ours.iter().filter(|one| !known(one)).collect();
    assert!(more.is_empty(), "fields that are not in OURS: {more:?}");
    // What both have stands in the same order.
    let shared = |fields: &Fields, others: &Fields| -> Fields {
        fields.iter().filter(|one| others.contains(one)).cloned().collect()
    };
    assert_eq!(shared(&ours, &reference), shared(&reference, &ours));
}

#[test]
fn figures_agree_with_what_was_done() {
    let (_server, mut client) = start();
    for number in 0..100 {
        let key = format!("key{number}");
        client.call(&["SET", &key, "0123456789", "EX", "100"]).expect("it serves");
        client.call(&["GET", &key]).expect("it serves");
    }
    client.call(&["GET", "nosuch"]).expect("it serves");
    let text = info(&mut client, &["all"]);
    let is = |field: &str| value(&text, field);
    let number = |field: &str| -> f64 { is(field).parse().expect("a number") };
    assert_eq!(is("keyspace_hits"), "100");
    assert_eq!(is("keyspace_misses"), "1");
    // The one that reset the counters is counted, too.
    assert_eq!(is("total_commands_processed"), "202");
    assert_eq!(is("connected_clients"), "1");
    assert_eq!(is("rdb_changes_since_last_save"), "100");
    assert!(is("db0").starts_with("keys=100,expires=100,avg_ttl=9"), "{}", is("db0"));
    assert!(is("cmdstat_set").starts_with("calls=100,usec="));
    assert!(number("used_memory_startup") < number("used_memory"));
    assert!(number("used_memory") <= number("used_memory_peak"));
    assert!(number("used_memory_overhead") < number("used_memory"));
    assert!(number("used_memory") < number("used_memory_rss"));
    assert!(number("allocator_allocated") <= number("allocator_active"));
    assert!(number("allocator_active") <= number("allocator_resident"));
    assert!(number("total_net_input_bytes") <= number("total_net_output_bytes") * 20.0);
    assert!(201.0 <= number("total_reads_processed"));
    assert_eq!(is("run_id").len(), 40);
    assert_eq!(is("master_replid").len(), 40);
    assert_ne!(is("run_id"), is("master_replid"));
    let per_shard = |shard: &str| -> u64 {
        let line = is(shard);
        let keys = line.strip_prefix("keys=").and_then(|rest| rest.split(',').next());
        keys.and_then(|keys| keys.parse().ok()).expect("keys come first")
    };
    assert_eq!(per_shard("shard0") + per_shard("shard1"), 100);
}

#[test]
fn what_shards_do_beside_commands_is_counted() {
    let (_server, mut client) = start();
    let call = |client: &mut Client, args: &[&str]| client.call(args).expect("it serves");
    let number = |text: &str, field: &str| -> f64 { value(text, field).parse().expect("a number") };
    call(&mut client, &["HSETEX", "hash", "EX", "100", "FIELDS", "1", "field", "value"]);
    call(&mut client, &["HSET", "other", "field", "value"]);
    let text = info(&mut client, &["everything"]);
    let expected = "keys=2,expires=0,avg_ttl=0,keys_with_volatile_items=1";
    assert_eq!(value(&text, "db0"), expected);
    let members: Vec<String> = (0..1000).map(|member| format!("member{member}")).collect();
    let add: Vec<&str> = ["SADD", "set"].into_iter().chain(members.iter().map(|m| &**m)).collect();
    call(&mut client, &add);
    assert_eq!(value(&text, "lazyfreed_objects"), "0");
    call(&mut client, &["UNLINK", "set"]);
    let freed = (0..10_000).any(|_| {
        let text = info(&mut client, &["memory"]);
        let (pending, freed) = ("lazyfree_pending_objects", "lazyfreed_objects");
        value(&text, pending) == "0" && value(&text, freed) == "1"
    });
    assert!(freed, "the set is freed and counted");
    let text = info(&mut client, &["everything"]);
    let (all, commands) =
        (number(&text, "eventloop_duration_sum"), number(&text, "eventloop_duration_cmd_sum"));
    assert!(0.0 < commands && commands <= all, "{commands} of {all}");
    let active = number(&text, "used_active_time_main_thread");
    assert!((active * 1e6 - all).abs() < 1.0, "{active} s, {all} us");
    // The system shares a thread's time between its two halves by estimate: only sums compare.
    let cpu = |of: &str| {
        ["user", "sys"].map(|half| number(&text, &format!("used_cpu_{half}{of}"))).iter().sum()
    };
    let (shards, process): (f64, f64) = (cpu("_main_thread"), cpu(""));
    assert!(0.0 < shards && shards <= process + 0.01, "{shards} of {process}");
    assert_eq!(number(&text, "total_eviction_exceeded_time"), 0.0);
    call(&mut client, &["CONFIG", "SET", "maxmemory", "1000"]);
    let counts = (0..10_000)
        .any(|_| 0.0 < number(&info(&mut client, &["stats"]), "current_eviction_exceeded_time"));
    assert!(counts, "the time above maxmemory is measured");
    call(&mut client, &["CONFIG", "SET", "maxmemory", "0"]);
    let text = info(&mut client, &["stats"]);
    assert_eq!(number(&text, "current_eviction_exceeded_time"), 0.0);
    assert!(0.0 < number(&text, "total_eviction_exceeded_time"));
}

#[test]
fn used_memory_is_exact_and_asking_for_it_takes_none() {
    for shards in [1, 3] {
        let server = start_keylane(shards);
        let mut client = server.client();
        let used = |client: &mut Client, sections: &[&str]| -> i64 {
            value(&info(client, sections), "used_memory").parse().expect("a number")
        };
        // The first requests make the buffers that later ones use.
        let value = "v".repeat(4000);
        let set = |client: &mut Client, key: &str| drop(client.call(&["SET", key, &value]));
        (0..20).for_each(|number| set(&mut client, &format!("first{number}")));
        (0..20).for_each(|_| assert_ne!(used(&mut client, &["everything"]), 0));
        let before = used(&mut client, &["memory"]);
        for sections in [&[] as &[&str], &["memory"], &["everything"]] {
            (0..20).for_each(|_| assert_ne!(used(&mut client, sections), 0));
            let after = used(&mut client, sections);
            assert!((after - before).abs() <= 1024, "{before} to {after}: {shards}, {sections:?}");
        }
        for number in 0..20 {
            let before = used(&mut client, &["memory"]);
            set(&mut client, &format!("key{number}"));
            let grown = used(&mut client, &["memory"]) - before;
            assert!((4000..6000).contains(&grown), "{grown} bytes more, {shards} shards");
        }
    }
}

#[test]
fn asking_evicts_nothing() {
    for shards in [1, 3] {
        // Entries of logs are used memory.
        let server = start_keylane_with(shards, &["--commandlog-execution-slower-than", "-1"]);
        let mut client = server.client();
        (0..20).for_each(|_| drop(info(&mut client, &["everything"])));
        let used: u64 = value(&info(&mut client, &[]), "used_memory").parse().expect("a number");
        let limit = (used + (100 << 10)).to_string();
        let set = |client: &mut Client, name: &str, value: &str| {
            client.call(&["CONFIG", "SET", name, value]).expect("it serves");
        };
        set(&mut client, "maxmemory-policy", "allkeys-lru");
        set(&mut client, "maxmemory", &limit);
        for number in 0..1000 {
            let key = format!("key{number}");
            client.call(&["SET", &key, &"v".repeat(200)]).expect("it serves");
        }
        let evicted = |client: &mut Client, sections: &[&str]| -> u64 {
            value(&info(client, sections), "evicted_keys").parse().expect("a number")
        };
        // Answers are longer than before: buffers grow once.
        (0..20).for_each(|_| assert_ne!(evicted(&mut client, &["everything"]), 0));
        let before = evicted(&mut client, &["stats"]);
        assert_ne!(before, 0);
        (0..200).for_each(|_| assert_ne!(evicted(&mut client, &[]), 0));
        (0..50).for_each(|_| assert_ne!(evicted(&mut client, &["everything"]), 0));
        let after = evicted(&mut client, &["stats"]);
        // Buffers that grow may cost some. An answer of a shard had 16 KiB: thousands went for 250.
        assert!(after - before <= 100, "{shards} shards: {} were evicted", after - before);
    }
}

#[test]
fn what_is_no_command_is_not_counted_as_one() {
    let (_server, mut client) = start();
    for words in [&["CONFIG", "nosuch"][..], &["MEMORY", "nosuch", "x"], &["nosuch"]] {
        assert!(matches!(client.call(words), Ok(Reply::Error(_))), "{words:?}");
    }
    let rows = info(&mut client, &["commandstats"]);
    assert!(!rows.contains("cmdstat_config:") && !rows.contains("cmdstat_memory:"), "{rows}");
    // A container alone is one that lacks arguments.
    assert!(matches!(client.call(&["CONFIG"]), Ok(Reply::Error(_))));
    let rows = info(&mut client, &["commandstats"]);
    assert!(value(&rows, "cmdstat_config").contains("rejected_calls=1"), "{rows}");
}

#[test]
fn counters_begin_anew_but_connections_are_not_forgotten() {
    let (server, mut client) = start();
    // A connection is counted when it is served.
    let served = || {
        let mut client = server.client();
        client.call(&["PING"]).expect("it serves");
        client
    };
    drop(served());
    let others: Vec<Client> = (0..4).map(|_| served()).collect();
    client.call(&["GET", "a"]).expect("it serves");
    client.call(&["CONFIG", "RESETSTAT"]).expect("it serves");
    let text = info(&mut client, &["all"]);
    assert_eq!(value(&text, "keyspace_misses"), "0");
    assert_eq!(value(&text, "total_connections_received"), "0");
    assert_eq!(value(&text, "connected_clients"), "5");
    drop(others);
    // The room of those that are gone is free for others, before and after.
    client.call(&["CONFIG", "SET", "maxclients", "8"]).expect("it serves");
    for _ in 0..20 {
        let mut other = server.client();
        let pong = other.call(&["PING"]);
        assert!(matches!(&pong, Ok(Reply::Simple(_))), "{pong:?}");
        other.call(&["QUIT"]).expect("it says good-bye");
        assert!(other.call(&["PING"]).is_err(), "it is closed");
    }
}

#[test]
fn hot_keys_and_costly_slots_are_shown_while_they_are_wanted() {
    let (_server, mut client) = start();
    let call = |client: &mut Client, args: &[&str]| client.call(args).expect("it serves");
    let none = info(&mut client, &["hotkeys", "slotstats"]);
    assert!(!none.contains("hotkey0") && !none.contains("slot0"), "{none}");
    call(&mut client, &["CONFIG", "SET", "hotkeys-sample-rate", "1"]);
    call(&mut client, &["CONFIG", "SET", "cluster-slot-stats-enabled", "yes"]);
    for number in 0..60 {
        call(&mut client, &["SET", "hot key", "x"]);
        call(&mut client, &["MGET", "hot key", &format!("cold{number}")]);
    }
    call(&mut client, &["MGET", "{hot key}1", "{hot key}2"]);
    let text = info(&mut client, &["hotkeys", "slotstats"]);
    assert_eq!(value(&text, "hotkeys_sampled"), "182");
    assert_eq!(value(&text, "hotkey0"), "percent=65.93,count=120,error=0,db=0,key=hot key");
    let slots: Vec<_> = text.lines().filter(|line| line.starts_with("slot")).collect();
    let [slot] = slots[..] else { panic!("requests with keys of several slots: {text}") };
    // 60 times SET, and one MGET with keys of this slot alone.
    let expected = format!(
        ",network-bytes-in={},network-bytes-out={}",
        60 * "*3|$3|SET|$7|hot key|$1|x|".replace('|', "\r\n").len()
            + "*3|$4|MGET|$10|{hot key}1|$10|{hot key}2|".replace('|', "\r\n").len(),
        60 * "+OK|".replace('|', "\r\n").len() + "*2|$-1|$-1|".replace('|', "\r\n").len()
    );
    assert!(slot.ends_with(&expected), "{slot} {expected}");
    call(&mut client, &["CONFIG", "SET", "hotkeys-sample-rate", "0"]);
    call(&mut client, &["CONFIG", "SET", "cluster-slot-stats-enabled", "no"]);
    assert!(!info(&mut client, &["all", "slotstats"]).contains("hotkey0"));
}

fn start() -> (servers::Server, Client) {
    let server = start_keylane(2);
    let mut client = server.client();
    client.call(&["CONFIG", "RESETSTAT"]).expect("it serves");
    (server, client)
}

fn info(client: &mut Client, sections: &[&str]) -> String {
    let reply = client.call(&[&["INFO"], sections].concat()).expect("it serves");
    let Reply::Bulk(text) = reply else { panic!("INFO answers text: {}", reply.head()) };
    String::from_utf8(text).expect("INFO is ASCII here")
}

fn value(text: &str, field: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| *name == field);
    found.unwrap_or_else(|| panic!("there is no {field}")).1.to_owned()
}

/// The fields of INFO's answer, but for those of single commands, errors and databases.
fn fields(text: &str) -> Fields {
    let mut section = "";
    let mut fields = Fields::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            section = title;
            fields.push((title.into(), String::new()));
        } else if let Some((name, _)) = line.split_once(':') {
            let single = ["Commandstats", "Errorstats", "Latencystats", "Keyspace"];
            if !single.contains(&section) {
                fields.push((section.into(), name.into()));
            }
        }
    }
    fields
}

fn reference() -> Fields {
    let mut section = "";
    let mut fields = Fields::new();
    for line in include_str!("data/info-fields.txt").lines() {
        if let Some(title) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = title;
            fields.push((title.into(), String::new()));
        } else if !line.starts_with('#') {
            fields.push((section.into(), line.into()));
        }
    }
    fields
}
