//! What a client holds, as CLIENT LIST shows it.

use crate::client::{Client, Reply};
use crate::running::{Running, free_port};

/// A server, a client that is looked at, and one that looks.
struct Observed {
    _running: Running,
    client: Client,
    id: String,
    other: Client,
}

impl Observed {
    fn start(shards: &str) -> Self {
        let port = free_port();
        let running = Running::ready(port, &["--shards", shards]);
        let (mut client, other) = (running.client(port), running.client(port));
        let Reply::Integer(id) = client.call(&["CLIENT", "ID"]).expect("it serves") else {
            panic!("an id")
        };
        Self { _running: running, client, id: id.to_string(), other }
    }

    /// A field of the client's line.
    fn field(&mut self, name: &str) -> i64 {
        number(&line(&mut self.other, &self.id), name)
    }

    /// Asks until the field is so.
    #[track_caller]
    fn until(&mut self, name: &str, is_so: impl Fn(i64) -> bool) -> i64 {
        for _ in 0..10_000 {
            let value = self.field(name);
            if is_so(value) {
                return value;
            }
        }
        panic!("{name} stays {}", self.field(name));
    }
}

/// The line of the client with an id, as another one sees it.
fn line(other: &mut Client, id: &str) -> String {
    let reply = other.call(&["CLIENT", "LIST", "ID", id]).expect("it serves");
    let Reply::Bulk(line) = reply else { panic!("a line, not {reply:?}") };
    String::from_utf8(line).expect("it is text")
}

/// A field of a line that is a number.
fn number(line: &str, name: &str) -> i64 {
    let mut fields = line.split_whitespace().filter_map(|field| field.split_once('='));
    let value = fields.find(|(found, _)| *found == name).expect("the line has the field").1;
    value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value}"))
}

#[test]
fn replies_that_a_client_does_not_read_are_in_its_line() {
    for shards in ["1", "2"] {
        let mut seen = Observed::start(shards);
        let keys: Vec<String> = (0..16).map(|number| format!("key{number}")).collect();
        let value = vec![b'v'; 1 << 20];
        for key in &keys {
            seen.other.call(&[b"SET", key.as_bytes(), &value]).unwrap();
        }
        let request = [&["MGET".to_owned()], keys.as_slice()].concat();
        seen.client.send(&request).unwrap();
        let list = seen.until("omem", |bytes| (10 << 20) < bytes);
        let blocks = seen.field("oll");
        assert!(512 < blocks && blocks <= 1025, "{blocks} blocks of 16 KiB, {shards} shards");
        assert_eq!(seen.field("obl"), 16 << 10);
        assert!(list + seen.field("rbs") <= seen.field("tot-mem"));
        let Reply::Group(_, values) = seen.client.receive().unwrap() else { panic!("values") };
        assert_eq!(values.len(), 16);
        seen.until("omem", |bytes| bytes == 0);
        assert_eq!((seen.field("oll"), seen.field("obl")), (0, 0));
        assert!(seen.field("tot-mem") < 64 << 10);
    }
}

#[test]
fn a_blocked_request_is_held_and_counted_when_it_is_done() {
    for shards in ["1", "2"] {
        let mut seen = Observed::start(shards);
        let long = "k".repeat(5000);
        let before = seen.field("tot-cmds");
        seen.client.send(&["BLPOP", &long, "b", "0"]).unwrap();
        let args = seen.until("argv-mem", |bytes| bytes != 0);
        assert!(5000 <= args, "{args}");
        assert!(5000 <= seen.field("tot-mem"));
        assert_eq!(seen.field("tot-cmds"), before);
        seen.other.call(&["LPUSH", "b", "1"]).unwrap();
        seen.client.receive().unwrap();
        assert_eq!(seen.until("tot-cmds", |commands| commands != before), before + 1);
        assert_eq!(seen.field("argv-mem"), 0);
        // Pipelined requests are counted one by one, whichever shards they are for.
        for number in 0..20 {
            seen.client.send(&["INCR", &format!("n{number}")]).unwrap();
        }
        (0..20).for_each(|_| drop(seen.client.receive().unwrap()));
        assert_eq!(seen.until("tot-cmds", |commands| before + 21 <= commands), before + 21);
    }
}

#[test]
fn queued_commands_watches_and_prefixes_are_in_its_total() {
    let mut seen = Observed::start("2");
    assert_eq!(seen.field("multi"), -1);
    let grows_by = |seen: &mut Observed, requests: &[Vec<&str>], bytes: i64, what: &str| {
        let before = seen.field("tot-mem");
        requests.iter().for_each(|request| drop(seen.client.call(request).unwrap()));
        let after = seen.field("tot-mem");
        assert!(before + bytes <= after, "{what}: {before} to {after}");
    };
    let long = "v".repeat(10_000);
    let keys: Vec<String> = (0..100).map(|number| format!("key{number}")).collect();
    let with = |command: &'static str| -> Vec<&str> {
        [command].into_iter().chain(keys.iter().map(String::as_str)).collect()
    };
    grows_by(&mut seen, &[with("WATCH")], 1600, "watched keys");
    let queued = [vec!["MULTI"], vec!["SET", "key", &long]];
    grows_by(&mut seen, &queued, 10_000, "queued commands");
    assert!(10_000 <= seen.field("multi-mem"));
    assert_eq!(seen.field("multi"), 1);
    seen.client.call(&["EXEC"]).unwrap();
    assert_eq!((seen.field("multi"), seen.field("multi-mem")), (0, 0));
    let tracking = vec!["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", &long];
    grows_by(&mut seen, &[tracking], 10_000, "prefixes");
    grows_by(&mut seen, &[with("SUBSCRIBE")], 1600, "subscriptions");
}

#[test]
fn requests_that_wait_for_their_turn_are_in_the_line_of_their_client() {
    const REQUESTS: i64 = 4000;
    const REQUEST: &str = "*2\r\n$8\r\nBITCOUNT\r\n$5\r\nlarge\r\n";
    let port = free_port();
    let running = Running::ready(port, &["--shards", "1"]);
    let mut other = running.client(port);
    other.call(&["SETRANGE", "large", "1000000", "x"]).unwrap();
    let mut clients = [(); 3].map(|()| running.client(port));
    let ids = clients.each_mut().map(|client| client.call(&["CLIENT", "ID"]).unwrap());
    let requests = REQUEST.repeat(usize::try_from(REQUESTS).unwrap());
    clients.iter_mut().for_each(|client| client.send_raw(requests.as_bytes()).unwrap());
    let mut left = REQUESTS;
    while 0 < left {
        left = 0;
        for id in &ids {
            let Reply::Integer(id) = id else { panic!("an id") };
            let line = line(&mut other, &id.to_string());
            // CLIENT ID comes before, and is counted.
            let undone = REQUESTS + 1 - number(&line, "tot-cmds");
            left = left.max(undone);
            // What is not in the buffers of the system and of the ring is the client's.
            let is_between = (1000..REQUESTS).contains(&undone);
            assert!(!is_between || 0 < number(&line, "qbuf"), "{line}");
        }
    }
}
