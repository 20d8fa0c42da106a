//! What /readyz says of a server that does not serve yet, or not any more.

use std::collections::HashSet;
use std::process::Command;

use crate::client::Reply;
use crate::http::get;
use crate::running::{Folder, Running, children, free_port, keylane};

#[test]
fn a_server_that_loads_is_not_ready() {
    let folder = Folder::new();
    let port = free_port();
    let options = ["--dir", &folder.path(""), "--enable-debug-command", "yes"];
    let running = Running::ready(port, &options);
    let mut client = running.client(port);
    client.call(&["DEBUG", "POPULATE", "1000000", "key", "100"]).expect("it serves");
    assert_eq!(client.call(&["SAVE"]).expect("it saves"), Reply::Simple(b"OK".into()));
    drop(running);
    let (port, metrics) = (free_port(), free_port());
    let mut again = keylane();
    again.args(["--dir", &folder.path(""), "--shards", "2", "--port", &port.to_string()]);
    let mut running = Running::start(again.args(["--metrics-port", &metrics.to_string()]));
    let mut loading = 0;
    running.until("it is ready", || {
        // Until it listens, nothing answers.
        let (status, text) = get(metrics, "/readyz").ok()?;
        if status == 200 {
            return Some(());
        }
        assert_eq!(status, 503);
        assert!(text.starts_with("not ready: loading the dataset, "), "{text}");
        assert_eq!(get(metrics, "/healthz").expect("it lives").0, 200);
        let (status, page) = get(metrics, "/metrics").expect("it lives");
        assert_eq!(status, 200);
        loading += u32::from(page.contains("\nkeylane_loading 1\n"));
        None
    });
    assert!(0 < loading, "it loaded a million keys in no time");
    assert!(get(metrics, "/metrics").expect("it lives").1.contains("\nkeylane_loading 0\n"));
}

#[test]
fn a_server_that_ends_is_not_ready() {
    let folder = Folder::new();
    let (port, metrics) = (free_port(), free_port());
    let metrics_text = metrics.to_string();
    let options = ["--dir", &folder.path(""), "--metrics-port", &metrics_text];
    let mut running = Running::ready(port, &options);
    let mut client = running.client(port);
    for number in 0..10 {
        client.call(&["SET", &format!("key{number}"), "x"]).expect("it serves");
    }
    client.call(&["CONFIG", "SET", "rdb-key-save-delay", "100000000"]).expect("it serves");
    client.call(&["BGSAVE"]).expect("it serves");
    assert_eq!(get(metrics, "/readyz").expect("it lives"), (200, "ready\n".into()));
    // A child that stands still lasts until it is killed for good, a moment later.
    let stop = Command::new("kill").arg("-STOP").args(children(running.pid())).status();
    assert!(stop.expect("there is kill").success());
    running.signal("TERM");
    let (mut told, mut shown) = (HashSet::new(), HashSet::new());
    running.until("it ends", || {
        let Ok((status, text)) = get(metrics, "/readyz") else { return Some(()) };
        let stage = text.trim_end().strip_prefix("not ready: shutting down, stage ");
        assert_eq!(stage.is_some(), status == 503, "{text}");
        told.extend(stage.map(str::to_owned));
        let Ok((200, page)) = get(metrics, "/metrics") else { return None };
        fn at(line: &str) -> Option<&str> {
            line.strip_prefix("keylane_shutdown_stage{")?.strip_suffix("} 1")
        }
        shown.extend(page.lines().filter_map(at).map(str::to_owned));
        None
    });
    assert!(told.contains("child"), "{told:?}");
    assert!(shown.contains("stage=\"child\""), "{shown:?}");
    running.end().check(0, &["bye bye"]);
}

#[test]
#[should_panic(expected = "it is ready: not so in ")]
fn a_test_does_not_wait_for_a_server_that_has_ended() {
    let mut running = Running::start(keylane().arg("--version"));
    running.until("it is ready", || None::<()>)
}
