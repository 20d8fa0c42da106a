//! What logs and the backlog keep for a replica that reads nothing is freed when the replica is
//! gone.

use crate::client::{Client, Reply};
use crate::processes::Server;
use crate::servers::{Kind, counter, info, until};

/// Bytes of one command, and of many together, that are more than any window.
const MANY_BYTES: usize = 20 << 20;
/// Commands that write so many bytes together.
const COMMANDS: usize = 200;
/// A window of a log and one of the backlog, and some blocks more.
const LITTLE_BYTES: u64 = 4 << 20;

#[test]
fn what_was_kept_for_a_replica_is_freed() {
    let primary = Kind::Keylane(1).start(&["--repl-backlog-size", "1mb"]).expect("it is built");
    let replica = begin_sync(&primary);
    let kept = || counter(&primary, "memory", "mem_replication_backlog");
    let describe = || format!("{} {:?}", kept(), info(&primary, "shards"));
    set(&primary, MANY_BYTES);
    until("the backlog has it", || MANY_BYTES as u64 <= kept(), describe);
    let is_log_small = || log_memory_bytes(&primary) < LITTLE_BYTES;
    until("the log shrinks when the relay has it", is_log_small, describe);
    (0..COMMANDS).for_each(|_| set(&primary, MANY_BYTES / COMMANDS));
    until("the backlog has all", || 2 * MANY_BYTES as u64 <= kept(), describe);
    drop(replica);
    until("the backlog shrinks", || kept() < LITTLE_BYTES, describe);
}

fn set(primary: &Server, bytes: usize) {
    let reply = primary.client().call(&[&b"SET"[..], b"key", &vec![b'x'; bytes]]);
    assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
}

/// A replica whose snapshot is under way, and that reads nothing.
fn begin_sync(primary: &Server) -> Client {
    let mut replica = primary.client();
    let greeted = replica.call(&["REPLCONF", "capa", "eof", "capa", "psync2"]);
    assert!(matches!(greeted, Ok(Reply::Simple(_))), "{greeted:?}");
    replica.send(&["PSYNC", "?", "-1"]).expect("it reads");
    // Empty lines come before.
    while !matches!(replica.receive(), Ok(Reply::Simple(_))) {}
    replica
}

fn log_memory_bytes(primary: &Server) -> u64 {
    let shards = info(primary, "shards");
    let field =
        shards["shard0"].split(',').find_map(|field| field.strip_prefix("log_memory_bytes="));
    field.expect("it is shown").parse().expect("it is a number")
}
