//! A primary's snapshot that comes by several connections. This stands for `relay::inchunks` and
//! `relay::opening`: of keys there is only the number of a snapshot, which each connection says.

use keylane::replication::address::Address;
use keylane::replication::history::Scalar;
use keylane::replication::lines::Lines;
use keylane::replication::link::events::{Event, Generation, News};
use keylane::replication::moment::Moment;
use keylane::replication::replid::ReplId;
use shards::resp::request;

use crate::agenda::Env;
use crate::checks::SnapshotId;
use crate::network::{ConnId, Tried};
use crate::node::Node;
use crate::node::dial::{Dial, DialState};
use crate::node::letters::Letter;
use crate::node::upstream::Upstream;

/// A connection that the primary has not agreed on.
#[derive(Debug)]
pub struct Opening {
    pub number: u16,
    pub dial: Dial,
    lines: Lines,
}

/// A snapshot that is being taken in.
#[derive(Debug)]
pub struct Inchunks {
    generation: Generation,
    until: Moment,
    opening: Vec<Opening>,
    open: Vec<Part>,
    /// There is room: what comes is read.
    takes_in: bool,
    /// What all connections say, and the shards that have not staged it.
    staging: Option<(ReplId, Scalar, usize)>,
}

/// What comes by one connection.
#[derive(Debug)]
struct Part {
    conn: ConnId,
    bytes: Vec<u8>,
    /// Ends of lines among them.
    line_ends: usize,
}

impl Opening {
    /// Begins to connect, and to ask for something.
    pub fn begin(
        (generation, number): (Generation, u16),
        node: &Node,
        primary: &Address,
        words: &[&[u8]],
        env: &mut Env,
    ) -> Self {
        let mut dial = Dial::begin(generation, node, primary, env);
        request::write(&mut dial.out, words);
        Self { number, dial, lines: Lines::default() }
    }

    /// Goes on. When the primary has agreed: what has come behind that.
    pub fn go_on(&mut self, node: usize, env: &mut Env) -> Result<Option<Vec<u8>>, String> {
        let over = || "a further connection has ended".to_owned();
        if self.dial.news() == Some(false) || !self.dial.write(node, env) {
            return Err(over());
        }
        if self.dial.state != DialState::Open {
            return Ok(None);
        }
        let came = match env.read(self.dial.conn, node, 1000) {
            Tried::Moved(bytes) => bytes,
            Tried::Later => return Ok(None),
            Tried::Over => return Err(over()),
        };
        let mut at = 0;
        let line = self.lines.take(&came, &mut at).map_err(|failure| failure.to_string())?;
        match line {
            None => Ok(None),
            Some(line) if line.starts_with(b"+") => Ok(Some(came[at..].to_vec())),
            Some(_) => Err("a further connection is refused".to_owned()),
        }
    }
}

impl Part {
    /// Whether all of it has come: a line that says what it is, and another one.
    fn has_ended(&self) -> bool {
        1 < self.line_ends
    }

    fn take(&mut self, bytes: &[u8]) {
        self.line_ends += bytes.iter().filter(|byte| **byte == b'\n').count();
        self.bytes.extend_from_slice(bytes);
    }

    /// The snapshot, and where it is in which stream.
    fn says(&self) -> (SnapshotId, ReplId, Scalar) {
        let text = String::from_utf8_lossy(&self.bytes);
        let words: Vec<&str> = text.split_whitespace().collect();
        let [number, name, offset, ..] = words.as_slice() else { panic!("no head: {text}") };
        let number = number.parse().expect("a snapshot has a number");
        let name = ReplId::parse(name.as_bytes()).expect("a stream has a name");
        (SnapshotId(number), name, Scalar(offset.parse().expect("a place is a number")))
    }
}

impl Inchunks {
    /// Connections that are not agreed on.
    pub fn dials(&mut self) -> impl Iterator<Item = &mut Dial> {
        self.opening.iter_mut().map(|opening| &mut opening.dial)
    }

    /// A shard has staged it.
    pub fn staged(&mut self, generation: Generation) {
        if let Some((_, _, outstanding)) = &mut self.staging
            && generation == self.generation
        {
            *outstanding -= 1;
        }
    }

    /// Goes on to connect, and takes what has come: how many bytes.
    fn go_on(&mut self, node: &Node, env: &mut Env) -> Result<u64, String> {
        if self.until < env.moment() && !self.opening.is_empty() {
            return Err("a connection for the snapshot was not answered".to_owned());
        }
        let (mut moved, mut left) = (0, Vec::new());
        for mut opening in std::mem::take(&mut self.opening) {
            match opening.go_on(node.run.node, env) {
                Ok(None) => left.push(opening),
                Ok(Some(bytes)) => {
                    let conn = opening.dial.conn;
                    let mut part = Part { conn, bytes: Vec::new(), line_ends: 0 };
                    part.take(&bytes);
                    self.open.push(part);
                }
                Err(why) => {
                    left.push(opening);
                    self.opening = left;
                    return Err(why);
                }
            }
        }
        self.opening = left;
        if !self.takes_in {
            return Ok(0);
        }
        for part in &mut self.open {
            while !part.has_ended() {
                match env.read(part.conn, node.run.node, 1000) {
                    Tried::Moved(bytes) => {
                        moved += bytes.len() as u64;
                        part.take(&bytes);
                    }
                    Tried::Later => break,
                    Tried::Over => return Err("a connection of the snapshot ended".to_owned()),
                }
            }
        }
        Ok(moved)
    }
}

impl Upstream {
    /// Opens connections for a snapshot. They are read when there is room for it.
    pub fn open_connections(
        &mut self,
        node: &mut Node,
        env: &mut Env,
        generation: Generation,
        (name, connections): (ReplId, u16),
    ) {
        let Some(primary) = self.link.observed().desired.primary.clone() else { return };
        let until = env.moment().after(env.setup.link_limits().step_ms);
        let open = |number: u16| {
            let text = number.to_string();
            let words = [b"KEYLANE", &b"SNAPSHOT"[..], name.as_bytes(), text.as_bytes()];
            Opening::begin((generation, number), node, &primary, &words, env)
        };
        let opening = (0..connections).map(open).collect();
        let (open, takes_in, staging) = (Vec::new(), false, None);
        self.chunks = Some(Inchunks { generation, until, opening, open, takes_in, staging });
    }

    /// There is room for the snapshot that comes by connections of its own.
    pub fn take_chunks_in(&mut self, node: &mut Node, env: &mut Env) {
        let Some(chunks) = &mut self.chunks else { return };
        chunks.takes_in = true;
        for shard in 0..node.shards.len() {
            node.relay_tells(env, shard, Letter::BeginStaging);
        }
    }

    /// Takes in what has come by connections of its own.
    pub fn go_on_with_chunks(&mut self, node: &mut Node, env: &mut Env) {
        let Some(chunks) = &mut self.chunks else { return };
        let generation = chunks.generation;
        let news = match chunks.go_on(node, env) {
            Err(why) => News::Closed(why),
            Ok(moved @ 1..) => {
                node.turn_at(env, env.agenda.now + 1);
                News::Moved(moved)
            }
            Ok(0) => match chunks.staging {
                Some((name, place, 0)) => {
                    self.end_chunks(node, env);
                    News::Brought(name, place)
                }
                Some(_) => return,
                None if chunks.takes_in
                    && chunks.opening.is_empty()
                    && chunks.open.iter().all(Part::has_ended) =>
                {
                    return self.stage_chunks(node, env);
                }
                None => return,
            },
        };
        self.happens(node, env, Event::Of(generation, news));
    }

    /// All has come: shards stage it.
    fn stage_chunks(&mut self, node: &mut Node, env: &mut Env) {
        let Some(chunks) = &mut self.chunks else { return };
        let said: Vec<_> = chunks.open.iter().map(Part::says).collect();
        assert!(said.iter().all(|other| *other == said[0]), "all connections bring one snapshot");
        let (snapshot, name, place) = said[0];
        self.brought_db = env.checks.snapshots[snapshot.0].db;
        chunks.staging = Some((name, place, node.shards.len()));
        for shard in 0..node.shards.len() {
            node.relay_tells(env, shard, Letter::Stage(chunks.generation, snapshot));
        }
    }

    /// Shuts the connections of a snapshot.
    pub fn end_chunks(&mut self, node: &mut Node, env: &mut Env) {
        let Some(Inchunks { opening, open, .. }) = self.chunks.take() else { return };
        let opening = opening.into_iter().map(|opening| opening.dial.conn);
        for conn in opening.chain(open.into_iter().map(|part| part.conn)) {
            node.close(env, conn);
        }
    }
}
