//! The servers that are compared: how a round is put to each.

use std::io;
use std::time::Duration;

use crate::client::{Client, Reply, push_request};
use crate::servers::{Server, start_keylane};
use crate::shapes::{Version, Words};

/// How long a reply may take. None of these commands does much.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest string: short enough that its end is within reach.
const LONGEST: &str = "1mb";

/// How the commands of a round are written and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Resp2,
    Resp3,
}

/// A server, started here or already there.
#[derive(Debug)]
pub struct Side {
    pub name: String,
    host: Host,
    client: Client,
}

#[derive(Debug)]
enum Host {
    /// Keylane with so many shards: it is started anew if it breaks.
    Keylane(usize, Server),
    Peer(Server),
    /// A server that another process started, at this address.
    Foreign(String),
}

/// What came of a round: the replies, and if there are not enough of them, why.
#[derive(Debug)]
pub struct Answers {
    pub replies: Vec<Reply>,
    pub broken: Option<String>,
}

impl Side {
    /// Starts Keylane.
    pub fn keylane(shards: usize) -> Self {
        let server = start_keylane(shards);
        Self::new(server.name.clone(), Host::Keylane(shards, server))
    }

    /// Takes a peer that was started.
    pub fn peer(server: Server) -> Self {
        Self::new(server.name.clone(), Host::Peer(server))
    }

    /// Takes a server that runs at `host:port`.
    pub fn foreign(address: &str) -> Self {
        Self::new(address.into(), Host::Foreign(address.into()))
    }

    fn new(name: String, host: Host) -> Self {
        let client = connect(&host).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, host, client }
    }

    /// What it printed last, which may say why it ended.
    pub fn last_words(&self) -> String {
        const LINES: usize = 8;
        let output = match &self.host {
            Host::Keylane(_, server) | Host::Peer(server) => server.output(),
            Host::Foreign(_) => String::new(),
        };
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Starts a Keylane anew, which may have ended or stand still.
    pub fn revive(&mut self) {
        if let Host::Keylane(shards, server) = &mut self.host {
            *server = start_keylane(*shards);
        }
    }

    /// Connects anew.
    pub fn reconnect(&mut self) {
        self.client = connect(&self.host).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Asks something outside of any round.
    pub fn ask<A: AsRef<[u8]>>(&mut self, words: &[A]) -> io::Result<Reply> {
        self.client.call(words)
    }

    /// Which of these commands it knows.
    pub fn known(&mut self, commands: &[String]) -> Vec<bool> {
        let words = [vec!["COMMAND".to_string(), "INFO".into()], commands.to_vec()].concat();
        let Ok(Reply::Group(_, members)) = self.ask(&words) else {
            panic!("{} does not tell which commands it knows", self.name);
        };
        members.iter().map(|member| matches!(member, Reply::Group(..))).collect()
    }

    /// What it is: a name and a version.
    pub fn version(&mut self) -> (String, Version) {
        let reply = self.ask(&["INFO", "server"]);
        let Ok(Reply::Bulk(text) | Reply::Verbatim(text)) = reply else {
            panic!("{} does not tell what it is", self.name);
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let names = [("Valkey", "valkey_version:"), ("Redis", "redis_version:")];
        let found = names.iter().find_map(|(name, of)| field(of).map(|text| (*name, text)));
        let (name, version) = found.expect("INFO tells the version");
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        (format!("{name} {version}"), (next(), next()))
    }

    /// Sends requests, all at once.
    pub fn send(&mut self, requests: &[u8]) -> io::Result<()> {
        self.client.send_raw(requests)
    }

    /// Receives so many replies.
    pub fn receive(&mut self, count: usize) -> Answers {
        let mut replies = Vec::with_capacity(count);
        while replies.len() < count {
            match self.client.receive() {
                Ok(reply) => replies.push(reply),
                Err(error) => return Answers { replies, broken: Some(error.to_string()) },
            }
        }
        Answers { replies, broken: None }
    }
}

fn connect(host: &Host) -> io::Result<Client> {
    let mut client = match host {
        Host::Keylane(_, server) | Host::Peer(server) => server.client(),
        Host::Foreign(address) => Client::connect(address)?,
    };
    client.set_patience(PATIENCE)?;
    // Keys that are over then go when they are looked at, not when a server finds time.
    client.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?;
    client.call(&["CONFIG", "SET", "proto-max-bulk-len", LONGEST])?;
    Ok(client)
}

/// Puts these requests to all sides at once.
pub fn ask_all(sides: &mut [Side], requests: &[Words]) -> Vec<Answers> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|words| push_request(&mut bytes, words));
    // What cannot be sent is noticed when the replies do not come.
    sides.iter_mut().for_each(|side| drop(side.send(&bytes)));
    sides.iter_mut().map(|side| side.receive(requests.len())).collect()
}

/// Makes a connection like new.
pub fn fresh(protocol: Protocol) -> Vec<Words> {
    let version = match protocol {
        Protocol::Resp2 => b"2".to_vec(),
        Protocol::Resp3 => b"3".to_vec(),
    };
    vec![vec![b"RESET".to_vec()], vec![b"HELLO".to_vec(), version]]
}
