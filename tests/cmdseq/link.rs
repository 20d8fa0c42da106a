//! A connection of a sequence: what was sent, what came back, and what is still to come.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::checks::{Check, Rules, Violation};
use crate::client::{Reply, shown};
use crate::frames::{self, Protocol};
use crate::plan::{COUNTERS, Request};
use crate::session::{Around, Effect, Outgoing, Session, Silent, What};
use crate::tally::Tally;

/// Bytes under way up to which a server has surely received them when the connection is closed.
const SURE_BYTES: u64 = 8192;
/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;
/// Reads of one look at a connection.
const READS_MAX: usize = 16;

/// What a sequence has done so far that loosens the rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mood {
    /// Commands may be refused for want of memory.
    pub refuses: bool,
    /// Keys may be gone.
    pub evicts: bool,
    /// Databases were emptied.
    pub flushes: bool,
    /// Clients may be cut by limits.
    pub cuts: bool,
    /// Clients that are subscribed may be cut.
    pub kills_subscribers: bool,
    /// CLIENT PAUSE was sent.
    pub pauses: bool,
    /// A CLIENT PAUSE or UNPAUSE may take effect at any time.
    pub stray_pause: bool,
}

/// How a connection is going to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Open,
    /// The server closes it: it was told to, or the protocol was broken.
    Closing,
    /// The client sends no more.
    HalfClosed,
}

/// A reply that is to come.
#[derive(Debug)]
struct Expected {
    what: What,
    protocol: Protocol,
    /// Where the request ends in the stream of all that the client sends.
    end: u64,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
    stream: TcpStream,
    /// No other connection of the sequence has this number.
    pub number: usize,
    pub slot: usize,
    /// The client's id, when it is known.
    pub id: Option<i64>,
    session: Session,
    /// What the socket has not taken yet, and how much of that it may.
    out: VecDeque<u8>,
    may_go: usize,
    /// Bytes that the socket took.
    written: u64,
    received: Vec<u8>,
    expected: VecDeque<Expected>,
    pub deaf: bool,
    pub may_be_cut: bool,
    pub waits_forever: bool,
    subscribes: bool,
    pub ending: Ending,
    is_shut: bool,
    pub is_gone: bool,
    pub counters: [Tally; COUNTERS],
    pub pair: Tally,
}

impl Link {
    /// Connects, and asks for the client's id.
    pub fn open(address: &str, number: usize, slot: usize) -> io::Result<Self> {
        #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut link = Self {
            stream,
            number,
            slot,
            id: None,
            session: Session::default(),
            out: VecDeque::new(),
            may_go: 0,
            written: 0,
            received: Vec::new(),
            expected: VecDeque::new(),
            deaf: false,
            may_be_cut: false,
            waits_forever: false,
            subscribes: false,
            ending: Ending::Open,
            is_shut: false,
            is_gone: false,
            counters: [Tally::default(); COUNTERS],
            pair: Tally::default(),
        };
        let mut bytes = Vec::new();
        crate::client::push_request(&mut bytes, &["CLIENT", "ID"]);
        link.enqueue(&bytes, &[(What::Id, bytes.len())]);
        link.release();
        Ok(link)
    }

    /// Whether the server may close the connection at any time.
    fn may_be_cut(&self, mood: &Mood) -> bool {
        self.may_be_cut || mood.cuts || (mood.kills_subscribers && self.subscribes)
    }

    /// Adds a request to what is sent once it is released.
    pub fn add(&mut self, request: &Request, around: &Around) -> Effect {
        let mut bytes = Vec::new();
        let mut outgoing = Outgoing { bytes: &mut bytes, replies: Vec::new() };
        let effect = self.session.send(request, around, &mut outgoing);
        let replies = outgoing.replies;
        self.subscribes |= matches!(request, Request::Subscribe(..));
        self.enqueue(&bytes, &replies);
        match effect {
            Effect::Ends => self.ending = Ending::Closing,
            Effect::WaitsForever => self.waits_forever = true,
            _ => {}
        }
        effect
    }

    fn enqueue(&mut self, bytes: &[u8], replies: &[(What, usize)]) {
        let start = self.written + self.out.len() as u64;
        let protocol = self.session.protocol;
        let expect = |(what, end): &(What, usize)| Expected {
            what: *what,
            protocol,
            end: start + *end as u64,
        };
        self.expected.extend(replies.iter().map(expect));
        self.out.extend(bytes);
    }

    /// Lets everything go that was added.
    pub fn release(&mut self) {
        self.may_go = self.out.len();
    }

    /// Lets all but the last requests go, and of these so many bytes.
    pub fn release_up_to(&mut self, earlier: usize, cut: usize) {
        self.may_go = self.out.len().min(earlier + cut);
    }

    /// Bytes that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Sends no more once the socket has taken what it may, and forgets the rest.
    pub fn half_close(&mut self) {
        let (whole, protocol) = (self.expected.len(), self.session.protocol);
        self.forget_the_held();
        if self.expected.len() < whole {
            // The beginning of a request may be wrong already.
            let end = self.written + self.out.len() as u64;
            self.expected.push_back(Expected { what: What::Maybe, protocol, end });
        }
        self.ending = Ending::HalfClosed;
    }

    fn forget_the_held(&mut self) {
        self.out.truncate(self.may_go);
        let end = self.written + self.out.len() as u64;
        self.expected.retain(|expected| expected.end <= end);
    }

    /// Whether anything is to come that the sequence has to wait for.
    pub fn is_quiet(&self) -> bool {
        if self.is_gone || self.waits_forever {
            return true;
        }
        let answered =
            self.expected.iter().all(|it| matches!(it.what, What::Silence(_) | What::Maybe));
        self.ending == Ending::Open && self.out.is_empty() && answered
    }

    /// What is to come first, for a failure's text.
    pub fn complaint(&self) -> String {
        let first = self.expected.iter().find(|it| !matches!(it.what, What::Silence(_)));
        let first = first.map_or("nothing".to_owned(), |it| format!("{:?}", it.what));
        let (count, partial) = (self.expected.len(), self.received.len());
        format!(
            "connection {} in slot {} ({:?}): {count} replies to come, {first} first; {} bytes \
             not sent, {partial} of an unfinished reply received",
            self.number,
            self.slot,
            self.ending,
            self.out.len()
        )
    }

    /// Whether a CLIENT PAUSE or UNPAUSE is not answered yet.
    pub fn is_pausing(&self) -> bool {
        self.expected.iter().any(|it| it.what == What::Pausing)
    }

    /// Sends and receives what goes without waiting. Whether anything did.
    pub fn pump(&mut self, rules: &Rules, mood: &Mood) -> Result<bool, Violation> {
        if self.is_gone {
            return Ok(false);
        }
        let sent = self.push_out();
        if self.deaf {
            return Ok(sent);
        }
        let mut chunk = vec![0; CHUNK];
        let mut moved = sent;
        for _ in 0..READS_MAX {
            match self.stream.read(&mut chunk) {
                Ok(0) => return self.is_closed(rules, mood).map(|()| true),
                Ok(count) => {
                    moved = true;
                    self.received.extend_from_slice(&chunk[..count]);
                    self.take_frames(rules, mood)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return self.is_closed(rules, mood).map(|()| true),
            }
        }
        Ok(moved)
    }

    fn push_out(&mut self) -> bool {
        let mut moved = false;
        while 0 < self.may_go {
            let front = self.out.as_slices().0;
            match self.stream.write(&front[..front.len().min(self.may_go)]) {
                Ok(count) => {
                    self.out.drain(..count);
                    self.may_go -= count;
                    self.written += count as u64;
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return moved,
                // The server has closed: what it sent before is read first.
                Err(_) => return moved,
            }
        }
        if self.ending == Ending::HalfClosed && !self.is_shut && self.out.is_empty() {
            // It fails if the server was faster.
            let _ = self.stream.shutdown(Shutdown::Write);
            self.is_shut = true;
        }
        moved
    }

    fn take_frames(&mut self, rules: &Rules, mood: &Mood) -> Result<(), Violation> {
        let mut at = 0;
        while at < self.received.len() {
            match frames::first(&self.received[at..]) {
                Ok(None) => break,
                Ok(Some((reply, length))) => {
                    at += length;
                    self.take(&reply, rules, mood)?;
                }
                Err(problem) => {
                    let text = format!("{problem}; {}", self.complaint());
                    rules.expect(Check::Frames, false, || text)?;
                    at = self.received.len();
                }
            }
        }
        self.received.drain(..at);
        Ok(())
    }

    /// Notes a reply, which is what was expected.
    fn take(&mut self, reply: &Reply, rules: &Rules, mood: &Mood) -> Result<(), Violation> {
        if is_unasked(reply) {
            return Ok(());
        }
        self.pass_silence();
        let Some(Expected { what, protocol, .. }) = self.expected.pop_front() else {
            let text = || format!("{} came unasked; {}", brief(reply), self.complaint());
            return rules.expect(Check::Replies, false, text);
        };
        let speaks = frames::speaks(protocol, reply);
        let text = || format!("{} in {protocol:?}; {}", brief(reply), self.complaint());
        rules.expect(Check::Frames, speaks, text)?;
        let refused =
            matches!(reply, Reply::Error(text) if text.starts_with(b"OOM") && mood.refuses);
        match (what, reply) {
            (What::Id, Reply::Integer(id)) => {
                self.id = Some(*id);
                Ok(())
            }
            (What::Count(_), _) if refused => Ok(()),
            (What::Count(counter), _) => {
                let tally = &mut self.counters[counter];
                if mood.flushes || mood.evicts {
                    tally.low = 0;
                }
                let was = *tally;
                let fits = matches!(reply, Reply::Integer(value) if tally.is_answered(*value));
                rules.expect(Check::Counters, fits, || {
                    format!("{} of a counter at {was:?}; {}", brief(reply), self.complaint())
                })
            }
            (What::Pair, _) => self.take_pair(reply, rules, mood),
            (What::Alike, Reply::Group(_, members)) if !mood.evicts => {
                let alike = members.windows(2).all(|pair| pair[0] == pair[1]);
                rules.expect(Check::Atomic, alike, || format!("MGET of alike: {}", brief(reply)))
            }
            _ => Ok(()),
        }
    }

    fn take_pair(&mut self, reply: &Reply, rules: &Rules, mood: &Mood) -> Result<(), Violation> {
        if mood.flushes || mood.evicts {
            self.pair.low = 0;
        }
        let was = self.pair;
        let fits = match reply {
            Reply::Group(_, members) => match members.as_slice() {
                [Reply::Integer(one), Reply::Integer(other)] => {
                    self.pair.is_answered(*one) && (one == other || mood.evicts)
                }
                _ => false,
            },
            // A watched key had changed.
            Reply::NullArray | Reply::Null => true,
            Reply::Error(text) => mood.refuses && text.starts_with(b"EXECABORT"),
            _ => false,
        };
        rules.expect(Check::Atomic, fits, || {
            format!("EXEC of a pair at {was:?}: {}; {}", brief(reply), self.complaint())
        })
    }

    /// Goes past requests that are not answered.
    fn pass_silence(&mut self) {
        while let Some(Expected { what: What::Silence(silent), .. }) = self.expected.front() {
            match silent {
                Silent::Other => {}
                Silent::Count(counter) => self.counters[*counter].may_grow(),
                Silent::Pair => self.pair.may_grow(),
            }
            self.expected.pop_front();
        }
    }

    /// The server has closed: it may, and everything it owed is here.
    fn is_closed(&mut self, rules: &Rules, mood: &Mood) -> Result<(), Violation> {
        self.is_gone = true;
        self.pass_silence();
        let told = self.may_be_cut(mood);
        let owes = self.expected.iter().any(|it| it.what != What::Maybe);
        // A client that waits goes at once, and so may one that CLIENT PAUSE holds.
        let waits = self.waits_forever || self.expected.iter().any(|it| it.what == What::Late);
        let excused = told || !owes;
        let complaint = self.complaint();
        self.give_up(false);
        match self.ending {
            Ending::Open => rules.expect(Check::Kept, told, || format!("closed: {complaint}")),
            Ending::Closing => rules.expect(Check::Replies, excused || waits, || complaint),
            Ending::HalfClosed => {
                let excused = excused || waits || mood.pauses;
                rules.expect(Check::HalfClose, excused, || complaint)
            }
        }
    }

    /// The connection is closed by the client.
    pub fn close(&mut self, mood: &Mood) {
        self.forget_the_held();
        let first = self.expected.front().map_or(self.written, |first| first.end);
        let under_way = self.written.saturating_sub(first);
        let doubtful = self.may_be_cut(mood) || self.waits_forever || self.deaf;
        let is_held = mood.pauses || mood.refuses;
        let sure = self.ending == Ending::Open && under_way < SURE_BYTES && !doubtful && !is_held;
        self.give_up(sure);
        self.is_gone = true;
    }

    /// Nothing more is received: what was sent whole may have been done, or surely was as long as
    /// replies are small.
    fn give_up(&mut self, mut sure: bool) {
        let written = self.written;
        for expected in std::mem::take(&mut self.expected) {
            if written < expected.end {
                break;
            }
            let tally = match expected.what {
                What::Count(counter) | What::Silence(Silent::Count(counter)) => {
                    &mut self.counters[counter]
                }
                What::Pair | What::Silence(Silent::Pair) => &mut self.pair,
                What::Id | What::Small | What::Silence(Silent::Other) | What::Alike => continue,
                What::Any | What::Late | What::Pausing | What::Maybe => {
                    sure = false;
                    continue;
                }
            };
            if sure { tally.grows() } else { tally.may_grow() }
        }
    }

    /// Closes so that the server sees an error.
    pub fn reset(&mut self, mood: &Mood) {
        // If it fails it is a close like any other.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        self.may_be_cut = true;
        self.close(mood);
    }
}

/// Whether the server may send this at any time.
fn is_unasked(reply: &Reply) -> bool {
    const CONFIRMATIONS: [&[u8]; 6] = [
        b"subscribe",
        b"unsubscribe",
        b"psubscribe",
        b"punsubscribe",
        b"ssubscribe",
        b"sunsubscribe",
    ];
    const MESSAGES: [&[u8]; 3] = [b"message", b"pmessage", b"smessage"];
    match reply {
        Reply::Group(kind, members) => match members.first() {
            Some(Reply::Bulk(name)) if *kind == '>' => !CONFIRMATIONS.contains(&name.as_slice()),
            Some(Reply::Bulk(name)) => {
                *kind == '*' && MESSAGES.contains(&name.as_slice()) && 3 <= members.len()
            }
            _ => false,
        },
        // What MONITOR shows begins with the time.
        Reply::Simple(text) => {
            text.first().is_some_and(u8::is_ascii_digit) && text.windows(2).any(|two| two == b" [")
        }
        _ => false,
    }
}

/// A reply, or the beginning of a long one.
fn brief(reply: &Reply) -> String {
    const COLUMNS_MAX: usize = 200;
    let text = reply.lines().join(" ");
    if text.len() <= COLUMNS_MAX {
        text
    } else {
        format!("{}...", shown(&text.as_bytes()[..COLUMNS_MAX]))
    }
}
