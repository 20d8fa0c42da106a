//! One door for each rule: what was wrong where a rule held at some places only. Each file is
//! about one of them, on one shard and on several.

mod background;
mod client_memory;
mod disk;
mod leaving;
mod leftovers;
mod multi;
mod output;
mod pausing;
mod pipelines;
mod room;

use crate::asking::field;
use crate::client::{Client, push_request};
use crate::running::{Running, free_port};

/// A server with so many shards, and a client of it that watches.
fn start(shards: usize, options: &[&str]) -> (Running, u16, Client) {
    let port = free_port();
    let usual = ["--shards", &shards.to_string(), "--enable-debug-command", "yes"];
    let running = Running::ready(port, &[&usual, options].concat());
    let watcher = running.client(port);
    (running, port, watcher)
}

/// Commands in words, as they are sent in one piece.
fn requests<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.as_ref().split(' ').collect();
        push_request(&mut out, &words);
    }
    out
}

/// Sends commands in one piece, and takes their replies.
fn all_ok<S: AsRef<str>>(client: &mut Client, lines: impl IntoIterator<Item = S>) {
    let lines: Vec<S> = lines.into_iter().collect();
    client.send_raw(&requests(&lines)).expect("the server takes them");
    for line in lines {
        let reply = client.receive().expect("the server answers").head();
        let line = line.as_ref();
        let shown = &line[..line.len().min(60)];
        assert!(!reply.starts_with('-'), "{shown}: {reply}");
    }
}

/// A field of INFO that is a number.
fn number(client: &mut Client, name: &str) -> u64 {
    field(client, name).parse().expect("it is a number")
}
