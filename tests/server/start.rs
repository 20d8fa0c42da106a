//! How it starts, or says why it does not.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::time::Duration;

use crate::client::Reply;
use crate::running::{Folder, Running, check_order, free_port, keylane};

#[test]
fn says_what_tools_look_for() {
    let folder = Folder::new();
    let socket = folder.path("keylane.sock");
    let port = free_port();
    let options = ["--unixsocket", &socket, "--dir", &folder.path("")];
    let mut running = Running::start(keylane().args(["--port", &port.to_string()]).args(options));
    running.wait_for("Ready to accept connections unix");
    let pid = running.pid();
    check_order(
        &running.log.join("\n"),
        &[
            "Keylane is starting",
            &format!("pid={pid}, just started"),
            "Configuration loaded",
            &format!(" * Running mode=standalone, port={port}."),
            &format!(" PID: {pid}"),
            "Server initialized",
            "Ready to accept connections tcp",
            "Ready to accept connections unix",
        ],
    );
    for line in &running.log {
        assert!(line.starts_with(&format!("{pid}:M ")), "{line}");
    }
}

/// Starts with these options and expects an end with status 1 and these texts.
#[track_caller]
fn check_refused(options: &[&str], texts: &[&str]) {
    Running::start(keylane().args(options)).end().check(1, texts);
}

#[test]
fn a_bad_file_is_reported_as_valkey_does() {
    let folder = Folder::new();
    let file = folder.write("bad.conf", "port 0\n\nhz ten\n");
    check_refused(
        &[&file],
        &[
            "*** FATAL CONFIG FILE ERROR (Version 9.1.2) ***\n",
            &format!("Reading the configuration file, at line 3 of {file}\n>>> 'hz ten'\n"),
            "argument couldn't be parsed into an integer",
        ],
    );
    let file = folder.write("unknown.conf", "nosuch 1\n");
    let place = format!("at line 1 of {file}\n>>> 'nosuch 1'\nBad directive");
    check_refused(&[&file], &["FATAL CONFIG FILE ERROR", &place]);
    let none = folder.path("none.conf");
    let text = format!("can't open config file '{none}': No such file or directory");
    check_refused(&[&none], &[&text]);
    check_refused(&["--daemonize", "yes"], &["FATAL CONFIG", "'daemonize \"yes\"'", "foreground"]);
    check_refused(&["--rename-command", "nosuch", "x"], &["FATAL CONFIG", "No such command"]);
}

#[test]
fn what_the_system_does_not_grant_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    check_refused(
        &["--port", &port, "--bind", "127.0.0.1"],
        &[
            "Could not create server TCP listening socket",
            "Address already in use",
            &format!("Failed listening on port {port} (tcp), aborting."),
        ],
    );
    check_refused(&["--port", "0"], &["Configured to not listen anywhere, exiting."]);
    let none = ["--port", "0", "--unixsocket", "/nosuch/socket"];
    check_refused(&none, &["Failed opening Unix socket: bind: No such file or directory"]);
    check_refused(
        &["--port", "0", "--dir", "/nosuch/folder"],
        &["FATAL CONFIG", "Can't chdir to '/nosuch/folder': No such file or directory"],
    );
    check_refused(
        &["--port", "0", "--logfile", "/nosuch/log"],
        &["FATAL CONFIG", "Can't open the log file: No such file or directory"],
    );
    check_refused(&["--shard-cpus", "1023"], &["shard-cpus names processor 1023"]);
}

/// Starts under these limits of the shell's `ulimit`.
fn limited(limit: &str, port: u16) -> Running {
    let program = env!("CARGO_BIN_EXE_keylane");
    let script = format!("ulimit {limit} && exec {program} --port {port} --shards 1");
    Running::start(Command::new("sh").args(["-c", &script]))
}

#[test]
fn low_limits_are_told() {
    limited("-n 20", 0).end().check(1, &["'ulimit -n' of 20 is not enough"]);
    let port = free_port();
    let mut running = limited("-n 200", port);
    running.wait_for("Ready to accept connections");
    let log = running.log.join("\n");
    check_order(&log, &["You requested maxclients of 10000", "maxclients has been reduced to 1"]);
    running.client(port).call(&["GET", "key"]).expect("it serves");
}

#[test]
fn options_win_over_standard_input_over_the_file() {
    let folder = Folder::new();
    fs::write(folder.0.join("more.conf"), "tcp-keepalive 30\nio-threads 2\n").unwrap();
    let more = folder.path("more.conf");
    let file = folder.write("keylane.conf", &format!("port 1\nhz 0\ninclude {more}\nhz 20\n"));
    let port = free_port().to_string();
    let options = [file.as_str(), "--port", &port, "--shards", "1", "-"];
    let mut running = Running::start_with_input(keylane().args(options), "port 2\n");
    running.wait_for("Ready to accept connections");
    let warning = format!("{more}:2: io-threads is ignored");
    check_order(&running.log.join("\n"), &[&warning, &format!("port={port}.")]);
}

#[test]
fn the_unix_socket_has_its_permissions() {
    let folder = Folder::new();
    let socket = folder.path("keylane.sock");
    let options = ["--unixsocket", &socket, "--unixsocketperm", "700", "--shards", "1"];
    let mut running = Running::start(keylane().args(["--port", "0"]).args(options));
    running.wait_for("Ready to accept connections unix");
    let mode = fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    UnixStream::connect(&socket).expect("it is listened on");
    assert!(!running.log.iter().any(|line| line.contains("connections tcp")));
}

#[test]
fn relative_paths_begin_at_the_working_folder() {
    let folder = Folder::new();
    let port = free_port();
    let pid_file = folder.path("keylane.pid");
    let options = ["--dir", &folder.path(""), "--pidfile", "keylane.pid", "--unixsocket", "sock"];
    let mut running = Running::ready(port, &options);
    running.wait_for("connections unix");
    let pid = fs::read_to_string(&pid_file).expect("the pid file is written before it is ready");
    assert_eq!(pid, format!("{}\n", running.pid()));
    assert!(folder.0.join("sock").exists());
}

#[test]
fn the_log_can_be_a_file_and_json() {
    let folder = Folder::new();
    let file = folder.path("log");
    let port = free_port().to_string();
    let log = ["--logfile", &file, "--log-format", "json"];
    let options = [&["--port", &port, "--dir", &folder.path(""), "--shards", "1"], &log[..]];
    let options = options.concat();
    let socket = folder.path("notify");
    let systemd = UnixDatagram::bind(&socket).expect("the folder is ours");
    systemd.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
    let mut command = keylane();
    command.args(options).args(["--supervised", "systemd"]).env("NOTIFY_SOCKET", &socket);
    let running = Running::start(&mut command);
    let mut news = [0; 100];
    let len = systemd.recv(&mut news).expect("it says when it is ready");
    assert!(news[..len].ends_with(b"READY=1\n"));
    running.signal("TERM");
    let len = systemd.recv(&mut news).expect("it says when it ends");
    assert_eq!(&news[..len], b"STOPPING=1\nSTATUS=Shutting down: intake\n");
    running.end().check(0, &[]);
    let log = fs::read_to_string(&file).expect("it logs there");
    check_order(&log, &["Server initialized\"}\n", "is now ready to exit, bye bye...\"}\n"]);
    assert!(log.lines().all(|line| line.starts_with("{\"pid\":")), "{log}");
}

#[test]
fn a_log_that_was_moved_away_begins_anew() {
    let folder = Folder::new();
    let (file, old) = (folder.path("log"), folder.path("log.1"));
    let port = free_port();
    let options = ["--port", &port.to_string(), "--logfile", &file, "--shards", "1"];
    let options = [&options[..], &["--enable-debug-command", "yes", "--save", ""]].concat();
    let running = Running::start(keylane().args(options));
    let has = |file: &str, text: &str| fs::read_to_string(file).is_ok_and(|log| log.contains(text));
    assert!(running.comes_to(|_| has(&file, "Ready to accept connections")));
    let mut client = running.client(port);
    fs::rename(&file, &old).expect("the folder is ours");
    client.call(&["DEBUG", "LOG", "first"]).unwrap();
    assert!(has(&file, "DEBUG LOG: first") && !has(&old, "DEBUG LOG"));
    fs::remove_file(&file).expect("it is there");
    client.call(&["CONFIG", "SET", "log-format", "logfmt"]).unwrap();
    client.call(&["CONFIG", "SET", "log-timestamp-format", "milliseconds"]).unwrap();
    client.call(&["DEBUG", "LOG", "second"]).unwrap();
    let log = fs::read_to_string(&file).expect("it is made anew");
    assert!(log.contains(" role=primary timestamp=\"1"), "{log}");
    assert!(log.ends_with(" level=warning message=\"DEBUG LOG: second\"\n"), "{log}");
}

#[test]
fn versions_and_help_are_answered() {
    let said = |option: &str| Running::start(keylane().arg(option)).end();
    said("--version").check(0, &["Keylane server v=9.1.2 keylane="]);
    said("-v").check(0, &["Keylane server v=9.1.2 keylane="]);
    said("--help").check(0, &["Usage: ", "/path/to/keylane.conf"]);
    said("--check-system").check(0, &["Keylane can run on this machine."]);
}

#[test]
fn the_sample_file_starts_it() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/keylane.conf");
    let port = free_port();
    let mut running = Running::start(keylane().args([sample, "--port", &port.to_string()]));
    running.wait_for("Ready to accept connections tcp");
    let reply = running.client(port).call(&["GET", "key"]).expect("it serves");
    assert_eq!(reply, Reply::NullBulk);
    assert!(running.log.iter().all(|line| !line.contains(" # ")), "it warns of nothing");
}
