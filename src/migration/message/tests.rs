//! What a target gets, and when.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

const GREETING: &[u8] = b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*1\r\n$4\r\nPING\r\n";
const MESSAGE: &[u8] = b"*2\r\n$4\r\nDONE\r\n$1\r\nx\r\n";

/// Sends a message to a target of which this is the other end.
fn sent(millis: u64) -> (impl Read + Write, Said) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    let target = Target { host: b"127.0.0.1".to_vec(), port, auth: vec![b"pw".to_vec()] };
    let due = Monotonic::now().after_millis(millis).expect("that is a time");
    let bell = Wake::new().expect("there is a descriptor");
    let said = send(target, &[b"DONE", b"x"], due, bell).expect("there is a thread");
    (listener.accept().expect("it connects").0, said)
}

#[test]
fn a_message_comes_behind_the_reply_to_a_ping() {
    let (mut target, said) = sent(60_000);
    for (expected, reply) in [(GREETING, &b"+OK\r\n+PONG\r\n"[..]), (MESSAGE, b"+OK\r\n")] {
        let mut came = vec![0; expected.len()];
        target.read_exact(&mut came).expect("it is sent");
        assert_eq!(came, expected);
        target.write_all(reply).expect("it is read");
    }
    assert!(matches!(said.recv(), Ok(Ok(()))));
}

#[test]
fn a_target_that_is_stuck_never_gets_the_message() {
    let (mut target, said) = sent(100);
    assert!(matches!(said.recv(), Ok(Err(Failure::Reading))));
    // It goes on when the sender has given it up.
    let mut came = Vec::new();
    target.read_to_end(&mut came).expect("the connection is closed");
    assert_eq!(came, GREETING);
}

#[test]
fn a_target_that_refuses_the_greeting_gets_no_message() {
    let (mut target, said) = sent(60_000);
    let mut came = vec![0; GREETING.len()];
    target.read_exact(&mut came).expect("it is sent");
    target.write_all(b"-WRONGPASS no\r\n").expect("it is read");
    assert!(matches!(said.recv(), Ok(Err(Failure::Refused(text))) if text == b"WRONGPASS no"));
    assert_eq!(target.read(&mut came).ok(), Some(0), "the connection is closed");
}
