//! A primary that falls silent where a test wants it to: it says what a Valkey does up to there,
//! keeps the connection, and says nothing more.

use std::io::{self, BufRead, BufReader, Write};
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};

/// Where it falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The connection is not accepted.
    Syn,
    /// PING was answered.
    Auth,
    /// PSYNC was sent.
    Psync,
    /// PSYNC was answered.
    Waiting,
    /// Likewise, but a line feed comes now and then.
    WaitingAlive,
    /// The snapshot has begun.
    FirstBytes,
    /// Half of the snapshot has come.
    Middle,
    /// Likewise, and the rest comes byte by byte.
    Trickle,
    /// The whole snapshot has come, just now.
    Committing,
    /// So has a write of the stream.
    Streaming,
    /// The snapshot was none, and the replica waits for its next attempt.
    BackingOff,
    /// Nowhere: connections that have said all are closed.
    Closes,
}

/// A primary's snapshot and its stream.
#[derive(Debug)]
struct Script {
    stage: Stage,
    snapshot: Snapshot,
    /// Between two bytes or line feeds.
    pause: Duration,
}

/// How a snapshot comes, and what it is.
#[derive(Debug)]
pub enum Snapshot {
    /// In the stream.
    Here(Vec<u8>),
    /// As chunks: what each of its connections brings.
    Parts(Vec<Vec<u8>>),
}

/// The primary; its threads last no longer than it.
#[derive(Debug)]
pub struct Silent {
    /// Where it listens.
    pub address: String,
    shared: Arc<Shared>,
    /// A listener without room, and the connection that fills it.
    #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
    unaccepted: Option<(TcpListener, TcpStream)>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Connections on which it has said all that it says.
    silent: AtomicU64,
    /// Acknowledgements that have come.
    acks: AtomicU64,
    gone: AtomicBool,
}

/// The stream that it names.
const REPLID: &str = "5a5c0c3e6ab2d8f4c1a7d9b3e5f60718293a4b5c";
/// How often a thread looks whether the primary is gone.
const LOOK: Duration = Duration::from_millis(5);

impl Silent {
    /// Starts one with so many keys, `name:0` and on, each with a value of so many bytes.
    pub fn start(stage: Stage, name: &str, keys: usize, value_bytes: usize) -> Self {
        let snapshot = Snapshot::Here(snapshot(name, keys, value_bytes));
        Self::slow(stage, snapshot, Duration::from_millis(100))
    }

    /// Starts one whose snapshot comes as chunks, by a connection for each of these parts.
    pub fn native(stage: Stage, parts: Vec<Vec<u8>>) -> Self {
        Self::slow(stage, Snapshot::Parts(parts), Duration::from_millis(100))
    }

    /// Likewise, with this snapshot and this pause between two bytes that come one by one.
    #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
    pub fn slow(stage: Stage, snapshot: Snapshot, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let shared = Arc::new(Shared::default());
        if stage == Stage::Syn {
            // One connection waits to be accepted; the system leaves all others unanswered.
            listen(&listener, Backlog::new(0).expect("not too many")).expect("it listens");
            let first = TcpStream::connect(&address).expect("there is room for one");
            shared.silent.store(1, Ordering::Relaxed);
            return Self { address, shared, unaccepted: Some((listener, first)) };
        }
        let script = Arc::new(Script { stage, snapshot, pause });
        let given = Arc::clone(&shared);
        let accept = move || {
            for replica in listener.incoming().map_while(Result::ok) {
                if given.gone.load(Ordering::Relaxed) {
                    return;
                }
                let (script, shared) = (Arc::clone(&script), Arc::clone(&given));
                // A replica may leave at any byte.
                let serve = move || drop(serve(&replica, &script, &shared));
                thread::Builder::new().spawn(serve).expect("there is room for a thread");
            }
        };
        thread::Builder::new().spawn(accept).expect("there is room for a thread");
        Self { address, shared, unaccepted: None }
    }

    /// On how many connections it is silent, or was.
    pub fn silent(&self) -> u64 {
        self.shared.silent.load(Ordering::Relaxed)
    }
}

impl Silent {
    /// How many acknowledgements have come of a snapshot that came as chunks.
    pub fn acks(&self) -> u64 {
        self.shared.acks.load(Ordering::Relaxed)
    }
}

impl Drop for Silent {
    #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Relaxed);
        if self.unaccepted.is_none() {
            // The listening thread looks at the flag when the next connection comes.
            drop(TcpStream::connect(&self.address));
        }
    }
}

#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn serve(mut replica: &TcpStream, script: &Script, shared: &Shared) -> io::Result<()> {
    let mut input = BufReader::new(replica);
    loop {
        let words = command(&mut input)?;
        let offer;
        let answer = match (words[0].to_uppercase().as_str(), script.stage) {
            ("PING", _) => "+PONG\r\n",
            ("PSYNC", Stage::Psync) | ("AUTH", Stage::Auth) => break,
            ("PSYNC", _) => match &script.snapshot {
                Snapshot::Here(snapshot) => {
                    play(replica, script, snapshot, shared)?;
                    break;
                }
                Snapshot::Parts(parts) => {
                    offer = format!("+SNAPSHOT {REPLID} {}\r\n\n", parts.len());
                    &offer
                }
            },
            ("KEYLANE", stage) => {
                if !matches!(stage, Stage::Waiting | Stage::WaitingAlive) {
                    replica.write_all(b"+OK\r\n")?;
                    play_part(replica, script, &words[3], shared)?;
                }
                break;
            }
            ("REPLCONF", stage) if words[1] == "ACK" => {
                let is_first = shared.acks.fetch_add(1, Ordering::Relaxed) == 0;
                if is_first && stage == Stage::Streaming { STREAM } else { "" }
            }
            _ => "+OK\r\n",
        };
        replica.write_all(answer.as_bytes())?;
    }
    shared.silent.fetch_add(1, Ordering::Relaxed);
    while script.stage != Stage::Closes && !shared.gone.load(Ordering::Relaxed) {
        thread::park_timeout(LOOK);
    }
    Ok(())
}

/// Answers PSYNC, and goes on up to where the primary falls silent.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn play(replica: &TcpStream, script: &Script, snapshot: &[u8], shared: &Shared) -> io::Result<()> {
    let Script { stage, pause, .. } = script;
    let say = |bytes: &[u8]| (&*replica).write_all(bytes);
    say(format!("+FULLRESYNC {REPLID} 0\r\n").as_bytes())?;
    let header = format!("${}\r\n", snapshot.len());
    let one_by_one = |bytes: &mut dyn Iterator<Item = u8>| {
        shared.silent.fetch_add(1, Ordering::Relaxed);
        for byte in bytes.take_while(|_| !shared.gone.load(Ordering::Relaxed)) {
            say(&[byte])?;
            thread::park_timeout(*pause);
        }
        Ok(())
    };
    let half = snapshot.len() / 2;
    match stage {
        Stage::Syn | Stage::Auth | Stage::Psync | Stage::Waiting => Ok(()),
        Stage::WaitingAlive => one_by_one(&mut std::iter::repeat(b'\n')),
        Stage::FirstBytes => say(&[header.as_bytes(), &snapshot[..5]].concat()),
        Stage::Middle => say(&[header.as_bytes(), &snapshot[..half]].concat()),
        Stage::Trickle => {
            say(&[header.as_bytes(), &snapshot[..half]].concat())?;
            one_by_one(&mut snapshot[half..].iter().copied())
        }
        Stage::Committing | Stage::Closes => say(&[header.as_bytes(), snapshot].concat()),
        Stage::Streaming => say(&[header.as_bytes(), snapshot, STREAM.as_bytes()].concat()),
        Stage::BackingOff => say(b"$9\r\nNOT REDIS"),
    }
}

/// What stands behind a snapshot.
const STREAM: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n\
                      *3\r\n$3\r\nSET\r\n$8\r\nstreamed\r\n$1\r\n1\r\n";

/// Sends what one connection brings, up to where the primary falls silent.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn play_part(
    mut replica: &TcpStream,
    script: &Script,
    connection: &str,
    shared: &Shared,
) -> io::Result<()> {
    let Script { stage, snapshot: Snapshot::Parts(parts), pause } = script else { return Ok(()) };
    let part = connection.parse().ok().and_then(|number: usize| parts.get(number));
    let part = part.ok_or_else(|| io::Error::other("there is no such connection"))?;
    let half = part.len() / 2;
    match stage {
        Stage::Syn | Stage::Auth | Stage::Psync | Stage::Waiting | Stage::WaitingAlive => Ok(()),
        Stage::FirstBytes => replica.write_all(&part[..5]),
        Stage::Middle => replica.write_all(&part[..half]),
        Stage::Trickle => {
            replica.write_all(&part[..half])?;
            shared.silent.fetch_add(1, Ordering::Relaxed);
            for byte in &part[half..] {
                if shared.gone.load(Ordering::Relaxed) {
                    break;
                }
                replica.write_all(&[*byte])?;
                thread::park_timeout(*pause);
            }
            Ok(())
        }
        Stage::Committing | Stage::Streaming | Stage::Closes => replica.write_all(part),
        Stage::BackingOff => replica.write_all(b"These bytes are no chunk."),
    }
}

/// A command of the replica.
fn command(input: &mut impl BufRead) -> io::Result<Vec<String>> {
    let count = number(input, '*')?;
    let word = |_| {
        let mut text = vec![0; number(input, '$')?];
        input.read_exact(&mut text)?;
        input.read_exact(&mut [0; 2])?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    (0..count).map(word).collect()
}

fn number(input: &mut impl BufRead, mark: char) -> io::Result<usize> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let number = line.strip_prefix(mark).and_then(|rest| rest.trim_end().parse().ok());
    number.ok_or_else(|| io::Error::other(format!("not a command: {line:?}")))
}

/// A snapshot with these strings, in the form of Redis 7.2; its checksum says that there is none.
pub fn snapshot(name: &str, keys: usize, value_bytes: usize) -> Vec<u8> {
    let mut bytes = b"REDIS0011\xfe\x00".to_vec();
    let put = |bytes: &mut Vec<u8>, text: &[u8]| {
        bytes.push(0x80);
        bytes.extend_from_slice(&u32::try_from(text.len()).expect("it is short").to_be_bytes());
        bytes.extend_from_slice(text);
    };
    let value = vec![b'v'; value_bytes];
    for key in 0..keys {
        bytes.push(0);
        put(&mut bytes, format!("{name}:{key}").as_bytes());
        put(&mut bytes, &value);
    }
    bytes.extend_from_slice(b"\xff\0\0\0\0\0\0\0\0");
    bytes
}
