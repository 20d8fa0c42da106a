//! What may go wrong with a snapshot: the old file stays, the reason is told, and the next works.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::asking::{comes_to, field, ok, text};
use crate::client::Client;
use crate::persistence::{integers, temporary};
use crate::running::{Folder, Running, children, free_port, keylane};

/// Slow enough that a snapshot of a few keys does not end by itself.
const NEVER: &str = "10000000";

#[test]
fn a_child_that_is_killed_leaves_the_old_file_and_a_reason() {
    let folder = Folder::new();
    let port = free_port();
    let mut running = Running::ready(port, &["--dir", &folder.path(""), "--save", "1000000 1"]);
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    ok(&mut client, "SAVE");
    ok(&mut client, "SET k 2");
    ok(&mut client, &format!("CONFIG SET rdb-key-save-delay {NEVER}"));
    ok(&mut client, "BGSAVE");
    let [child] = <[String; 1]>::try_from(children(running.pid())).unwrap();
    assert!(Command::new("kill").args(["-9", &child]).status().unwrap().success());
    running.wait_for("Background saving error: its process was killed (signal 9)");
    comes_to(&mut client, "rdb_last_bgsave_status", "err");
    assert_eq!(temporary(&folder), 0);
    assert_eq!(integers(&folder.0.join("dump.rdb")), [(b"k".to_vec(), 1)]);
    // No client may rely on what cannot be saved.
    assert!(text(&mut client, "SET k 3").starts_with("MISCONF Valkey is configured to save"));
    assert!(text(&mut client, "PING").starts_with("MISCONF"));
    assert_eq!(text(&mut client, "GET k"), "2");
    ok(&mut client, "CONFIG SET stop-writes-on-bgsave-error no");
    ok(&mut client, "SET k 4");
    ok(&mut client, "CONFIG SET stop-writes-on-bgsave-error yes");
    assert!(text(&mut client, "SET k 5").starts_with("MISCONF"));
    ok(&mut client, "CONFIG SET rdb-key-save-delay 0");
    ok(&mut client, "BGSAVE");
    comes_to(&mut client, "rdb_last_bgsave_status", "ok");
    ok(&mut client, "SET k 6");
    assert_eq!(integers(&folder.0.join("dump.rdb")), [(b"k".to_vec(), 4)]);
}

#[test]
fn a_child_does_not_survive_its_parent() {
    let folder = Folder::new();
    let port = free_port();
    let running = Running::ready(port, &["--dir", &folder.path("")]);
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    ok(&mut client, &format!("CONFIG SET rdb-key-save-delay {NEVER}"));
    ok(&mut client, "BGSAVE");
    let [child] = <[String; 1]>::try_from(children(running.pid())).unwrap();
    running.signal("KILL");
    let gone = |_: &Running| {
        let status = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // The process that adopts it may take its time to notice.
        status.is_empty() || status.contains(") Z ")
    };
    assert!(running.comes_to(gone), "the child goes on");
}

#[test]
fn what_a_killed_process_had_not_finished_is_removed_at_the_next_start() {
    let folder = Folder::new();
    let port = free_port();
    let dir = folder.path("");
    let mut running = Running::ready(port, &["--dir", &dir]);
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    ok(&mut client, &format!("CONFIG SET rdb-key-save-delay {NEVER}"));
    ok(&mut client, "BGSAVE");
    let temp = folder.0.join(format!("temp-{}.rdb", running.pid()));
    running.until("the child makes its file", || temp.exists().then_some(()));
    let [child] = <[String; 1]>::try_from(children(running.pid())).unwrap();
    running.signal("KILL");
    // The child belongs to the killed process, which is waited for, not to this one.
    running.comes_to(|_| !Path::new(&format!("/proc/{child}/exe")).exists());
    drop(running);
    assert!(temp.exists());
    let config = folder.write("a.conf", "hz 20\n");
    let alive = folder.write(&format!("temp-{}.rdb", std::process::id()), "");
    let number = free_port().to_string();
    let options = [&*config, "--port", &number, "--dir", &dir];
    let mut running = Running::start(keylane().args(options));
    running.wait_for("Removed files that processes which were killed had not finished: temp-");
    running.wait_for("Ready to accept connections");
    assert!(!temp.exists());
    assert!(Path::new(&alive).exists(), "its process is there");
}

#[test]
fn a_folder_that_is_gone_is_told_and_changes_nothing() {
    let folder = Folder::new();
    let dir = folder.path("data");
    fs::create_dir(&dir).unwrap();
    let port = free_port();
    let mut running = Running::ready(port, &["--dir", &dir]);
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    fs::remove_dir(&dir).unwrap();
    ok(&mut client, "BGSAVE");
    running.wait_for("Background saving error: can't make ");
    comes_to(&mut client, "rdb_last_bgsave_status", "err");
    assert_eq!(text(&mut client, "SAVE"), "ERR");
    assert_eq!(text(&mut client, "SHUTDOWN SAVE"), "ERR Errors trying to SHUTDOWN. Check logs.");
    ok(&mut client, "SET k 2");
    fs::create_dir(&dir).unwrap();
    ok(&mut client, "SAVE");
    assert_eq!(integers(&Path::new(&dir).join("dump.rdb")), [(b"k".to_vec(), 2)]);
    fs::remove_dir_all(&dir).unwrap();
    client.send(&["SHUTDOWN", "SAVE", "FORCE"]).unwrap();
    running.wait_for("Error trying to save the DB. Exit anyway.");
    running.end().check(0, &["bye bye"]);
}

/// A server on a small disk that this process alone can see; and what
/// the folder is called from here.
fn on_small_disk(folder: &Folder) -> (Running, Client, PathBuf) {
    let dir = folder.path("small");
    fs::create_dir(&dir).expect("the folder is ours");
    let port = free_port();
    let script = "mount -t tmpfs -o size=1m tmpfs \"$1\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-r", "-m", "sh", "-c", script, "sh", &dir, env!("CARGO_BIN_EXE_keylane")]);
    let number = port.to_string();
    command.args(["--port", &number, "--save", "", "--dir", &dir, "--rdbcompression", "no"]);
    let mut running = Running::start(&mut command);
    running.wait_for("Ready to accept connections");
    let client = running.client(port);
    let seen = PathBuf::from(format!("/proc/{}/root{dir}", running.pid()));
    (running, client, seen)
}

#[test]
fn a_child_is_seen_to_end_although_the_server_was_started_with_sigchld_ignored() {
    let folder = Folder::new();
    let (port, dir) = (free_port(), folder.path(""));
    let mut command = Command::new("env");
    command.args(["--ignore-signal=CHLD", env!("CARGO_BIN_EXE_keylane"), "--dir", &dir]);
    let mut running = Running::start(command.args(["--port", &port.to_string(), "--save", ""]));
    running.wait_for("Ready to accept connections");
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    ok(&mut client, "BGSAVE");
    running.wait_for("Background saving terminated with success");
    comes_to(&mut client, "rdb_bgsave_in_progress", "0");
    assert_eq!(integers(&folder.0.join("dump.rdb")), [(b"k".to_vec(), 1)]);
}

/// Snapshots fail for this reason; `repair` puts an end to that.
fn check_failing(
    running: &mut Running,
    client: &mut Client,
    dir: &Path,
    why: &str,
    repair: impl FnOnce(&Running, &mut Client),
) {
    let file = dir.join("dump.rdb");
    let before = fs::read(&file).expect("there is a snapshot");
    ok(client, "BGSAVE");
    running.wait_for("Background saving error: ");
    assert!(running.log.last().is_some_and(|line| line.contains(why)), "{:?}", running.log.last());
    comes_to(client, "rdb_last_bgsave_status", "err");
    assert_eq!(text(client, "SAVE"), "ERR");
    assert_eq!(fs::read(&file).expect("it is still there"), before);
    assert_eq!(fs::read_dir(dir).expect("it can be read").count(), 1, "the old file alone");
    repair(running, client);
    ok(client, "SAVE");
    ok(client, "BGSAVE");
    comes_to(client, "rdb_last_bgsave_status", "ok");
    assert_ne!(fs::read(&file).expect("there is a new one"), before);
}

#[test]
fn a_full_disk_is_told_and_changes_nothing() {
    let folder = Folder::new();
    let (mut running, mut client, dir) = on_small_disk(&folder);
    ok(&mut client, "SET k 1");
    ok(&mut client, "SAVE");
    ok(&mut client, "SETRANGE big 2000000 x");
    let repair = |_: &Running, client: &mut Client| {
        ok(client, "DEL big");
        ok(client, "SET k 2");
    };
    check_failing(&mut running, &mut client, &dir, "No space left on device", repair);
}

#[test]
fn a_disk_that_may_only_be_read_is_told_and_changes_nothing() {
    let folder = Folder::new();
    let (mut running, mut client, dir) = on_small_disk(&folder);
    ok(&mut client, "SET k 1");
    ok(&mut client, "SAVE");
    ok(&mut client, "SET k 2");
    let remount = |running: &Running, how: &str| {
        let (pid, folder) = (running.pid().to_string(), folder.path("small"));
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-U", "-m", "--preserve-credentials", "mount"]);
        let status = command.args(["-o", &format!("remount,{how}"), &folder]).status();
        assert!(status.expect("there is nsenter").success());
    };
    remount(&running, "ro");
    let why = "Read-only file system";
    check_failing(&mut running, &mut client, &dir, why, |running, _| remount(running, "rw"));
}

/// The server's user where a limit must hold: a limit holds for all but root.
const NOBODY: &[&str] = &["--reuid", "54321", "--clear-groups"];

/// Sets a limit of a process; as that user, if it belongs to it.
fn limit(running: &Running, limit: &str, user: Option<&[&str]>) {
    let pid = running.pid().to_string();
    let mut command = Command::new(if user.is_some() { "setpriv" } else { "prlimit" });
    if let Some(user) = user {
        command.args(user).arg("prlimit");
    }
    let status = command.args(["--pid", &pid, limit]).status();
    assert!(status.expect("there is prlimit").success());
}

#[test]
fn an_error_while_writing_is_told_and_changes_nothing() {
    let folder = Folder::new();
    let port = free_port();
    let mut running = Running::ready(port, &["--dir", &folder.path(""), "--rdbcompression", "no"]);
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    ok(&mut client, "SAVE");
    ok(&mut client, "SETRANGE big 2000000 x");
    // The system refuses to write on in the middle of the file.
    limit(&running, "--fsize=1000000:unlimited", None);
    check_failing(&mut running, &mut client, &folder.0, "File too large", |running, _| {
        limit(running, "--fsize=unlimited", None);
    });
}

#[test]
fn no_room_for_a_copy_of_the_process_is_told_and_changes_nothing() {
    let folder = Folder::new();
    let (port, dir) = (free_port(), folder.path(""));
    let status = Command::new("chown").args(["54321", &dir]).status();
    let is_root = status.expect("there is chown").success();
    let user = is_root.then_some(NOBODY);
    let mut command = if is_root { Command::new("setpriv") } else { keylane() };
    if is_root {
        // Its folder may be where others have no business.
        let caps = ["--ambient-caps", "+dac_override", "--inh-caps", "+dac_override"];
        command.args(NOBODY).args(caps).arg(env!("CARGO_BIN_EXE_keylane"));
    }
    command.args(["--port", &port.to_string(), "--dir", &dir]);
    let mut running = Running::start(&mut command);
    running.wait_for("Ready to accept connections");
    let mut client = running.client(port);
    ok(&mut client, "SET k 1");
    ok(&mut client, "SAVE");
    ok(&mut client, "SET k 2");
    limit(&running, "--nproc=1:", user);
    let reply = text(&mut client, "BGSAVE");
    assert!(reply.starts_with("ERR Can't save in background: fork: "), "{reply}");
    running.wait_for("Can't save in background: fork: ");
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "err");
    assert_eq!(temporary(&folder), 0);
    assert_eq!(integers(&folder.0.join("dump.rdb")), [(b"k".to_vec(), 1)]);
    limit(&running, "--nproc=4096:", user);
    ok(&mut client, "BGSAVE");
    comes_to(&mut client, "rdb_last_bgsave_status", "ok");
    assert_eq!(integers(&folder.0.join("dump.rdb")), [(b"k".to_vec(), 2)]);
}

#[test]
fn loading_is_ended_by_a_signal_at_once() {
    let folder = Folder::new();
    let (port, dir) = (free_port(), folder.path(""));
    let running = Running::ready(port, &["--dir", &dir, "--enable-debug-command", "yes"]);
    let mut client = running.client(port);
    ok(&mut client, "DEBUG POPULATE 1000000 key 100");
    ok(&mut client, "SAVE");
    drop(running);
    let file = fs::read(folder.0.join("dump.rdb")).expect("it was saved");
    for shards in ["1", "3"] {
        let mut command = keylane();
        command.args(["--port", &free_port().to_string(), "--dir", &dir, "--shards", shards]);
        let mut running = Running::start(command.args(["--pidfile", &folder.path("pid")]));
        running.wait_for("RDB memory usage when created");
        running.signal("TERM");
        let ended = running.end();
        ended.check(0, &["Received SIGTERM scheduling shutdown...", "bye bye"]);
        assert!(!ended.log.iter().any(|line| line.contains("DB loaded from disk")));
        assert!(!folder.0.join("pid").exists());
        assert_eq!(fs::read(folder.0.join("dump.rdb")).expect("it is there"), file);
    }
}
