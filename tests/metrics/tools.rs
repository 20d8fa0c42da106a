//! What the tests of metrics share: a server with metrics, pages, and programs that read them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::client::Client;
use crate::http;
use crate::servers::{Server, free_port, start_alone_in_cluster, start_keylane_with};

/// A server whose metrics are served.
pub struct Measured {
    pub server: Server,
    /// The port of the metrics.
    pub port: u16,
}

/// Starts a server with metrics, and more options.
pub fn start(shards: usize, options: &[&str]) -> Measured {
    let port = free_port();
    let text = port.to_string();
    let server = start_keylane_with(shards, &[&["--metrics-port", &text], options].concat());
    Measured { server, port }
}

/// The same as the only node of a cluster, which serves all slots.
pub fn start_in_cluster(shards: usize) -> Measured {
    let port = free_port();
    let text = port.to_string();
    let start = |cluster: &[&str]| {
        Some(start_keylane_with(shards, &[&["--metrics-port", &text], cluster].concat()))
    };
    let server = start_alone_in_cluster(start).expect("it starts");
    Measured { server, port }
}

impl Measured {
    pub fn client(&self) -> Client {
        self.server.client()
    }

    /// Asks for `path`; the status, and the body.
    pub fn get(&self, path: &str) -> (u16, String) {
        http::get(self.port, path).expect("it answers")
    }

    /// The page of metrics.
    pub fn page(&self) -> String {
        let (status, page) = self.get("/metrics");
        assert_eq!(status, 200, "{page}");
        page
    }
}

/// Series of a page, `name{labels}`, and their values.
pub fn series(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let series = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a value stands behind a blank");
        (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
    });
    series.collect()
}

/// Works with all kinds of commands, so that there is something to show.
pub fn load(measured: &Measured) -> Client {
    let mut client = measured.client();
    for number in 0..200 {
        let key = format!("key{number}");
        client.call(&["SET", &key, "value"]).expect("it serves");
        client.call(&["GET", &key]).expect("it serves");
        client.call(&["GET", "nosuch"]).expect("it serves");
    }
    client.call(&["LPUSH", "key1", "x"]).expect("it serves");
    client.call(&["CONFIG", "GET", "port"]).expect("it serves");
    client
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs promtool, which reads `input`; it must find nothing wrong.
#[track_caller]
pub fn promtool(args: &[&str], input: &str) {
    let spawned = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.unwrap_or_else(|error| missing("promtool", &error));
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it is our child");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {args:?}: {said}");
    assert!(args != ["check", "metrics"] || said.is_empty(), "{said}");
}

/// Ends the test: a program is not there.
pub fn missing(program: &str, error: &io::Error) -> ! {
    panic!("{program} does not run ({error}): install Debian's package prometheus")
}

/// A folder of a test's own; it goes when this is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the folder for temporary files takes one more");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind is below the target folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
