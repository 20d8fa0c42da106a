//! Limits on what all clients together hold.

use crate::asking::{comes_to, field, ok, text};
use crate::client::{Client, Reply};
use crate::running::{Running, free_port};

/// Begins a request with an argument of so many bytes, and sends some of these.
fn begin(client: &mut Client, whole: usize, bytes: usize) {
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${whole}\r\n");
    client.send_raw(head.as_bytes()).expect("the server answers");
    go_on(client, bytes);
}

fn go_on(client: &mut Client, bytes: usize) {
    // A server that has enough of it closes.
    let _ = client.send_raw(&vec![b'x'; bytes]);
}

fn is_there(asking: &mut Client, name: &str) -> bool {
    text(asking, "CLIENT LIST").contains(&format!(" name={name} "))
}

fn named(running: &Running, port: u16, name: &str) -> Client {
    let mut client = running.client(port);
    ok(&mut client, &format!("CLIENT SETNAME {name}"));
    client
}

#[test]
fn the_largest_clients_go_first_wherever_they_are() {
    for shards in ["1", "3"] {
        let port = free_port();
        let running = Running::ready(port, &["--shards", shards]);
        let mut asking = running.client(port);
        ok(&mut asking, "CLIENT NO-EVICT ON");
        let sizes = [("small", 100_000), ("large", 3_000_000), ("larger", 4_000_000)];
        let mut clients = sizes.map(|(name, bytes)| {
            let mut client = named(&running, port, name);
            begin(&mut client, 20_000_000, bytes);
            client
        });
        let mut exempt = named(&running, port, "exempt");
        ok(&mut exempt, "CLIENT NO-EVICT ON");
        begin(&mut exempt, 20_000_000, 6_000_000);
        // A client that stays whatever it holds counts like all others.
        ok(&mut asking, "CONFIG SET maxmemory-clients 12mb");
        comes_to(&mut asking, "evicted_clients", "1");
        let left = ["small", "large", "larger", "exempt"].map(|it| is_there(&mut asking, it));
        assert_eq!(left, [true, true, false, true], "{shards} shards");
        assert!(clients[2].receive().is_err(), "it was closed");
        // A client that grows is looked at when it does.
        go_on(&mut clients[0], 4_500_000);
        let goes = |name| running.comes_to(|_| !is_there(&mut running.client(port), name));
        assert!(goes("small") || goes("large"), "{shards} shards");
        assert!(is_there(&mut asking, "exempt"));
    }
}

#[test]
fn a_client_that_does_not_read_counts_with_its_replies() {
    let port = free_port();
    let options = ["--shards", "2", "--maxmemory", "100mb", "--maxmemory-clients", "5%"];
    let running = Running::ready(port, &options);
    let mut asking = running.client(port);
    let value = vec![b'x'; 1_000_000];
    asking.call(&[&b"SET"[..], b"key", &value]).expect("the server answers");
    let mut deaf = named(&running, port, "deaf");
    deaf.send_raw(format!("MGET{}\r\n", " key".repeat(30)).as_bytes()).expect("the server answers");
    comes_to(&mut asking, "evicted_clients", "1");
    assert!(running.comes_to(|_| !is_there(&mut asking, "deaf")));
    assert_eq!(
        asking.call(&["STRLEN", "key"]).expect("the server answers"),
        Reply::Integer(1_000_000)
    );
}

#[test]
fn clients_that_have_not_authenticated_hold_little_together() {
    const LIMIT: u64 = 64 << 20;
    let port = free_port();
    let options = ["--shards", "2", "--requirepass", "secret", "--maxclients", "6000"];
    let running = Running::ready(port, &options);
    let mut asking = running.client(port);
    ok(&mut asking, "AUTH secret");
    let mut clients: Vec<Client> = (0..5000).map(|_| running.client(port)).collect();
    comes_to(&mut asking, "connected_clients", "5001");
    let number = |asking: &mut Client, name: &str| -> u64 {
        field(asking, name).parse().expect("the server answers")
    };
    let before = number(&mut asking, "used_memory");
    clients.iter_mut().for_each(|client| begin(client, 16_000, 15_000));
    // Of 5000 buffers of 16 KiB not much more than 4096 fit.
    let fits = |asking: &mut Client| number(asking, "connected_clients") < 4500;
    assert!(running.comes_to(|_| fits(&mut asking)), "too few were closed");
    let held = number(&mut asking, "used_memory").saturating_sub(before);
    // A shard learns at the end of a turn what the clients of another hold, and a turn under
    // load takes some MiB.
    assert!(held <= LIMIT + (12 << 20), "{held} bytes");
    let connected = number(&mut asking, "connected_clients");
    assert!(3000 <= connected, "{connected} clients");
}
