//! A replica's steps from the connected socket to the primary's answer to PSYNC: lines in,
//! commands out.
//!
//! ```text
//! ping --+PONG--> auth, listening-port, ip-address, capa, version, node id, topology, keylane
//!     --> psync
//!                 (sent together, one reply each; what has no value is left out)             |
//!                                                        Full <--+FULLRESYNC id offset-------+
//!                                                      Chunks <--+SNAPSHOT name connections--+
//!                                                        Continue <--+CONTINUE [id]----------+
//!                                                        Full <--SYNC <--other -ERR----------+
//! ```
//! PSYNC waits for all replies: Valkey refuses it while replies are pending. A bare line feed says
//! that the primary is alive; each second one may come, also in front of the answer to PSYNC.
//! What a primary answers was tried on Valkey 9.1.2 and Redis 7.0.15.

use std::collections::VecDeque;

use shards::base::number::parse_u64;
use shards::resp::request;

use crate::replication::failure::{Failure, printable};
use crate::replication::greeting::IN_STREAM;
use crate::replication::greeting::member::{Identity, is_refusal};
use crate::replication::history::{Fence, OFFSET_MAX, Scalar, Vector};
use crate::replication::lines::Lines;
use crate::replication::replid::ReplId;

/// What a replica tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// `primaryuser` and `primaryauth`; `None` sends no AUTH.
    pub credentials: Option<Credentials>,
    /// The port on which this node serves clients, or announces that it does.
    pub listening_port: u16,
    /// `replica-announce-ip`; `None` lets the primary take the socket's.
    pub announced_ip: Option<String>,
    /// The Valkey version whose snapshots and commands this node understands.
    pub version: String,
    /// Which node this is.
    pub identity: Identity,
    /// `replica-priority`, told with each acknowledgement; `None`: the usual one, which is not
    /// told.
    pub priority: Option<u32>,
    /// It can take each log of its primary by a connection of its own (`repl-native`).
    pub flows: bool,
}

/// What AUTH says.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `None` is the default user.
    pub user: Option<Vec<u8>>,
    /// Its password.
    pub password: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    /// A password is shown nowhere.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// AUTH with these.
    pub fn command(&self) -> Vec<&[u8]> {
        let user = self.user.as_deref();
        [Some(&b"AUTH"[..]), user, Some(&self.password)].into_iter().flatten().collect()
    }
}

/// What a replica asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The stream that it has, and how many bytes of it; `None` asks for a snapshot.
    pub resume: Option<(ReplId, Scalar)>,
    /// Where it is in each log of its primary, if that is no place of the stream.
    pub vector: Option<Vector>,
    /// Where that place of the stream is in each log, if that is known.
    pub fence: Option<Vector>,
    /// Why it asks.
    pub purpose: Purpose,
}

/// Why a stream is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To follow.
    Follow,
    /// To hand over: the peer is to become primary first.
    Failover,
}

/// A step whose reply is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `PING`
    Ping,
    /// `AUTH`
    Auth,
    /// `REPLCONF listening-port`
    ListeningPort,
    /// `REPLCONF ip-address`
    IpAddress,
    /// `REPLCONF capa`
    Capa,
    /// `REPLCONF version`
    Version,
    /// `REPLCONF SET-CLUSTER-NODE-ID`
    NodeId,
    /// `REPLCONF keylane-topology`
    Topology,
    /// `REPLCONF keylane`
    Keylane,
    /// `PSYNC`
    Psync,
}

/// What came of the primary's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A bare line feed.
    Alive,
    /// The reply to a step, which harms nothing.
    Reply(Step),
    /// The primary does not know an option, which harms nothing: its error.
    Unknown(Step, String),
    /// PSYNC is refused: its error. SYNC follows.
    NoPsync(String),
    /// These bytes are to be sent.
    Send(Vec<u8>),
    /// These as well: they are PSYNC.
    Ask(Vec<u8>),
    /// The last: what follows is no line of the handshake.
    Answer(Answer),
}

/// How the primary goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With the stream, from where it was asked for. The stream has this name now; `None` leaves
    /// the one that was asked for.
    Continue(Option<ReplId>),
    /// With a snapshot, behind which a stream of this name goes on at this offset. `None` after
    /// SYNC, which tells neither.
    Full(Option<(ReplId, Scalar)>),
    /// With a snapshot that comes as chunks by other connections.
    Chunks(SnapshotOffered),
}

/// A snapshot that comes as chunks by connections of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOffered {
    /// By which they name it.
    pub name: ReplId,
    /// How many they are.
    pub connections: u16,
    /// Bytes that the primary uses; `None` if it does not say, as before it could.
    pub used_memory: Option<u64>,
    /// The history that it is of, and where in it the primary is; `None` likewise.
    pub at: Option<(ReplId, Scalar)>,
}

impl SnapshotOffered {
    /// The line that offers it.
    pub fn line(&self) -> Vec<u8> {
        let Self { name, connections, used_memory, at } = self;
        let used = used_memory.map_or(String::new(), |bytes| format!(" {bytes}"));
        // A place stands behind the bytes only.
        let at = at.filter(|_| used_memory.is_some());
        let at = at.map_or(String::new(), |(id, offset)| format!(" {id} {offset}"));
        format!("+SNAPSHOT {name} {connections}{used}{at}\r\n").into_bytes()
    }

    /// Reads the words behind `+SNAPSHOT`. More of them are welcome.
    fn parse<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let name = words.next().and_then(ReplId::parse)?;
        let connections = u16::try_from(words.next().and_then(parse_u64)?).ok()?;
        let used_memory = words.next().and_then(parse_u64);
        let id = words.next().and_then(ReplId::parse);
        let at = id.zip(words.next().and_then(parse_offset));
        let is_few = (1..=CONNECTIONS_MAX).contains(&connections);
        is_few.then_some(Self { name, connections, used_memory, at })
    }
}

/// The version of flows that this release speaks.
pub const FLOWS_VERSION: &str = "3";
/// Connections that a snapshot may come by, at most.
pub const CONNECTIONS_MAX: u16 = 64;

/// How the line begins by which a primary says that its logs may come while its snapshot does.
const LOGS: &[u8] = b"+LOGS ";

/// Logs that may come, each by a connection of its own, while a snapshot does by others. Behind it
/// they go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsOffered {
    /// By which connections name them.
    pub name: ReplId,
    /// Their history.
    pub history: ReplId,
    /// Where they begin: where the snapshot is.
    pub at: Fence,
}

impl LogsOffered {
    /// The line that offers them.
    pub fn line(&self) -> Vec<u8> {
        let Self { name, history, at: Fence { scalar, vector } } = self;
        format!("+LOGS {name} {history} {scalar} {vector}\r\n").into_bytes()
    }

    /// What a line says that [`Self::line`] has written, without its end. `None`: it is no such
    /// line.
    ///
    /// # Errors
    /// If it is one, and malformed.
    pub fn parse(line: &[u8]) -> Result<Option<Self>, Failure> {
        let Some(rest) = line.strip_prefix(LOGS) else { return Ok(None) };
        let words: Vec<&[u8]> = rest.split(|byte| *byte == b' ').collect();
        let offered = || {
            let &[name, history, scalar, vector] = words.as_slice() else { return None };
            let (name, history) = (ReplId::parse(name)?, ReplId::parse(history)?);
            let at = Fence { scalar: parse_offset(scalar)?, vector: Vector::parse(vector)? };
            Some(Self { name, history, at })
        };
        offered().map(Some).ok_or_else(|| Failure::Syntax(printable(line)))
    }
}

/// What a node that is a primary already says to `PSYNC .. FAILOVER`.
const IS_PRIMARY: &[u8] = b"-ERR PSYNC FAILOVER can't be sent to a master";

/// The machine.
#[derive(Debug)]
pub struct Handshake {
    ask: Ask,
    /// It has told that it takes chunks.
    takes_chunks: bool,
    lines: Lines,
    /// Steps whose replies are to come, in their order. Never empty before the answer.
    awaited: VecDeque<Step>,
    /// What is sent after the PONG, and the steps that it has.
    after_pong: Vec<u8>,
    steps_after_pong: Vec<Step>,
}

impl Step {
    /// As the log calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ping => "PING",
            Self::Auth => "AUTH",
            Self::ListeningPort => "REPLCONF listening-port",
            Self::IpAddress => "REPLCONF ip-address",
            Self::Capa => "REPLCONF capa",
            Self::Version => "REPLCONF VERSION",
            Self::NodeId => "REPLCONF SET-CLUSTER-NODE-ID",
            Self::Topology => "REPLCONF keylane-topology",
            Self::Keylane => "REPLCONF keylane",
            Self::Psync => "PSYNC",
        }
    }
}

impl Handshake {
    /// Begins one: the bytes are to be sent.
    pub fn begin(hello: &Hello, mut ask: Ask) -> (Self, Vec<u8>) {
        // A place in logs is none in a stream.
        ask.resume.take_if(|_| ask.vector.is_some() && !hello.flows);
        let (after_pong, steps_after_pong) = introduction(hello, &ask);
        let awaited = VecDeque::from([Step::Ping]);
        let (lines, takes_chunks) = (Lines::default(), hello.flows);
        let handshake = Self { ask, takes_chunks, lines, awaited, after_pong, steps_after_pong };
        (handshake, request::encode(&["PING"]))
    }

    /// The step whose reply comes next.
    pub fn step(&self) -> Step {
        self.awaited.front().copied().unwrap_or(Step::Psync)
    }

    /// Takes lines up to the answer, and says how many bytes they have.
    ///
    /// # Errors
    /// If the attempt has failed.
    pub fn take(&mut self, input: &[u8], heard: &mut Vec<Heard>) -> Result<usize, Failure> {
        let mut at = 0;
        while let Some(line) = self.lines.take(input, &mut at)? {
            if line.is_empty() {
                heard.push(Heard::Alive);
            } else {
                self.reply(&line, heard)?;
                if matches!(heard.last(), Some(Heard::Answer(_))) {
                    break;
                }
            }
        }
        Ok(at)
    }

    fn reply(&mut self, line: &[u8], heard: &mut Vec<Heard>) -> Result<(), Failure> {
        let step = self.step();
        let text = || printable(line);
        match (step, line[0]) {
            (Step::Psync, _) => return self.answer(line, heard),
            (_, b'+') => heard.push(Heard::Reply(step)),
            // The primary wants AUTH first, or the default user may not even PING.
            (Step::Ping, b'-') if wants_auth(line) => heard.push(Heard::Reply(step)),
            (Step::Ping, b'-') => return Err(Failure::Ping(text())),
            (Step::Auth, b'-') => return Err(Failure::Auth(text())),
            // Only Keylane has flows; a place in its logs is none in a stream.
            (Step::Keylane, b'-') => {
                self.ask.resume.take_if(|_| self.ask.vector.is_some());
                self.takes_chunks = false;
                heard.push(Heard::Reply(step));
            }
            // Older primaries refuse options; replication works without them.
            (_, b'-') => heard.push(Heard::Unknown(step, text())),
            (_, _) => return Err(Failure::Unexpected(text())),
        }
        self.awaited.pop_front();
        if step == Step::Ping {
            self.awaited.extend(self.steps_after_pong.drain(..));
            heard.push(Heard::Send(std::mem::take(&mut self.after_pong)));
        } else if self.awaited.is_empty() {
            self.awaited.push_back(Step::Psync);
            heard.push(Heard::Ask(psync(&self.ask)));
        }
        Ok(())
    }

    /// The answer to PSYNC.
    fn answer(&self, line: &[u8], heard: &mut Vec<Heard>) -> Result<(), Failure> {
        let text = || printable(line);
        let mut words = line.split(|byte| *byte == b' ');
        let word = words.next().unwrap_or_default();
        let answer = match (word, self.ask.purpose) {
            (b"+FULLRESYNC", _) => {
                let id = words.next().and_then(ReplId::parse);
                let offset = words.next().and_then(parse_offset);
                Answer::Full(Some(id.zip(offset).ok_or_else(|| Failure::Syntax(text()))?))
            }
            (b"+SNAPSHOT", _) if self.takes_chunks => {
                let offered = SnapshotOffered::parse(words);
                Answer::Chunks(offered.ok_or_else(|| Failure::Syntax(text()))?)
            }
            // A primary that was not told `psync2` names nothing; the stream keeps its name.
            (b"+CONTINUE", _) if self.ask.resume.is_some() => match words.next().map(ReplId::parse)
            {
                Some(None) => return Err(Failure::Syntax(text())),
                Some(Some(id)) => Answer::Continue(Some(id)),
                None => Answer::Continue(None),
            },
            // Nothing was there that could go on.
            (b"+CONTINUE", _) => return Err(Failure::Syntax(text())),
            // Valkey gives up a failover for any error, also for one that would pass.
            (_, Purpose::Failover) if line.starts_with(IS_PRIMARY) => {
                return Err(Failure::FailoverIsOver(text()));
            }
            (_, Purpose::Failover) => return Err(Failure::FailoverRefused(text())),
            // The primary has lost its own primary, loads, or serves nothing without its primary.
            (b"-NOMASTERLINK" | b"-LOADING" | b"-MASTERDOWN", Purpose::Follow) => {
                return Err(Failure::NotYet(text()));
            }
            // The primary does not know PSYNC; or SYNC will say what is wrong.
            (b"-ERR", Purpose::Follow) => {
                heard.push(Heard::NoPsync(text()));
                heard.push(Heard::Send(request::encode(&["SYNC"])));
                Answer::Full(None)
            }
            (_, Purpose::Follow) if is_refusal(line) => return Err(Failure::Stranger(text())),
            // NOAUTH, NOPERM and the like refuse SYNC as well.
            (_, Purpose::Follow) => return Err(Failure::Psync(text())),
        };
        heard.push(Heard::Answer(answer));
        Ok(())
    }
}

/// What is sent after the PONG, and its steps in their order.
fn introduction(hello: &Hello, ask: &Ask) -> (Vec<u8>, Vec<Step>) {
    let mut bytes = Vec::new();
    let mut steps = Vec::new();
    let mut add = |step: Step, args: &[&[u8]]| {
        steps.push(step);
        request::write(&mut bytes, args);
    };
    if let Some(credentials) = &hello.credentials {
        add(Step::Auth, &credentials.command());
    }
    let port = hello.listening_port.to_string();
    add(Step::ListeningPort, &[b"REPLCONF", b"listening-port", port.as_bytes()]);
    if let Some(ip) = &hello.announced_ip {
        add(Step::IpAddress, &[b"REPLCONF", b"ip-address", ip.as_bytes()]);
    }
    add(Step::Capa, &[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]);
    add(Step::Version, &[b"REPLCONF", b"version", hello.version.as_bytes()]);
    if let Some(id) = &hello.identity.node_id {
        add(Step::NodeId, &[b"REPLCONF", b"SET-CLUSTER-NODE-ID", id]);
    }
    if let Some(member) = &hello.identity.member {
        let told = member.to_string();
        add(Step::Topology, &[b"REPLCONF", b"keylane-topology", told.as_bytes()]);
    }
    if hello.flows {
        let asked = match (&ask.vector, &ask.fence) {
            (Some(vector), _) => format!("{FLOWS_VERSION}:{vector}"),
            (None, Some(fence)) => format!("{FLOWS_VERSION}:{fence}:{IN_STREAM}"),
            (None, None) => FLOWS_VERSION.to_owned(),
        };
        add(Step::Keylane, &[b"REPLCONF", b"keylane", asked.as_bytes()]);
    }
    (bytes, steps)
}

/// The offset on the wire is that of the first byte that is wanted, and bytes count from one.
fn psync(ask: &Ask) -> Vec<u8> {
    let wanted = ask.resume.map(|(id, offset)| (id.to_string(), offset.after(1).to_string()));
    let mut args: Vec<&[u8]> = match &wanted {
        Some((id, first)) => vec![b"PSYNC", id.as_bytes(), first.as_bytes()],
        None => vec![b"PSYNC", b"?", b"-1"],
    };
    if ask.purpose == Purpose::Failover {
        args.push(b"FAILOVER");
    }
    request::encode(&args)
}

/// Whether an error to PING says no more than that AUTH comes first.
fn wants_auth(line: &[u8]) -> bool {
    // The last one is that of Redis before 6.
    let texts: [&[u8]; 3] = [b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted"];
    texts.iter().any(|text| line.starts_with(text))
}

/// An offset that this node can go on from.
fn parse_offset(text: &[u8]) -> Option<Scalar> {
    parse_u64(text).filter(|offset| *offset <= OFFSET_MAX).map(Scalar)
}

#[cfg(test)]
mod tests;
