//! CONFIG REWRITE and the files it writes; who may use DEBUG and change protected settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::client::Client;
use crate::running::{Folder, Running, free_port};

#[test]
fn a_rewritten_file_gives_the_settings_in_force() {
    let (folder, port) = (Folder::new(), free_port());
    let file = folder.write("a.conf", "# mine\nhz 20\nsave 900 1\nslowlog-max-len 5\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let options = [&*file, "--port", &port.to_string(), "--dir", &folder.path("")];
    let running = start(&options);
    let mut client = running.client(port);
    check(&mut client, "CONFIG SET hz 30 maxmemory 5mb slowlog-max-len 7", "+OK");
    check(&mut client, "CONFIG REWRITE", "+OK");
    let text = fs::read_to_string(&file).expect("it is there");
    for line in ["# mine", "hz 30", "save 900 1", "maxmemory 5mb", &format!("port {port}")] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in:\n{text}");
    }
    assert!(!text.contains("slowlog-max-len 5"), "{text}");
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(&folder.0).expect("it is ours").count(), 1, "nothing else is left");
    drop(running);
    // The kernel takes a while to close what a ring that is gone was accepting on.
    let second = free_port();
    let running = start(&[&file, "--port", &second.to_string()]);
    let mut client = running.client(second);
    check(&mut client, "CONFIG GET maxmemory", "*2 $maxmemory $5242880");
    check(&mut client, "CONFIG GET slowlog-max-len", "*2 $slowlog-max-len $7");
    check(&mut client, "CONFIG REWRITE", "+OK");
    let wanted = text.replace(&format!("port {port}"), &format!("port {second}"));
    assert_eq!(fs::read_to_string(&file).expect("it is there"), wanted);
}

#[test]
fn a_file_that_cannot_be_written_stays_and_the_reason_is_told() {
    let (folder, port) = (Folder::new(), free_port());
    fs::create_dir(folder.0.join("sub")).expect("the folder is ours");
    let file = folder.write("sub/a.conf", "hz 20\n");
    let running = start(&[&file, "--port", &port.to_string(), "--dir", &folder.path("")]);
    let mut client = running.client(port);
    fs::remove_dir_all(folder.0.join("sub")).expect("the folder is ours");
    let expected = "-ERR Rewriting config file: No such file or directory";
    check(&mut client, "CONFIG REWRITE", expected);
}

#[test]
fn debug_is_for_whom_the_file_allows() {
    const REFUSED: &str = "-ERR DEBUG command not allowed. If the enable-debug-command option is \
                           set to \"local\", you can run it from a local connection, otherwise \
                           you need to set this option in the configuration file, and then \
                           restart the server.";
    for (allowed, reply) in [("no", REFUSED), ("yes", "+OK"), ("local", "+OK")] {
        let (folder, port) = (Folder::new(), free_port());
        let options = ["--enable-debug-command", allowed, "--dir", &folder.path("")];
        let running = Running::ready(port, &options);
        let mut client = running.client(port);
        check(&mut client, "DEBUG SLEEP 0", reply);
        check(&mut client, "MULTI", "+OK");
        let queued = if allowed == "no" { REFUSED } else { "+QUEUED" };
        check(&mut client, "DEBUG OBJECT a", queued);
        check(&mut client, "DISCARD", "+OK");
        if allowed == "no" {
            check(&mut client, "SET a 1", "+OK");
            check(&mut client, "DEBUG OBJECT a", REFUSED);
            check(&mut client, "DEBUG nosuch", REFUSED);
        }
    }
}

#[test]
fn the_working_folder_is_protected() {
    let (folder, port) = (Folder::new(), free_port());
    let here = folder.path("");
    let options = ["--enable-protected-configs", "local", "--dir", &here];
    let running = Running::ready(port, &options);
    let mut client = running.client(port);
    let nosuch = "-ERR CONFIG SET failed (possibly related to argument 'dir') - No such file or \
                  directory";
    check(&mut client, "CONFIG SET dir nosuch", nosuch);
    fs::create_dir(folder.0.join("sub")).expect("the folder is ours");
    check(&mut client, "CONFIG SET dir sub", "+OK");
    let sub = fs::canonicalize(folder.0.join("sub")).expect("it is there");
    check(&mut client, "CONFIG GET dir", &format!("*2 $dir ${}", sub.display()));
}

fn start(options: &[&str]) -> Running {
    let mut running = Running::start(crate::running::keylane().args(options));
    running.wait_for("Ready to accept connections");
    running
}

#[track_caller]
fn check(client: &mut Client, line: &str, expected: &str) {
    let args: Vec<&str> = line.split(' ').collect();
    let reply = client.call(&args).expect("the server answers");
    let lines: Vec<String> = reply.lines().iter().map(|line| line.trim().to_owned()).collect();
    assert_eq!(lines.join(" "), expected, "{line}");
}
