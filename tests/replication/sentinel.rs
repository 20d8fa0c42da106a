//! Three Sentinels over a primary with two replicas: the primary is killed, they promote a replica,
//! and the old one comes back as a replica; then once more by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::client::{Client, Reply};
use crate::compare::assert_equal;
use crate::load::Load;
use crate::matrix::WATCHED;
use crate::processes::{Server, free_port};
use crate::servers::{Kind, follow, info, until, wait_until_offsets_meet, wait_until_online};
use crate::{SEED, Tally, say};

/// The name under which Sentinels know the primary.
const NAME: &str = "watched";
/// How many there are, and how many of them must agree.
const SENTINELS: usize = 3;
const QUORUM: usize = 2;
/// After this time without an answer a server counts as down, and how long a failover may take. An
/// election without a winner is held again after twice that time.
const DOWN_AFTER_MS: u64 = 1_000;
const FAILOVER_MS: u64 = 5_000;
/// How often Sentinels look, in milliseconds: usually it is every second to every ten.
const HURRIED: &[&str] = &[
    "SENTINEL",
    "DEBUG",
    "info-period",
    "200",
    "ping-period",
    "200",
    "ask-period",
    "200",
    "publish-period",
    "200",
    "tilt-period",
    "500",
];
/// Commands before a failover.
const COMMANDS: u64 = 1_500;

#[test]
fn sentinels_promote_a_replica_and_take_the_old_primary_back() {
    let mut tally = Tally::new("sentinel");
    // A Sentinel is a Valkey in another mode.
    let Some(program) = Kind::Valkey91.program() else {
        say(&format!("sentinel: {} rows NOT PLAYED for want of valkey-9.1", WATCHED.len()));
        return;
    };
    for kinds in WATCHED {
        if tally.takes(kinds) {
            watch(kinds, &program);
        }
    }
    tally.tell();
}

fn watch(kinds: &[Kind; 3], program: &Path) {
    let mut servers = kinds.map(|kind| kind.start(&[]).expect("the tally found it"));
    let all: Vec<&Server> = servers.iter().collect();
    let mut load = Load::for_servers(SEED, kinds, &all);
    for replica in &servers[1..] {
        follow(replica, &servers[0].addr);
        wait_until_online(&servers[0], replica);
    }
    let sentinels = Sentinels::start(program, &servers[0].addr);
    sentinels.wait_until_all_is_known();
    write(&mut load, &servers, 0);

    servers[0].kill();
    let promoted = sentinels.promoted(&servers, 0);
    let others: Vec<usize> = (1..servers.len()).filter(|at| *at != promoted).collect();
    wait_until_following(&servers, promoted, &others);
    write(&mut load, &servers, promoted);
    servers[0].start_again();
    wait_until_following(&servers, promoted, &[0]);
    compare(&load, &servers, promoted);

    sentinels.wait_until_all_is_known();
    let second = sentinels.fail_over(&servers, promoted);
    let others: Vec<usize> = (0..servers.len()).filter(|at| *at != second).collect();
    wait_until_following(&servers, second, &others);
    write(&mut load, &servers, second);
    compare(&load, &servers, second);
    let names = kinds.map(Kind::name);
    say(&format!(
        "{}: number {promoted} was promoted after a SIGKILL, then {second} by hand; all are equal",
        names.join(", ")
    ));
}

fn write(load: &mut Load, servers: &[Server], primary: usize) {
    let part = load.begin(COMMANDS);
    load.send(part, &servers[primary]);
    // What is not there yet when the primary is killed is lost, as replication is asynchronous.
    let is_there = |server: &Server| Client::connect(&server.addr).is_ok();
    for (at, server) in servers.iter().enumerate() {
        if at != primary && is_there(server) {
            wait_until_offsets_meet(&servers[primary], server);
        }
    }
}

fn wait_until_following(servers: &[Server], primary: usize, replicas: &[usize]) {
    for at in replicas {
        let port = servers[primary].addr.rsplit_once(':').expect("an address has a port").1;
        let follows = || {
            let fields = info(&servers[*at], "replication");
            fields.get("master_port").is_some_and(|found| found == port)
        };
        until("the new primary is followed", follows, || servers[*at].output());
        wait_until_online(&servers[primary], &servers[*at]);
    }
}

fn compare(load: &Load, servers: &[Server], primary: usize) {
    for (at, server) in servers.iter().enumerate() {
        if at != primary {
            assert_equal(&servers[primary], server, load);
        }
    }
}

/// Some Sentinels; they end with the value.
struct Sentinels(Vec<Sentinel>);

struct Sentinel {
    process: Child,
    address: String,
    folder: PathBuf,
}

impl Sentinels {
    /// Starts them to watch the primary at `address`.
    fn start(program: &Path, address: &str) -> Self {
        let program = fs::canonicalize(program).expect("the program was there just now");
        let started = (0..SENTINELS).map(|_| Sentinel::start(&program, address));
        Self(started.collect())
    }

    fn ask(&self, at: usize, words: &[&str]) -> Reply {
        let answer = Client::connect(&self.0[at].address).and_then(|mut client| client.call(words));
        answer.unwrap_or(Reply::Null)
    }

    /// What a Sentinel says of the primary.
    fn field(&self, at: usize, name: &str) -> Option<String> {
        let Reply::Group(_, fields) = self.ask(at, &["SENTINEL", "MASTER", NAME]) else {
            return None;
        };
        fields.chunks(2).find_map(|pair| match pair {
            [Reply::Bulk(field), Reply::Bulk(value)] if field == name.as_bytes() => {
                Some(String::from_utf8_lossy(value).into_owned())
            }
            _ => None,
        })
    }

    /// Waits until each of them knows the others and both replicas.
    fn wait_until_all_is_known(&self) {
        let others = (SENTINELS - 1).to_string();
        let known = || {
            (0..SENTINELS).all(|at| {
                self.field(at, "num-slaves").is_some_and(|count| count == "2")
                    && self.field(at, "num-other-sentinels").is_some_and(|count| count == others)
                    && self.field(at, "flags").is_some_and(|flags| flags == "master")
            })
        };
        until("Sentinels know each other and the replicas", known, || self.outputs());
    }

    /// Orders a failover, and again if it is given up: a sentinel that has not heard of it makes a
    /// replica again of who was promoted. Which of the servers is the primary then.
    fn fail_over(&self, servers: &[Server], before: usize) -> usize {
        // Until the last failover is over the order is refused.
        let order = || {
            let reply = self.ask(0, &["SENTINEL", "FAILOVER", NAME]);
            matches!(reply, Reply::Simple(text) if text == b"OK")
        };
        until("a failover is accepted", order, || self.outputs());
        let given_up = || self.outputs().matches("-failover-abort").count();
        let mut known = given_up();
        let mut found = None;
        let is_over = || {
            if known < given_up() && order() {
                known = given_up();
            }
            found = self.agreed(servers, before);
            found.is_some()
        };
        until("another primary is agreed on", is_over, || self.outputs());
        found.unwrap_or(before)
    }

    /// Waits until all of them agree on another primary; which of the servers it is.
    fn promoted(&self, servers: &[Server], before: usize) -> usize {
        let mut found = None;
        let is_over = || {
            found = self.agreed(servers, before);
            found.is_some()
        };
        until("another primary is agreed on", is_over, || self.outputs());
        found.unwrap_or(before)
    }

    /// Another primary than before, if all of them agree on it.
    fn agreed(&self, servers: &[Server], before: usize) -> Option<usize> {
        let primary = |at| match self.ask(at, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]) {
            Reply::Group(_, parts) => match parts.as_slice() {
                [Reply::Bulk(host), Reply::Bulk(port)] => {
                    let address = [host.as_slice(), port].join(&b':');
                    servers.iter().position(|server| server.addr.as_bytes() == address)
                }
                _ => None,
            },
            _ => None,
        };
        let found = primary(0).filter(|found| *found != before)?;
        let role = info(&servers[found], "replication").remove("role");
        let agree = (1..SENTINELS).all(|at| primary(at) == Some(found));
        (agree && role.is_some_and(|role| role == "master")).then_some(found)
    }

    fn outputs(&self) -> String {
        let text = |sentinel: &Sentinel| {
            fs::read_to_string(sentinel.folder.join("output")).unwrap_or_default()
        };
        self.0.iter().map(text).collect()
    }
}

impl Sentinel {
    fn start(program: &Path, address: &str) -> Self {
        let port = free_port();
        let parent = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, Into::into);
        let folder = parent.join(format!("sentinel-{port}"));
        fs::create_dir_all(&folder).expect("the folder for temporary files takes one more");
        let (host, primary) = address.rsplit_once(':').expect("an address has a port");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor {NAME} {host} {primary} {QUORUM}\n\
             sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n\
             sentinel failover-timeout {NAME} {FAILOVER_MS}\n",
            folder.display()
        );
        let file = folder.join("sentinel.conf");
        fs::write(&file, text).expect("the folder was just made");
        let output = fs::File::create(folder.join("output")).expect("the folder was just made");
        let process = Command::new(program)
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .expect("the program was there just now");
        let address = format!("127.0.0.1:{port}");
        let sentinel = Self { process, address, folder };
        let hurried = || {
            let client = Client::connect(&sentinel.address);
            let reply = client.and_then(|mut client| client.call(HURRIED));
            matches!(reply, Ok(Reply::Simple(_)))
        };
        until("a Sentinel answers", hurried, || {
            fs::read_to_string(sentinel.folder.join("output")).unwrap_or_default()
        });
        sentinel
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
