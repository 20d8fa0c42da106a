//! Who gets in when there is a password.

use crate::client::{Client, Reply};
use crate::running::{Folder, Running, free_port};

#[test]
fn nobody_gets_in_without_the_password() {
    let (folder, port) = (Folder::new(), free_port());
    let options = ["--requirepass", "sesame", "--dir", &folder.path("")];
    let running = Running::ready(port, &options);
    let mut client = running.client(port);
    check(&mut client, "GET a", "-NOAUTH Authentication required.");
    check(&mut client, "HELLO 3 AUTH default sesam", WRONG);
    check(&mut client, "AUTH sesamee", WRONG);
    check(&mut client, "AUTH nobody sesame", WRONG);
    check(&mut client, "PING", "-NOAUTH Authentication required.");
    check(&mut client, "AUTH sesame", "+OK");
    check(&mut client, "PING", "+PONG");
    // Who is in stays in.
    check(&mut client, "AUTH wrong", WRONG);
    check(&mut client, "PING", "+PONG");
    check(&mut client, "RESET", "+RESET");
    check(&mut client, "PING", "-NOAUTH Authentication required.");
    check(&mut client, "HELLO 3 AUTH default sesame", "%7");
    check(&mut client, "GET a", "_");
}

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

#[track_caller]
fn check(client: &mut Client, line: &str, expected: &str) {
    let args: Vec<&str> = line.split(' ').collect();
    let reply: Reply = client.call(&args).expect("the server answers");
    assert_eq!(reply.head(), expected, "{line}");
}
