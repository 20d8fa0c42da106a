//! How much memory single clients can make a server hold that has set limits for clients: each case
//! on a server of its own. The peak is what the system counted, above what there was before.

use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, Reply, write_request};
use crate::servers::peer::Peer;
use crate::servers::process;
use crate::servers::server::Server;

const MIB: u64 = 1 << 20;
/// What a client's output may come to.
const OUTPUT_LIMIT_MIB: u64 = 20;
/// The memory limit of the transaction.
const MEMORY_LIMIT_MIB: u64 = 300;
/// Large values, of a MiB each.
const VALUES: usize = 64;
/// How long replies gather that the client does not read.
const GATHERING: Duration = Duration::from_millis(1500);
/// How long memory may take to come back.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a client that is not heard tries to send.
const SENDING: Duration = Duration::from_secs(1);

/// A case: what it is, how much it may come to, and what its clients do.
struct Case {
    name: &'static str,
    /// What a limit allows.
    allowed_mib: u64,
    prepare: fn(&mut Connection) -> Result<(), String>,
    act: fn(&mut Scene<'_>) -> Result<Outcome, String>,
}

/// Where a case is tried.
struct Scene<'a> {
    server: &'a Server,
    options: &'a Options,
    /// A connection that the limits do not concern.
    watcher: Connection,
}

/// What stays open until memory was looked at, and what there is to say.
type Outcome = (Vec<Connection>, String);

const CASES: &[Case] = &[
    Case {
        name: "never reads",
        allowed_mib: OUTPUT_LIMIT_MIB,
        prepare: one_value,
        act: never_read,
    },
    Case {
        name: "never reads, before AUTH",
        allowed_mib: 0,
        prepare: |connection| connection.configure(&["requirepass", "secret"]),
        act: never_read,
    },
    Case {
        name: "MULTI, 64 SETs of 64 MiB",
        allowed_mib: MEMORY_LIMIT_MIB + 64,
        prepare: |connection| {
            connection.configure(&["maxmemory", &(MEMORY_LIMIT_MIB * MIB).to_string()])
        },
        act: queue,
    },
    Case {
        name: "60 MGETs of 64 values of 1 MiB",
        allowed_mib: OUTPUT_LIMIT_MIB,
        prepare: values,
        act: |scene| ask(scene, &mget(VALUES).repeat(60)),
    },
    Case {
        name: "MGET of 640 MiB",
        allowed_mib: OUTPUT_LIMIT_MIB,
        prepare: values,
        act: |scene| ask(scene, &mget(VALUES * 10)),
    },
    Case {
        name: "EXEC of 640 GETs of 1 MiB",
        allowed_mib: OUTPUT_LIMIT_MIB,
        prepare: values,
        act: |scene| ask(scene, &[multi(), gets(VALUES * 10), exec()].concat()),
    },
    Case {
        name: "640 GETs of 1 MiB in a pipeline",
        allowed_mib: OUTPUT_LIMIT_MIB,
        prepare: values,
        act: |scene| ask(scene, &gets(VALUES * 10)),
    },
    Case {
        name: "400 half requests of 256 KiB",
        allowed_mib: 100,
        prepare: |_| Ok(()),
        act: half_requests,
    },
    Case {
        name: "the same before AUTH",
        allowed_mib: 64,
        prepare: |connection| connection.configure(&["requirepass", "secret"]),
        act: half_requests,
    },
    Case {
        name: "30 idle clients that sent 33 MiB",
        allowed_mib: 99,
        prepare: |_| Ok(()),
        act: idle_after_large,
    },
];

/// Measures, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let head = ["case", "server", "allowed MiB", "peak MiB", "after MiB", "purged MiB", "notes"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for case in CASES {
        for peer in &options.peers {
            eprintln!("{}: {}", case.name, peer.name);
            rows.push(measure(options, peer, case)?);
        }
    }
    report.say(&format!(
        "Resident memory above what the server had before: at its peak, {} s after all clients are \
         gone (sooner if less than 8 MiB are left), and after MEMORY PURGE. A client's output may \
         come to {OUTPUT_LIMIT_MIB} MiB; allowed is what the case's own limit allows.",
        PATIENCE.as_secs()
    ));
    report.table(&rows);
    Ok(())
}

fn measure(options: &Options, peer: &Peer, case: &Case) -> Result<Vec<String>, String> {
    let server = Server::start(peer, options)?;
    // It stays when a password is asked for.
    let mut connection = server.connect()?;
    let limit = format!("normal {} 0 0", OUTPUT_LIMIT_MIB * MIB);
    connection.configure(&["client-output-buffer-limit", &limit])?;
    (case.prepare)(&mut connection)?;
    process::forget_peak(server.pid())?;
    let before = process::resident_bytes(server.pid())?;
    let above = |bytes: u64| (bytes as f64 - before as f64) / MIB as f64;
    let mut scene = Scene { server: &server, options, watcher: connection };
    let acted = (case.act)(&mut scene);
    let mut row = vec![case.name.to_owned(), peer.name.clone(), case.allowed_mib.to_string()];
    let Ok(peak) = process::peak_bytes(server.pid()) else {
        row.extend(["-", "-", "-", "the server is gone"].map(str::to_owned));
        return Ok(row);
    };
    let (connections, notes) = acted?;
    drop(connections);
    let start = Instant::now();
    let mut after = process::resident_bytes(server.pid())?;
    while 8.0 < above(after) && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
        after = process::resident_bytes(server.pid())?;
    }
    scene.watcher.call(&["MEMORY", "PURGE"])?;
    thread::sleep(Duration::from_millis(500));
    let purged = process::resident_bytes(server.pid())?;
    row.extend([above(peak), above(after), above(purged)].map(|mib| format!("{mib:.0}")));
    row.push(notes);
    Ok(row)
}

fn value_key(number: usize) -> String {
    format!("large:{}", number % VALUES)
}

fn one_value(connection: &mut Connection) -> Result<(), String> {
    connection.call(&["SET", &value_key(0), &"v".repeat(1000)]).map(drop)
}

fn values(connection: &mut Connection) -> Result<(), String> {
    let value = "v".repeat(1 << 20);
    (0..VALUES)
        .try_for_each(|number| connection.call(&["SET", &value_key(number), &value]).map(drop))
}

fn multi() -> Vec<u8> {
    request(&["MULTI"])
}

fn exec() -> Vec<u8> {
    request(&["EXEC"])
}

fn gets(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| request(&["GET", &value_key(number)])).collect()
}

fn mget(count: usize) -> Vec<u8> {
    let keys: Vec<String> = (0..count).map(value_key).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    request(&[&["MGET"], keys.as_slice()].concat())
}

fn request(args: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    write_request(&mut out, args);
    out
}

/// Sends requests for some seconds and reads nothing.
fn never_read(scene: &mut Scene<'_>) -> Result<Outcome, String> {
    let mut connection = scene.server.connect()?;
    let requests = request(&["GET", &value_key(0)]).repeat(5000);
    let (start, mut sent) = (Instant::now(), 0);
    let end = start + Duration::from_secs(scene.options.seconds);
    while Instant::now() < end {
        match connection.send_some(&requests, SENDING) {
            Ok(bytes) => sent += bytes,
            Err(_) => {
                let notes = format!("cut after {:.2} s", start.elapsed().as_secs_f64());
                return Ok((vec![connection], notes));
            }
        }
    }
    Ok((vec![connection], format!("{} MiB sent", sent as u64 / MIB)))
}

/// Sends requests, and reads nothing of their replies.
fn ask(scene: &mut Scene<'_>, requests: &[u8]) -> Result<Outcome, String> {
    let mut connection = scene.server.connect()?;
    connection.send(requests)?;
    thread::sleep(GATHERING);
    let clients = scene.watcher.info_number("clients", "connected_clients")?;
    Ok((vec![connection], if clients < 2 { "cut" } else { "not cut" }.to_owned()))
}

/// Queues large values in a transaction until they are refused.
fn queue(scene: &mut Scene<'_>) -> Result<Outcome, String> {
    let mut connection = scene.server.connect()?;
    connection.call(&["MULTI"])?;
    let set = request(&["SET", "key", &"v".repeat(64 << 20)]);
    for number in 0..64 {
        connection.send(&set)?;
        if let Reply::Error(text) = connection.receive_any()? {
            let code = text.split(' ').next().unwrap_or_default().to_owned();
            let Reply::Error(end) = connection.call_any(&["EXEC"])? else {
                return Err("EXEC after a refused command is answered".into());
            };
            let end = end.split(' ').next().unwrap_or_default();
            return Ok((vec![connection], format!("{code} after {number}, then {end}")));
        }
    }
    Ok((vec![connection], "all queued".into()))
}

fn half_requests(scene: &mut Scene<'_>) -> Result<Outcome, String> {
    let mut half = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$524288\r\n".to_vec();
    half.resize(half.len() + (256 << 10), b'v');
    let (mut connections, mut refused) = (Vec::new(), 0);
    for _ in 0..400 {
        let mut connection = scene.server.connect()?;
        let sent = connection.send_some(&half, SENDING);
        refused += u64::from(sent.is_err());
        connections.push(connection);
    }
    thread::sleep(GATHERING);
    let held = process::resident_bytes(scene.server.pid())? / MIB;
    Ok((connections, format!("{refused} cut while they sent; RSS {held} MiB")))
}

fn idle_after_large(scene: &mut Scene<'_>) -> Result<Outcome, String> {
    let set = request(&["SET", "key", &"v".repeat(33 << 20)]);
    let mut connections = Vec::new();
    for _ in 0..30 {
        let mut connection = scene.server.connect()?;
        connection.send(&set)?;
        connection.receive()?;
        connection.call(&["DEL", "key"])?;
        connections.push(connection);
    }
    thread::sleep(GATHERING);
    let held = process::resident_bytes(scene.server.pid())? / MIB;
    Ok((connections, format!("RSS {held} MiB while they are idle")))
}
