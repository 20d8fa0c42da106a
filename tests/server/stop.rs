//! How it ends, and what does not end it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keylane::shutdown::resources::RESOURCES;

use crate::client::{Client, Reply};

use crate::asking::{comes_to, field, find_field, ok, text};
use crate::running::{Folder, Running, check_order, children, free_port, keylane};

#[test]
fn sigterm_ends_it_tidily() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::new();
        let port = free_port();
        let options = ["--dir", &folder.path(""), "--pidfile", "pid", "--unixsocket", "sock"];
        let mut running = Running::ready(port, &options);
        running.wait_for("connections unix");
        let mut client = running.client(port);
        assert_eq!(client.call(&["SET", "k", "v"]).unwrap(), Reply::Simple(b"OK".into()));
        running.signal(signal);
        running.end().check(
            0,
            &[
                &format!("Received SIG{signal} scheduling shutdown..."),
                "User requested shutdown...",
                "Removing the unix socket file.",
                "Removing the pid file.",
                "is now ready to exit, bye bye...",
            ],
        );
        assert!(client.call(&["GET", "k"]).is_err(), "the connection is closed");
        assert!(!folder.0.join("pid").exists());
        assert!(!folder.0.join("sock").exists());
        // The port is free again.
        Running::ready(port, &[]);
    }
}

#[test]
fn sigstop_and_sighup_change_nothing() {
    let port = free_port();
    let running = Running::ready(port, &[]);
    let mut busy = running.client(port);
    let mut idle = running.client(port);
    assert_eq!(busy.call(&["SET", "k", "v"]).unwrap(), Reply::Simple(b"OK".into()));
    for round in 0..20 {
        running.signal("STOP");
        // A request that comes in meanwhile waits.
        busy.send(&["GET", "k"]).unwrap();
        running.signal("CONT");
        assert_eq!(busy.receive().unwrap(), Reply::Bulk(b"v".into()), "round {round}");
        running.signal("HUP");
    }
    assert_eq!(idle.call(&["GET", "k"]).unwrap(), Reply::Bulk(b"v".into()));
    running.signal("TERM");
    running.end().check(0, &["bye bye..."]);
}

/// A client that asks for much and reads it slowly: an end waits for it as long as it may.
struct Slow {
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Slow {
    #[expect(clippy::disallowed_methods, reason = "a client of a test")]
    fn new(running: &Running, port: u16) -> Self {
        const BYTES: usize = 64 << 10;
        const PAUSE: Duration = Duration::from_millis(20);
        let mut client = running.client(port);
        ok(&mut client, &format!("SET big {}", "x".repeat(1 << 20)));
        for _ in 0..200 {
            client.send(&["GET", "big"]).expect("the server takes it");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) && client.exactly(BYTES).is_ok() {
                thread::park_timeout(PAUSE);
            }
        });
        Self { stop, reader: Some(reader) }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.take().map(JoinHandle::join);
    }
}

#[test]
fn an_end_that_is_called_off_leaves_everything_as_it_was() {
    let port = free_port();
    // A fifth of it is for what has begun: longer than a test has patience.
    let mut running = Running::ready(port, &["--shards", "2", "--shutdown-total-timeout", "100"]);
    let slow = Slow::new(&running, port);
    let mut clients: Vec<Client> = (0..8).map(|_| running.client(port)).collect();
    let mut watcher = running.client(port);
    comes_to(&mut watcher, "connected_clients", "10");
    assert_eq!(field(&mut watcher, "shutdown_stage"), "none");
    assert_eq!(find_field(&mut watcher, "shutdown_in_milliseconds"), None);
    for round in 0..3 {
        running.signal(if round == 1 { "INT" } else { "TERM" });
        comes_to(&mut watcher, "shutdown_stage", "drain");
        let left: u64 = field(&mut watcher, "shutdown_in_milliseconds").parse().unwrap();
        assert!((80_001..=100_000).contains(&left), "{left}");
        assert_eq!(field(&mut watcher, "paused_reason"), "shutdown_in_progress");
        // What only reads is served; what writes waits, and with it what follows.
        for (number, client) in clients.iter_mut().enumerate() {
            let key = format!("key:{number}");
            assert_eq!(client.call(&["PING"]).unwrap(), Reply::Simple(b"PONG".into()));
            client.send(&["GET", &key]).unwrap();
            client.send(&["INCR", &key]).unwrap();
            client.send(&["GET", &key]).unwrap();
        }
        let mut asker = running.client(port);
        asker.send(&["SHUTDOWN"]).unwrap();
        let mut late = running.client(port);
        let refused = text(&mut late, "GET key:1");
        assert!(refused.starts_with("ERR The server is shutting down"), "{refused}");
        // Eight that write, and the one that asked for the end.
        comes_to(&mut late, "blocked_clients", "9");
        // A user's own pause does not outlive the end, nor end it.
        ok(&mut watcher, "CLIENT PAUSE 100000 WRITE");
        ok(&mut watcher, "CLIENT UNPAUSE");
        ok(&mut late, "SHUTDOWN ABORT");
        let error = Reply::Error(b"ERR Errors trying to SHUTDOWN. Check logs.".into());
        assert_eq!(asker.receive().unwrap(), error);
        for client in &mut clients {
            let before = client.receive().unwrap();
            assert_eq!(before == Reply::NullBulk, round == 0);
            assert_eq!(client.receive().unwrap(), Reply::Integer(round + 1));
            let count = (round + 1).to_string().into_bytes();
            assert_eq!(client.receive().unwrap(), Reply::Bulk(count));
        }
        assert_eq!(field(&mut watcher, "shutdown_stage"), "none");
        assert_eq!(field(&mut watcher, "paused_reason"), "none");
        assert_eq!(text(&mut watcher, "SHUTDOWN ABORT"), "ERR No shutdown in progress.");
        ok(&mut late, "SET late 1");
        running.wait_for("Shutdown manually aborted.");
        running.wait_for("Shutdown: stage=drain event=leave outcome=aborted");
    }
    drop(slow);
    running.signal("INT");
    running.end().check(0, &["stage=drain event=leave outcome=done", "bye bye..."]);
}

#[test]
fn writes_that_waited_for_an_end_that_came_are_neither_done_nor_answered() {
    let folder = Folder::new();
    let port = free_port();
    let dir = folder.path("");
    let options = ["--dir", &dir, "--save", "1000000 1", "--shutdown-total-timeout", "5"];
    let mut running = Running::ready(port, &options);
    let _slow = Slow::new(&running, port);
    let mut watcher = running.client(port);
    ok(&mut watcher, "SET counter 1");
    let mut client = running.client(port);
    running.signal("TERM");
    comes_to(&mut watcher, "shutdown_stage", "drain");
    client.send(&["GET", "counter"]).unwrap();
    client.send(&["INCR", "counter"]).unwrap();
    assert_eq!(client.rest().unwrap(), b"$1\r\n1\r\n");
    running.wait_for("stage=drain event=leave outcome=overrun");
    running.end().check(
        0,
        &[
            "Saving the final RDB snapshot before exiting.",
            "DB saved on disk",
            "stage=save event=leave outcome=done",
            "stage=clients event=leave outcome=done",
        ],
    );
    let again = Running::ready(port, &["--dir", &dir]);
    assert_eq!(text(&mut again.client(port), "GET counter"), "1");
}

#[test]
fn a_last_snapshot_that_fails_calls_the_end_off_unless_it_is_forced() {
    let folder = Folder::new();
    let port = free_port();
    let mut running = Running::ready(port, &["--dir", &folder.path(""), "--save", "1000000 1"]);
    // The file cannot take the place of a folder.
    fs::create_dir(folder.0.join("dump.rdb")).unwrap();
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    let refused = "ERR Errors trying to SHUTDOWN. Check logs.";
    assert_eq!(text(&mut client, "SHUTDOWN"), refused);
    running.wait_for("Saving the final RDB snapshot before exiting.");
    running.wait_for("Error trying to save the DB, can't exit.");
    running.wait_for("Errors trying to shut down the server.");
    ok(&mut client, "SET k 2");
    ok(&mut running.client(port), "SET k 3");
    running.signal("TERM");
    running.wait_for("Errors trying to shut down the server.");
    ok(&mut client, "SET k 4");
    // Two who wait are both refused.
    let mut other = running.client(port);
    other.send(&["SHUTDOWN"]).unwrap();
    assert_eq!(text(&mut client, "SHUTDOWN"), refused);
    assert_eq!(other.receive().unwrap(), Reply::Error(refused.into()));
    client.send(&["SHUTDOWN", "FORCE"]).unwrap();
    assert_eq!(client.rest().unwrap(), b"");
    running.end().check(0, &["Error trying to save the DB. Exit anyway.", "bye bye..."]);
}

#[test]
fn reads_are_served_while_the_last_snapshot_is_written() {
    let folder = Folder::new();
    let port = free_port();
    let dir = folder.path("");
    let options = ["--dir", &dir, "--save", "1000000 1", "--rdb-key-save-delay", "10000000"];
    let mut running = Running::ready(port, &options);
    let (mut client, mut watcher) = (running.client(port), running.client(port));
    ok(&mut client, "SET k 1");
    running.signal("TERM");
    comes_to(&mut watcher, "shutdown_stage", "save");
    comes_to(&mut watcher, "rdb_bgsave_in_progress", "1");
    assert_eq!(text(&mut client, "GET k"), "1");
    client.send(&["INCR", "k"]).unwrap();
    let refused = text(&mut watcher, "SHUTDOWN ABORT");
    assert!(refused.starts_with("ERR The shutdown can't be aborted any more"), "{refused}");
    // The test ends its process: then there is no snapshot, and so no end.
    let child = children(running.pid()).remove(0);
    assert!(Command::new("kill").args(["-9", &child]).status().unwrap().success());
    assert_eq!(client.receive().unwrap(), Reply::Integer(2));
    running.wait_for("Error trying to save the DB, can't exit.");
    ok(&mut watcher, "CONFIG SET rdb-key-save-delay 0");
    client.send(&["SHUTDOWN"]).unwrap();
    assert_eq!(client.rest().unwrap(), b"");
    running.end().check(0, &["DB saved on disk"]);
    let again = Running::ready(port, &["--dir", &dir]);
    assert_eq!(text(&mut again.client(port), "GET k"), "2");
}

#[test]
fn a_second_sigint_is_obeyed_at_once() {
    let folder = Folder::new();
    let port = free_port();
    let options = ["--dir", &folder.path(""), "--pidfile", "pid", "--unixsocket", "sock"];
    let mut running = Running::ready(port, &options);
    let _slow = Slow::new(&running, port);
    let mut watcher = running.client(port);
    ok(&mut watcher, "CONFIG SET rdb-key-save-delay 10000000");
    assert_eq!(text(&mut watcher, "BGSAVE"), "Background saving started");
    running.signal("INT");
    comes_to(&mut watcher, "shutdown_stage", "drain");
    running.signal("INT");
    running.wait_for("You insist... exiting now.");
    running.end().check(1, &["Received SIGINT scheduling shutdown..."]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_process_that_was_killed_leaves_nobody_connected_to_its_port() {
    for shards in ["1", "2"] {
        let port = free_port();
        let running = Running::ready(port, &["--shards", shards]);
        let clients: Vec<_> = (0..20).map(|_| running.client(port)).collect();
        running.signal("KILL");
        running.end();
        // What is left of its rings is taken apart later.
        let connected = Client::connect(&format!("127.0.0.1:{port}")).map(drop);
        assert_eq!(connected.map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
        TcpListener::bind(("127.0.0.1", port)).expect("nobody has it");
        drop(clients);
    }
}

#[test]
fn systemd_is_told_of_every_stage() {
    let folder = Folder::new();
    let port = free_port().to_string();
    let socket = folder.path("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let dir = folder.path("");
    let options = ["--port", &port, "--dir", &dir, "--save", "1000000 1"];
    let mut command = keylane();
    command.args(options).args(["--supervised", "systemd"]).env("NOTIFY_SOCKET", &socket);
    let running = Running::start(&mut command);
    let mut all = String::new();
    let mut hear_until = |text: &str| {
        let mut news = [0; 200];
        while !all.contains(text) {
            let len = systemd.recv(&mut news).unwrap_or_else(|_| panic!("no {text} in {all}"));
            all += &String::from_utf8_lossy(&news[..len]);
        }
    };
    hear_until("READY=1\n");
    running.signal("TERM");
    hear_until("STATUS=Exiting\n");
    let stages = ["intake", "drain", "pause", "replicas", "child", "save", "clients", "files"];
    let said = |stage: &&str| format!("STOPPING=1\nSTATUS=Shutting down: {stage}\n");
    let mut said: Vec<String> = stages.iter().map(said).collect();
    said.insert(6, "EXTEND_TIMEOUT_USEC=".to_owned());
    check_order(&all, &said.iter().map(String::as_str).collect::<Vec<_>>());
    running.end().check(0, &[]);
}

#[test]
fn systemd_understands_the_unit() {
    let folder = Folder::new();
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/keylane.service");
    let unit = fs::read_to_string(unit).unwrap();
    // What it starts must be there to be verified.
    let program = env!("CARGO_BIN_EXE_keylane");
    let unit = unit.replace("/usr/local/bin/keylane", program);
    assert!(unit.contains(&format!("ExecStart={program} ")));
    let file = folder.write("keylane.service", &unit);
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no", &file]).output();
    let verified = verified.expect("scripts/test installs systemd-analyze");
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
}

/// What a descriptor of a process is, by the names of `resources::RESOURCES`.
fn kind(fd: &Path, listening: &BTreeMap<String, String>, metrics: &str) -> String {
    let to = target(fd);
    let inode = to.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
    match inode {
        _ if is_standard(fd) => "stdio".into(),
        Some(inode) => match listening.get(inode) {
            Some(port) if port == metrics => "metrics socket".into(),
            Some(_) => "listening socket".into(),
            None => "socket".into(),
        },
        None => to,
    }
}

fn is_standard(fd: &Path) -> bool {
    ["0", "1", "2"].iter().any(|number| fd.ends_with(number))
}

/// What a descriptor points to.
fn target(fd: &Path) -> String {
    fs::read_link(fd).unwrap_or_default().to_string_lossy().into_owned()
}

fn open_files(pid: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    files.map(|fd| fd.expect("it runs").path()).collect()
}

/// Inodes of sockets that listen, of all processes, and their ports in hexadecimal, if they have.
fn listening() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (file, state_at, state, inode_at) in
        [("tcp", 3, "0A", 9), ("tcp6", 3, "0A", 9), ("unix", 3, "00010000", 6)]
    {
        let text = fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.get(state_at) == Some(&state) {
                let port = words[1].split_once(':').map_or("", |(_, port)| port);
                found.extend(words.get(inode_at).map(|inode| ((*inode).into(), port.into())));
            }
        }
    }
    found
}

#[test]
fn everything_that_is_open_is_in_the_list_of_what_is_closed() {
    let folder = Folder::new();
    let (port, metrics) = (free_port().to_string(), free_port());
    let dir = folder.path("");
    let files = ["--pidfile", "k.pid", "--unixsocket", "k.sock", "--logfile", "k.log"];
    let mut command = keylane();
    command.args(["--port", &port, "--dir", &dir, "--save", "1000000 1"]).args(files);
    command.args(["--metrics-port", &metrics.to_string()]);
    let running = Running::start(&mut command);
    assert!(running.comes_to(|_| {
        let log = fs::read_to_string(folder.0.join("k.log")).unwrap_or_default();
        log.contains("Ready to accept connections unix")
    }));
    let port = port.parse().unwrap();
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    ok(&mut client, "CONFIG SET rdb-key-save-delay 10000000");
    assert_eq!(text(&mut client, "BGSAVE"), "Background saving started");
    assert!(running.comes_to(|_| children(running.pid()).len() == 1));
    assert!(running.comes_to(|_| folder.0.join(format!("temp-{}.rdb", running.pid())).exists()));
    ok(&mut client, "CONFIG SET rdb-key-save-delay 0");
    let (listening, metrics) = (listening(), format!("{metrics:04X}"));
    // Files that the process that started this test left open are not the server's.
    let inherited: HashSet<_> = open_files("self").into_iter().map(|it| target(&it)).collect();
    let own = open_files(&running.pid().to_string()).into_iter();
    let own = own.filter(|fd| is_standard(fd) || !inherited.contains(&target(fd)));
    let mut traces: HashSet<String> = own.map(|fd| kind(&fd, &listening, &metrics)).collect();
    for name in fs::read_dir(&folder.0).unwrap() {
        traces.insert(name.unwrap().file_name().to_string_lossy().into_owned());
    }
    let shows = |trace: &str, seen: &str| {
        if trace.starts_with('.') { seen.ends_with(trace) } else { seen.starts_with(trace) }
    };
    for seen in &traces {
        let mut listed = RESOURCES.iter().flat_map(|entry| entry.traces);
        assert!(listed.any(|trace| shows(trace, seen)), "{seen} is in no entry of {traces:?}");
    }
    for trace in RESOURCES.iter().flat_map(|entry| entry.traces) {
        assert!(traces.iter().any(|seen| shows(trace, seen)), "no {trace} in {traces:?}");
    }
    running.signal("TERM");
    running.end().check(0, &[]);
    let mut left: Vec<_> =
        fs::read_dir(&folder.0).unwrap().map(|name| name.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["dump.rdb", "k.log"]);
}
