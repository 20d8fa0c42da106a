//! A node that gets frames of real servers with wrong bytes in them lives and serves, and its
//! nodes.conf can be read. `FRAMES=1000000 SEED=7 cargo test --test cluster hostile` plays longer.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use keylane::cluster::frame::{Body, HEADER_LEN, Packet, measure};
use shards::base::random::Random;

use crate::nodes::{ask, start};
use crate::processes::{Server, free_port, setting};
use crate::say;
use crate::servers::{Ends, Kind, until};

/// Frames if nothing else is asked for.
const FRAMES: u64 = 20_000;
/// Frames that are sent by one connection at most, then it is made anew.
const CONNECTION_FRAMES: u64 = 200;
const VALKEY: &[u8] = include_bytes!("../data/bus/valkey-9.1.2.bin");
const REDIS: &[u8] = include_bytes!("../data/bus/redis-7.0.15.bin");
const CONF: &str = include_str!("../data/bus/valkey-9.1.2.nodes.conf");
/// Bytes of a gossip entry, and where its ports are in it.
const ENTRY_LEN: usize = 104;
const ENTRY_PORTS: [usize; 3] = [94, 96, 100];
/// Where a header's ports are.
const HEADER_PORTS: [usize; 3] = [10, 2246, 2248];

#[test]
fn a_node_lives_with_any_frames() {
    let (frames, seed) = (setting("FRAMES").unwrap_or(FRAMES), setting("SEED").unwrap_or(1));
    let sink = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = sink.local_addr().expect("it has a name").port();
    let conf = Conf::new(port);
    let file = conf.0.display().to_string();
    let (mut node, bus_port) = begin(&file);
    let is_over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let is_over = &is_over;
        scope.spawn(move || answer(&sink, seed, port, is_over));
        let _ends = Ends(is_over);
        let mut attack = Attack::new(seed, port);
        attack.run(&mut node, bus_port, frames);
        attack
    });
    assert!(!node.has_ended(), "seed {seed}:\n{}", node.output());
    let info = ask(&node, &["CLUSTER", "INFO"]);
    let received = info.lines().find(|line| line.starts_with("cluster_stats_messages_received:"));
    let received = received.expect("CLUSTER INFO has it").trim_end();
    let received: u64 = received.rsplit(':').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(frames / 10 < received, "seed {seed}: few frames were read: {info}");
    let used = memory(&node);
    assert!(used < 200 << 20, "seed {seed}: {used} bytes are in use");
    assert_eq!(ask(&node, &["CLUSTER", "SAVECONFIG"]), "OK", "seed {seed}");
    assert_eq!(ask(&node, &["PING"]), "PONG", "seed {seed}");
    node.kill();
    node.start_again();
    assert!(!ask(&node, &["CLUSTER", "NODES"]).is_empty(), "seed {seed}");
    say(&format!(
        "{} frames sent by {} connections, seed {seed}: {received} were read, {used} bytes in use",
        sent.frames, sent.connections
    ));
}

/// A nodes.conf that knows the recorded nodes, at the address of the test.
struct Conf(PathBuf);

impl Conf {
    fn new(port: u16) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("hostile-{}-{port}.conf", std::process::id()));
        let line = |line: &str| match line.split_once(" 127.0.0.1:") {
            Some((id, rest)) => {
                let names = rest.find([',', ' ']).map_or("", |at| &rest[at..]);
                format!("{id} 127.0.0.1:{port}@{port}{names}\n")
            }
            None => format!("{line}\n"),
        };
        fs::write(&path, CONF.lines().map(line).collect::<String>()).expect("the folder is there");
        Self(path)
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // What is left behind is below the target folder.
        for end in ["", ".lock", ".tmp"] {
            let _ = fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

fn begin(file: &str) -> (Server, u16) {
    let bus_port = free_port();
    let port = bus_port.to_string();
    let options = ["--cluster-port", &port, "--cluster-config-file", file];
    (start(Kind::Keylane(2), &options), bus_port)
}

fn memory(node: &Server) -> u64 {
    let info = ask(node, &["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|number| number.trim_end().parse().ok()).expect("INFO has it")
}

/// Takes the connections of the node, to nodes and to primaries, and sends frames by them.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn answer(sink: &TcpListener, seed: u64, port: u16, is_over: &AtomicBool) {
    sink.set_nonblocking(true).expect("it can be set");
    let mut frames = Frames::new(seed + 1_000_000, port);
    let mut streams: Vec<(TcpStream, u64)> = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        while let Ok((stream, _)) = sink.accept() {
            stream.set_nonblocking(true).expect("it can be set");
            streams.push((stream, 0));
        }
        streams.retain_mut(|(stream, count)| {
            *count += 1;
            let frame = frames.next_one();
            *count < CONNECTION_FRAMES
                && drain(stream)
                && stream.write(&frame).is_ok_and(|n| n == frame.len())
        });
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Reads what there is. False if the connection has ended.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn drain(stream: &mut TcpStream) -> bool {
    let mut room = [0; 16 << 10];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Sends frames to a node.
struct Attack {
    made: Frames,
    frames: u64,
    connections: u64,
}

impl Attack {
    fn new(seed: u64, port: u16) -> Self {
        Self { made: Frames::new(seed, port), frames: 0, connections: 0 }
    }

    fn run(&mut self, node: &mut Server, bus_port: u16, frames: u64) {
        while self.frames < frames {
            assert!(!node.has_ended(), "{} frames:\n{}", self.frames, node.output());
            self.connect(node, bus_port, frames);
        }
    }

    /// Sends frames by one connection until the node closes it.
    fn connect(&mut self, node: &Server, bus_port: u16, frames: u64) {
        #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
        let connected = || TcpStream::connect(("127.0.0.1", bus_port)).ok();
        let mut stream = None;
        let connects = || {
            stream = connected();
            stream.is_some()
        };
        until("the node accepts", connects, || node.output());
        let mut stream = stream.expect("it was waited for");
        self.connections += 1;
        stream.set_read_timeout(Some(Duration::from_micros(50))).expect("it can be set");
        stream.set_write_timeout(Some(Duration::from_secs(10))).expect("it can be set");
        for _ in 0..CONNECTION_FRAMES {
            if frames <= self.frames {
                return;
            }
            self.frames += 1;
            // Some frames come in two pieces.
            let frame = self.made.next_one();
            let (one, other) = frame.split_at(self.made.cut(frame.len()));
            let is_sent = stream.write_all(one).is_ok() && stream.write_all(other).is_ok();
            if !is_sent || (self.frames.is_multiple_of(16) && !drain(&mut stream)) {
                return;
            }
        }
    }
}

/// Makes frames of those that were recorded.
struct Frames {
    recorded: Vec<Vec<u8>>,
    random: Random,
    port: [u8; 2],
}

impl Frames {
    fn new(seed: u64, port: u16) -> Self {
        let mut recorded = Vec::new();
        for mut bytes in [VALKEY, REDIS] {
            while !bytes.is_empty() {
                let (frame, rest) = bytes.split_at(measure(bytes).expect("it was recorded"));
                recorded.push(frame.to_vec());
                bytes = rest;
            }
        }
        Self { recorded, random: Random::new(seed), port: port.to_be_bytes() }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit.max(1) as u64)).expect("it is small")
    }

    /// Where a frame is cut: mostly nowhere.
    fn cut(&mut self, len: usize) -> usize {
        if self.below(10) == 0 { self.below(len) } else { 0 }
    }

    /// A frame that names no address but the test's: a node connects where frames say.
    fn next_one(&mut self) -> Vec<u8> {
        loop {
            let mut frame = self.changed();
            self.pin(&mut frame);
            if self.is_harmless(&frame) {
                return frame;
            }
        }
    }

    fn changed(&mut self) -> Vec<u8> {
        let place = self.below(self.recorded.len());
        let mut frame = self.recorded[place].clone();
        for _ in 0..self.below(6) {
            let at = self.below(frame.len());
            let has_header = HEADER_LEN <= frame.len();
            match if has_header { self.below(12) } else { usize::MAX } {
                // Numbers at the beginning decide most: type, counts, epochs, offset.
                0..3 => frame[8 + at % 32] = self.byte(),
                3 => frame[12..14].copy_from_slice(&[0, at.to_le_bytes()[0] % 12]),
                // Flags, state and marks, and what is behind them.
                4 => frame[2246 + at % 10] = self.byte(),
                5 => self.change_numbers(&mut frame),
                6 => self.change_sender(&mut frame),
                7 => frame.truncate(self.end(at)),
                8 => {
                    let other = self.below(self.recorded.len());
                    let tail = self.recorded[other][at.min(self.recorded[other].len())..].to_vec();
                    frame.truncate(self.end(at));
                    frame.extend_from_slice(&tail);
                }
                _ => frame[at] = self.byte(),
            }
        }
        // Nearly all say how long they are: a node reads nothing behind one that does not.
        if self.below(50) != 0 {
            let len = u32::try_from(frame.len()).expect("it is short");
            frame[4..8].copy_from_slice(&len.to_be_bytes());
        }
        frame
    }

    /// Where a frame ends: mostly behind its header, since a node closes links for others.
    fn end(&mut self, at: usize) -> usize {
        let least = if self.below(20) == 0 { 14 } else { HEADER_LEN };
        at.max(least)
    }

    /// Epochs and offset: greatest, none, or a little more.
    fn change_numbers(&mut self, frame: &mut [u8]) {
        let at = 16 + 8 * self.below(3);
        let number = match self.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => self.random.bits(),
            _ => self.random.below(40),
        };
        frame[at..at + 8].copy_from_slice(&number.to_be_bytes());
    }

    /// Another recorded node is the sender, or the primary.
    fn change_sender(&mut self, frame: &mut [u8]) {
        let other = self.below(self.recorded.len());
        let to = [40, 2128][self.below(2)];
        let id: [u8; 40] = match self.recorded[other].get(40..80).and_then(|id| id.try_into().ok())
        {
            Some(id) => id,
            None => return,
        };
        frame[to..to + 40].copy_from_slice(&id);
    }

    fn byte(&mut self) -> u8 {
        self.random.bits().to_be_bytes()[0]
    }

    /// Puts the test's port in the place of all ports, and no address in that of the sender's.
    fn pin(&self, frame: &mut [u8]) {
        if frame.len() < HEADER_LEN || frame[12] & 0x80 != 0 {
            return;
        }
        for at in HEADER_PORTS {
            frame[at..at + 2].copy_from_slice(&self.port);
        }
        frame[2168..2214].fill(0);
        for entry in frame[HEADER_LEN..].chunks_exact_mut(ENTRY_LEN) {
            for at in ENTRY_PORTS {
                entry[at..at + 2].copy_from_slice(&self.port);
            }
        }
    }

    fn is_harmless(&self, frame: &[u8]) -> bool {
        let Ok(Packet::Full(decoded)) = Packet::decode(frame) else { return true };
        let port = u16::from_be_bytes(self.port);
        let gossip = match &decoded.body {
            Body::Heartbeat(_, heartbeat) => heartbeat.gossip.as_slice(),
            _ => &[],
        };
        let is_ours = |entry: &keylane::cluster::frame::gossip::Entry| {
            entry.ip.is_none_or(|ip| ip.to_string() == "127.0.0.1") && entry.ports.bus == port
        };
        decoded.header.ports.bus == port
            && decoded.header.ip.is_none()
            && gossip.iter().all(is_ours)
    }
}
