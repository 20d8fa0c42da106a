//! Long pipelines: they cost in proportion to their length.

use std::thread;
use std::time::{Duration, Instant};

use super::{requests, start};
use crate::asking::ok;
use crate::running::Running;

/// How often longer the long one of two pipelines is.
const FACTOR: u32 = 8;

#[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
fn now() -> Instant {
    Instant::now()
}

/// How long a server takes for a request so many times, if its replies are read only when all
/// was sent or the server takes no more.
fn time(running: &Running, port: u16, request: &[u8], reply: &[u8], times: u32) -> Duration {
    let mut client = running.client(port);
    client.set_patience(Duration::from_secs(60)).expect("it is connected");
    let mut sender = client.again().expect("there are descriptors");
    let times = usize::try_from(times).expect("it is a small number");
    let since = now();
    thread::scope(|scope| {
        scope.spawn(move || sender.send_raw(&request.repeat(times)));
        for _ in 0..times {
            assert_eq!(client.exactly(reply.len()).expect("the server answers"), reply);
        }
    });
    since.elapsed()
}

/// Eight times as many requests take about eight times as long.
#[track_caller]
fn check_proportion(shards: usize, request: &[u8], reply: &[u8], times: u32) {
    let (running, port, mut client) = start(shards, &[]);
    for key in ["a", "b", "c", "d"] {
        ok(&mut client, &format!("SET {key} v"));
    }
    let short = time(&running, port, request, reply, times);
    let long = time(&running, port, request, reply, times * FACTOR);
    // What is done in proportion to the square takes another eight times longer.
    let allowed = short * FACTOR * 3 + Duration::from_millis(300);
    assert!(long <= allowed, "{times} requests took {short:?}, {FACTOR} times as many {long:?}");
}

#[test]
fn inline_requests_take_time_in_proportion() {
    for shards in [1, 3] {
        check_proportion(shards, b"PING\r\n", b"+PONG\r\n", 100_000);
    }
}

#[test]
fn reads_of_other_shards_take_time_in_proportion() {
    let gets = requests(["GET a", "GET b", "GET c", "GET d"]);
    for shards in [1, 3] {
        check_proportion(shards, &gets, &b"$1\r\nv\r\n".repeat(4), 10_000);
    }
}
