//! Much at once: slow clients, clients that do not read, deep pipelines, big values.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Reply};
use crate::running::{Running, free_port};

#[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
fn now() -> Instant {
    Instant::now()
}

fn connect(port: u16) -> Client {
    Client::connect(&format!("127.0.0.1:{port}")).expect("it listens")
}

/// Asks the server something every millisecond until told to stop; how long the answers took,
/// ascending.
fn paced(port: u16, stop: &AtomicBool) -> Vec<Duration> {
    let mut client = connect(port);
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let start = now();
        client.call(&["GET", "key"]).expect("it answers");
        took.push(start.elapsed());
        thread::park_timeout(Duration::from_millis(1));
    }
    took.sort_unstable();
    took
}

/// How long a paced client waits while `work` goes on: in 99 of 100 cases, and at worst.
fn disturbance(port: u16, work: impl FnOnce()) -> (Duration, Duration) {
    let stop = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        let paced = scope.spawn(|| paced(port, &stop));
        work();
        stop.store(true, Ordering::Relaxed);
        paced.join().expect("the paced client is answered")
    });
    (took[took.len() * 99 / 100], took[took.len() - 1])
}

#[test]
fn five_hundred_slow_clients_disturb_nobody() {
    const CLIENTS: usize = 500;
    const PAUSE: Duration = Duration::from_millis(50);
    let port = free_port();
    let running = Running::ready(port, &["--shards", "2"]);
    let request = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1\r\nv\r\n";
    let (quiet_usual, quiet_worst) = disturbance(port, || {
        (0..request.len()).for_each(|_| thread::park_timeout(PAUSE));
    });
    let mut slow: Vec<Client> = (0..CLIENTS).map(|_| running.client(port)).collect();
    let (usual, worst) = disturbance(port, || {
        for byte in request {
            for client in &mut slow {
                client.send_raw(&[*byte]).unwrap();
            }
            thread::park_timeout(PAUSE);
        }
    });
    for client in &mut slow {
        assert_eq!(client.receive().unwrap(), Reply::Simple(b"OK".into()));
    }
    // Generous, because the machine is not ours alone; a server that waits for a slow client would
    // be a hundred times worse.
    assert!(usual <= quiet_usual * 10 + Duration::from_millis(20), "{usual:?}, {quiet_usual:?}");
    assert!(worst <= quiet_worst * 10 + Duration::from_millis(200), "{worst:?}, {quiet_worst:?}");
}

#[test]
fn a_client_that_does_not_read_is_cut_at_its_limit() {
    const VALUE_BYTES: usize = 1 << 20;
    const REQUESTS: usize = 200;
    const SLACK_BYTES: usize = 48 << 20;
    let port = free_port();
    let limit = ["--client-output-buffer-limit", "normal 16mb 0 0", "--shards", "2"];
    let running = Running::ready(port, &limit);
    let mut polite = running.client(port);
    for key in ["a", "b", "c"] {
        polite.call(&["SET", key, &"v".repeat(VALUE_BYTES)]).unwrap();
    }
    let (descriptors, rss) = (running.descriptors(), running.rss_bytes());
    let mut rude = running.client(port);
    // Its answers are more than ten times its limit.
    rude.send_raw("GET a\r\nMGET b c\r\n".repeat(REQUESTS / 3).as_bytes()).unwrap();
    let mut peak = 0;
    let cut = (0..1000).any(|_| {
        peak = peak.max(running.rss_bytes());
        polite.call(&["GET", "none"]).unwrap();
        thread::park_timeout(Duration::from_millis(5));
        running.descriptors() == descriptors
    });
    assert!(cut, "it is still connected");
    assert!(peak <= rss + SLACK_BYTES, "{} more at its peak", peak - rss);
    let back = running.comes_to(|it| it.rss_bytes() <= rss + (8 << 20));
    assert!(back, "{} bytes did not come back", running.rss_bytes() - rss);
    let got = rude.rest().map_or(0, |bytes| bytes.len());
    assert!(got < REQUESTS * VALUE_BYTES, "it got all its answers");
}

#[test]
fn a_pipeline_may_be_a_hundred_thousand_deep() {
    const DEPTH: usize = 100_000;
    let port = free_port();
    let running = Running::ready(port, &["--shards", "2"]);
    let mut client = running.client(port);
    let mut request = String::new();
    for number in 0..DEPTH {
        request.push_str(&format!("INCR counter{}\r\n", number % 10));
    }
    client.send_raw(request.as_bytes()).unwrap();
    for number in 0..DEPTH {
        let expected = i64::try_from(number / 10 + 1).unwrap();
        assert_eq!(client.receive().unwrap(), Reply::Integer(expected), "request {number}");
    }
}

/// Many client libraries write a whole pipeline before they read the first answer.
#[test]
fn answers_wait_for_those_who_write_everything_first() {
    const DEPTH: usize = 300_000;
    let port = free_port();
    let running = Running::ready(port, &["--shards", "2"]);
    let mut client = running.client(port);
    let value = "v".repeat(200);
    for key in ["key:one", "key:two"] {
        client.call(&["SET", key, &value]).unwrap();
    }
    let request = "*2\r\n$3\r\nGET\r\n$7\r\nkey:one\r\n*2\r\n$3\r\nGET\r\n$7\r\nkey:two\r\n";
    client.send_raw(request.repeat(DEPTH / 2).as_bytes()).unwrap();
    for number in 0..DEPTH {
        let reply = client.receive().unwrap();
        assert!(reply == Reply::Bulk(value.clone().into()), "request {number}: {}", reply.head());
    }
}

#[test]
fn big_values_take_time_in_proportion() {
    const SMALL: usize = 8 << 20;
    const BIG: usize = 64 << 20;
    let port = free_port();
    let running = Running::ready(port, &["--proto-max-bulk-len", "64mb", "--shards", "2"]);
    let mut client = running.client(port);
    let mut set = |bytes: usize| {
        let value: Vec<u8> = (0..=250).cycle().take(bytes).collect();
        let start = now();
        let reply = client.call(&[b"SET", b"big", value.as_slice()]).unwrap();
        let took = start.elapsed();
        assert_eq!(reply, Reply::Simple(b"OK".into()));
        let got = client.call(&["GET", "big"]).unwrap();
        assert!(got == Reply::Bulk(value), "{bytes} bytes come back as they were");
        took
    };
    let small = set(SMALL);
    let big = set(BIG);
    let factor = u32::try_from(BIG / SMALL).unwrap();
    // Quadratic would be another eight times more.
    let allowed = small * factor * 3 + Duration::from_millis(300);
    assert!(big <= allowed, "{SMALL} bytes took {small:?}, {BIG} bytes {big:?}");
}
