//! Clients that come and go, and that send what no client should.

use crate::client::{Client, Reply};
use crate::running::{Running, free_port};

const OK: &[u8] = b"+OK\r\n";

/// What the server answers to `bytes` until it closes the connection.
fn last_words(port: u16, bytes: &[u8]) -> String {
    let mut client = Client::connect(&format!("127.0.0.1:{port}")).expect("it listens");
    // The server may close while we write.
    let _ = client.send_raw(bytes);
    String::from_utf8_lossy(&client.rest().expect("it answers and closes")).into_owned()
}

/// Bytes that a server refuses with an error, and then closes.
#[track_caller]
fn check_refused(port: u16, bytes: &[u8], error: &str) {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
    assert_eq!(last_words(port, bytes), format!("-ERR Protocol error: {error}\r\n"), "{shown:?}");
}

#[test]
fn what_is_too_long_is_refused_in_valkeys_words() {
    let port = free_port();
    let running = Running::ready(port, &["--proto-max-bulk-len", "1mb", "--shards", "2"]);
    let long = "1".repeat(70_000);
    check_refused(port, long.as_bytes(), "too big inline request");
    check_refused(port, format!("*{long}").as_bytes(), "too big mbulk count string");
    check_refused(port, format!("*1\r\n${long}").as_bytes(), "too big bulk count string");
    check_refused(port, b"*2147483648\r\n", "invalid multibulk length");
    check_refused(port, b"*x\r\n", "invalid multibulk length");
    check_refused(port, b"*1\r\n$1048577\r\n", "invalid bulk length");
    check_refused(port, b"*1\r\n:1\r\n", "expected '$', got ':'");
    check_refused(port, b"SET k \"open\r\n", "unbalanced quotes in request");
    // A client that wants no replies gets none.
    assert_eq!(last_words(port, b"CLIENT REPLY OFF\r\n*x\r\n"), "");
    // What stands before it is answered.
    let good = last_words(port, b"SET k v\r\nGET k\r\n*1\r\n$x\r\n");
    assert_eq!(good, "+OK\r\n$1\r\nv\r\n-ERR Protocol error: invalid bulk length\r\n");
    assert_eq!(running.client(port).call(&["GET", "k"]).unwrap(), Reply::Bulk(b"v".into()));
}

#[test]
fn strangers_may_send_little() {
    let port = free_port();
    let running = Running::ready(port, &["--requirepass", "secret", "--shards", "2"]);
    check_refused(port, b"*11\r\n", "unauthenticated multibulk length");
    check_refused(port, b"*2\r\n$16385\r\n", "unauthenticated bulk length");
    let mut known = running.client(port);
    let refused = known.call(&["GET", "k"]).unwrap();
    assert_eq!(refused, Reply::Error(b"NOAUTH Authentication required.".into()));
    assert_eq!(known.call(&["AUTH", "secret"]).unwrap(), Reply::Simple(b"OK".into()));
    let value = "v".repeat(100_000);
    assert_eq!(known.call(&["SET", "k", &value]).unwrap(), Reply::Simple(b"OK".into()));
}

#[test]
fn a_client_over_its_query_buffer_limit_is_cut() {
    let port = free_port();
    let running = Running::ready(port, &["--client-query-buffer-limit", "1mb", "--shards", "2"]);
    let mut request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4000000\r\n".to_vec();
    request.resize(request.len() + 4_000_000, b'v');
    request.extend_from_slice(b"\r\n");
    assert_eq!(last_words(port, &request), "");
    assert_eq!(running.client(port).call(&["EXISTS", "k"]).unwrap(), Reply::Integer(0));
}

#[test]
fn a_request_may_come_in_any_two_pieces() {
    let port = free_port();
    let running = Running::ready(port, &["--shards", "1"]);
    let request = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$6\r\na\r\nb\r\n\r\n\
        *2\r\n$3\r\nGET\r\n$3\r\nkey\r\nSET inline \"x y\"\r\n\r\n*2\r\n$3\r\nGET\r\n\
        $6\r\ninline\r\n";
    let replies = b"+OK\r\n$6\r\na\r\nb\r\n\r\n+OK\r\n$3\r\nx y\r\n";
    let (mut client, mut other) = (running.client(port), running.client(port));
    for cut in 0..=request.len() {
        client.send_raw(&request[..cut]).unwrap();
        // A client that is answered later was read later: the first piece has arrived.
        other.call(&["PING"]).unwrap();
        client.send_raw(&request[cut..]).unwrap();
        assert_eq!(client.exactly(replies.len()).unwrap(), replies, "cut at {cut}");
    }
    for byte in request {
        client.send_raw(&[*byte]).unwrap();
        other.call(&["PING"]).unwrap();
    }
    assert_eq!(client.exactly(replies.len()).unwrap(), replies, "byte by byte");
}

/// What a client does before it leaves without a word.
const PARTINGS: [&[u8]; 8] = [
    b"",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000\r\nhalf a value",
    b"MULTI\r\nSET a 1\r\nSET b 2\r\n",
    b"WATCH a b c d\r\n",
    b"WATCH a b\r\nMULTI\r\nMSET a 1 b 2\r\nEXEC\r\n",
    b"MSET a 1 b 2 c 3 d 4\r\nMGET a b c d\r\n",
    b"GET a\r\nGET b\r\nRENAME a e\r\nRENAME e a\r\nDBSIZE\r\n",
    b"SUBSCRIBE news\r\nnonsense\r\n",
];

fn come_and_go(running: &Running, port: u16, times: usize) {
    let mut held = Vec::new();
    for number in 0..times {
        let mut client = running.client(port);
        client.send_raw(PARTINGS[number % PARTINGS.len()]).expect("a pipe of a child");
        if number % 3 == 0 {
            client.send_raw(b"PING\r\n").expect("a pipe of a child");
        }
        held.push(client);
        if held.len() == 40 {
            held.clear();
        }
    }
}

#[test]
fn ten_thousand_clients_leave_nothing_behind() {
    const LEFT_BYTES_MAX: usize = 6 << 20;
    let port = free_port();
    let running = Running::ready(port, &["--shards", "2"]);
    let mut client = running.client(port);
    // Both are answered when all its threads have started, that of control included.
    client.call(&["DBSIZE"]).unwrap();
    client.call(&["CONFIG", "GET", "port"]).unwrap();
    let before = running.descriptors();
    // The first ones warm up what is kept for the next.
    come_and_go(&running, port, 2000);
    assert!(
        running.comes_to(|it| it.descriptors() == before),
        "{before}, then {}",
        running.descriptors()
    );
    let (threads, rss) = (running.threads(), running.rss_bytes());
    come_and_go(&running, port, 10_000);
    assert!(
        running.comes_to(|it| it.descriptors() == before),
        "{before}, then {}",
        running.descriptors()
    );
    assert!(running.comes_to(|it| it.threads() == threads), "{} threads", running.threads());
    // A busy machine lets more clients wait at once; what they took is kept for the next for a
    // while.
    let comes_back = running.comes_to(|running| {
        client.call(&["MEMORY", "PURGE"]).unwrap();
        running.rss_bytes() <= rss + LEFT_BYTES_MAX
    });
    assert!(comes_back, "{} bytes, {rss} after the first clients", running.rss_bytes());
    // No client is left that watches or holds a key.
    client
        .send_raw(b"MSET a 1 b 2 c 3 d 4\r\nWATCH a b c d\r\nMULTI\r\nFLUSHALL\r\nEXEC\r\n")
        .unwrap();
    assert_eq!(client.exactly(OK.len() * 3).unwrap(), OK.repeat(3));
    let executed = b"+QUEUED\r\n*1\r\n+OK\r\n";
    assert_eq!(client.exactly(executed.len()).unwrap(), executed);
}

#[test]
fn what_came_in_one_segment_is_answered_in_one_send() {
    for shards in ["1", "2"] {
        let port = free_port();
        let running = Running::ready(port, &["--shards", shards]);
        let mut other = running.client(port);
        let mut sends = || {
            let Reply::Bulk(text) = other.call(&["INFO", "stats"]).unwrap() else { panic!() };
            let text = String::from_utf8(text).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("total_writes_processed:"));
            line.expect("INFO has it").parse::<u64>().unwrap()
        };
        let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
        let unknown = "-ERR unknown command 'NOSUCH', with args beginning with: \r\n";
        let broken = "-ERR Protocol error: invalid bulk length\r\n";
        // Of these keys both shards have some.
        for (request, replies) in [
            ("AUTH x y\r\nGET a\r\nGET b\r\nGET c\r\n", format!("{wrong}$-1\r\n$-1\r\n$-1\r\n")),
            ("NOSUCH\r\nGET a\r\nGET b\r\nGET c\r\n", format!("{unknown}$-1\r\n$-1\r\n$-1\r\n")),
            ("GET a\r\nGET b\r\nGET c\r\n*1\r\n$x\r\n", format!("$-1\r\n$-1\r\n$-1\r\n{broken}")),
        ] {
            // Where the machine is busy the other shard may take too long, but not always.
            let is_one_send = (0..100).any(|_| {
                let mut client = running.client(port);
                let before = sends();
                client.send_raw(request.as_bytes()).unwrap();
                assert_eq!(client.exactly(replies.len()).unwrap(), replies.as_bytes());
                // The answer to the first INFO counts, too.
                sends() - before == 2
            });
            assert!(is_one_send, "{request:?} on {shards} shards");
        }
        // What waits holds no reply back.
        let mut client = running.client(port);
        for key in ["a", "b", "c"] {
            client.send_raw(format!("PING\r\nBLPOP {key} 0\r\n").as_bytes()).unwrap();
            assert_eq!(client.exactly(7).unwrap(), b"+PONG\r\n");
            running.client(port).call(&["LPUSH", key, "x"]).unwrap();
            client.receive().unwrap();
        }
    }
}
