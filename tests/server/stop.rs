//! How it ends, and what does not end it.

use crate::client::Reply;
use crate::running::{Folder, Running, free_port};

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
