//! Servers that belong together: forming them, who has which slots, and when all is well again.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::measurements::leaving::mix::{Conditions, Form, Mix};
use crate::measurements::leaving::node::{NODE_TIMEOUT_MS, Node, first_port, wait};
use crate::measurements::leaving::slots::{keys, slots};
use crate::options::Options;
use crate::servers::client::{Reply, write_request};

/// How long servers may take until all agree and all replicas are linked.
const SETTLE_PATIENCE: Duration = Duration::from_secs(180);
/// How long keys may take to be read.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// Keys that are read at once.
const READ_DEPTH: usize = 50;
/// So many node timeouts after its election a Redis takes part in no other.
const ELECTION_TIMEOUTS: u32 = 4;
/// Bytes of the values of a fill.
const FILL_BYTES: usize = 1000;
/// Keys in its pipelines: what a socket takes, though the server may not read.
const FILL_DEPTH: u64 = 50;
/// Hash tags of its keys: so many slots of a range have some, of whatever shard.
const FILL_TAGS: usize = 500;

/// The servers of a row.
#[derive(Debug)]
pub struct Cluster {
    /// How they belong together.
    pub form: Form,
    /// Ranges of slots, each of which one primary has.
    pub ranges: usize,
    /// All servers, whether they run or not.
    pub nodes: Vec<Node>,
}

/// A server as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    id: String,
    port: u16,
    is_myself: bool,
    /// Without `myself`.
    flags: String,
    primary: String,
    epoch: u64,
    slots: String,
}

impl Cluster {
    /// Starts the servers, and makes a whole of them.
    pub fn start(mix: &Mix, conditions: &Conditions, options: &Options) -> Result<Self, String> {
        let mut port = first_port();
        let mut nodes = Vec::new();
        for kind in &mix.kinds {
            let node = Node::start(kind, port, (mix, conditions), options)?;
            port = node.port + 1;
            nodes.push(node);
        }
        let cluster = Self { form: mix.form, ranges: mix.primaries, nodes };
        match mix.form {
            Form::Pair => cluster.follow(1, 0)?,
            Form::Cluster => cluster.form(mix)?,
        }
        cluster.settle("made")?;
        if conditions.save {
            cluster.fill(options.keys)?;
        }
        Ok(cluster)
    }

    fn form(&self, mix: &Mix) -> Result<(), String> {
        for (place, node) in self.nodes.iter().enumerate() {
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()])?;
            if place < self.ranges {
                let slots = slots(place, self.ranges);
                let (first, last) = (slots.start.to_string(), (slots.end - 1).to_string());
                node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
            }
        }
        let port = self.nodes[0].port.to_string();
        for node in &self.nodes[1..] {
            node.ask(&["CLUSTER", "MEET", "127.0.0.1", &port])?;
        }
        wait("the nodes do not meet", SETTLE_PATIENCE, || {
            Ok(self.views()?.iter().all(|view| {
                let is_whole = |line: &Line| line.port != 0 && !line.flags.contains("handshake");
                view.len() == self.nodes.len() && view.iter().all(is_whole)
            }))
        })?;
        for (place, node) in self.nodes.iter().enumerate() {
            if let Some(primary) = mix.primary_of(place) {
                let id = self.nodes[primary].ask(&["CLUSTER", "MYID"])?;
                node.ask(&["CLUSTER", "REPLICATE", &id])?;
            }
        }
        Ok(())
    }

    /// Lets a server outside of a cluster follow another.
    pub fn follow(&self, replica: usize, primary: usize) -> Result<(), String> {
        let port = self.nodes[primary].port.to_string();
        self.nodes[replica].ask(&["REPLICAOF", "127.0.0.1", &port]).map(drop)
    }

    /// Writes so many keys to each primary.
    fn fill(&self, count: u64) -> Result<(), String> {
        let value = "v".repeat(FILL_BYTES);
        for (range, tags) in keys("fill", FILL_TAGS, self.ranges).iter().enumerate() {
            let mut connection = self.nodes[self.owner(range)?].connect()?;
            connection.fill_with(0..count, FILL_DEPTH, b"+OK\r\n", |out, number| {
                let tag = &tags[usize::try_from(number).unwrap_or(0) % FILL_TAGS];
                write_request(out, &["SET", &format!("{{{tag}}}:{number}"), &value]);
            })?;
        }
        self.settle("filled")
    }

    /// Waits until all servers agree, and each replica is linked with its primary.
    pub fn settle(&self, what: &str) -> Result<(), String> {
        let settled = wait("the servers do not settle", SETTLE_PATIENCE, || {
            if self.form == Form::Cluster {
                self.agree()?;
            }
            self.are_linked()?;
            Ok(true)
        });
        settled.map_err(|error| format!("{what}: {error}\n{}", self.describe()))
    }

    /// Whether all see the same; an error says what they do not.
    fn agree(&self) -> Result<(), String> {
        let views = self.views()?;
        let Some(first) = views.first() else { return Err("no node runs".into()) };
        for (view, node) in views.iter().zip(&self.nodes) {
            if view != first {
                return Err(format!("{} does not see what the first node sees", node.name()));
            }
            if !node.ask(&["CLUSTER", "INFO"])?.contains("cluster_state:ok") {
                return Err(format!("{} says that the cluster is not ok", node.name()));
            }
        }
        let settled = |line: &Line| matches!(line.flags.as_str(), "master" | "slave");
        let primaries = first.iter().filter(|line| line.flags == "master").count();
        if first.len() != self.nodes.len() || !first.iter().all(settled) {
            return Err("not all nodes are known as primaries or replicas".into());
        }
        if primaries != self.ranges {
            return Err(format!("{primaries} nodes are primaries"));
        }
        Ok(())
    }

    /// Whether all replicas are linked; an error says which is not.
    fn are_linked(&self) -> Result<(), String> {
        let mut online = 0;
        let mut replicas = 0;
        for node in &self.nodes {
            let text = node.ask(&["INFO", "replication"])?;
            online += text.matches("state=online").count();
            if text.contains("role:slave") {
                replicas += 1;
                if !text.contains("master_link_status:up") {
                    return Err(format!("{} is not linked", node.name()));
                }
            }
        }
        if replicas + self.ranges != self.nodes.len() || online != replicas {
            return Err(format!("{online} of {replicas} replicas are online"));
        }
        Ok(())
    }

    /// What each node that answers sees, in one order, and without what only it sees.
    fn views(&self) -> Result<Vec<Vec<Line>>, String> {
        let nodes = self.nodes.iter().filter(|node| node.answers());
        nodes
            .map(|node| {
                let mut lines = view(node)?;
                lines.iter_mut().for_each(|line| line.is_myself = false);
                lines.sort();
                Ok(lines)
            })
            .collect()
    }

    /// The place of the primary of a range, as it says itself.
    pub fn owner(&self, range: usize) -> Result<usize, String> {
        let mut found = None;
        for (place, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.answers()) {
            let epoch = match self.form {
                Form::Pair => {
                    let text = node.ask(&["INFO", "replication"])?;
                    text.contains("role:master").then_some(0)
                }
                Form::Cluster => {
                    let lines = view(node)?;
                    let own = lines.into_iter().find(|line| line.is_myself);
                    let first = slots(range, self.ranges).start;
                    let own = own.filter(|line| line.flags == "master" && line.has(first));
                    own.map(|line| line.epoch)
                }
            };
            found = found.max(epoch.map(|epoch| (epoch, place)));
        }
        let (_, place) = found.ok_or(format!("no node is the primary of range {range}"))?;
        Ok(place)
    }

    /// The places of the replicas of a primary.
    pub fn replicas(&self, primary: usize) -> Result<Vec<usize>, String> {
        if self.form == Form::Pair {
            return Ok(vec![1 - primary]);
        }
        let lines = view(&self.nodes[primary])?;
        let own = lines.iter().find(|line| line.is_myself);
        let id = own.map(|line| line.id.clone()).unwrap_or_default();
        let replicas = lines.iter().filter(|line| line.primary == id);
        let places =
            replicas.filter_map(|line| self.nodes.iter().position(|node| node.port == line.port));
        Ok(places.collect())
    }

    /// The primary of a range that knows how to hand over: if the one there is does not, one of
    /// its replicas takes its place first.
    pub fn leaver(&mut self, range: usize) -> Result<usize, String> {
        let owner = self.owner(range)?;
        let mut leaver = owner;
        if !self.nodes[owner].hands_over {
            let replicas = self.replicas(owner)?;
            let able = replicas.into_iter().find(|place| self.nodes[*place].hands_over);
            leaver = able.ok_or(format!("no server of range {range} knows how to hand over"))?;
            self.nodes[leaver].ask(&["CLUSTER", "FAILOVER"])?;
            wait("CLUSTER FAILOVER comes to nothing", SETTLE_PATIENCE, || {
                Ok(self.owner(range)? == leaver)
            })?;
            self.settle("after CLUSTER FAILOVER")?;
        }
        self.await_electable(leaver)?;
        Ok(leaver)
    }

    /// Waits until a replica of a primary may be elected: a Redis waits after its last election.
    fn await_electable(&self, primary: usize) -> Result<(), String> {
        let pause = Duration::from_millis(NODE_TIMEOUT_MS) * ELECTION_TIMEOUTS;
        let replicas = self.replicas(primary)?;
        let waits = replicas.iter().map(|place| {
            let node = &self.nodes[*place];
            let elected = node.elected.filter(|_| !node.hands_over);
            elected.map_or(Duration::ZERO, |at| pause.saturating_sub(at.elapsed()))
        });
        let shortest = waits.min().unwrap_or_default();
        if !shortest.is_zero() {
            thread::sleep(shortest + Duration::from_secs(1));
        }
        Ok(())
    }

    /// Takes down that a node was elected.
    pub fn note_election(&mut self, place: usize) {
        self.nodes[place].elected = Some(Instant::now());
    }

    /// What keys of a range hold, as its primary says: those that are there.
    pub fn read(&self, range: usize, keys: &[String]) -> Result<BTreeMap<String, String>, String> {
        let mut found = BTreeMap::new();
        wait("keys cannot be read", READ_PATIENCE, || {
            found.clear();
            let mut connection = self.nodes[self.owner(range)?].connect()?;
            for part in keys.chunks(READ_DEPTH) {
                let mut requests = Vec::new();
                part.iter().for_each(|key| write_request(&mut requests, &["GET", key]));
                connection.send(&requests)?;
                for key in part {
                    if let Reply::Bulk(bytes) = connection.receive()? {
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        found.insert(key.clone(), text);
                    }
                }
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// Removes keys of a range.
    pub fn remove(&self, range: usize, keys: &[String]) -> Result<(), String> {
        wait("keys cannot be removed", READ_PATIENCE, || {
            let mut connection = self.nodes[self.owner(range)?].connect()?;
            keys.iter().try_for_each(|key| connection.call(&["DEL", key]).map(drop))?;
            Ok(true)
        })
    }

    /// What servers see and wrote last.
    pub fn describe(&self) -> String {
        let words: &[&str] = match self.form {
            Form::Cluster => &["CLUSTER", "NODES"],
            Form::Pair => &["INFO", "replication"],
        };
        let text = |node: &Node| {
            let said = if node.answers() { node.ask(words) } else { Err("(silent)".into()) };
            let said = said.unwrap_or_else(|error| error);
            format!("--- {}\n{said}\n{}\n", node.name(), node.last_words(8))
        };
        self.nodes.iter().map(text).collect()
    }

    /// Has the folders of all servers stay; says where they are.
    pub fn keep_dirs(&mut self) -> String {
        let dirs: Vec<String> = self.nodes.iter_mut().map(Node::keep_dir).collect();
        format!("logs are in {}", dirs.join(" "))
    }
}

/// What a node sees.
fn view(node: &Node) -> Result<Vec<Line>, String> {
    let text = node.ask(&["CLUSTER", "NODES"])?;
    let lines =
        text.lines().map(|text| Line::parse(text).ok_or(format!("no line of a node: {text}")));
    lines.collect()
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(' ').collect();
        let [id, address, flags, primary, _, _, epoch, _, slots @ ..] = fields.as_slice() else {
            return None;
        };
        let is_myself = flags.split(',').any(|flag| flag == "myself");
        let flags: Vec<&str> = flags.split(',').filter(|flag| *flag != "myself").collect();
        Some(Self {
            id: (*id).to_owned(),
            port: address.split('@').next()?.rsplit_once(':')?.1.parse().ok()?,
            is_myself,
            flags: flags.join(","),
            primary: (*primary).to_owned(),
            epoch: epoch.parse().ok()?,
            slots: slots.join(" "),
        })
    }

    fn has(&self, slot: usize) -> bool {
        self.slots.split(' ').any(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let bounds = (first.parse::<usize>(), last.parse::<usize>());
            matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&slot))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_nodes() {
        let text = "07c3 127.0.0.1:11004@21004,host myself,master - 0 142 7 connected 0-5460 9000";
        let line = Line::parse(text).unwrap();
        assert_eq!((line.id.as_str(), line.port, line.epoch), ("07c3", 11004, 7));
        assert!(line.is_myself && line.flags == "master" && line.primary == "-");
        assert!(line.has(0) && line.has(5460) && line.has(9000));
        assert!(!line.has(5461));
        let text = "1f8a :0@0 slave,fail,noaddr 07c3 0 142 7 disconnected";
        let line = Line::parse(text).unwrap();
        assert_eq!((line.port, line.flags.as_str()), (0, "slave,fail,noaddr"));
        assert!(!line.is_myself && !line.has(0));
        assert_eq!(Line::parse("07c3 127.0.0.1:11004@21004 master"), None);
    }
}
