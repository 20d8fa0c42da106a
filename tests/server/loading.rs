//! Reading the keys of the last run: what comes in, and what stays outside.

use crate::asking::{field, ok, text};
use crate::running::{Folder, Running, free_port};

#[test]
fn what_is_due_is_not_loaded() {
    let folder = Folder::new();
    let port = free_port();
    let dir = folder.path("");
    let options = ["--dir", &dir, "--shards", "2", "--enable-debug-command", "yes"];
    let running = Running::ready(port, &options);
    let mut client = running.client(port);
    ok(&mut client, "DEBUG SET-ACTIVE-EXPIRE 0");
    for number in 0..10 {
        ok(&mut client, &format!("HSET gone{number} f v g w"));
        ok(&mut client, &format!("HPEXPIRE gone{number} 1 FIELDS 2 f g"));
    }
    ok(&mut client, "HSET half f v g w");
    ok(&mut client, "HPEXPIRE half 1 FIELDS 1 f");
    ok(&mut client, "SET due v PX 1");
    ok(&mut client, "SET stays v PX 1000000");
    ok(&mut client, "SAVE");
    drop(running);
    let port = free_port();
    let mut running =
        Running::start(crate::running::keylane().args(["--port", &port.to_string()]).args(options));
    running.wait_for("keys loaded: 2, keys expired: 1, all fields expired hashes: 10.");
    running.wait_for("Ready to accept connections");
    let mut client = running.client(port);
    assert_eq!(text(&mut client, "DBSIZE"), "Integer(2)");
    assert_eq!(text(&mut client, "EXISTS gone0 gone1 gone2 due"), "Integer(0)");
    assert_eq!(text(&mut client, "HLEN half"), "Integer(1)");
    assert_eq!(text(&mut client, "HGET half g"), "w");
    assert_eq!(field(&mut client, "rdb_last_load_keys_expired"), "1");
    assert_eq!(field(&mut client, "rdb_last_load_keys_loaded"), "2");
}
