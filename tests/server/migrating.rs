//! Servers to which keys are handed, and which do not take them as they should. The command ends by
//! its timeout, the keys stay, and other clients are served meanwhile.

use std::io::{Read, Write};
#[expect(clippy::disallowed_types, reason = "a hostile target is no client")]
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Reply, push_request};
use crate::running::{Folder, Running, free_port};

/// The timeout of commands that are to run into it, in milliseconds.
const SHORT: &str = "200";
/// The timeout of commands that are not.
const LONG: &str = "60000";
/// Within what a command of the short timeout ends, on a busy machine.
const SOON: Duration = Duration::from_secs(5);
const READING: &str = "IOERR error or timeout reading to target instance";
const WRITING: &str = "IOERR error or timeout writing to target instance";

/// What a target does with one connection.
#[derive(Clone, Debug)]
enum Manner {
    /// Reads everything and says nothing.
    Silent,
    /// Reads nothing.
    Deaf,
    /// Closes when it has read so many bytes.
    ClosesAfter(usize),
    /// Says this when it has read something, and then nothing.
    Says(&'static [u8]),
    /// Says one of these each time it has read something.
    Answers(&'static [&'static [u8]]),
    /// Says this, and closes.
    SaysAndCloses(&'static [u8]),
    /// Says one byte again and again, and never ends the line.
    Trickles,
}

/// Starts a target that treats its connections so, one after the other; its port.
fn target(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it listens").port();
    let serve = move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let manner = manner.clone();
            thread::Builder::new().spawn(move || treat(stream, &manner)).expect("a thread");
        }
    };
    thread::Builder::new().spawn(serve).expect("a thread");
    port.to_string()
}

#[expect(clippy::disallowed_types, reason = "a hostile target is no client")]
fn treat(mut stream: TcpStream, manner: &Manner) {
    let mut bytes = [0; 1024];
    // How a connection of it ends does not matter to a hostile target.
    let mut drain = |stream: &mut TcpStream| while matches!(stream.read(&mut bytes), Ok(1..)) {};
    match manner {
        Manner::Silent => drain(&mut stream),
        Manner::Deaf => thread::park_timeout(Duration::from_secs(60)),
        Manner::ClosesAfter(count) => {
            let mut bytes = vec![0; *count];
            let _ = stream.read_exact(&mut bytes);
        }
        Manner::Says(text) | Manner::SaysAndCloses(text) => {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(text);
            if let Manner::Says(_) = manner {
                drain(&mut stream);
            }
        }
        Manner::Answers(texts) => {
            for text in *texts {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(text);
            }
            drain(&mut stream);
        }
        Manner::Trickles => {
            let mut says = Ok(());
            while says.is_ok() {
                says = stream.write_all(b"+");
                thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that waits has no other clock")]
fn now() -> Instant {
    Instant::now()
}

fn error(text: &str) -> Reply {
    Reply::Error(text.as_bytes().to_vec())
}

fn ok() -> Reply {
    Reply::Simple(b"OK".to_vec())
}

fn migrate<'a>(port: &'a str, key: &'a str, timeout: &'a str) -> [&'a str; 6] {
    ["MIGRATE", "127.0.0.1", port, key, "0", timeout]
}

/// Hands a key to a target of this manner and checks that the command fails in time.
#[track_caller]
fn check(client: &mut Client, manner: &Manner, texts: &[&str]) {
    let port = target(manner.clone());
    assert_eq!(client.call(&["SET", "key", "value"]).expect("it serves"), ok());
    let began = now();
    let reply = client.call(&migrate(&port, "key", SHORT)).expect("it serves");
    assert!(texts.iter().any(|text| reply == error(text)), "{manner:?}: {reply:?}");
    assert!(began.elapsed() < SOON, "{manner:?}: {:?}", began.elapsed());
    let value = client.call(&["GET", "key"]).expect("it serves");
    assert_eq!(value, Reply::Bulk(b"value".to_vec()), "{manner:?}");
}

#[test]
fn keys_stay_that_a_target_does_not_say_it_has() {
    let port = free_port();
    let running = Running::ready(port, &["--shards", "2"]);
    let mut client = running.client(port);
    check(&mut client, &Manner::Silent, &[READING]);
    check(&mut client, &Manner::Trickles, &[READING]);
    // SELECT is answered first.
    let answer = b"+OK\r\n+OK\r\n";
    for count in 0..answer.len() {
        check(&mut client, &Manner::Says(&answer[..count]), &[READING]);
        check(&mut client, &Manner::SaysAndCloses(&answer[..count]), &[READING, WRITING]);
    }
    // It has no key either that it has before it was asked.
    for nonsense in [&b"$2\r\nOK\r\n"[..], b"\r\n\r\n", b"+OK\r\n+OK\r\n"] {
        check(&mut client, &Manner::Says(nonsense), &[READING]);
    }
    check(&mut client, &Manner::Answers(&[b"+OK\r\n", b":1\r\n"]), &[READING]);
    let refused = "ERR Target instance replied with error: NO thanks";
    check(&mut client, &Manner::Says(b"-NO thanks\r\n+OK\r\n"), &[refused]);
    check(&mut client, &Manner::Answers(&[b"+OK\r\n", b"-NO thanks\r\n"]), &[refused]);
}

#[test]
fn keys_stay_wherever_the_target_closes() {
    let port = free_port();
    let running = Running::ready(port, &["--shards", "2"]);
    let mut client = running.client(port);
    let mut requests = Vec::new();
    push_request(&mut requests, &["SELECT", "0"]);
    for count in 0..=requests.len() {
        check(&mut client, &Manner::ClosesAfter(count), &[READING, WRITING]);
    }
}

#[test]
fn other_clients_are_served_while_a_target_is_silent() {
    for manner in [Manner::Silent, Manner::Deaf] {
        let (port, target) = (free_port(), target(manner));
        let running = Running::ready(port, &["--shards", "1"]);
        let (mut client, mut other) = (running.client(port), running.client(port));
        let large = "x".repeat(8 << 20);
        assert_eq!(client.call(&["SET", "{k}1", &large]).unwrap(), ok());
        assert_eq!(client.call(&["MSET", "{k}2", "2", "{k}3", "3"]).unwrap(), ok());
        let words = ["MIGRATE", "127.0.0.1", &target, "", "0", "1000", "KEYS", "{k}1", "{k}2"];
        let began = now();
        client.send(&words).unwrap();
        // This is claimed, so it waits. It was read before what follows.
        let mut waiting = running.client(port);
        waiting.send(&["APPEND", "{k}2", "!"]).unwrap();
        // A walk misses no key that is on its way: it waits for them.
        let mut walking = running.client(port);
        walking.send(&["SCAN", "0", "MATCH", "{k}*", "COUNT", "1000"]).unwrap();
        for number in 0..200 {
            let number = number.to_string();
            assert_eq!(other.call(&["SET", "other", &number]).unwrap(), ok());
            assert_eq!(other.call(&["GET", "{k}3"]).unwrap(), Reply::Bulk(b"3".to_vec()));
        }
        let served = began.elapsed();
        assert!(!client.has_reply() || Duration::from_secs(1) <= served, "{served:?}");
        let still_waits = !waiting.has_reply();
        let is_over = client.has_reply();
        assert!(still_waits || is_over, "it ran though its key was on its way");
        let reply = client.receive().unwrap();
        assert!(matches!(&reply, Reply::Error(text) if text.starts_with(b"IOERR ")), "{reply:?}");
        assert!(Duration::from_millis(900) <= began.elapsed());
        assert_eq!(waiting.receive().unwrap(), Reply::Integer(2), "it ran behind the command");
        let walked = format!("{:?}", walking.receive().unwrap());
        let keys = ["{k}1", "{k}2", "{k}3"].map(|key| format!("{:?}", Reply::Bulk(key.into())));
        assert!(keys.iter().all(|key| walked.contains(key)), "{walked}");
        assert_eq!(other.call(&["STRLEN", "{k}1"]).unwrap(), Reply::Integer(8 << 20));
    }
}

#[test]
fn the_end_does_not_wait_for_a_silent_target() {
    let [silent, one, two] = [(); 3].map(|()| target(Manner::Silent));
    let (port, folder) = (free_port(), Folder::new());
    let options = ["--shards", "2", "--dir", &folder.path(""), "--save", "3600 1"];
    let running = Running::ready(port, &options);
    let mut client = running.client(port);
    assert_eq!(client.call(&["SET", "key", "value"]).unwrap(), ok());
    client.send(&migrate(&silent, "key", LONG)).unwrap();
    // One that begins another when the first is called off.
    let mut twice = running.client(port);
    assert_eq!(twice.call(&["MSET", "one", "1", "two", "2"]).unwrap(), ok());
    twice.call(&["MULTI"]).unwrap();
    for (target, key) in [(&one, "one"), (&two, "two")] {
        twice.call(&migrate(target, key, LONG)).unwrap();
    }
    twice.send(&["EXEC"]).unwrap();
    let mut other = running.client(port);
    // The connections are there, so the keys are on their way.
    assert!(running.comes_to(|_| {
        let reply = other.call(&["INFO", "stats"]).expect("it serves");
        let Reply::Bulk(text) = reply else { panic!("{reply:?}") };
        String::from_utf8_lossy(&text).contains("migrate_cached_sockets:2\r")
    }));
    let began = now();
    running.signal("TERM");
    let reply = client.receive();
    assert!(matches!(reply, Err(_) | Ok(Reply::Error(_))), "{reply:?}");
    let ended = running.end();
    assert!(ended.status.success(), "{}", ended.log.join("\n"));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let running = Running::ready(port, &options);
    let value = running.client(port).call(&["GET", "key"]).unwrap();
    assert_eq!(value, Reply::Bulk(b"value".to_vec()));
}

#[test]
fn a_connection_is_kept_for_the_next_key() {
    let (port, other) = (free_port(), free_port());
    let running = Running::ready(port, &["--shards", "3"]);
    let taking = Running::ready(other, &["--shards", "2"]);
    let (mut client, mut there) = (running.client(port), taking.client(other));
    let target = other.to_string();
    for number in 0..50 {
        let (key, value) = (format!("key:{number}"), number.to_string());
        assert_eq!(client.call(&["SET", &key, &value, "PX", "100000"]).unwrap(), ok());
        assert_eq!(client.call(&migrate(&target, &key, LONG)).unwrap(), ok());
        assert_eq!(client.call(&["EXISTS", &key]).unwrap(), Reply::Integer(0));
        assert_eq!(there.call(&["GET", &key]).unwrap(), Reply::Bulk(value.into_bytes()));
        let left = there.call(&["PTTL", &key]).unwrap();
        assert!(matches!(left, Reply::Integer(1..=100_000)), "{left:?}");
    }
    let keys: Vec<String> = (0..300).map(|number| format!("many:{number}")).collect();
    for key in &keys {
        assert_eq!(client.call(&["RPUSH", key, "a", "b"]).unwrap(), Reply::Integer(2));
    }
    let words = ["MIGRATE", "127.0.0.1", &target, "", "3", LONG, "COPY", "REPLACE", "KEYS"];
    let words = words.into_iter().chain(keys.iter().map(String::as_str)).collect::<Vec<_>>();
    assert_eq!(client.call(&words).unwrap(), ok());
    assert_eq!(client.call(&["DBSIZE"]).unwrap(), Reply::Integer(300), "they were copied");
    let moved: Vec<&str> = words.iter().filter(|word| **word != "COPY").copied().collect();
    assert_eq!(client.call(&moved).unwrap(), ok());
    assert_eq!(client.call(&["DBSIZE"]).unwrap(), Reply::Integer(0));
    assert_eq!(there.call(&["SELECT", "3"]).unwrap(), ok());
    assert_eq!(there.call(&["DBSIZE"]).unwrap(), Reply::Integer(300));
    drop(taking);
    // The connection has ended; the server comes back, and there is another one.
    let _taking = Running::ready(other, &["--shards", "2"]);
    assert_eq!(client.call(&["SET", "last", "1"]).unwrap(), ok());
    assert_eq!(client.call(&migrate(&target, "last", LONG)).unwrap(), ok());
}
