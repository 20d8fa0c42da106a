//! The dashboard, the alert rules and the scrape configuration of `scripts/`: promtool takes them,
//! what they name exists, and a real Prometheus that scrapes a loaded server has series for every
//! query of the dashboard.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::http;
use crate::servers::free_port;
use crate::tools::{Folder, Measured, load, missing, promtool, repository, start_in_cluster};

/// What the panels are to show, as words of their titles.
const SUBJECTS: &[&str] = &[
    "Throughput",
    "Latency percentiles by command",
    "Memory",
    "Hops and mailbox depth",
    "Persistence",
    "Shutdown stage",
    "Clients",
    "Network",
    "Hit ratio",
    "Replication lag",
    "Replicas and link",
    "Cluster state",
    "Slots and nodes of the cluster",
    "Failures, elections and votes",
    "Bus",
    "Bus delays",
    "Redirections and lost messages",
    "Topology and its reconciler",
];
/// What Grafana fills in, and what is filled in here.
const VARIABLES: &[(&str, &str)] =
    &[("$__rate_interval", "10s"), ("$instance", ".*"), ("$command", ".*")];

#[test]
fn promtool_takes_rules_and_configuration() {
    for (what, file) in [("rules", "alerts.yml"), ("config", "scrape.yml")] {
        let path = repository("scripts/prometheus").join(file);
        promtool(&["check", what, path.to_str().expect("our paths are plain")], "");
    }
}

#[test]
fn the_dashboard_has_a_panel_for_each_subject() {
    let panels = panels();
    for subject in SUBJECTS {
        let found = panels.iter().any(|panel| panel["title"] == *subject);
        assert!(found, "no panel is called {subject}");
    }
    let mut ids = BTreeSet::new();
    for panel in &panels {
        assert!(ids.insert(panel["id"].as_u64().expect("panels have numbers")), "{panel}");
    }
}

#[test]
fn everything_that_is_named_exists() {
    let measured = start_in_cluster(2);
    let _client = load(&measured);
    let page = measured.page();
    let rules = fs::read_to_string(repository("scripts/prometheus/alerts.yml")).expect("rules");
    let mut used = names(&rules);
    queries().iter().for_each(|query| used.extend(names(query)));
    assert!(20 < used.len(), "{used:?}");
    for name in used {
        let there = page.lines().any(|line| {
            let rest = line.strip_prefix(&name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        assert!(there, "there is no {name}");
    }
}

#[test]
fn prometheus_has_series_for_every_query_of_the_dashboard() {
    let measured = start_in_cluster(2);
    let prometheus = Prometheus::start(&measured);
    // Rates need two scrapes.
    prometheus.await_series(&measured, "count_over_time(keylane_up[1h]) > 1");
    prometheus.await_series(&measured, "sum(rate(keylane_commands_total[10s])) > 0");
    for query in queries() {
        let mut filled = query.clone();
        for (variable, value) in VARIABLES {
            filled = filled.replace(variable, value);
        }
        prometheus.await_series(&measured, &filled);
    }
    let rules = prometheus.ask("/api/v1/rules");
    let groups = rules["data"]["groups"].as_array().expect("groups of rules");
    let rules: Vec<&Value> =
        groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
    assert!(10 < rules.len());
    let sick: Vec<_> = rules.iter().filter(|rule| rule["health"] == "err").collect();
    assert!(sick.is_empty(), "{sick:?}");
}

/// A Prometheus that scrapes a server; it ends when this is dropped.
struct Prometheus {
    process: Child,
    port: u16,
    folder: Folder,
}

impl Prometheus {
    fn start(measured: &Measured) -> Self {
        let folder = Folder::new("prometheus");
        let rules = repository("scripts/prometheus/alerts.yml");
        let configuration = format!(
            "global:\n  scrape_interval: 250ms\n  scrape_timeout: 250ms\n  \
             evaluation_interval: 250ms\n\
             rule_files: [{:?}]\n\
             scrape_configs:\n- job_name: keylane\n  static_configs:\n  \
             - targets: ['127.0.0.1:{}']\n",
            rules, measured.port
        );
        let file = folder.0.join("prometheus.yml");
        fs::write(&file, configuration).expect("the folder is ours");
        let port = free_port();
        let log = fs::File::create(folder.0.join("log")).expect("the folder is ours");
        let spawned = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn();
        let process = spawned.unwrap_or_else(|error| missing("prometheus", &error));
        Self { process, port, folder }
    }

    /// Waits until a query has series, while the server is kept busy.
    fn await_series(&self, measured: &Measured, query: &str) {
        const TRIES: u32 = 300;
        const PAUSE: Duration = Duration::from_millis(50);
        let path = format!("/api/v1/query?query={}", escaped(query));
        let mut last = Value::Null;
        for _ in 0..TRIES {
            load(measured);
            last = self.ask(&path);
            assert_ne!(last["errorType"], "bad_data", "{query}: {last}");
            if last["data"]["result"].as_array().is_some_and(|series| !series.is_empty()) {
                return;
            }
            std::thread::park_timeout(PAUSE);
        }
        panic!("no series for {query}: {last}\n{}", self.log());
    }

    /// What it answers; null if it does not yet.
    fn ask(&self, path: &str) -> Value {
        match http::get(self.port, path) {
            Ok((_, body)) => serde_json::from_str(&body).unwrap_or(Value::Null),
            Err(_) => Value::Null,
        }
    }

    fn log(&self) -> String {
        let mut text = String::new();
        let mut log = fs::File::open(self.folder.0.join("log")).expect("it has a log");
        log.read_to_string(&mut text).expect("it logs text");
        text
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn panels() -> Vec<Value> {
    let text = fs::read_to_string(repository("scripts/grafana/keylane.json")).expect("a dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("it is JSON");
    dashboard["panels"].as_array().expect("it has panels").clone()
}

/// All queries of the dashboard.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for panel in panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(target["expr"].as_str().expect("targets have queries").to_owned());
        }
    }
    assert!(20 < queries.len());
    queries
}

/// Names of ours in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("keylane_")).map(str::to_owned).collect()
}

/// `text` as it stands in an address.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
