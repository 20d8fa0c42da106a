//! What is on the page: that promtool takes it, and that its figures are true.

use std::collections::BTreeSet;
use std::thread;

use crate::client::Reply;
use crate::tools::{load, promtool, series, start, start_in_cluster};

/// Pages within which a figure must have come up.
const PAGES: u32 = 10_000;

#[test]
fn promtool_finds_nothing_wrong_with_the_page() {
    for shards in [1, 3] {
        let measured = start(shards, &[]);
        promtool(&["check", "metrics"], &measured.page());
        let _client = load(&measured);
        promtool(&["check", "metrics"], &measured.page());
    }
}

#[test]
fn figures_are_those_of_info() {
    let measured = start(2, &[]);
    let mut client = load(&measured);
    let page = series(&measured.page());
    let reply = client.call(&["INFO", "everything"]).expect("it serves");
    let Reply::Bulk(text) = reply else { panic!("INFO answers text: {}", reply.head()) };
    let text = String::from_utf8(text).expect("INFO is ASCII here");
    let info = |field: &str| -> String {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(name, _)| *name == field);
        found.unwrap_or_else(|| panic!("INFO has no {field}")).1.to_owned()
    };
    // Nothing of this changes between the two, but that INFO itself is not on the page.
    for (field, names) in [
        ("keyspace_hits", ["keylane_keyspace_hits_total", "redis_keyspace_hits_total"]),
        ("keyspace_misses", ["keylane_keyspace_misses_total", "redis_keyspace_misses_total"]),
        ("connected_clients", ["keylane_clients_connected", "redis_connected_clients"]),
        ("maxclients", ["keylane_clients_max", "redis_max_clients"]),
        (
            "rdb_changes_since_last_save",
            ["keylane_snapshot_changes", "redis_rdb_changes_since_last_save"],
        ),
        ("process_id", ["keylane_process_id", "redis_process_id"]),
    ] {
        for name in names {
            assert_eq!(page[name].to_string(), info(field), "{name}");
        }
    }
    assert_eq!(page["keylane_commands_total{command=\"get\"}"], 400.0);
    assert_eq!(page["redis_commands_total{cmd=\"get\"}"], 400.0);
    assert_eq!(page["keylane_commands_total{command=\"config|get\"}"], 1.0);
    assert_eq!(page["keylane_command_errors_total{command=\"lpush\",kind=\"failed\"}"], 1.0);
    assert_eq!(page["redis_errors_total{err=\"WRONGTYPE\"}"], 1.0);
    assert_eq!(page["redis_db_keys{db=\"db0\"}"], 200.0);
    assert_eq!(page["keylane_shutdown_stage{stage=\"none\"}"], 1.0);
    let sum = |name: &str| -> f64 {
        page.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| value).sum()
    };
    assert_eq!(sum("keylane_shard_keys{"), 200.0);
    assert_eq!(sum("keylane_shard_slots{"), 16384.0);
    assert_eq!(sum("keylane_shutdown_stage{"), 1.0);
    assert!(0.0 < sum("keylane_shard_cpu_seconds_total{"));
    assert!(sum("keylane_shard_command_seconds_total{") < sum("keylane_shard_cpu_seconds_total{"));
    assert!(0.0 < sum("keylane_shard_memory_bytes{"));
    let page = measured.page();
    let calls = text.lines().filter(|line| line.starts_with("cmdstat_")).count();
    let shown = page.lines().filter(|line| line.starts_with("keylane_commands_total{")).count();
    // INFO has run meanwhile.
    assert_eq!(shown, calls + 1);
}

#[test]
fn histograms_grow_and_end_in_their_count() {
    let measured = start(1, &[]);
    let _client = load(&measured);
    let page = measured.page();
    let of_get = |part: &str| -> Vec<f64> {
        let begin = format!("keylane_command_duration_seconds_{part}{{command=\"get\"");
        let lines = page.lines().filter(|line| line.starts_with(&begin));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
    };
    let buckets = of_get("bucket");
    assert!(buckets.is_sorted(), "{buckets:?}");
    assert_eq!(buckets.last(), of_get("count").first());
    assert_eq!(of_get("count"), [400.0]);
    assert!(0.0 < of_get("sum")[0]);
    // Commands that run while histograms are off are not in their sums either.
    let mut client = measured.client();
    client.call(&["CONFIG", "SET", "latency-tracking", "no"]).expect("it serves");
    let _client = load(&measured);
    let series = series(&measured.page());
    let name = "keylane_command_duration_seconds_";
    assert_eq!(series[&format!("{name}count{{command=\"get\"}}")], 400.0);
    assert_eq!(series[&format!("{name}sum{{command=\"get\"}}")], of_get("sum")[0]);
    assert_eq!(series["keylane_commands_total{command=\"get\"}"], 800.0);
}

#[test]
fn ends_of_replicas_are_counted_by_their_reason() {
    let measured = start(1, &[]);
    let of = |reason: &str| {
        let name = format!("keylane_replica_sessions_ended_total{{reason=\"{reason}\"}}");
        series(&measured.page())[&name]
    };
    assert_eq!((of("closed"), of("unexpected")), (0.0, 0.0));
    let mut client = measured.client();
    client.call(&["REPLCONF", "capa", "eof"]).expect("it serves");
    client.send(&["PSYNC", "?", "-1"]).expect("it serves");
    client.send(&["GET", "key"]).expect("it serves");
    client.rest().expect("the server ends it");
    // The relay tells of itself some times a second.
    assert!((0..PAGES).any(|_| of("unexpected") == 1.0));
    assert_eq!(of("closed"), 0.0);
}

#[test]
fn a_node_of_a_cluster_says_how_that_is() {
    let measured = start_in_cluster(2);
    promtool(&["check", "metrics"], &measured.page());
    let mut client = load(&measured);
    client.call(&["MGET", "a", "b"]).expect("it answers");
    let page = series(&measured.page());
    for (name, value) in [
        ("keylane_cluster_state", 1.0),
        ("keylane_cluster_write_fenced", 0.0),
        ("keylane_cluster_fenced_writes_total", 0.0),
        ("keylane_cluster_slots{state=\"ok\"}", 16384.0),
        ("keylane_cluster_slots{state=\"fail\"}", 0.0),
        ("keylane_cluster_known_nodes", 1.0),
        ("keylane_cluster_size", 1.0),
        ("keylane_cluster_role{role=\"primary\"}", 1.0),
        ("keylane_cluster_elections_total{kind=\"automatic\",outcome=\"won\"}", 0.0),
        ("keylane_cluster_votes_total{outcome=\"denied\",reason=\"voted\"}", 0.0),
        ("keylane_cluster_redirections_total{kind=\"crossslot\"}", 1.0),
        ("keylane_cluster_config_saves_total{outcome=\"failed\"}", 0.0),
        ("keylane_cluster_messages_dropped_total{direction=\"sent\"}", 0.0),
        ("keylane_cluster_link_round_trip_seconds_count", 0.0),
    ] {
        assert_eq!(page.get(name), Some(&value), "{name}");
    }
    assert!(0.0 < page["keylane_cluster_bus_late_seconds_count"]);
    assert!(0.0 < page["keylane_cluster_config_saves_total{outcome=\"saved\"}"]);
    let alone = start(1, &[]);
    let page = series(&alone.page());
    assert!(!page.keys().any(|name| name.starts_with("keylane_cluster_")), "it is in no cluster");
}

#[test]
fn counters_begin_anew_when_they_are_reset() {
    let measured = start(2, &[]);
    let _client = load(&measured);
    let mut client = measured.client();
    client.call(&["CONFIG", "RESETSTAT"]).expect("it serves");
    let page = series(&measured.page());
    assert_eq!(page["keylane_keyspace_hits_total"], 0.0);
    assert!(!page.contains_key("keylane_commands_total{command=\"get\"}"));
    promtool(&["check", "metrics"], &measured.page());
}

#[test]
fn many_who_read_at_once_all_get_whole_pages() {
    let measured = start(2, &[]);
    let _client = load(&measured);
    let families = |page: &str| -> BTreeSet<String> {
        page.lines().filter(|line| line.starts_with("# TYPE ")).map(str::to_owned).collect()
    };
    let expected = families(&measured.page());
    thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let read = || (0..10).map(|_| measured.page()).collect::<Vec<_>>();
                thread::Builder::new().spawn_scoped(scope, read).expect("a thread")
            })
            .collect();
        for reader in readers {
            for page in reader.join().expect("it read") {
                assert_eq!(families(&page), expected);
                assert_eq!(series(&page)["keylane_commands_total{command=\"get\"}"], 400.0);
            }
        }
    });
}

#[test]
fn names_of_clients_and_keys_are_no_labels() {
    let measured = start(1, &[]);
    let mut client = measured.client();
    let before = series(&measured.page()).len();
    for number in 0..100 {
        let word = format!("word{number}");
        client.call(&[&word, "x"]).expect("it answers");
        client.call(&["CLIENT", "SETNAME", &word]).expect("it serves");
        client.call(&["SELECT", &word]).expect("it serves");
        client.call(&["SET", &word, &word]).expect("it serves");
    }
    let after = series(&measured.page());
    assert!(!after.keys().any(|name| name.contains("word")));
    // Three commands, each with its histogram, and one kind of errors.
    assert!(after.len() <= before + 3 * 45, "{before} {}", after.len());
}
