//! A cluster of real processes, and what its nodes say of each other.

use std::process::{Command, Stdio};

use crate::client::Reply;
use crate::processes::{Server, free_port};
use crate::say;
use crate::servers::{Kind, client_program, now, until};

/// The node timeout, in milliseconds.
pub const NODE_TIMEOUT: u64 = 2000;
/// A key of slot 0, which the first primary has.
pub const KEY: &str = "{06S}key";

/// Nodes, the first half of which were the primaries at first.
pub struct Cluster {
    pub mix: String,
    pub nodes: Vec<Server>,
}

/// A node as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub id: String,
    pub address: String,
    /// Without `myself`.
    pub flags: String,
    pub primary: String,
    pub epoch: String,
    pub slots: Vec<String>,
}

/// Starts a node that knows no other.
pub fn start(kind: Kind, options: &[&str]) -> Server {
    let (timeout, bus_port) = (NODE_TIMEOUT.to_string(), free_port().to_string());
    let usual = ["--cluster-enabled", "yes", "--cluster-node-timeout", &timeout];
    let port = ["--cluster-port", &bus_port, "--repl-diskless-sync-delay", "0"];
    kind.start(&[&usual[..], &port, options].concat()).expect("the program is at hand")
}

impl Cluster {
    /// Starts the nodes, and has the tool make a cluster of them: primaries and their replicas.
    pub fn create(mix: &str, kinds: &[Kind], options: &[&str]) -> Self {
        let nodes: Vec<Server> = kinds.iter().map(|kind| start(*kind, options)).collect();
        let cluster = Self { mix: mix.to_owned(), nodes };
        let addresses: Vec<&str> = cluster.nodes.iter().map(|node| node.addr.as_str()).collect();
        let options = ["--cluster-replicas", "1", "--cluster-yes"];
        let said = tool(&[&["create"], &addresses[..], &options].concat());
        assert!(said.contains("[OK] All 16384 slots covered."), "{mix}: {said}");
        cluster.until_all_agree("made", |lines| {
            let replicas = lines.iter().filter(|line| line.flags == "slave").count();
            lines.len() == cluster.nodes.len() && 2 * replicas == lines.len()
        });
        cluster.until_replicas_are_online();
        cluster
    }

    /// Waits until all nodes that run see the same, and see it so.
    pub fn until_all_agree(&self, what: &str, is: impl Fn(&[Line]) -> bool) {
        let begin = now();
        let agree = || {
            let views: Vec<Vec<Line>> = self.views();
            let first = &views[0];
            let is_settled = |line: &Line| !line.flags.contains("fail?");
            is(first)
                && first.iter().all(is_settled)
                && views.iter().all(|view| view == first)
                && self.running().all(|node| ask(node, &["CLUSTER", "INFO"]).contains("state:ok"))
        };
        until(&format!("{}: {what}", self.mix), agree, || self.describe());
        let took = begin.elapsed();
        say(&format!("{}: {what}: all agree after {} ms", self.mix, took.as_millis()));
    }

    /// Waits until the first so many nodes know each other and no other, and agree.
    pub fn until_all_agree_of(&self, count: usize, what: &str) {
        let agree = || {
            let views: Vec<Vec<Line>> = self.nodes[..count].iter().map(view).collect();
            views[0].len() == count
                && views.iter().all(|view| *view == views[0])
                && self.nodes[..count]
                    .iter()
                    .all(|node| ask(node, &["CLUSTER", "INFO"]).contains("state:ok"))
        };
        until(&format!("{}: {what}", self.mix), agree, || self.describe());
    }

    /// Waits until no other node knows the node of this id.
    pub fn until_forgotten(&self, gone: &str) {
        let is_forgotten = || {
            let others = self.nodes.iter().filter(|node| id(node) != gone);
            others.into_iter().all(|node| !ask(node, &["CLUSTER", "NODES"]).contains(gone))
        };
        until(&format!("{}: forgotten", self.mix), is_forgotten, || self.describe());
    }

    /// Waits until all replicas are linked with their primaries.
    pub fn until_replicas_are_online(&self) {
        let online = || {
            self.running().all(|node| {
                let text = ask(node, &["INFO", "replication"]);
                text.contains("role:master") || text.contains("master_link_status:up")
            })
        };
        until(&format!("{}: replicas are online", self.mix), online, || self.describe());
    }

    /// The nodes whose processes run.
    pub fn running(&self) -> impl Iterator<Item = &Server> {
        self.nodes.iter().filter(|node| node.client_if_there().is_some())
    }

    /// What each node that runs sees, in one order.
    pub fn views(&self) -> Vec<Vec<Line>> {
        self.running().map(view).collect()
    }

    /// The place of the replica of the node at this place.
    pub fn replica_of(&self, primary: usize) -> usize {
        let id = id(&self.nodes[primary]);
        let lines = view(&self.nodes[primary]);
        let replica = lines.iter().find(|line| line.primary == id).expect("it has a replica");
        let at = self.nodes.iter().position(|node| node.addr == replica.address);
        at.expect("it is one of ours")
    }

    /// Whether the node at this place is a primary, as it says.
    pub fn is_primary(&self, node: usize) -> bool {
        ask(&self.nodes[node], &["INFO", "replication"]).contains("role:master")
    }

    /// What nodes say, and what they have written last.
    pub fn describe(&self) -> String {
        let text = |node: &Server| {
            let output = node.output();
            let tail: Vec<&str> = output.lines().rev().take(12).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            let lines = node.client_if_there().map(|_| ask(node, &["CLUSTER", "NODES"]));
            let lines = lines.unwrap_or_else(|| "(ended)\n".to_owned());
            format!("{} at {}\n{lines}{}\n", node.name, node.addr, tail.join("\n"))
        };
        self.nodes.iter().map(text).collect()
    }
}

/// What a node sees.
fn view(node: &Server) -> Vec<Line> {
    let text = ask(node, &["CLUSTER", "NODES"]);
    let mut lines: Vec<Line> = text.lines().map(line).collect();
    lines.sort();
    lines
}

fn line(text: &str) -> Line {
    let fields: Vec<&str> = text.split(' ').collect();
    let flags = fields[2].split(',').filter(|flag| *flag != "myself").collect::<Vec<_>>();
    Line {
        id: fields[0].to_owned(),
        address: fields[1].split('@').next().expect("there is a first part").to_owned(),
        flags: flags.join(","),
        primary: fields[3].to_owned(),
        epoch: fields[6].to_owned(),
        slots: fields[8..].iter().map(|slots| (*slots).to_owned()).collect(),
    }
}

/// The id of a node.
pub fn id(node: &Server) -> String {
    ask(node, &["CLUSTER", "MYID"])
}

/// Has a node that knows no other become the replica of a primary.
pub fn join(node: &Server, primary: &Server, about: &str) {
    meet(node, primary);
    let name = id(primary);
    let follows = || {
        // On a machine that is too busy the handshake has expired.
        if ask(node, &["CLUSTER", "INFO"]).contains("cluster_known_nodes:1\r") {
            meet(node, primary);
        }
        ask(node, &["CLUSTER", "REPLICATE", &name]) == "OK"
    };
    until(&format!("{about}: it follows"), follows, || node.output());
}

/// Has a node meet another one.
pub fn meet(node: &Server, other: &Server) {
    let (host, port) = other.addr.split_once(':').expect("it has a port");
    let nodes = ask(other, &["CLUSTER", "NODES"]);
    let own = nodes.lines().find(|line| line.contains("myself")).expect("it knows itself");
    let (_, bus) = own.split_once('@').expect("it names its bus");
    let bus = bus.split(|letter: char| !letter.is_ascii_digit()).next().expect("a port");
    assert_eq!(ask(node, &["CLUSTER", "MEET", host, port, bus]), "OK");
}

/// What a node replies, as text; an error begins with `-`.
pub fn ask(node: &Server, words: &[&str]) -> String {
    let reply = node.client().call(words).unwrap_or_else(|error| panic!("{}: {error}", node.name));
    match reply {
        Reply::Simple(text) | Reply::Bulk(text) | Reply::Verbatim(text) => {
            String::from_utf8_lossy(&text).into_owned()
        }
        Reply::Error(text) => format!("-{}", String::from_utf8_lossy(&text)),
        Reply::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// What `--cluster` of the tool says.
pub fn tool(words: &[&str]) -> String {
    let program = client_program().expect("valkey-cli or redis-cli is at hand");
    let mut command = Command::new(program);
    let output = command.arg("--cluster").args(words).stdin(Stdio::null()).output();
    let output = output.expect("the tool runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
