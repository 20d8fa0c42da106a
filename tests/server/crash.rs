//! What a crash leaves in the log, and how the process dies of it.

use std::os::unix::process::ExitStatusExt;

use crate::running::{Ended, Running, check_order, free_port};

const ABORT: i32 = 6;
const SEGV: i32 = 11;

fn started(options: &[&str]) -> (Running, u16) {
    let port = free_port();
    let usual = ["--shards", "2", "--enable-debug-command", "yes"];
    (Running::ready(port, &[&usual, options].concat()), port)
}

/// How a server ends to which this was the last command.
fn ended_by(options: &[&str], command: &[&str]) -> Ended {
    let (running, port) = started(options);
    let mut client = running.client(port);
    client.call(&["INFO", "server"]).expect("it serves");
    client.call(command).expect_err("it is gone");
    running.end()
}

#[track_caller]
fn check(ended: &Ended, signal: i32, texts: &[&str]) {
    assert_eq!(ended.status.signal(), Some(signal), "{}", ended.log.join("\n"));
    let all = [&["=== KEYLANE BUG REPORT START"], texts, &["=== KEYLANE BUG REPORT END"]].concat();
    check_order(&ended.log.join("\n"), &all);
}

#[test]
fn a_fault_is_reported_and_the_process_dies_of_it() {
    let ended = ended_by(&[], &["DEBUG", "SEGFAULT"]);
    let version = concat!("keylane_version:", env!("CARGO_PKG_VERSION"));
    let texts = [
        "crashed by signal: 11, si_code: ",
        "Accessing address: 0x",
        "Crashed running the instruction at: 0x",
        "Thread: shard-",
        "------ STACK TRACE ------\n/",
        "------ REGISTERS ------\n",
        "------ CURRENT COMMAND ------\ndebug|segfault (2 arguments)\n",
        "argv[0]: \"DEBUG\"\nargv[1]: 8 bytes\n",
        version,
        "used_memory:",
        "------ INFO OUTPUT",
        "# Server",
    ];
    check(&ended, SEGV, &texts);
}

#[test]
fn a_panic_is_reported_and_aborts() {
    let options = ["--hide-user-data-from-log", "no"];
    let ended = ended_by(&options, &["DEBUG", "PANIC"]);
    let texts = [
        "Keylane crashed, this is a bug: panicked at ",
        "DEBUG PANIC called",
        "Thread: shard-",
        "------ STACK TRACE ------\n   0: ",
        "debug|panic (2 arguments)\nargv[0]: \"DEBUG\"\nargv[1]: \"PANIC\"\n",
    ];
    check(&ended, ABORT, &texts);
    let reports = ended.log.iter().filter(|line| line.contains("BUG REPORT START")).count();
    assert_eq!(reports, 1);
    check(&ended_by(&[], &["DEBUG", "ASSERT"]), ABORT, &["DEBUG ASSERT called"]);
}

#[test]
fn a_signal_from_outside_names_its_sender() {
    let (running, _) = started(&[]);
    running.signal("SEGV");
    let texts = ["crashed by signal: 11, si_code: 0", "Killed by PID: ", "COMMAND ------\nnone"];
    check(&running.end(), SEGV, &texts);
}

#[test]
fn reports_can_be_turned_off_and_go_to_the_log_file() {
    let ended = ended_by(&["--crash-log-enabled", "no"], &["DEBUG", "SEGFAULT"]);
    assert_eq!(ended.status.signal(), Some(SEGV));
    assert!(!ended.log.join("\n").contains("BUG REPORT"));
    let folder = crate::running::Folder::new();
    let file = folder.path("log");
    let port = free_port();
    let options = ["--port", &port.to_string(), "--logfile", &file, "--save", ""];
    let running = Running::start(
        crate::running::keylane().args(options).args(["--enable-debug-command", "yes"]),
    );
    let log = || std::fs::read_to_string(&file).unwrap_or_default();
    assert!(running.comes_to(|_| log().contains("Ready to accept connections")));
    running.client(port).call(&["DEBUG", "SEGFAULT"]).expect_err("it is gone");
    assert_eq!(running.end().status.signal(), Some(SEGV));
    check_order(&log(), &["BUG REPORT START", "INFO was not asked for", "BUG REPORT END"]);
}
