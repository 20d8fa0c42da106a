//! What is answered while something is written to a disk.

use std::fs;
use std::process::Command;

use super::{all_ok, start};
use crate::asking::{comes_to, field, ok, text};
use crate::client::{Client, Reply};
use crate::running::{Folder, Running, free_port, keylane};

/// Requests for shards and for control: none of them waits for a disk.
fn all_is_answered(client: &mut Client) {
    let requests = [
        "PING",
        "SET a 1",
        "MSET b 1 c 1 d 1",
        "CONFIG GET port",
        "CLIENT LIST",
        "CONFIG SET hz 20",
    ];
    all_ok(client, requests);
}

#[test]
fn all_is_answered_while_save_writes() {
    for shards in [1, 3] {
        let folder = Folder::new();
        let (running, port, mut watcher) = start(shards, &["--dir", &folder.path("")]);
        all_ok(&mut watcher, (0..100).map(|key| format!("SET key{key} value")));
        // A second for each key: it does not end while this test runs.
        ok(&mut watcher, "CONFIG SET rdb-key-save-delay 1000000");
        let mut saver = running.client(port);
        saver.send(&["SAVE"]).expect("the server takes it");
        comes_to(&mut watcher, "rdb_bgsave_in_progress", "1");
        ok(&mut watcher, "CONFIG SET rdb-key-save-delay 0");
        all_is_answered(&mut watcher);
        assert!(!saver.has_reply(), "it is answered when all is written");
        assert_eq!(text(&mut watcher, "BGSAVE"), "ERR Background save already in progress");
        // A child that writes what is there no more is ended, and what is there is saved.
        ok(&mut watcher, "FLUSHALL");
        assert_eq!(saver.receive().expect("the server answers"), Reply::Simple(b"OK".to_vec()));
        assert_eq!(field(&mut watcher, "rdb_bgsave_in_progress"), "0");
        assert_eq!(field(&mut watcher, "rdb_last_bgsave_status"), "ok");
    }
}

#[test]
fn save_that_is_cancelled_says_so() {
    let folder = Folder::new();
    let (running, port, mut watcher) = start(2, &["--dir", &folder.path("")]);
    all_ok(&mut watcher, (0..100).map(|key| format!("SET key{key} value")));
    ok(&mut watcher, "CONFIG SET rdb-key-save-delay 1000000");
    let mut saver = running.client(port);
    saver.send(&["SAVE"]).expect("the server takes it");
    comes_to(&mut watcher, "rdb_bgsave_in_progress", "1");
    assert_eq!(text(&mut watcher, "BGSAVE CANCEL"), "Background saving cancelled");
    assert_eq!(saver.receive().expect("the server answers"), Reply::Error(b"ERR".to_vec()));
    assert!(fs::read_dir(folder.path("")).expect("it is ours").next().is_none(), "no file is left");
}

#[test]
fn all_is_answered_while_config_rewrite_writes() {
    for exec in [false, true] {
        let folder = Folder::new();
        let port = free_port();
        let path = folder.write("keylane.conf", &format!("port {port}\nsave \"\"\nshards 2\n"));
        let mut running = Running::start(keylane().arg(&path));
        running.wait_for("Ready to accept connections");
        // A pipe keeps who opens it waiting for the other side.
        fs::remove_file(&path).expect("it is ours");
        let made = Command::new("mkfifo").arg(&path).status().expect("every system has it");
        assert!(made.success());
        let mut writer = running.client(port);
        let lines: &[&str] = if exec {
            &["MULTI", "SET a 0", "CONFIG REWRITE", "EXEC"]
        } else {
            &["CONFIG REWRITE"]
        };
        writer.send_raw(&super::requests(lines)).expect("the server takes them");
        let queued = if exec { 3 } else { 0 };
        (0..queued).for_each(|_| drop(writer.receive().expect("the server answers")));
        let mut watcher = running.client(port);
        if exec {
            assert!(running.comes_to(|_| text(&mut watcher, "GET a") == "0"), "its SET is done");
        }
        all_is_answered(&mut watcher);
        assert!(!writer.has_reply(), "it is answered when all is written");
        fs::write(&path, "").expect("the server reads it");
        let reply = writer.receive().expect("the server answers");
        let ok = Reply::Simple(b"OK".to_vec());
        let expected = if exec { Reply::Group('*', vec![ok.clone(), ok]) } else { ok };
        assert_eq!(reply, expected);
        let written = fs::read_to_string(&path).expect("it is a file now");
        assert!(written.contains("shards 2"), "{written}");
    }
}
