//! How the port behaves towards those who ask for other things, badly, slowly or not at all.

use std::io::{Read, Write};

use crate::client::Reply;
use crate::http::{PATIENCE, connect, say};
use crate::tools::start;

#[test]
fn what_is_asked_badly_is_refused() {
    let measured = start(1, &[]);
    let check = |request: &str, status: &str| {
        let answer = say(measured.port, request.as_bytes()).expect("it answers");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    };
    check("GET / HTTP/1.1\r\n\r\n", "404");
    check("GET /metrics/x HTTP/1.1\r\n\r\n", "404");
    check("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405");
    check("*1\r\n$4\r\nPING\r\n\r\n", "400");
    check(&format!("GET /metrics HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(100_000)), "431");
    let head = say(measured.port, b"HEAD /metrics HTTP/1.1\r\n\r\n").expect("it answers");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(measured.get("/healthz"), (200, "alive\n".into()));
    assert_eq!(measured.get("/readyz"), (200, "ready\n".into()));
}

#[test]
fn a_request_may_come_in_pieces() {
    let measured = start(1, &[]);
    let mut stream = connect(measured.port).expect("it listens");
    stream.set_nodelay(true).expect("it is a socket");
    for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" {
        stream.write_all(&[*byte]).expect("it reads");
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.ends_with("alive\n"), "{answer}");
}

#[test]
fn silent_connections_are_closed_and_others_get_their_turn() {
    let measured = start(1, &[]);
    // More than are served at once: those behind them wait until the silent ones are closed.
    let silent: Vec<_> = (0..20).map(|_| connect(measured.port).expect("it listens")).collect();
    let mut client = measured.client();
    assert_eq!(client.call(&["PING"]).expect("it serves"), Reply::Simple(b"PONG".into()));
    assert_eq!(measured.get("/metrics").0, 200);
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0; 16]).expect("it is closed tidily"), 0);
    }
}

#[test]
fn who_does_not_read_holds_up_nobody() {
    let measured = start(1, &[]);
    let idle: Vec<_> = (0..10)
        .map(|_| {
            let mut stream = connect(measured.port).expect("it listens");
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").expect("it reads");
            stream
        })
        .collect();
    assert_eq!(measured.get("/metrics").0, 200);
    drop(idle);
    assert_eq!(measured.get("/metrics").0, 200);
}

#[test]
fn a_shard_that_does_not_answer_is_told_of() {
    let measured = start(2, &[]);
    let mut client = measured.client();
    client.set_patience(PATIENCE).expect("it is a socket");
    client.send(&["DEBUG", "SLEEP", "10"]).expect("it serves");
    let stalled = || measured.get("/metrics").0 == 503;
    // Whether the sleep has begun is seen by its consequence alone.
    assert!((0..100).any(|_| stalled()), "it slept through a scrape");
    // The server says meanwhile that it is alive.
    assert_eq!(measured.get("/healthz").0, 200);
    assert_eq!(client.receive().expect("it wakes"), Reply::Simple(b"OK".into()));
    assert_eq!(measured.get("/metrics").0, 200);
}
