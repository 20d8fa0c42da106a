//! nodes.conf: who may use it, and what becomes of a process that cannot.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::nodes::{ask, id, start};
use crate::processes::free_port;
use crate::servers::Kind;

const IN_USE: &str = "is already used by a different Cluster node";

/// Starts another process that ends by itself, and says what it has written.
fn fails(kind: Kind, options: &[&str]) -> String {
    let program = kind.program().expect("the program is at hand");
    let port = free_port().to_string();
    let usual = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes"];
    let output = Command::new(program)
        .args([&usual[..], options].concat())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("folders for tests have plain names")
}

#[test]
fn no_two_processes_use_one_file() {
    // A Valkey does not protect its own file: with its first save the lock is on one that is gone.
    let others = [Kind::Keylane(1), Kind::Valkey91].into_iter();
    for other in others.filter(|kind| kind.program().is_some()) {
        let node = start(Kind::Keylane(1), &[]);
        let (name, port) = (id(&node), free_port().to_string());
        let options = ["--dir", text(node.folder()), "--cluster-port", &port];
        for epoch in 1..3 {
            let said = fails(other, &options);
            assert!(said.contains(IN_USE), "{other:?}: {said}");
            // The new file is locked, too.
            let own = epoch.to_string();
            assert_eq!(ask(&node, &["CLUSTER", "SET-CONFIG-EPOCH", &own]), "OK");
            assert_eq!(ask(&node, &["CLUSTER", "RESET", "HARD"]), "OK");
            assert_eq!(ask(&node, &["CLUSTER", "SAVECONFIG"]), "OK");
        }
        assert_ne!(id(&node), name);
    }
}

#[test]
fn a_file_that_makes_no_sense_stays_as_it_is() {
    let node = start(Kind::Keylane(1), &[]);
    let folder = node.folder().join("other");
    fs::create_dir(&folder).expect("the folder takes one more");
    let file = folder.join("nodes.conf");
    let port = free_port().to_string();
    for (content, reason) in [("nonsense\n", "line 1: it has 1 fields"), ("vars a\n", "line 1")] {
        fs::write(&file, content).expect("it can be written");
        let said = fails(Kind::Keylane(1), &["--dir", text(&folder), "--cluster-port", &port]);
        assert!(said.contains("corrupted cluster config file"), "{said}");
        assert!(said.contains(reason), "{said}");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), content);
    }
}

#[test]
fn settings_that_do_not_go_with_a_cluster_are_refused() {
    let said = fails(Kind::Keylane(1), &["--replicaof", "127.0.0.1 1"]);
    assert!(said.contains("replicaof directive not allowed in cluster mode"), "{said}");
}
