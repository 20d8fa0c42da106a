//! A link with a clock and an ear: what happens is words, what is asked for as well.

use crate::replication::address::Address;
use crate::replication::handshake::{Hello, SnapshotOffered};
use crate::replication::history::Scalar;
use crate::replication::limits::Limits;
use crate::replication::link::Link;
use crate::replication::link::events::{Action, By, Event, News, Point, Position};
use crate::replication::moment::Moment;
use crate::replication::replid::ReplId;
use crate::replication::split::Kind;

pub const ID: &str = "71fe5b53d9766a5a07cae29ac7d144ac6256b3a0";
pub const OTHER_ID: &str = "cb8350f51fa740e55c75289405ee2047c5072172";
pub const MARK: &str = "4e956cae98937cd570795536f2909f0d636ce515";
/// What a Keylane answers up to PSYNC.
pub const GREETED: &str = "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n";

pub fn id(text: &str) -> ReplId {
    ReplId::parse(text.as_bytes()).expect("it has 40 characters")
}

pub fn primary(port: u16) -> Address {
    Address { host: "10.0.0.1".to_string(), port }
}

pub struct Rig {
    pub link: Link,
    pub now: Moment,
    /// What was asked for since it was last read, without lines of the log.
    pub words: Vec<String>,
    pub lines: Vec<String>,
    pub snapshot: Vec<u8>,
    /// Whether units are taken as soon as they are there, and applied at once.
    pub applies: bool,
}

impl Rig {
    pub fn new() -> Self {
        let hello = Hello {
            listening_port: 7777,
            version: "9.1.2".to_string(),
            flows: true,
            ..Hello::default()
        };
        let now = Moment(1_000_000);
        Self {
            link: Link::new(hello, Limits::default(), now),
            now,
            words: Vec::new(),
            lines: Vec::new(),
            snapshot: Vec::new(),
            applies: true,
        }
    }

    pub fn handle(&mut self, event: Event<'_>) {
        let mut actions = Vec::new();
        self.link.handle(self.now, event, &mut actions);
        let has_units = actions.contains(&Action::Stream);
        self.note(actions);
        if has_units && self.applies {
            self.take_units();
        }
    }

    pub fn take_units(&mut self) {
        loop {
            let mut actions = Vec::new();
            let Some(unit) = self.link.next_unit(self.now, &mut actions) else {
                return self.note(actions);
            };
            let commands = unit.commands().map(|command| {
                let args = command.args().map(|arg| arg.escape_ascii().to_string());
                format!("{}>{}", command.db, args.collect::<Vec<_>>().join(" "))
            });
            let commands: Vec<String> = commands.collect();
            let word = match unit.kind {
                Kind::Commands => format!("unit[{}]", commands.join(", ")),
                Kind::Nothing => "unit[]".to_string(),
                Kind::GetAck => "getack".to_string(),
            };
            let end = unit.end();
            self.words.push(word);
            self.note(actions);
            self.handle(Event::Applied(end));
        }
    }

    fn note(&mut self, actions: Vec<Action<'_>>) {
        for action in actions {
            let word = match action {
                Action::Connect(generation, address) => {
                    format!("connect{}:{}", generation.0, address.port)
                }
                Action::Send(bytes) => format!("send[{}]", short(&bytes)),
                Action::Shut(generation) => format!("shut{}", generation.0),
                Action::HoldReads => "hold".to_string(),
                Action::ResumeReads => "read".to_string(),
                Action::BeginStaging(generation, form) => {
                    format!("stage{}:{form:?}", generation.0)
                }
                Action::StoreLogs(generation, offered) => {
                    format!("store{}:{}", generation.0, offered.at.vector)
                }
                Action::OpenConnections(generation, SnapshotOffered { connections, .. }) => {
                    format!("open{}:{connections}", generation.0)
                }
                Action::Snapshot(bytes) => {
                    self.snapshot.extend_from_slice(&bytes);
                    continue;
                }
                Action::EndSnapshot => "end".to_string(),
                Action::DropStaging(generation) => format!("drop{}", generation.0),
                Action::Commit(generation, at) => {
                    format!("commit{}:{}", generation.0, at.map_or(0, |(_, offset)| offset.0))
                }
                Action::Stream => continue,
                Action::Renamed { .. } => "renamed".to_string(),
                Action::Refused => "refused".to_string(),
                Action::Handover(handover) => format!("{handover:?}"),
                Action::Log(line) => {
                    let sign = if line.is_warning() { "# " } else { "" };
                    self.lines.push(format!("{sign}{line}"));
                    continue;
                }
            };
            self.words.push(word);
        }
    }

    /// What was asked for since the last look.
    pub fn said(&mut self) -> String {
        std::mem::take(&mut self.words).join(" ")
    }

    pub fn news(&mut self, news: News<'_>) {
        let generation = self.link.observed().generation;
        self.handle(Event::Of(generation, news));
    }

    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.news(News::Bytes(bytes.as_ref()));
    }

    pub fn tick_after(&mut self, millis: u64) {
        self.now = self.now.after(millis);
        self.handle(Event::Tick);
    }

    pub fn follow(&mut self, port: u16) {
        let position = Position { id: id(ID), offset: Scalar(100), db: 2 };
        let point = Some(Point { position, vector: None });
        self.handle(Event::Follow {
            primary: primary(port),
            by: By::Replicaof,
            point,
            fence: None,
        });
    }

    pub fn status(&self) -> &'static str {
        self.link.observed().status.name()
    }

    /// The event that a word of [`EVENTS`] means.
    pub fn happen(&mut self, event: &str) {
        match event {
            "same" => self.follow(1),
            "other" => self.follow(2),
            "failover" => self.handle(Event::Follow {
                primary: primary(1),
                by: By::Failover,
                point: None,
                fence: None,
            }),
            "plainly" => self.handle(Event::AskPlainly),
            "unfollow" => self.handle(Event::Unfollow(By::Replicaof)),
            "connected" => self.news(News::Connected),
            "connect-failed" => self.news(News::ConnectFailed("refused".to_string())),
            "garbage" => self.bytes("?\r\n"),
            "closed" => self.news(News::Closed(String::new())),
            "full" => self.news(News::Full),
            "room" => self.news(News::Room),
            "moved" => self.news(News::Moved(9)),
            "brought" => self.news(News::Brought(id(OTHER_ID), Scalar(500))),
            "staged" => self.news(News::Staged),
            "staging-failed" => self.news(News::StagingFailed("odd".to_string())),
            "committed" => self.news(News::Committed { db: 3, vector: None }),
            "applied" => self.handle(Event::Applied(Scalar(107))),
            "tick" => self.handle(Event::Tick),
            "late" => self.tick_after(100_000),
            other => panic!("no event is called {other}"),
        }
    }

    /// A link in the state that a word of [`STATES`] means, with nothing said.
    pub fn at(state: &str) -> Self {
        let mut rig = Self::new();
        let steps: &[&str] = match state {
            "idle" => &[],
            "connecting" => &["same"],
            "greeting" => &["same", "connected"],
            "asking" => &["same", "connected", "greeted"],
            "header" => &["same", "connected", "greeted", "full-resync"],
            "body" => &["same", "connected", "greeted", "full-resync", "$10"],
            "whole" => &["same", "connected", "greeted", "full-resync", "$10", "rest"],
            "committing" => {
                &["same", "connected", "greeted", "full-resync", "$10", "rest", "staged"]
            }
            "superseded" => {
                &["same", "connected", "greeted", "full-resync", "$10", "rest", "staged", "other"]
            }
            "offered" => &["same", "connected", "greeted", "snapshot"],
            "chunks" => &["same", "connected", "greeted", "snapshot", "moved"],
            "brought" => &["same", "connected", "greeted", "snapshot", "moved", "brought"],
            "following" => &["same", "connected", "greeted", "continue"],
            "waiting" => &["same", "connected", "closed"],
            other => panic!("no state is called {other}"),
        };
        for step in steps {
            match *step {
                "greeted" => rig.bytes(GREETED),
                "full-resync" => rig.bytes(format!("+FULLRESYNC {OTHER_ID} 500\r\n")),
                "$10" => rig.bytes("$10\r\n0123"),
                "rest" => rig.bytes("456789"),
                "snapshot" => rig.bytes(format!("+SNAPSHOT {OTHER_ID} 3\r\n")),
                "continue" => rig.bytes(format!("+CONTINUE {ID}\r\n")),
                step => rig.happen(step),
            }
        }
        rig.words.clear();
        rig.lines.clear();
        rig
    }
}

/// Commands in short: `ack 7`, `psync`, `greeting`; a beat is `beat`.
fn short(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let args: Vec<&str> = text.split("\r\n").filter(|part| !part.starts_with(['*', '$'])).collect();
    match args.as_slice() {
        ["\n"] => "beat".to_string(),
        ["REPLCONF", "ACK", offset, ""] => format!("ack {offset}"),
        ["REPLCONF", ..] => "greeting".to_string(),
        ["PSYNC", _, offset, rest @ ..] => {
            format!("psync {offset} {}", rest.join("")).trim_end().to_string()
        }
        args => args.join(" ").trim_end().to_string(),
    }
}
