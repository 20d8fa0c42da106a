//! Short ways to ask a server: commands in words, its answers as text.

use std::thread;
use std::time::Duration;

use crate::client::{Client, Reply};

/// Sends a command that must not fail.
pub fn ok(client: &mut Client, words: &str) {
    let args: Vec<&str> = words.split(' ').collect();
    let reply = client.call(&args).expect("the server answers");
    assert!(!matches!(reply, Reply::Error(_)), "{words}: {reply:?}");
}

/// Sends a command; its answer as text, also if that is an error.
pub fn text(client: &mut Client, words: &str) -> String {
    let args: Vec<&str> = words.split(' ').collect();
    match client.call(&args).expect("the server answers") {
        Reply::Simple(text) | Reply::Bulk(text) | Reply::Error(text) => {
            String::from_utf8_lossy(&text).into_owned()
        }
        other => format!("{other:?}"),
    }
}

/// A field of INFO, if it is there.
pub fn find_field(client: &mut Client, name: &str) -> Option<String> {
    let info = text(client, "INFO everything");
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(str::to_owned)
}

/// A field of INFO, which is there.
pub fn field(client: &mut Client, name: &str) -> String {
    find_field(client, name).unwrap_or_else(|| panic!("INFO has no {name}"))
}

/// Waits until a field of INFO has this value.
pub fn comes_to(client: &mut Client, name: &str, value: &str) {
    for _ in 0..1000 {
        if find_field(client, name).as_deref() == Some(value) {
            return;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{name} does not come to {value}: {:?}", find_field(client, name));
}
