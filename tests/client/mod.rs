//! A client for tests: RESP2 and RESP3 over a socket, replies as values and as transcript lines.

#![allow(dead_code, reason = "each test program uses the part it needs")]

use std::fmt::Write as _;
use std::io::{self, Read, Write};
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// How long a server may take for a reply before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
pub struct Client {
    #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
    stream: TcpStream,
    received: Vec<u8>,
    /// How much of `received` was consumed.
    at: usize,
}

/// What a server says, in the protocol's own kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+`
    Simple(Vec<u8>),
    /// `-`
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `,`, as it was written
    Double(Vec<u8>),
    /// `(`, as it was written
    BigNumber(Vec<u8>),
    /// `#`
    Boolean(bool),
    /// `=`, the format and a colon included
    Verbatim(Vec<u8>),
    /// `*`, `~`, `>` or `%` and what is in it; keys and values of a map take turns
    Group(char, Vec<Reply>),
}

impl Client {
    /// Connects to `host:port`.
    pub fn connect(address: &str) -> io::Result<Self> {
        #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::new(), at: 0 })
    }

    /// The same connection once more, for a thread that only sends or only receives.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, received: Vec::new(), at: 0 })
    }

    /// Sets how long a reply may take.
    pub fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Sends a command and waits for its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        self.send(args)?;
        self.receive()
    }

    /// Sends a command.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut request = Vec::new();
        push_request(&mut request, args);
        self.send_raw(&request)
    }

    /// Sends commands in one piece.
    pub fn send_all(&mut self, commands: &[&[&str]]) -> io::Result<()> {
        let mut requests = Vec::new();
        commands.iter().for_each(|args| push_request(&mut requests, args));
        self.send_raw(&requests)
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends bytes until the server takes no more of them for this long; whether all were sent.
    pub fn send_while_taken(&mut self, bytes: &[u8], patience: Duration) -> io::Result<bool> {
        self.stream.set_write_timeout(Some(patience))?;
        let sent = self.stream.write_all(bytes);
        self.stream.set_write_timeout(None)?;
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            sent => sent.map(|()| true),
        }
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Waits for the next reply, or whatever the server sends unasked.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let Some((kind, rest)) = line.split_first() else { return Err(broken(&line)) };
        let text = rest.to_vec();
        let number = || parsed::<i64>(rest).ok_or_else(|| broken(&line));
        Ok(match kind {
            b'+' => Reply::Simple(text),
            b'-' => Reply::Error(text),
            b':' => Reply::Integer(number()?),
            b',' => Reply::Double(text),
            b'(' => Reply::BigNumber(text),
            b'#' => Reply::Boolean(rest == b"t"),
            b'_' => Reply::Null,
            b'$' if rest == b"-1" => Reply::NullBulk,
            b'*' if rest == b"-1" => Reply::NullArray,
            b'$' => Reply::Bulk(self.bytes(parsed(rest).ok_or_else(|| broken(&line))?)?),
            b'=' => Reply::Verbatim(self.bytes(parsed(rest).ok_or_else(|| broken(&line))?)?),
            b'*' | b'~' | b'>' | b'%' => {
                let pairs = if *kind == b'%' { 2 } else { 1 };
                let count = parsed::<usize>(rest).ok_or_else(|| broken(&line))? * pairs;
                let members = (0..count).map(|_| self.receive()).collect::<io::Result<_>>()?;
                Reply::Group(char::from(*kind), members)
            }
            _ => return Err(broken(&line)),
        })
    }

    /// What the server has sent and the client has not received, as far as it is here already.
    pub fn unread(&mut self) -> io::Result<Vec<u8>> {
        self.stream.set_nonblocking(true)?;
        let more = self.fill();
        self.stream.set_nonblocking(false)?;
        match more {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The other side may have closed: that is the test's business, not an unread reply.
            Ok(()) | Err(_) => {}
        }
        Ok(self.received[self.at..].to_vec())
    }

    /// Whether anything the server has sent is here.
    pub fn has_reply(&mut self) -> bool {
        self.unread().is_ok_and(|unread| !unread.is_empty())
    }

    /// Everything that comes until the server closes the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                // It closed although there was more from us to read.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.received.split_off(self.at))
    }

    /// The next `count` bytes, whatever they mean.
    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < self.at + count {
            self.fill()?;
        }
        self.at += count;
        Ok(self.received[self.at - count..self.at].to_vec())
    }

    /// The next line, its end left out.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let unread = &self.received[self.at..];
            if let Some(end) = unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = unread[..end].to_vec();
                self.at += end + 2;
                return Ok(line);
            }
            self.fill()?;
        }
    }

    /// The next `count` bytes, the line end behind them left out.
    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < self.at + count + 2 {
            self.fill()?;
        }
        let bytes = self.received[self.at..self.at + count].to_vec();
        self.at += count + 2;
        Ok(bytes)
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.at == self.received.len() {
            self.received.clear();
            self.at = 0;
        }
        let mut chunk = [0; 1 << 16];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed")),
            count => {
                self.received.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

impl Reply {
    /// The reply as a transcript has it, one line per value, members indented by a space.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.push_lines(0, &mut lines);
        lines
    }

    fn push_lines(&self, depth: usize, lines: &mut Vec<String>) {
        let indent = " ".repeat(depth);
        lines.push(format!("{indent}{}", self.head()));
        if let Self::Group(_, members) = self {
            for member in members {
                member.push_lines(depth + 1, lines);
            }
        }
    }

    /// The line of this value alone.
    pub fn head(&self) -> String {
        match self {
            Self::Simple(text) => format!("+{}", shown(text)),
            Self::Error(text) => format!("-{}", shown(text)),
            Self::Integer(number) => format!(":{number}"),
            Self::Bulk(bytes) => format!("${}", shown(bytes)),
            Self::NullBulk => "$nil".into(),
            Self::NullArray => "*nil".into(),
            Self::Null => "_".into(),
            Self::Double(text) => format!(",{}", shown(text)),
            Self::BigNumber(text) => format!("({}", shown(text)),
            Self::Boolean(true) => "#t".into(),
            Self::Boolean(false) => "#f".into(),
            Self::Verbatim(bytes) => format!("={}", shown(bytes)),
            Self::Group('%', members) => format!("%{}", members.len() / 2),
            Self::Group(kind, members) => format!("{kind}{}", members.len()),
        }
    }
}

/// Appends a command as it is sent.
pub fn push_request<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether `text` is what `shape` says, `*` standing for any bytes.
pub fn has_shape(text: &[u8], shape: &[u8]) -> bool {
    match shape.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| has_shape(&text[at..], rest)),
        Some((byte, rest)) => {
            text.split_first().is_some_and(|(first, text)| first == byte && has_shape(text, rest))
        }
    }
}

/// `bytes` as they are if a line can hold them and they can be told apart from other notation;
/// else between quotes with escapes.
pub fn shown(bytes: &[u8]) -> String {
    let plain = bytes.iter().all(|byte| (b' '..=b'~').contains(byte))
        && !matches!(bytes, [] | b"nil" | [b' ' | b'"', ..] | [.., b' ']);
    if plain {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").expect("a string takes all"),
        }
    }
    text.push('"');
    text
}

fn parsed<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn broken(line: &[u8]) -> io::Error {
    let text = format!("not a reply: {}", shown(line));
    io::Error::new(io::ErrorKind::InvalidData, text)
}
